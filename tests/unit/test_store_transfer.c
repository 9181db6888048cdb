/* copy and restore: what arrives, what is refused, and what a kill leaves. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "projector/opened_store.h"
#include "projector/store_transfer.h"
#include "projector/topic_map.h"
#include "schema/base/mem.h"
#include "schema/store/durable.h"
#include "schema/store/layout.h"
#include "schema_file.h"
#include "scratch_folder.h"

struct world {
    char *folder;
    char *from, *to;
    char name[GENERATION_NAME_MAX];
};

static void put_views(const struct generation *generation, unsigned count)
{
    const struct store_options options = {.access = STORE_READ_WRITE};
    struct store *store = NULL;
    struct store_writer *writer = NULL;
    struct err err;

    assert_int_equal(store_open(generation->folder, &options, &store, &err), 0);
    assert_int_equal(store_write_begin(store, &writer, &err), 0);
    for (unsigned i = 0; i < count; i++) {
        struct buf key = BUF_INIT, value = BUF_INIT;
        char owner[16];
        snprintf(owner, sizeof(owner), "u%u", i);
        layout_view_key(hash64(span_of_text(owner)), 0, span_of_text(owner), &key);
        layout_view_value(key.len, (struct stored_view){true, span_of_text(owner)}, &value);
        assert_int_equal(store_put(writer, TABLE_VIEWS, buf_span(&key), buf_span(&value), &err), 0);
        buf_release(&key);
        buf_release(&value);
    }
    assert_int_equal(store_commit(&writer, &err), 0);
    store_close(&store);
}

static int set_up(void **state)
{
    struct world *world = mem_zero(1, sizeof(*world));
    struct buf schema = schema_file_bytes("survive");
    char topic[] = "events";
    char *topics[] = {topic};
    const struct config_list list = {topics, 1};
    struct generation_settings settings = {.max_view_bytes = 1 << 20, .projection_version = PROJECTION_VERSION,
                                           .start = mem_text("beginning")};
    struct mistakes mistakes = {NULL, 0, 0};
    struct view_set *views = NULL;
    struct generation *generation = NULL;
    struct serving serving;
    struct err err;

    world->folder = scratch_folder_make();
    world->from = mem_format("%s/from", world->folder);
    world->to = mem_format("%s/to", world->folder);
    assert_int_equal(view_set_load(buf_span(&schema), &views, &mistakes, &err), 0);
    assert_int_equal(topic_map_read(&list, views, &settings, &err), 0);
    assert_int_equal(store_directory_prepare(world->from, &err), 0);
    /* The second of its kind: a copy has to get the same name all the same. */
    for (int i = 0; i < 2; i++) {
        generation_close(&generation);
        assert_int_equal(generation_make(world->from, buf_span(&schema), &settings, &generation, &err), 0);
    }
    put_views(generation, 500);
    memset(&serving, 0, sizeof(serving));
    serving_start(&serving, generation->name, 1000);
    assert_int_equal(serving_write(world->from, &serving, &err), 0);
    snprintf(world->name, sizeof(world->name), "%s", generation->name);
    generation_close(&generation);
    generation_settings_release(&settings);
    mistakes_release(&mistakes);
    view_set_free(&views);
    buf_release(&schema);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    scratch_folder_remove(&world->folder);
    free(world->from);
    free(world->to);
    free(world);
    return 0;
}

static int transfer(const char *from, const char *to, struct store_transferred *ret_transferred, struct err *err)
{
    const struct store_transfer what = {from, NULL, to, "test"};

    return store_transfer(&what, ret_transferred, err);
}

static void a_copy_is_a_store_with_the_same_name_and_digests_and_so_is_what_is_restored_from_it(void **state)
{
    struct world *world = *state;
    struct store_transferred copied, restored;
    char *back = mem_format("%s/back", world->folder);
    struct err err;

    assert_int_equal(transfer(world->from, world->to, &copied, &err), 0);
    assert_string_equal(copied.name, world->name);
    assert_non_null(strstr(buf_text(&copied.digests), "  500  "));
    assert_int_equal(store_transfer_verify(world->to, &err), 0);
    assert_int_equal(transfer(world->to, back, &restored, &err), 0);
    assert_string_equal(restored.name, world->name);
    assert_string_equal(buf_text(&restored.digests), buf_text(&copied.digests));
    struct opened_store opened = {0};
    assert_int_equal(opened_store_open(back, NULL, STORE_READ_ONLY, &opened, &err), 0);
    opened_store_close(&opened);
    store_transferred_release(&copied);
    store_transferred_release(&restored);
    free(back);
}

static void a_copy_that_was_changed_is_not_restored(void **state)
{
    struct world *world = *state;
    struct store_transferred copied;
    struct generation *generation = NULL;
    struct err err;

    assert_int_equal(store_transfer_verify(world->from, &err), ERR_ABSENT);
    assert_int_equal(transfer(world->from, world->to, &copied, &err), 0);
    assert_int_equal(generation_open(world->to, copied.name, &generation, &err), 0);
    put_views(generation, 501);
    generation_close(&generation);
    assert_int_equal(store_transfer_verify(world->to, &err), ERR_BROKEN);
    assert_non_null(strstr(err.text, "isn't what was copied"));
    store_transferred_release(&copied);
}

static void bytes_that_changed_under_the_digests_are_found(void **state)
{
    struct world *world = *state;
    struct store_transferred copied;
    struct err err;
    char *path = mem_format("%s/generations/%s/data.mdb", world->from, world->name);
    char page[4096];
    bool is_changed = false;

    int fd = open(path, O_RDWR);
    for (off_t at = 0; !is_changed && pread(fd, page, sizeof(page), at) == sizeof(page); at += (off_t)sizeof(page)) {
        char *found = memmem(page, sizeof(page), "u499", 4);
        /* The key is there, and the value behind it: the value is changed. */
        char *value = found != NULL ? memmem(found + 4, (size_t)(page + sizeof(page) - found - 4), "u499", 4) : NULL;
        if (value == NULL)
            continue;
        is_changed = pwrite(fd, "X", 1, at + (value - page)) == 1;
    }
    close(fd);
    assert_true(is_changed);
    assert_int_equal(transfer(world->from, world->to, &copied, &err), ERR_BROKEN);
    assert_non_null(strstr(err.text, "the digest is not that of its rows"));
    /* Nobody reads it. */
    struct serving serving;
    assert_int_equal(serving_read(world->to, &serving, &err), ERR_ABSENT);
    free(path);
}

static void what_holds_something_else_stays_as_it_is(void **state)
{
    struct world *world = *state;
    struct store_transferred copied;
    struct err err;
    char *strange = mem_format("%s/strange", world->folder);

    assert_int_equal(mkdir(strange, 0700), 0);
    assert_int_equal(durable_write(strange, "letter", SPAN_LITERAL("dear"), &err), 0);
    assert_int_equal(transfer(world->from, strange, &copied, &err), ERR_INPUT);
    assert_int_equal(transfer(world->from, world->from, &copied, &err), ERR_INPUT);
    assert_int_equal(transfer(world->from, world->to, &copied, &err), 0);
    store_transferred_release(&copied);
    assert_int_equal(transfer(world->from, world->to, &copied, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "is a store already"));
    free(strange);
}

static void a_copy_that_was_killed_is_begun_anew_by_the_same_command(void **state)
{
    struct world *world = *state;
    struct store_transferred copied;
    struct err err;
    char *serving = mem_format("%s/serving", world->to);
    char *control = mem_format("%s/control", world->to);

    /* As after a kill just before `serving`: everything else is there. */
    assert_int_equal(transfer(world->from, world->to, &copied, &err), 0);
    store_transferred_release(&copied);
    assert_int_equal(unlink(serving), 0);
    assert_int_equal(transfer(world->from, world->to, &copied, &err), ERR_INPUT); /* not known to be ours */
    assert_int_equal(durable_write(control, "copying", SPAN_LITERAL("begun\n"), &err), 0);
    assert_int_equal(transfer(world->from, world->to, &copied, &err), 0);
    assert_string_equal(copied.name, world->name);
    assert_int_equal(store_transfer_verify(world->to, &err), 0);
    store_transferred_release(&copied);
    free(serving);
    free(control);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_copy_is_a_store_with_the_same_name_and_digests_and_so_is_what_is_restored_from_it,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_copy_that_was_changed_is_not_restored, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_that_changed_under_the_digests_are_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_holds_something_else_stays_as_it_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_copy_that_was_killed_is_begun_anew_by_the_same_command, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
