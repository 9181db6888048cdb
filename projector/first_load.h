/* projector/first_load.h - what was in the write database before Tarn was, told through the relay.
 *
 * Chunk by chunk: one snapshot shows a chunk of a view's `first_load` query and the outbox rows that were committed before
 * it; those rows are published first, then the chunk's rows as events, all in one Kafka transaction. The relay is the
 * topic's only writer, so the log has each key's history in the order of commits, and nobody needs versions.
 *
 * How far it has come is kept in the database (TABLE_first_load), after each chunk: a killed one goes on where it was, and
 * may tell one chunk twice. Rows with the same key are never in two chunks. */
#ifndef TARN_PROJECTOR_FIRST_LOAD_H
#define TARN_PROJECTOR_FIRST_LOAD_H

#include "projector/relay.h"

struct first_load_run;

struct first_load_options {
    struct relay *relay;
    const struct view_set *views;
    const struct config_list *names; /* of views, as in URLs */
    size_t chunk_rows;
    int64_t rows_per_s; /* 0: no limit */
    bool is_again;      /* loads also what was loaded before */
};

/* The statement that makes TABLE_first_load where it isn't; outbox_table as the relay has it. */
void first_load_ddl(const char *outbox_table, struct buf *sql);

/* ERR_INPUT: no such view, or one without first_load. */
MUST_CHECK int first_load_new(const struct first_load_options *options, struct first_load_run **ret_run,
                              struct err *err);
void first_load_free(struct first_load_run **run);

bool first_load_is_pending(const struct first_load_run *run);
bool first_load_has_begun(const struct first_load_run *run); /* its queries were found good */

/* One chunk, when it is due; the relay leads and has just drained the outbox. *ret_worked: a chunk was published.
 * ERR_INPUT: the query, or a row of it; names view, query and column. */
MUST_CHECK int first_load_turn(struct first_load_run *run, bool *ret_worked, struct err *err);

/* "first load of lenders: 1,200 of 2,000 rows, 150/s, 6 s left" */
void first_load_line(const struct first_load_run *run, struct buf *line);

#endif
