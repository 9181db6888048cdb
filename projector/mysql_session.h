/* projector/mysql_session.h - the port `database` on a MySQL-compatible server: MySQL 8, MariaDB, Aurora.
 *
 * One source for libmariadb and Oracle's libmysqlclient. A connection is in plain text only when it is told so:
 * libmariadb would be unless asked otherwise. Its session is UTC, utf8mb4, strict, READ COMMITTED. Not shared between
 * threads. */
#ifndef TARN_PROJECTOR_MYSQL_SESSION_H
#define TARN_PROJECTOR_MYSQL_SESSION_H

#include "projector/database.h"

struct mysql_session;

enum mysql_tls {
    MYSQL_TLS_DISABLED,
    MYSQL_TLS_REQUIRED,        /* encrypted, whoever it is */
    MYSQL_TLS_VERIFY_IDENTITY, /* a certificate of a known authority, for the host that the URL names */
};
extern const char *const mysql_tls_names[]; /* "disabled", ...; NULL-terminated */

struct mysql_settings {
    const char *url;
    enum mysql_tls tls;
    const char *ca_file;    /* NULL: the system's authorities */
    unsigned timeout_s;     /* for one answer; connecting has 5 s at most */
    unsigned idle_s;        /* the server ends a session that says nothing for so long: a lost host's lock goes too */
};

/* Doesn't connect. ERR_INPUT: the URL. */
MUST_CHECK int mysql_session_new(const struct mysql_settings *settings, struct mysql_session **ret_session,
                                 struct err *err);
void mysql_session_free(struct mysql_session **session);
struct database mysql_session_port(struct mysql_session *session);

/* "127.0.0.1:3306/bank": for the log; neither user nor password. Lives as long as the session. */
const char *mysql_session_place(const struct mysql_session *session);
const char *mysql_session_database(const struct mysql_session *session);

#endif
