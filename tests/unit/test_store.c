/* The store on real files: what is put is found, in snapshots, also by threads; the digest says what is there. */
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <lmdb.h>

#include "schema/base/mem.h"
#include "schema/store/digest.h"
#include "scratch_folder.h"
#include "store_world.h"
#include "tests/unit/assert_ok.h"

static void put_view(struct store_world *world, struct store_writer *writer, unsigned owner, uint16_t view,
                     const char *text)
{
    struct err err = {0};

    store_world_make_view(world, owner, view, text, strlen(text));
    assert_ok(store_put(writer, TABLE_VIEWS, buf_span(&world->key), buf_span(&world->value), &err));
}

/* --- reading and writing --- */

static void what_is_put_is_found(void **state)
{
    struct store_world *world = *state;
    struct err err = {0};
    struct span value = {"untouched", 9};

    store_world_put_mark(world, "a", "1");
    assert_ok(store_read_begin(world->reader, &err));
    store_world_assert_mark(world, "a", "1");
    assert_int_equal(store_find(world->reader, TABLE_MARKS, SPAN_LITERAL("b"), &value, &err), ERR_ABSENT);
    assert_int_equal(store_find(world->reader, TABLE_PARKED, SPAN_LITERAL("a"), &value, &err), ERR_ABSENT);
    assert_int_equal(err.kind, 0);
    assert_true(span_equal_text(value, "untouched"));
}

static void keys_that_can_not_be_stored_are_absent(void **state)
{
    struct store_world *world = *state;
    struct err err = {0};
    char key[600] = {1};
    struct span value;

    assert_ok(store_read_begin(world->reader, &err));
    assert_int_equal(store_find(world->reader, TABLE_MARKS, span_of(key, 0), &value, &err), ERR_ABSENT);
    assert_int_equal(store_find(world->reader, TABLE_MARKS, span_of(key, 512), &value, &err), ERR_ABSENT);
}

static void a_snapshot_does_not_see_later_commits(void **state)
{
    struct store_world *world = *state;
    struct err err = {0};

    store_world_put_mark(world, "a", "1");
    assert_ok(store_read_begin(world->reader, &err));
    uint64_t version = store_read_version(world->reader);
    store_world_put_mark(world, "a", "2");
    store_world_assert_mark(world, "a", "1");
    assert_true(store_read_version(world->reader) == version);
    assert_ok(store_read_begin(world->reader, &err)); /* on a reader that has one: renewed */
    store_world_assert_mark(world, "a", "2");
    assert_true(store_read_version(world->reader) == version + 1);
    assert_ok(store_read_begin(world->reader, &err)); /* nothing new: kept */
    assert_true(store_read_version(world->reader) == version + 1);
}

static void an_aborted_writer_leaves_nothing(void **state)
{
    struct store_world *world = *state;
    struct store_writer *writer = NULL;
    struct err err = {0};
    struct digest digest;
    struct span value;

    assert_ok(store_write_begin(world->store, &writer, &err));
    put_view(world, writer, 1, 0, "gone");
    assert_ok(store_put(writer, TABLE_MARKS, SPAN_LITERAL("m"), SPAN_LITERAL("gone"), &err));
    store_abort(&writer);
    assert_null(writer);
    store_abort(&writer);

    /* Nor does what it changed of the digest go into the next commit. */
    store_world_put_mark(world, "n", "stays");
    assert_ok(store_read_begin(world->reader, &err));
    assert_int_equal(store_find(world->reader, TABLE_MARKS, SPAN_LITERAL("m"), &value, &err), ERR_ABSENT);
    assert_ok(digest_of_view(world->reader, 0, &digest, &err));
    assert_int_equal(digest.count, 0);
    assert_ok(digest_check(world->reader, &err));
}

static void a_writer_sees_what_it_wrote(void **state)
{
    struct store_world *world = *state;
    struct store_writer *writer = NULL;
    struct err err = {0};
    struct span value;

    assert_ok(store_write_begin(world->store, &writer, &err));
    assert_int_equal(store_writer_find(writer, TABLE_MARKS, SPAN_LITERAL("m"), &value, &err), ERR_ABSENT);
    assert_ok(store_put(writer, TABLE_MARKS, SPAN_LITERAL("m"), SPAN_LITERAL("x"), &err));
    assert_ok(store_writer_find(writer, TABLE_MARKS, SPAN_LITERAL("m"), &value, &err));
    assert_true(span_equal_text(value, "x"));
    store_abort(&writer);
}

static void the_same_value_again_writes_nothing(void **state)
{
    struct store_world *world = *state;
    struct store_writer *writer = NULL;
    struct err err = {0};

    store_world_put_mark(world, "a", "1");
    assert_ok(store_read_begin(world->reader, &err));
    uint64_t version = store_read_version(world->reader);
    store_world_put_mark(world, "a", "1");
    assert_ok(store_write_begin(world->store, &writer, &err));
    assert_ok(store_delete(writer, TABLE_MARKS, SPAN_LITERAL("never there"), &err));
    assert_ok(store_commit(&writer, &err));
    assert_ok(store_read_begin(world->reader, &err));
    assert_true(store_read_version(world->reader) == version);
}

static void a_cursor_walks_the_keys_of_a_prefix_in_order(void **state)
{
    static const char *const keys[] = {"a", "b", "ba", "bb", "bbx", "bc", "c"};
    static const struct {
        const char *prefix;
        const char *from;
        const char *expected;
    } walks[] = {
        {"", "", "a b ba bb bbx bc c "},
        {"b", "", "b ba bb bbx bc "},
        {"b", "bb", "bb bbx bc "},
        {"b", "bbz", "bc "},
        {"b", "bd", ""},
        {"b", "a", "b ba bb bbx bc "}, /* not before the prefix */
        {"b", "c", ""},
        {"bb", "", "bb bbx "},
        {"", "bc", "bc c "},
        {"d", "", ""},
        {"", "d", ""},
    };
    struct store_world *world = *state;
    struct store_cursor *cursor = NULL;
    struct buf found = BUF_INIT;
    struct err err = {0};
    struct span key, value;
    int rc;

    for (size_t i = ARRAY_COUNT(keys); i > 0; i--)
        store_world_put_mark(world, keys[i - 1], "x");
    assert_ok(store_read_begin(world->reader, &err));
    for (size_t i = 0; i < ARRAY_COUNT(walks); i++) {
        buf_clear(&found);
        assert_ok(store_cursor_open(world->reader, TABLE_MARKS, span_of_text(walks[i].prefix),
                                    span_of_text(walks[i].from), &cursor, &err));
        while ((rc = store_cursor_next(cursor, &key, &value, &err)) == 0) {
            buf_add_span(&found, key);
            buf_add_byte(&found, ' ');
        }
        assert_int_equal(rc, ERR_ABSENT);
        assert_int_equal(store_cursor_next(cursor, &key, &value, &err), ERR_ABSENT); /* and stays there */
        store_cursor_close(&cursor);
        assert_string_equal(buf_text(&found), walks[i].expected);
    }
    buf_release(&found);
}

static void values_of_many_pages_read_back(void **state)
{
    struct store_world *world = *state;
    struct store_writer *writer = NULL;
    struct err err = {0};
    struct span value;
    size_t length = 3 << 20;
    char *bytes = mem_alloc(length);

    memset(bytes, 'x', length);
    assert_ok(store_write_begin(world->store, &writer, &err));
    store_world_make_view(world, 1, 0, bytes, length);
    assert_ok(store_put(writer, TABLE_VIEWS, buf_span(&world->key), buf_span(&world->value), &err));
    assert_ok(store_commit(&writer, &err));
    assert_ok(store_read_begin(world->reader, &err));
    assert_ok(store_find(world->reader, TABLE_VIEWS, buf_span(&world->key), &value, &err));
    assert_true(span_equal(value, buf_span(&world->value)));
    assert_ok(digest_check(world->reader, &err));
    free(bytes);
}

static void a_closed_store_opens_again_with_all_it_had(void **state)
{
    struct store_world *world = *state;
    struct err err = {0};

    store_world_put_mark(world, "a", "1");
    store_reader_close(&world->reader);
    store_close(&world->store);
    assert_null(world->store);
    assert_ok(store_open(world->folder, &store_world_read_only, &world->store, &err));
    assert_ok(store_reader_open(world->store, &world->reader, &err));
    assert_ok(store_read_begin(world->reader, &err));
    store_world_assert_mark(world, "a", "1");
}

static void files_are_for_their_owner_only(void **state)
{
    static const char *const names[] = {"data.mdb", "lock.mdb", "namespace"};
    struct store_world *world = *state;

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char *path = mem_format("%s/%s", world->folder, names[i]);
        struct stat status;
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
        free(path);
    }
}

/* --- digests --- */

/* Marsaglia's xorshift: the same numbers each time. */
static uint64_t next_random(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

static void random_change(struct store_world *world, struct store_writer *writer, uint64_t *random)
{
    static const char bytes[3000];
    struct err err = {0};
    unsigned owner = (unsigned)(next_random(random) % 500);
    uint16_t view = (uint16_t)(next_random(random) % 3 * 7);
    size_t length = next_random(random) % 20 == 0 ? next_random(random) % sizeof(bytes) : next_random(random) % 300;

    store_world_make_view(world, owner, view, bytes, length);
    if (next_random(random) % 3 == 0)
        assert_ok(store_delete(writer, TABLE_VIEWS, buf_span(&world->key), &err));
    else
        assert_ok(store_put(writer, TABLE_VIEWS, buf_span(&world->key), buf_span(&world->value), &err));
}

static void the_digest_is_that_of_the_rows_after_any_changes(void **state)
{
    struct store_world *world = *state;
    uint64_t random = 88172645463325252u;
    struct err err = {0};

    for (int round = 0; round < 200; round++) {
        struct store_writer *writer = NULL;
        assert_ok(store_write_begin(world->store, &writer, &err));
        for (uint64_t i = next_random(&random) % 100; i > 0; i--)
            random_change(world, writer, &random);
        if (next_random(&random) % 5 == 0)
            store_abort(&writer);
        else
            assert_ok(store_commit(&writer, &err));
        assert_ok(store_read_begin(world->reader, &err));
        assert_ok(digest_check(world->reader, &err));
    }
}

static void equal_contents_have_equal_digests_whatever_the_order(void **state)
{
    struct store_world *world = *state;
    struct digest digests[2];
    struct err err = {0};

    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 100; i++) {
            struct store_writer *writer = NULL;
            assert_ok(store_write_begin(world->store, &writer, &err));
            put_view(world, writer, round ? 99 - i : i, 4, round ? "b" : "a");
            if (round == 0)
                put_view(world, writer, i, 4, "b");
            assert_ok(store_commit(&writer, &err));
        }
        assert_ok(store_read_begin(world->reader, &err));
        assert_ok(digest_of_view(world->reader, 4, &digests[round], &err));
        struct store_writer *writer = NULL;
        assert_ok(store_write_begin(world->store, &writer, &err));
        for (unsigned i = 0; i < 100; i++) {
            store_world_make_view(world, i, 4, "", 0);
            assert_ok(store_delete(writer, TABLE_VIEWS, buf_span(&world->key), &err));
        }
        assert_ok(store_commit(&writer, &err));
    }
    assert_int_equal(digests[0].count, 100);
    assert_true(digest_equal(digests[0], digests[1]));
    /* All deleted: the digest of nothing, and no row is left of it. */
    assert_ok(store_read_begin(world->reader, &err));
    assert_ok(digest_of_view(world->reader, 4, &digests[0], &err));
    assert_true(digest_equal(digests[0], (struct digest){0, {0, 0}}));
    struct store_cursor *cursor = NULL;
    struct span key, value;
    assert_ok(store_cursor_open(world->reader, TABLE_BUCKETS, span_of("", 0), span_of("", 0), &cursor, &err));
    assert_int_equal(store_cursor_next(cursor, &key, &value, &err), ERR_ABSENT);
    store_cursor_close(&cursor);
}

static void one_byte_of_one_view_changes_the_digest(void **state)
{
    struct store_world *world = *state;
    struct digest before, after;
    struct store_writer *writer = NULL;
    struct err err = {0};

    assert_ok(store_write_begin(world->store, &writer, &err));
    put_view(world, writer, 1, 0, "one");
    put_view(world, writer, 2, 0, "two");
    put_view(world, writer, 2, 1, "two");
    assert_ok(store_commit(&writer, &err));
    assert_ok(store_read_begin(world->reader, &err));
    assert_ok(digest_of_view(world->reader, 0, &before, &err));
    assert_int_equal(before.count, 2);

    assert_ok(store_write_begin(world->store, &writer, &err));
    put_view(world, writer, 2, 0, "twp");
    assert_ok(store_commit(&writer, &err));
    assert_ok(store_read_begin(world->reader, &err));
    assert_ok(digest_of_view(world->reader, 0, &after, &err));
    assert_int_equal(after.count, 2);
    assert_false(digest_equal(before, after));
}

/* By hand, behind the store's back. */
static void a_row_that_was_changed_by_hand_is_found(void **state)
{
    struct store_world *world = *state;
    struct store_writer *writer = NULL;
    struct err err = {0};
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi views;

    assert_ok(store_write_begin(world->store, &writer, &err));
    put_view(world, writer, 1, 0, "one");
    put_view(world, writer, 2, 0, "two");
    assert_ok(store_commit(&writer, &err));
    store_reader_close(&world->reader);
    store_close(&world->store);

    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 16), 0);
    assert_int_equal(mdb_env_set_mapsize(env, 1 << 30), 0);
    assert_int_equal(mdb_env_open(env, world->folder, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "views", 0, &views), 0);
    store_world_make_view(world, 2, 0, "tw0", 3);
    MDB_val key = {world->key.len, world->key.at};
    MDB_val value = {world->value.len, world->value.at};
    assert_int_equal(mdb_put(txn, views, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);

    assert_ok(store_open(world->folder, &store_world_read_only, &world->store, &err));
    assert_ok(store_reader_open(world->store, &world->reader, &err));
    assert_ok(store_read_begin(world->reader, &err));
    assert_int_equal(digest_check(world->reader, &err), ERR_BROKEN);
}

static void a_digest_prints_as_view_keys_and_hex(void **state)
{
    struct digest digest = {1234, {0x10, 0xab}};
    struct buf line = BUF_INIT;

    (void)state;
    digest_line("genetic-result", &digest, &line);
    assert_string_equal(buf_text(&line), "genetic-result  1234  00000000000000ab0000000000000010\n");
    buf_release(&line);
}

/* --- threads --- */

struct reading {
    struct store *store;
    _Atomic bool stop;
    _Atomic unsigned snapshots;
};

/* In every snapshot both marks say the same. */
static void *read_on(void *argument)
{
    struct reading *reading = argument;
    struct store_reader *reader = NULL;
    struct err err = {0};
    struct span a, b;
    intptr_t faults = 0;

    if (store_reader_open(reading->store, &reader, &err) != 0)
        return (void *)1;
    while (!reading->stop) {
        if (store_read_begin(reader, &err) != 0 || store_find(reader, TABLE_MARKS, SPAN_LITERAL("a"), &a, &err) != 0 ||
            store_find(reader, TABLE_MARKS, SPAN_LITERAL("b"), &b, &err) != 0 || !span_equal(a, b))
            faults++;
        store_read_end(reader);
        reading->snapshots++;
    }
    store_reader_close(&reader);
    return (void *)faults;
}

static void readers_in_threads_see_whole_commits_only(void **state)
{
    struct store_world *world = *state;
    struct reading reading = {.store = world->store};
    pthread_t threads[3];
    struct err err = {0};

    for (uint32_t i = 0; i < 300 || reading.snapshots < 100; i++) {
        struct store_writer *writer = NULL;
        assert_ok(store_write_begin(world->store, &writer, &err));
        assert_ok(store_put(writer, TABLE_MARKS, SPAN_LITERAL("a"), span_of(&i, sizeof(i)), &err));
        assert_ok(store_put(writer, TABLE_MARKS, SPAN_LITERAL("b"), span_of(&i, sizeof(i)), &err));
        assert_ok(store_commit(&writer, &err));
        for (size_t t = 0; i == 0 && t < ARRAY_COUNT(threads); t++)
            assert_int_equal(pthread_create(&threads[t], NULL, read_on, &reading), 0);
    }
    reading.stop = true;
    for (size_t t = 0; t < ARRAY_COUNT(threads); t++) {
        void *faults = (void *)1;
        assert_int_equal(pthread_join(threads[t], &faults), 0);
        assert_null(faults);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(what_is_put_is_found),
        with_store(keys_that_can_not_be_stored_are_absent),
        with_store(a_snapshot_does_not_see_later_commits),
        with_store(an_aborted_writer_leaves_nothing),
        with_store(a_writer_sees_what_it_wrote),
        with_store(the_same_value_again_writes_nothing),
        with_store(a_cursor_walks_the_keys_of_a_prefix_in_order),
        with_store(values_of_many_pages_read_back),
        with_store(a_closed_store_opens_again_with_all_it_had),
        with_store(files_are_for_their_owner_only),
        with_store(the_digest_is_that_of_the_rows_after_any_changes),
        with_store(equal_contents_have_equal_digests_whatever_the_order),
        with_store(one_byte_of_one_view_changes_the_digest),
        with_store(a_row_that_was_changed_by_hand_is_found),
        cmocka_unit_test(a_digest_prints_as_view_keys_and_hex),
        with_store(readers_in_threads_see_whole_commits_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
