/* A store that this process has open can't be opened once more: LMDB forbids it. So it is borrowed from whoever has it. */
#include "projector/inheritance.h"

#include <string.h>

#include "schema/store/layout.h"
#include "schema/store/store_copy.h"

/* The store of a generation that stays as it is. */
struct borrowed {
    struct store *store;
    struct store *own; /* opened for as long as this takes; NULL: it is somebody's of this process */
};

static int borrow(const struct changer *changer, const struct generation *generation, struct borrowed *ret_borrowed,
                  struct err *err)
{
    struct store_options options = {.access = STORE_READ_ONLY};
    struct borrowed borrowed = {NULL, NULL};
    int rc = 0;

    if (changer->open_store != NULL)
        borrowed.store = changer->open_store(changer->self, generation->name);
    if (borrowed.store == NULL) {
        rc = store_open(generation->folder, &options, &borrowed.own, err);
        borrowed.store = borrowed.own;
    }
    if (rc == 0)
        *ret_borrowed = borrowed;
    return rc;
}

static int load_views(const struct generation *generation, struct view_set **ret_views, struct err *err)
{
    struct mistakes mistakes = {NULL, 0, 0};

    int rc = view_set_load(buf_span(&generation->schema), ret_views, &mistakes, err);
    mistakes_release(&mistakes);
    return rc < 0 ? err_prefix(err, "the schema of %s", generation->name) : 0;
}

/* The view of the new set that a former one's marks hold for: the same name, and keys of the same kinds. */
static const struct view *find_heir(const struct view_set *views, const struct view *former)
{
    const struct view *heir = view_set_find(views, span_of_text(former->name));

    if (heir == NULL || heir->key_count != former->key_count)
        return NULL;
    for (size_t i = 0; i < heir->key_count; i++)
        if (heir->keys[i]->kind != former->keys[i]->kind)
            return NULL;
    return heir;
}

static int copy_marks(struct store_reader *reader, struct store_writer *writer, const struct view_set *former,
                      const struct view_set *views, struct err *err)
{
    const struct span all = {NULL, 0};
    struct store_cursor *cursor = NULL;
    struct buf heirs_key = BUF_INIT;
    struct span key, value, view_key;
    uint64_t owner_hash;
    uint16_t number;

    int rc = store_cursor_open(reader, TABLE_MARKS, all, all, &cursor, err);
    while (rc == 0 && (rc = store_cursor_next(cursor, &key, &value, err)) == 0) {
        rc = layout_parse_view_key(key, &owner_hash, &number, &view_key, err);
        const struct view *heir =
            rc == 0 && number < former->view_count ? find_heir(views, &former->views[number]) : NULL;
        if (heir == NULL)
            continue;
        buf_clear(&heirs_key);
        layout_view_key(owner_hash, heir->number, view_key, &heirs_key);
        rc = store_put(writer, TABLE_MARKS, buf_span(&heirs_key), value, err);
    }
    store_cursor_close(&cursor);
    buf_release(&heirs_key);
    return rc == ERR_ABSENT ? 0 : rc;
}

int inherit_marks(const struct changer *changer, const struct generation *from, const struct view_set *views,
                  const char *folder, struct err *err)
{
    struct store_options options = {.access = STORE_READ_WRITE};
    struct borrowed borrowed = {NULL, NULL};
    struct view_set *former = NULL;
    struct store *to = NULL;
    struct store_reader *reader = NULL;
    struct store_writer *writer = NULL;

    int rc = borrow(changer, from, &borrowed, err);
    if (rc == ERR_ABSENT)
        return 0; /* it holds nothing yet */
    if (rc == 0)
        rc = load_views(from, &former, err);
    if (rc == 0)
        rc = store_reader_open(borrowed.store, &reader, err);
    if (rc == 0)
        rc = store_read_begin(reader, err);
    if (rc == 0)
        rc = store_open(folder, &options, &to, err);
    if (rc == 0)
        rc = store_write_begin(to, &writer, err);
    if (rc == 0)
        rc = copy_marks(reader, writer, former, views, err);
    if (rc == 0)
        rc = store_commit(&writer, err);
    store_abort(&writer);
    store_close(&to);
    store_reader_close(&reader);
    store_close(&borrowed.own);
    view_set_free(&former);
    return rc;
}

int inherit_store(const struct changer *changer, const struct generation *from, const char *folder, struct err *err)
{
    struct borrowed borrowed = {NULL, NULL};

    int rc = borrow(changer, from, &borrowed, err);
    if (rc == 0)
        rc = store_copy(borrowed.store, folder, err);
    store_close(&borrowed.own);
    return rc;
}
