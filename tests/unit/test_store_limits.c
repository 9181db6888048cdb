/* What a store has only so much of: slots of readers, address space, room on the disk. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

#include "isolated.h"
#include "schema/base/mem.h"
#include "schema/store/digest.h"
#include "scratch_folder.h"
#include "store_world.h"
#include "tests/unit/assert_ok.h"

/* --- readers that die, slots, address space --- */

static int read_elsewhere_and_wait(void *argument)
{
    struct store *store = NULL;
    struct store_reader *reader = NULL;
    struct err err = {0};

    if (store_open(argument, &store_world_read_only, &store, &err) != 0 ||
        store_reader_open(store, &reader, &err) != 0 || store_read_begin(reader, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    isolated_ready_and_wait();
    return 0;
}

static void slots_of_killed_readers_are_cleared(void **state)
{
    struct store_world *world = *state;
    struct store_size size;
    struct err err = {0};
    struct isolated child;

    store_world_put_mark(world, "a", "1");
    isolated_start(ISOLATED_PROCESS, read_elsewhere_and_wait, world->folder, &child);
    assert_int_equal(store_clear_stale_readers(world->store), 0); /* it lives */
    assert_ok(store_size(world->store, &size, &err));
    assert_int_equal(size.readers, 2);
    isolated_kill(&child);
    assert_int_equal(store_clear_stale_readers(world->store), 1);
    assert_ok(store_size(world->store, &size, &err));
    assert_int_equal(size.readers, 1);
}

static void readers_beyond_the_slots_are_told_so(void **state)
{
    char *folder = scratch_folder_make();
    struct store_options options = {.access = STORE_READ_WRITE, .reader_slots = 2};
    struct store_reader *readers[200] = {NULL};
    struct store *store = NULL;
    struct err err = {0};
    size_t count = 0;

    (void)state;
    assert_ok(store_open(folder, &options, &store, &err));
    while (count < ARRAY_COUNT(readers) && store_reader_open(store, &readers[count], &err) == 0)
        count++;
    assert_in_range(count, 2, 100);
    assert_int_equal(err.kind, ERR_AGAIN);
    assert_non_null(strstr(err.text, "reader slots"));
    while (count > 0)
        store_reader_close(&readers[--count]);
    store_close(&store);
    scratch_folder_remove(&folder);
}

static void a_map_that_is_full_is_told_and_does_no_harm(void **state)
{
    static const char bytes[100000];
    char *folder = scratch_folder_make();
    struct store_options options = {.access = STORE_READ_WRITE, .map_bytes = 1 << 20};
    struct store_world world = {.folder = folder};
    struct store_writer *writer = NULL;
    struct err err = {0};
    int rc = 0;

    (void)state;
    assert_ok(store_open(folder, &options, &world.store, &err));
    assert_ok(store_reader_open(world.store, &world.reader, &err));
    store_world_put_mark(&world, "a", "1");
    assert_ok(store_write_begin(world.store, &writer, &err));
    for (unsigned i = 0; rc == 0 && i < 100; i++) {
        store_world_make_view(&world, i, 0, bytes, sizeof(bytes));
        rc = store_put(writer, TABLE_VIEWS, buf_span(&world.key), buf_span(&world.value), &err);
    }
    assert_int_equal(rc, ERR_FULL);
    assert_non_null(strstr(err.text, "address space"));
    store_abort(&writer);
    store_world_put_mark(&world, "a", "2");
    assert_ok(store_read_begin(world.reader, &err));
    store_world_assert_mark(&world, "a", "2");
    assert_ok(digest_check(world.reader, &err));
    store_reader_close(&world.reader);
    store_close(&world.store);
    buf_release(&world.key);
    buf_release(&world.value);
    scratch_folder_remove(&folder);
}

/* --- disks --- */

static int put_of_size(struct store_world *world, unsigned owner, size_t length, struct err *err)
{
    static const char bytes[4 << 20];
    struct store_writer *writer = NULL;

    int rc = store_write_begin(world->store, &writer, err);
    if (rc < 0)
        return rc;
    store_world_make_view(world, owner, 0, bytes, length);
    rc = store_put(writer, TABLE_VIEWS, buf_span(&world->key), buf_span(&world->value), err);
    if (rc == 0)
        rc = store_commit(&writer, err);
    store_abort(&writer);
    return rc;
}

/* On a disk of 3 MiB with a neighbour's file of one: fills, reads on, makes room, goes on. */
static int fill_a_disk(void *argument)
{
    struct store_world world = {.folder = argument};
    struct err err = {0};
    struct span value;
    unsigned stored = 0;
    int rc;

    if (mount("none", world.folder, "tmpfs", 0, "size=3m") != 0)
        return store_world_complain("mount", &err);
    char *neighbour = mem_format("%s/neighbour", world.folder);
    int fd = open(neighbour, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || fallocate(fd, 0, 0, 1 << 20) != 0)
        return store_world_complain("neighbour", &err);
    close(fd);
    if (store_open(world.folder, &store_world_read_write, &world.store, &err) != 0 ||
        store_reader_open(world.store, &world.reader, &err) != 0)
        return store_world_complain("open", &err);

    while ((rc = put_of_size(&world, stored, 60000, &err)) == 0 && stored < 1000)
        stored++;
    if (rc != ERR_FULL || stored < 5)
        return store_world_complain("should have been full", &err);
    for (int i = 0; i < 20; i++) {
        if (put_of_size(&world, stored, 60000, &err) != ERR_FULL)
            return store_world_complain("should still be full", &err);
    }
    if (store_read_begin(world.reader, &err) != 0 || digest_check(world.reader, &err) != 0)
        return store_world_complain("reading a full store", &err);
    store_world_make_view(&world, stored - 1, 0, "", 0);
    if (store_find(world.reader, TABLE_VIEWS, buf_span(&world.key), &value, &err) != 0)
        return store_world_complain("the last commit", &err);
    store_read_end(world.reader);

    unlink(neighbour);
    if (put_of_size(&world, stored, 60000, &err) != 0)
        return store_world_complain("after room was made", &err);
    if (store_read_begin(world.reader, &err) != 0 || digest_check(world.reader, &err) != 0)
        return store_world_complain("reading after room was made", &err);
    store_reader_close(&world.reader);
    store_close(&world.store);

    /* A reader that comes to a full disk needs its slot in lock.mdb, not new space. */
    while (store_open(world.folder, &store_world_read_write, &world.store, &err) == 0 &&
           put_of_size(&world, ++stored, 60000, &err) == 0)
        store_close(&world.store);
    if (err.kind != ERR_FULL)
        return store_world_complain("should have been full again", &err);
    store_close(&world.store);
    if (store_open(world.folder, &store_world_read_only, &world.store, &err) != 0 ||
        store_reader_open(world.store, &world.reader, &err) != 0 || store_read_begin(world.reader, &err) != 0)
        return store_world_complain("a reader on a full disk", &err);
    store_reader_close(&world.reader);
    store_close(&world.store);
    free(neighbour);
    buf_release(&world.key);
    buf_release(&world.value);
    return 0;
}

static void a_full_disk_stops_writing_and_nothing_else_until_there_is_room(void **state)
{
    char *folder = scratch_folder_make();

    (void)state;
    assert_int_equal(isolated_run(ISOLATED_MOUNTS, fill_a_disk, folder), 0);
    scratch_folder_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(slots_of_killed_readers_are_cleared),
        cmocka_unit_test(readers_beyond_the_slots_are_told_so),
        cmocka_unit_test(a_map_that_is_full_is_told_and_does_no_harm),
        cmocka_unit_test(a_full_disk_stops_writing_and_nothing_else_until_there_is_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
