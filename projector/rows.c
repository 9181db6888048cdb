/* Absence is cached like a value: most events of a stream that is read for the first time ask for views that aren't
 * there yet. Nor is the store asked for them while it can't have them: one that began without views has none but those
 * that went through the cache, and they are all there until the first is evicted. */
#include "projector/rows.h"

static void delete_row(void *self, struct cache_row *row);

int rows_load(struct rows *rows, struct err *err)
{
    struct store_cursor *cursor = NULL;
    struct span key, value;

    int rc = rows_begin_snapshot(rows, err);
    if (rc == 0)
        rc = store_cursor_open(rows->reader, TABLE_VIEWS, (struct span){NULL, 0}, (struct span){NULL, 0}, &cursor, err);
    if (rc == 0)
        rc = store_cursor_next(cursor, &key, &value, err);
    store_cursor_close(&cursor);
    rows_end_snapshot(rows);
    if (rc < 0 && rc != ERR_ABSENT)
        return rc;
    rows->began_without_views = rc == ERR_ABSENT;
    return 0;
}

static bool cache_has_all(const struct rows *rows, enum store_table table)
{
    return table == TABLE_VIEWS && rows->began_without_views && cache_evictions(rows->cache) == 0;
}

int rows_find(struct rows *rows, enum store_table table, struct span key, struct cache_row **ret_row, struct err *err)
{
    struct cache_row *row = cache_find(rows->cache, table, key);
    struct span value = {NULL, 0};
    int rc = 0;

    if (row == NULL && cache_has_all(rows, table)) {
        row = cache_add_clean(rows->cache, table, key, true, value);
    } else if (row == NULL) {
        rc = rows_begin_snapshot(rows, err);
        if (rc == 0)
            rc = store_find(rows->reader, table, key, &value, err);
        if (rc < 0 && rc != ERR_ABSENT)
            return rc;
        rows->store_reads++;
        row = cache_add_clean(rows->cache, table, key, rc == ERR_ABSENT, value);
    }
    *ret_row = row;
    return 0;
}

/* What only the store has becomes absent in the cache unseen; then all that the cache has does. */
int rows_delete_prefix(struct rows *rows, struct span prefix, struct err *err)
{
    struct store_cursor *cursor = NULL;
    struct span key, value;

    int rc = rows_begin_snapshot(rows, err);
    if (rc == 0)
        rc = store_cursor_open(rows->reader, TABLE_VIEWS, prefix, (struct span){NULL, 0}, &cursor, err);
    while (rc == 0 && (rc = store_cursor_next(cursor, &key, &value, err)) == 0)
        if (cache_find(rows->cache, TABLE_VIEWS, key) == NULL)
            cache_put_absent(rows->cache, TABLE_VIEWS, key);
    store_cursor_close(&cursor);
    if (rc < 0 && rc != ERR_ABSENT)
        return rc;
    cache_walk_owner(rows->cache, prefix, delete_row, rows);
    return 0;
}

static void delete_row(void *self, struct cache_row *row)
{
    struct rows *rows = self;

    if (row->value != NULL)
        cache_put_absent(rows->cache, row->table, cache_row_key(row));
}

int rows_begin_snapshot(struct rows *rows, struct err *err)
{
    int rc = rows->has_snapshot ? 0 : store_read_begin(rows->reader, err);

    rows->has_snapshot = rc == 0;
    return rc;
}

void rows_end_snapshot(struct rows *rows)
{
    if (rows->has_snapshot)
        store_read_end(rows->reader);
    rows->has_snapshot = false;
}
