/* Marks are rows like any other: they go through the cache, so that a record that follows its owner's erasure at once
 * finds it, and are committed with the position that lies behind it. */
#include "projector/erasures.h"

#include "schema/view/key.h"

static int find_mark(struct erasures *erasures, const struct view *view, uint64_t owner_hash, struct span prefix,
                     bool *ret_is_marked, struct err *err);

void erasures_init(struct erasures *erasures, struct rows *rows)
{
    *erasures = (struct erasures){
        .rows = rows, .owners = OWNER_SET_INIT, .key = BUF_INIT, .value = BUF_INIT, .arena = ARENA_INIT};
}

void erasures_release(struct erasures *erasures)
{
    owner_set_release(&erasures->owners);
    buf_release(&erasures->key);
    buf_release(&erasures->value);
    arena_release(&erasures->arena);
}

int erasures_load(struct erasures *erasures, uint32_t ranges, struct err *err)
{
    const struct span all = {NULL, 0};
    struct store_cursor *cursor = NULL;
    struct span key, value, view_key;
    uint64_t owner_hash;
    uint16_t view_number;

    int rc = rows_begin_snapshot(erasures->rows, err);
    if (rc == 0)
        rc = store_cursor_open(erasures->rows->reader, TABLE_MARKS, all, all, &cursor, err);
    while (rc == 0 && (rc = store_cursor_next(cursor, &key, &value, err)) == 0) {
        rc = layout_parse_view_key(key, &owner_hash, &view_number, &view_key, err);
        if (rc == 0 && (ranges >> owner_range(owner_hash) & 1))
            owner_set_add(&erasures->owners, owner_hash);
    }
    store_cursor_close(&cursor);
    rows_end_snapshot(erasures->rows);
    return rc == ERR_ABSENT ? 0 : rc;
}

int erasures_find(struct erasures *erasures, const struct view *view, uint64_t owner_hash, struct span key,
                  bool *ret_is_erased, struct err *err)
{
    struct span rest = key;
    bool is_erased = false;
    int rc = 0;

    arena_reset(&erasures->arena);
    for (size_t i = 0; rc == 0 && !is_erased && i < view->key_count && rest.len > 0; i++) {
        struct value ignored;
        rc = key_decode_value(view->keys[i], &rest, &erasures->arena, &ignored, err);
        if (rc == 0)
            rc = find_mark(erasures, view, owner_hash, span_of(key.at, key.len - rest.len), &is_erased, err);
    }
    if (rc == 0)
        *ret_is_erased = is_erased;
    return rc;
}

int erasures_find_owner(struct erasures *erasures, const struct view *view, uint64_t owner_hash, struct span owner,
                        bool *ret_is_erased, struct err *err)
{
    struct buf prefix = BUF_INIT;
    struct err why;
    struct value value;
    bool is_erased = false;

    int rc = key_parse_owner(view->keys[0], owner, &value, &why);
    if (rc == 0)
        rc = key_encode_value(view->keys[0], value, &prefix, &why);
    if (rc == 0)
        rc = find_mark(erasures, view, owner_hash, buf_span(&prefix), &is_erased, err);
    else
        rc = 0; /* no owner of this view's, so nothing of it is erased */
    buf_release(&prefix);
    if (rc == 0)
        *ret_is_erased = is_erased;
    return rc;
}

static int find_mark(struct erasures *erasures, const struct view *view, uint64_t owner_hash, struct span prefix,
                     bool *ret_is_marked, struct err *err)
{
    struct cache_row *row;

    buf_clear(&erasures->key);
    layout_view_key(owner_hash, view->number, prefix, &erasures->key);
    int rc = rows_find(erasures->rows, TABLE_MARKS, buf_span(&erasures->key), &row, err);
    if (rc == 0)
        *ret_is_marked = row->value != NULL;
    return rc;
}

static void put_mark(struct erasures *erasures, int64_t time_ms)
{
    uint8_t *at;

    buf_clear(&erasures->value);
    at = buf_reserve(&erasures->value, 8);
    for (unsigned i = 0; i < 8; i++)
        at[i] = (uint8_t)((uint64_t)time_ms >> (8 * i));
    erasures->value.len = 8;
    cache_put(erasures->rows->cache, TABLE_MARKS, buf_span(&erasures->key), buf_span(&erasures->value));
}

int erasures_apply(struct erasures *erasures, uint64_t owner_hash, int64_t time_ms, const struct view_erasure *list,
                   size_t count, bool *ret_is_new, struct err *err)
{
    bool is_new = false;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count; i++) {
        const struct view_erasure *erasure = &list[i];
        bool is_marked = false;
        rc = find_mark(erasures, erasure->view, owner_hash, erasure->key_prefix, &is_marked, err);
        if (rc < 0 || is_marked)
            continue;
        is_new = true;
        put_mark(erasures, time_ms);
        owner_set_add(&erasures->owners, owner_hash);
        if (!erasure->is_whole_key) {
            rc = rows_delete_prefix(erasures->rows, buf_span(&erasures->key), err);
            continue;
        }
        struct cache_row *row;
        rc = rows_find(erasures->rows, TABLE_VIEWS, buf_span(&erasures->key), &row, err);
        if (rc == 0 && row->value != NULL)
            cache_put_absent(erasures->rows->cache, TABLE_VIEWS, buf_span(&erasures->key));
    }
    if (rc == 0)
        *ret_is_new = is_new;
    return rc;
}
