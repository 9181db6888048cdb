/* projector/database.h - the write database as a port: SQL in, rows out.
 *
 * mysql_session.c is the real one; tests have their own. One connection, one thread. What a connection holds (a lock, a
 * transaction) is gone with it, so nothing reopens behind its user's back: a call on a closed one says ERR_AGAIN, and
 * open() is for whoever knows what to do anew. */
#ifndef TARN_PROJECTOR_DATABASE_H
#define TARN_PROJECTOR_DATABASE_H

#include "schema/base/buf.h"
#include "schema/base/err.h"
#include "schema/base/span.h"

enum column_kind {
    COLUMN_TEXT,    /* UTF-8, whatever the column's own character set; also JSON, ENUM, SET */
    COLUMN_BYTES,   /* BINARY, BLOB, BIT */
    COLUMN_INTEGER, /* "-12" */
    COLUMN_DECIMAL, /* "12.50" */
    COLUMN_FLOAT,   /* "1.5e300" */
    COLUMN_DATE,    /* "2026-11-22" */
    COLUMN_INSTANT, /* "2026-11-22 09:30:00.000000", in UTC (DATETIME is taken as UTC) */
    COLUMN_OTHER,   /* TIME, YEAR, GEOMETRY */
};

struct database_column {
    const char *name; /* as the query calls it */
    enum column_kind kind;
    const char *type_name; /* "BIGINT": for people */
};

/* One row; dies with the call that brings it. */
struct database_row {
    const struct database_column *columns;
    size_t column_count;
    const struct span *cells; /* .at NULL: NULL */
};

enum { DATABASE_ENOUGH = 1 }; /* the row function wants no more rows; the query is still a success */

/* 0: go on; DATABASE_ENOUGH; negative: the query ends with that error. */
typedef int database_row_fn(void *self, const struct database_row *row, struct err *err);

struct database {
    /* Connects, or connects anew. ERR_INPUT: credentials, database or TLS are refused; ERR_AGAIN: not there. */
    int (*open)(void *self, struct err *err);
    void (*close)(void *self);
    /* Runs one statement. row NULL: rows are thrown away. ret_affected NULL: not asked for. Rows come one by one: their
     * number costs no memory. ERR_INPUT: the statement is refused (no such table, no right, a value out of range);
     * ERR_AGAIN: the connection is gone and closed, or a deadlock, a timeout, a read-only server. */
    int (*run)(void *self, struct span sql, database_row_fn *row, void *row_self, uint64_t *ret_affected,
               struct err *err);
    bool (*is_open)(void *self);
    void *self;
};

/* run() with a text, and no rows wanted. */
MUST_CHECK int database_do(const struct database *database, const char *sql, struct err *err);

/* The first cell of the first row as an integer. ERR_ABSENT: no row, or NULL. */
MUST_CHECK int database_integer(const struct database *database, struct span sql, int64_t *ret_value, struct err *err);

#endif
