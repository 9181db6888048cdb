/* projector/rows.h - the store as it will be: the cache in front, the store behind it for what isn't there.
 *
 * A clean row may be evicted at any time because a snapshot is never older than the last commit taken in: the
 * materializer ends it (rows_end_snapshot()) before it makes a job's rows clean. */
#ifndef TARN_PROJECTOR_ROWS_H
#define TARN_PROJECTOR_ROWS_H

#include "projector/cache.h"
#include "schema/base/arena.h"
#include "schema/base/err.h"

struct rows {
    struct cache *cache;
    struct store_reader *reader;
    bool has_snapshot;
    bool began_without_views;
    uint64_t store_reads;
};

/* Looks at the store as it is before the first row is asked for. */
MUST_CHECK int rows_load(struct rows *rows, struct err *err);

/* Never absent itself: a row without a value says that there is none. */
MUST_CHECK int rows_find(struct rows *rows, enum store_table table, struct span key, struct cache_row **ret_row,
                         struct err *err);

/* Makes all rows of a table absent whose key begins with prefix (TABLE_VIEWS, a view that the cache has by owner). */
MUST_CHECK int rows_delete_prefix(struct rows *rows, struct span prefix, struct err *err);

/* A snapshot for walking the store itself; what is in the cache alone isn't in it. */
MUST_CHECK int rows_begin_snapshot(struct rows *rows, struct err *err);
void rows_end_snapshot(struct rows *rows);

#endif
