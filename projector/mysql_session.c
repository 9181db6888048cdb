/* Statements go as text, rows come unbuffered (mysql_use_result), so that a result of any size costs one row of memory.
 * There are no prepared statements: a relay's statements are long lists of ids, or are run once for thousands of rows.
 *
 * The client never reconnects by itself, and reads and writes have a limit of their own, so that a server that went
 * away without a word is noticed. What an error number means for the caller is one table. */
#include "projector/mysql_session.h"

#include <errno.h>
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>

#include "projector/mysql_url.h"
#include "schema/base/mem.h"

/* The two libraries differ in a type and in how TLS is asked for. */
#ifdef MARIADB_PACKAGE_VERSION
typedef my_bool mysql_switch;
#else
#include <stdbool.h>
typedef bool mysql_switch;
#endif

enum {
    CONNECT_TIMEOUT_S = 5,
    COLUMNS_MAX = 1000,
    CHARSET_BINARY = 63,
    CLIENT_ERROR_FIRST = 2000,
    CLIENT_ERROR_TLS = 2026,
};

const char *const mysql_tls_names[] = {"disabled", "required", "verify-identity", NULL};

struct mysql_session {
    struct arena arena;
    struct mysql_url url;
    struct mysql_settings settings;
    char *ca_file;
    char *place;
    MYSQL *mysql; /* NULL: not connected */
};

/* --- what errors mean --------------------------------------------------------------------------------------------- */

static const struct {
    unsigned number;
    int kind;
    const char *advice; /* put behind the server's text, or NULL */
} server_errors[] = {
    {1040, ERR_AGAIN, NULL}, /* too many connections */
    {1053, ERR_AGAIN, NULL}, /* shutting down */
    {1077, ERR_AGAIN, NULL},
    {1078, ERR_AGAIN, NULL},
    {1152, ERR_AGAIN, NULL},
    {1158, ERR_AGAIN, NULL},
    {1159, ERR_AGAIN, NULL},
    {1160, ERR_AGAIN, NULL},
    {1161, ERR_AGAIN, NULL},
    {1184, ERR_AGAIN, NULL},
    {1205, ERR_AGAIN, NULL}, /* lock wait timeout */
    {1213, ERR_AGAIN, NULL}, /* deadlock */
    {1290, ERR_AGAIN, "the server is read-only: name the writer"},
    {1317, ERR_AGAIN, NULL}, /* interrupted */
    {1792, ERR_AGAIN, "the transaction is read-only: name the writer"},
    {1836, ERR_AGAIN, "the server is read-only: name the writer"},
    {1874, ERR_AGAIN, "InnoDB is read-only: name the writer"},
    {1927, ERR_AGAIN, NULL}, /* killed */
    {1969, ERR_AGAIN, NULL},
    {3024, ERR_AGAIN, NULL}, /* took too long */
    {1021, ERR_AGAIN, NULL},
    {1114, ERR_AGAIN, NULL}, /* disk or table full */
};

static int kind_of(unsigned number, const char **ret_advice)
{
    *ret_advice = NULL;
    if (number >= CLIENT_ERROR_FIRST && number < CLIENT_ERROR_FIRST + 1000)
        return ERR_AGAIN;
    for (size_t i = 0; i < ARRAY_COUNT(server_errors); i++) {
        if (server_errors[i].number == number) {
            *ret_advice = server_errors[i].advice;
            return server_errors[i].kind;
        }
    }
    return ERR_INPUT;
}

static int set_error(MYSQL *mysql, const char *doing, struct err *err)
{
    unsigned number = mysql_errno(mysql);
    const char *advice;
    int kind = kind_of(number, &advice);

    return err_set(err, kind, "%s: %s (%u)%s%s", doing, mysql_error(mysql), number, advice ? ": " : "",
                   advice ? advice : "");
}

static bool is_connection_gone(unsigned number)
{
    static const unsigned numbers[] = {1053, 1077, 1078, 1152, 1158, 1159, 1160, 1161, 1184, 1927};

    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++)
        if (numbers[i] == number)
            return true;
    return number >= CLIENT_ERROR_FIRST && number < CLIENT_ERROR_FIRST + 1000;
}

/* --- connecting --------------------------------------------------------------------------------------------------- */

int mysql_session_new(const struct mysql_settings *settings, struct mysql_session **ret_session, struct err *err)
{
    struct mysql_session *session = mem_zero(1, sizeof(*session));

    session->arena = ARENA_INIT;
    int rc = mysql_url_parse(settings->url, &session->arena, &session->url, err);
    if (rc < 0) {
        mysql_session_free(&session);
        return err_prefix(err, "--database");
    }
    session->settings = *settings;
    session->ca_file = settings->ca_file ? mem_text(settings->ca_file) : NULL;
    session->place = session->url.socket != NULL
                         ? mem_format("%s/%s", session->url.socket, session->url.database)
                         : mem_format("%s:%u/%s", session->url.host, session->url.port, session->url.database);
    *ret_session = session;
    return 0;
}

static void session_close(void *self)
{
    struct mysql_session *session = self;

    if (session->mysql != NULL)
        mysql_close(session->mysql);
    session->mysql = NULL;
}

void mysql_session_free(struct mysql_session **session)
{
    if (*session == NULL)
        return;
    session_close(*session);
    arena_release(&(*session)->arena);
    free((*session)->ca_file);
    free((*session)->place);
    free(*session);
    *session = NULL;
}

const char *mysql_session_place(const struct mysql_session *session)
{
    return session->place;
}

const char *mysql_session_database(const struct mysql_session *session)
{
    return session->url.database;
}

static void set_tls(MYSQL *mysql, const struct mysql_session *session)
{
    enum mysql_tls tls = session->settings.tls;
#ifdef MARIADB_PACKAGE_VERSION
    mysql_switch enforce = tls != MYSQL_TLS_DISABLED;
    mysql_switch verify = tls == MYSQL_TLS_VERIFY_IDENTITY;
    mysql_optionsv(mysql, MYSQL_OPT_SSL_ENFORCE, &enforce);
    mysql_optionsv(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
    if (session->ca_file != NULL)
        mysql_optionsv(mysql, MYSQL_OPT_SSL_CA, session->ca_file);
#else
    static const unsigned modes[] = {SSL_MODE_DISABLED, SSL_MODE_REQUIRED, SSL_MODE_VERIFY_IDENTITY};
    mysql_options(mysql, MYSQL_OPT_SSL_MODE, &modes[tls]);
    if (session->ca_file != NULL)
        mysql_options(mysql, MYSQL_OPT_SSL_CA, session->ca_file);
#endif
}

static int prepare_session(struct mysql_session *session, struct err *err)
{
    char sql[400];

    snprintf(sql, sizeof(sql),
             "SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', "
             "wait_timeout = %u, innodb_lock_wait_timeout = %u, autocommit = 1",
             session->settings.idle_s, session->settings.timeout_s / 2 + 1);
    if (mysql_real_query(session->mysql, sql, strlen(sql)) != 0)
        return set_error(session->mysql, "preparing the session", err);
    static const char isolation[] = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
    if (mysql_real_query(session->mysql, isolation, sizeof(isolation) - 1) != 0)
        return set_error(session->mysql, "preparing the session", err);
    return 0;
}

/* libmariadb goes on in plain text with a server that has no TLS, whatever it was told. */
static int check_tls(struct mysql_session *session, struct err *err)
{
    if (session->settings.tls == MYSQL_TLS_DISABLED || mysql_get_ssl_cipher(session->mysql) != NULL)
        return 0;
    return err_set(err, ERR_INPUT, "%s: the server has no TLS, and --database-tls is %s", session->place,
                   mysql_tls_names[session->settings.tls]);
}

static int session_open(void *self, struct err *err)
{
    struct mysql_session *session = self;
    unsigned connect_s = CONNECT_TIMEOUT_S;
    unsigned answer_s = session->settings.timeout_s;
    mysql_switch no = 0;

    session_close(session);
    MYSQL *mysql = mysql_init(NULL);
    if (mysql == NULL)
        return err_set(err, ERR_BROKEN, "the MySQL client can't be initialized");
    mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
    mysql_options(mysql, MYSQL_OPT_READ_TIMEOUT, &answer_s);
    mysql_options(mysql, MYSQL_OPT_WRITE_TIMEOUT, &answer_s);
    mysql_options(mysql, MYSQL_OPT_RECONNECT, &no);
    mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    set_tls(mysql, session);
    const struct mysql_url *url = &session->url;
    if (mysql_real_connect(mysql, url->host, url->user, url->password, url->database, url->port, url->socket, 0) ==
        NULL) {
        int rc = set_error(mysql, session->place, err);
        if (mysql_errno(mysql) == CLIENT_ERROR_TLS)
            rc = err->kind = ERR_INPUT;
        mysql_close(mysql);
        return rc;
    }
    session->mysql = mysql;
    int rc = check_tls(session, err);
    if (rc == 0)
        rc = prepare_session(session, err);
    if (rc < 0)
        session_close(session);
    return rc;
}

static bool session_is_open(void *self)
{
    const struct mysql_session *session = self;

    return session->mysql != NULL;
}

/* --- statements --------------------------------------------------------------------------------------------------- */

static const struct {
    enum enum_field_types type;
    enum column_kind kind;
    const char *name;
} column_types[] = {
    {MYSQL_TYPE_TINY, COLUMN_INTEGER, "TINYINT"},
    {MYSQL_TYPE_SHORT, COLUMN_INTEGER, "SMALLINT"},
    {MYSQL_TYPE_INT24, COLUMN_INTEGER, "MEDIUMINT"},
    {MYSQL_TYPE_LONG, COLUMN_INTEGER, "INT"},
    {MYSQL_TYPE_LONGLONG, COLUMN_INTEGER, "BIGINT"},
    {MYSQL_TYPE_YEAR, COLUMN_INTEGER, "YEAR"},
    {MYSQL_TYPE_DECIMAL, COLUMN_DECIMAL, "DECIMAL"},
    {MYSQL_TYPE_NEWDECIMAL, COLUMN_DECIMAL, "DECIMAL"},
    {MYSQL_TYPE_FLOAT, COLUMN_FLOAT, "FLOAT"},
    {MYSQL_TYPE_DOUBLE, COLUMN_FLOAT, "DOUBLE"},
    {MYSQL_TYPE_DATE, COLUMN_DATE, "DATE"},
    {MYSQL_TYPE_NEWDATE, COLUMN_DATE, "DATE"},
    {MYSQL_TYPE_DATETIME, COLUMN_INSTANT, "DATETIME"},
    {MYSQL_TYPE_TIMESTAMP, COLUMN_INSTANT, "TIMESTAMP"},
    {MYSQL_TYPE_BIT, COLUMN_BYTES, "BIT"},
    {MYSQL_TYPE_TIME, COLUMN_OTHER, "TIME"},
    {MYSQL_TYPE_GEOMETRY, COLUMN_OTHER, "GEOMETRY"},
    {MYSQL_TYPE_JSON, COLUMN_TEXT, "JSON"},
};

static void describe_column(const MYSQL_FIELD *field, struct database_column *column)
{
    bool is_binary = field->charsetnr == CHARSET_BINARY;

    *column =
        (struct database_column){field->name, is_binary ? COLUMN_BYTES : COLUMN_TEXT, is_binary ? "BLOB" : "TEXT"};
    for (size_t i = 0; i < ARRAY_COUNT(column_types); i++) {
        if (column_types[i].type == field->type) {
            column->kind = column_types[i].kind;
            column->type_name = column_types[i].name;
            return;
        }
    }
}

/* Ends the statement; what is left of the rows is read and thrown away. */
static int bring_rows(MYSQL *mysql, MYSQL_RES *result, database_row_fn *row_fn, void *row_self, struct err *err)
{
    unsigned count = mysql_num_fields(result);
    struct database_column *columns = mem_zero(count, sizeof(*columns));
    struct span *cells = mem_zero(count, sizeof(*cells));
    const MYSQL_FIELD *fields = mysql_fetch_fields(result);
    int rc = 0;
    MYSQL_ROW row;

    for (unsigned i = 0; i < count; i++)
        describe_column(&fields[i], &columns[i]);
    while (rc == 0 && (row = mysql_fetch_row(result)) != NULL) {
        const unsigned long *lengths = mysql_fetch_lengths(result);
        for (unsigned i = 0; i < count; i++)
            cells[i] = span_of(row[i], row[i] != NULL ? lengths[i] : 0);
        struct database_row shown = {columns, count, cells};
        rc = row_fn != NULL ? row_fn(row_self, &shown, err) : 0;
    }
    if (rc == 0 && mysql_errno(mysql) != 0)
        rc = set_error(mysql, "reading rows", err);
    free(columns);
    free(cells);
    return rc < 0 ? rc : 0;
}

static int session_run(void *self, struct span sql, database_row_fn *row_fn, void *row_self, uint64_t *ret_affected,
                       struct err *err)
{
    struct mysql_session *session = self;
    MYSQL *mysql = session->mysql;

    if (mysql == NULL)
        return err_set(err, ERR_AGAIN, "%s: not connected", session->place);
    int rc = 0;
    MYSQL_RES *result = NULL;
    if (mysql_real_query(mysql, sql.at, sql.len) != 0)
        rc = set_error(mysql, session->place, err);
    if (rc == 0 && (result = mysql_use_result(mysql)) != NULL) {
        rc = bring_rows(mysql, result, row_fn, row_self, err);
        mysql_free_result(result);
    } else if (rc == 0 && mysql_field_count(mysql) > 0) {
        rc = set_error(mysql, session->place, err);
    }
    unsigned number = mysql_errno(mysql);
    if (number != 0 && is_connection_gone(number)) {
        if (rc == 0)
            rc = set_error(mysql, session->place, err);
        session_close(session);
        return rc;
    }
    if (rc == 0 && ret_affected != NULL)
        *ret_affected = mysql_affected_rows(mysql);
    return rc;
}

struct database mysql_session_port(struct mysql_session *session)
{
    return (struct database){session_open, session_close, session_run, session_is_open, session};
}
