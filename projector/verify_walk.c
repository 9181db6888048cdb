/* The rows come in chunks, each compared with a snapshot of the store of its own: none is held for long. So a suspect need
 * not be one any more by the time the walk is over; whoever settles them finds out. */
#include "projector/verify_walk.h"

#include <stdlib.h>

#include "projector/first_load_query.h"
#include "projector/first_load_rows.h"
#include "schema/base/hash.h"
#include "schema/base/mem.h"
#include "schema/view/key.h"

struct walking {
    const struct verify_walk *walk;
    struct suspects *suspects;
    struct views_seen *seen;
    int64_t rows;
    struct load_cursor cursor;
    struct row_mapping *mapping;
    struct arena arena;
    struct buf owner, event, next_key;
    enum column_kind next_kind;
    bool has_next;
};

static int walk_query(struct walking *walking, const struct first_load *load, struct err *err);
static int walk_store(const struct verify_walk *walk, struct suspects *suspects, const struct views_seen *seen,
                      struct err *err);
static void drop_doubles(struct suspects *suspects);

static void note_seen(void *self, const struct view *view, struct span key)
{
    views_seen_add(self, view, key);
}

int verify_walk(const struct verify_walk *walk, struct suspects *suspects, int64_t *ret_rows, struct err *err)
{
    struct views_seen seen = {0};
    struct walking walking = {.walk = walk, .suspects = suspects, .seen = &seen};
    int rc = 0;

    walk->view_check->touched = note_seen;
    walk->view_check->touched_self = &seen;
    for (size_t i = 0; rc == 0 && i < walk->scope->view_count; i++) {
        const struct view *view = walk->scope->views[i];
        for (size_t k = 0; rc == 0 && k < view->first_load_count; k++) {
            rc = walk_query(&walking, &view->first_loads[k], err);
            if (rc < 0)
                err_prefix(err, "%s.first_load[%zu]", view->type->name, k);
        }
    }
    walk->view_check->touched = NULL;
    views_seen_sort(&seen);
    if (rc == 0)
        rc = walk_store(walk, suspects, &seen, err);
    views_seen_release(&seen);
    if (rc < 0)
        return rc;
    drop_doubles(suspects);
    *ret_rows = walking.rows;
    return 0;
}

/* --- suspects ----------------------------------------------------------------------------------------------------- */

static void suspect_add(struct suspects *suspects, const struct view *view, struct span owner)
{
    struct suspect *last = suspects->count > 0 ? &suspects->items[suspects->count - 1] : NULL;

    if (last != NULL && last->view == view && span_equal(last->owner, owner))
        return; /* many rows of one owner come one behind the other */
    if (suspects->count == suspects->count_max) {
        suspects->is_cut = true;
        return;
    }
    suspects->items = mem_grow(suspects->items, suspects->count, &suspects->capacity, sizeof(*suspects->items));
    suspects->items[suspects->count++] =
        (struct suspect){.view = view, .owner = span_of(arena_copy(&suspects->kept, owner.at, owner.len), owner.len)};
}

static int by_view_and_owner(const void *a, const void *b)
{
    const struct suspect *left = a, *right = b;

    if (left->view != right->view)
        return left->view->number < right->view->number ? -1 : 1;
    return span_compare(left->owner, right->owner);
}

/* Several queries of a view may suspect the same owner. */
static void drop_doubles(struct suspects *suspects)
{
    size_t kept = 0;

    if (suspects->count > 0)
        qsort(suspects->items, suspects->count, sizeof(*suspects->items), by_view_and_owner);
    for (size_t i = 0; i < suspects->count; i++)
        if (kept == 0 || by_view_and_owner(&suspects->items[kept - 1], &suspects->items[i]) != 0)
            suspects->items[kept++] = suspects->items[i];
    suspects->count = kept;
}

void suspects_release(struct suspects *suspects)
{
    free(suspects->items);
    arena_release(&suspects->kept);
    *suspects = (struct suspects){0};
}

/* --- the rows ----------------------------------------------------------------------------------------------------- */

static void suspect_difference(void *self, const struct view_difference *difference,
                               const struct differing_fields *fields)
{
    struct walking *walking = self;
    (void)fields;

    if (verify_scope_has_view(walking->walk->scope, difference->view))
        suspect_add(walking->suspects, difference->view, buf_span(&walking->owner));
}

static int walk_row(void *self, const struct database_row *row, struct err *err)
{
    struct walking *walking = self;
    ProtobufCMessage *message;
    int rc = 0;

    if (walking->mapping == NULL)
        rc = row_mapping_new(walking->cursor.load, row, &walking->mapping, err);
    if (rc < 0)
        return rc;
    struct span key = row_mapping_key(walking->mapping, row, &walking->next_kind);
    buf_clear(&walking->next_key);
    buf_add_span(&walking->next_key, key);
    walking->has_next = true;
    walking->rows++;
    arena_reset(&walking->arena);
    buf_clear(&walking->owner);
    buf_clear(&walking->event);
    rc = row_mapping_event(walking->mapping, row, &walking->arena, &message, &walking->owner, err);
    if (rc < 0)
        return err_prefix(err, "row %lld", (long long)walking->rows);
    if (!verify_scope_has_owner(walking->walk->scope, hash64(buf_span(&walking->owner))))
        return 0;
    message_encode(message, &walking->event);
    rc = verify_view_event(walking->walk->view_check, walking->cursor.load->handler, buf_span(&walking->event),
                           buf_span(&walking->owner), suspect_difference, walking, err);
    return walking->suspects->is_cut && rc == 0 ? DATABASE_ENOUGH : rc;
}

static void move_cursor(struct walking *walking)
{
    if (!walking->has_next)
        return;
    walking->cursor.has_key = true;
    walking->cursor.key_kind = walking->next_kind;
    buf_clear(&walking->cursor.last_key);
    buf_add_span(&walking->cursor.last_key, buf_span(&walking->next_key));
}

static int walk_query(struct walking *walking, const struct first_load *load, struct err *err)
{
    const struct verify_walk *walk = walking->walk;
    bool is_last = false;
    int rc = 0;

    walking->cursor = (struct load_cursor){.load = load};
    while (rc == 0 && !is_last && !walking->suspects->is_cut) {
        walking->has_next = false;
        rc = store_read_begin(walk->opened->reader, err);
        if (rc == 0)
            rc = load_query_chunk(walk->database, &walking->cursor, walk->chunk_rows, walk_row, walking, &is_last, err);
        move_cursor(walking);
    }
    row_mapping_free(&walking->mapping);
    arena_release(&walking->arena);
    buf_release(&walking->owner);
    buf_release(&walking->event);
    buf_release(&walking->next_key);
    buf_release(&walking->cursor.last_key);
    return rc;
}

/* --- the store ---------------------------------------------------------------------------------------------------- */

/* The owner's text from an encoded key. */
static int owner_of(const struct view *view, struct span key, struct arena *arena, struct buf *owner, struct err *err)
{
    struct value value;

    int rc = key_decode_value(view->keys[0], &key, arena, &value, err);
    if (rc == 0)
        key_owner_text(view->keys[0], value, owner);
    return rc;
}

static int walk_store(const struct verify_walk *walk, struct suspects *suspects, const struct views_seen *seen,
                      struct err *err)
{
    struct store_reader *reader = walk->opened->reader;
    const struct view_set *set = walk->opened->views;
    struct store_cursor *cursor = NULL;
    struct span row_key, value, key;
    struct arena arena = ARENA_INIT;
    struct buf owner = BUF_INIT;

    int rc = store_read_begin(reader, err);
    if (rc == 0)
        rc = store_cursor_open(reader, TABLE_VIEWS, span_of(NULL, 0), span_of(NULL, 0), &cursor, err);
    while (rc == 0 && !suspects->is_cut && (rc = store_cursor_next(cursor, &row_key, &value, err)) == 0) {
        struct stored_view stored;
        uint64_t owner_hash;
        uint16_t number;
        rc = layout_parse_view_key(row_key, &owner_hash, &number, &key, err);
        if (rc == 0)
            rc = layout_parse_view_value(value, &stored, err);
        if (rc < 0 || number >= set->view_count || !stored.is_made)
            continue;
        const struct view *view = &set->views[number];
        if (!verify_scope_has_view(walk->scope, view) || !verify_is_made_by_rows(view) ||
            !verify_scope_has_owner(walk->scope, owner_hash) || views_seen_has(seen, view, key))
            continue;
        buf_clear(&owner);
        rc = owner_of(view, key, &arena, &owner, err);
        if (rc == 0)
            suspect_add(suspects, view, buf_span(&owner));
        arena_reset(&arena);
    }
    store_cursor_close(&cursor);
    arena_release(&arena);
    buf_release(&owner);
    return rc == ERR_ABSENT ? 0 : rc;
}
