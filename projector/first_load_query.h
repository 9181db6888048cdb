/* projector/first_load_query.h - a view's `first_load` query, asked in parts: chunk by chunk, or for one owner. */
#ifndef TARN_PROJECTOR_FIRST_LOAD_QUERY_H
#define TARN_PROJECTOR_FIRST_LOAD_QUERY_H

#include "projector/database.h"
#include "schema/view/plan.h"

/* Where a walk over a query's rows stands: behind last_key. Whoever walks moves it, once a chunk is done with. */
struct load_cursor {
    const struct first_load *load;
    bool has_key;
    struct buf last_key; /* as the database writes it */
    enum column_kind key_kind;
};

/* The next rows, by key: about chunk_rows, more when the last key has more of them. Rows of one key are never in two
 * chunks. *ret_is_last: there are none behind these. To be called within a snapshot when the rows may change.
 * ERR_INPUT: the query, or a key column that can't cut chunks. */
MUST_CHECK int load_query_chunk(const struct database *database, const struct load_cursor *cursor, size_t chunk_rows,
                                database_row_fn *row, void *row_self, bool *ret_is_last, struct err *err);

/* The rows of one owner, whose text is a record's key. */
MUST_CHECK int load_query_owner(const struct database *database, const struct first_load *load, struct span owner,
                                database_row_fn *row, void *row_self, struct err *err);

#endif
