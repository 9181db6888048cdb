/* projector/mysql_url.h - mysql://USER[:PASSWORD]@HOST[:PORT]/DATABASE, taken apart. Pure. */
#ifndef TARN_PROJECTOR_MYSQL_URL_H
#define TARN_PROJECTOR_MYSQL_URL_H

#include <stdint.h>

#include "schema/base/arena.h"
#include "schema/base/err.h"

struct mysql_url {
    const char *user;
    const char *password; /* may be empty */
    const char *host;     /* NULL with a socket */
    uint16_t port;        /* 3306 when none is given */
    const char *socket;   /* of ?socket=/path, or NULL */
    const char *database;
};

/* Percent-escapes are decoded; the texts live in the arena. ERR_INPUT says what is wrong, never quoting the text: it
 * holds a password. */
MUST_CHECK int mysql_url_parse(const char *text, struct arena *arena, struct mysql_url *ret_url, struct err *err);

#endif
