/* projector/outbox.h - the outbox table: its DDL, its rows read in order, and deleted by their ids.
 *
 * Never with a cursor on the id: ids are given when a row is inserted, rows are seen when they commit, so a row may appear
 * behind a cursor that has passed it. What is read is always the lowest ids there are; what was published is deleted by
 * exactly its ids. See ops/docs/decisions/outbox-without-a-cursor.md. */
#ifndef TARN_PROJECTOR_OUTBOX_H
#define TARN_PROJECTOR_OUTBOX_H

#include "projector/database.h"
#include "schema/base/arena.h"

/* aggregatetype of rows that tell a state again (verify --repair): they get the header that a first load's have. */
#define OUTBOX_STATE_AGAIN "tarn.first-load"

struct outbox_row {
    uint64_t id;
    struct span id_text; /* as the database writes it */
    struct span key;     /* ownerid, else aggregateid */
    struct span type;
    struct span aggregate_type;
    bool has_payload;
    struct span payload;
    int64_t time_ms; /* -1: the table has no time column, or the row no time */
};

/* Rows in the order of their ids; their bytes are in the arena. */
struct outbox_batch {
    struct outbox_row *rows;
    size_t count;
    size_t capacity;
    size_t payload_bytes;
    struct arena arena;
    bool is_all;       /* the table had no more rows than these */
    int64_t db_now_ms; /* the database's clock, as of the read; -1 when there are no rows */
};
void outbox_batch_clear(struct outbox_batch *batch);
void outbox_batch_release(struct outbox_batch *batch);

struct outbox; /* one table, as it was found */

/* The statement of `relay --init`; it changes nothing where the table is. */
void outbox_ddl(const char *table, struct buf *sql);

/* Looks at the table. ERR_INPUT: it isn't there, or lacks a column; names all that are lacking. */
MUST_CHECK int outbox_open(const struct database *database, const char *table, struct outbox **ret_outbox,
                           struct err *err);
void outbox_close(struct outbox **outbox);

/* Reads into a cleared batch rows with ids above `behind`, lowest first: at most `rows_max`, and no more once
 * bytes_max of payload are there (one row at least). behind > 0 is sound within one snapshot only.
 * ERR_INPUT: a row that can't be a record (no key, no type, a time out of range); names its id. */
MUST_CHECK int outbox_read(const struct outbox *outbox, const struct database *database, uint64_t behind,
                           size_t rows_max, size_t bytes_max, struct outbox_batch *batch, struct err *err);

/* Deletes exactly these; one that is gone already is none of our business. */
MUST_CHECK int outbox_delete(const struct outbox *outbox, const struct database *database, const uint64_t *ids,
                             size_t count, struct err *err);

/* How many rows wait, counted up to OUTBOX_COUNT_MAX. */
enum { OUTBOX_COUNT_MAX = 1000000 };
MUST_CHECK int outbox_count(const struct outbox *outbox, const struct database *database, int64_t *ret_count,
                            struct err *err);

/* Is a row of this record key waiting? */
MUST_CHECK int outbox_has_key(const struct outbox *outbox, const struct database *database, struct span key,
                              bool *ret_has, struct err *err);

/* Adds a row, as a writer does: call it in the transaction that read (and so locked) what the row tells. */
MUST_CHECK int outbox_add(const struct outbox *outbox, const struct database *database, struct span aggregate_type,
                          struct span key, struct span type, struct span payload, struct err *err);

#endif
