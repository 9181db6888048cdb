#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "projector/rows.h"
#include "schema/base/buf.h"
#include "tests/unit/scratch_folder.h"

struct world {
    char *folder;
    struct store *store;
    struct rows rows;
    struct buf key;
    struct err err;
};

static struct span view_key(struct world *world, uint64_t owner)
{
    buf_clear(&world->key);
    layout_view_key(owner, 0, span_of_text("k"), &world->key);
    return buf_span(&world->key);
}

static void store_view(struct world *world, uint64_t owner, const char *value)
{
    struct buf bytes = BUF_INIT;
    struct store_writer *writer = NULL;
    struct span key = view_key(world, owner);
    const struct stored_view view = {true, span_of_text(value)};

    layout_view_value(key.len, view, &bytes);
    assert_int_equal(store_write_begin(world->store, &writer, &world->err), 0);
    assert_int_equal(store_put(writer, TABLE_VIEWS, key, buf_span(&bytes), &world->err), 0);
    assert_int_equal(store_commit(&writer, &world->err), 0);
    buf_release(&bytes);
}

static int open_world(void **state)
{
    static struct world world;
    const struct store_options options = {.access = STORE_READ_WRITE, .map_bytes = 16 << 20};

    world = (struct world){.folder = scratch_folder_make(), .key = BUF_INIT};
    assert_int_equal(store_open(world.folder, &options, &world.store, &world.err), 0);
    world.rows.cache = cache_new(1 << 20, (const bool[]){false}, 1);
    assert_int_equal(store_reader_open(world.store, &world.rows.reader, &world.err), 0);
    *state = &world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;

    rows_end_snapshot(&world->rows);
    store_reader_close(&world->rows.reader);
    cache_free(&world->rows.cache);
    store_close(&world->store);
    buf_release(&world->key);
    scratch_folder_remove(&world->folder);
    return 0;
}

static bool is_found(struct world *world, enum store_table table, uint64_t owner)
{
    struct cache_row *row = NULL;

    assert_int_equal(rows_find(&world->rows, table, view_key(world, owner), &row, &world->err), 0);
    assert_non_null(row);
    return row->value != NULL;
}

static void a_store_that_began_without_views_is_not_asked_for_any(void **state)
{
    struct world *world = *state;

    assert_int_equal(rows_load(&world->rows, &world->err), 0);
    assert_false(is_found(world, TABLE_VIEWS, 1));
    assert_false(is_found(world, TABLE_VIEWS, 2));
    assert_int_equal(world->rows.store_reads, 0);
    assert_false(world->rows.has_snapshot);
}

static void it_is_asked_for_everything_else(void **state)
{
    struct world *world = *state;

    assert_int_equal(rows_load(&world->rows, &world->err), 0);
    assert_false(is_found(world, TABLE_MARKS, 1));
    assert_int_equal(world->rows.store_reads, 1);
}

static void a_store_that_began_with_views_is_asked(void **state)
{
    struct world *world = *state;

    store_view(world, 1, "one");
    assert_int_equal(rows_load(&world->rows, &world->err), 0);
    assert_true(is_found(world, TABLE_VIEWS, 1));
    assert_false(is_found(world, TABLE_VIEWS, 2));
    assert_int_equal(world->rows.store_reads, 2);
}

static void what_was_evicted_is_found_in_the_store_again(void **state)
{
    struct world *world = *state;

    assert_int_equal(rows_load(&world->rows, &world->err), 0);
    cache_add_clean(world->rows.cache, TABLE_VIEWS, view_key(world, 1), false, span_of_text("one"));
    store_view(world, 1, "one");
    cache_set_budget(world->rows.cache, 0);
    cache_trim(world->rows.cache);
    cache_set_budget(world->rows.cache, 1 << 20);
    assert_null(cache_find(world->rows.cache, TABLE_VIEWS, view_key(world, 1)));
    assert_true(is_found(world, TABLE_VIEWS, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_store_that_began_without_views_is_not_asked_for_any, open_world, close_world),
        cmocka_unit_test_setup_teardown(it_is_asked_for_everything_else, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_store_that_began_with_views_is_asked, open_world, close_world),
        cmocka_unit_test_setup_teardown(what_was_evicted_is_found_in_the_store_again, open_world, close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
