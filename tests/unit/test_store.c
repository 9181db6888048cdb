/* The store on real files: what is put is found, in snapshots; the digest says what is there; disks fill, readers die,
 * and what would break LMDB is refused. */
#include <errno.h>
#include <fcntl.h>
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
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <lmdb.h>

#include "isolated.h"
#include "schema/base/mem.h"
#include "schema/store/digest.h"
#include "schema/store/file_system.h"
#include "schema/store/store.h"
#include "scratch_folder.h"
#include "tests/unit/assert_ok.h"

static const struct store_options read_write = {.access = STORE_READ_WRITE};
static const struct store_options read_only = {.access = STORE_READ_ONLY};

struct fixture {
    char *folder;
    struct store *store; /* open for writing */
    struct store_reader *reader;
    struct buf key;
    struct buf value;
};

static int set_up(void **state)
{
    struct fixture *fixture = mem_zero(1, sizeof(*fixture));
    struct err err = {0};

    fixture->folder = scratch_folder_make();
    if (store_open(fixture->folder, &read_write, &fixture->store, &err) != 0 ||
        store_reader_open(fixture->store, &fixture->reader, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    store_reader_close(&fixture->reader);
    store_close(&fixture->store);
    scratch_folder_remove(&fixture->folder);
    buf_release(&fixture->key);
    buf_release(&fixture->value);
    free(fixture);
    return 0;
}

static void make_view_row(struct fixture *fixture, unsigned owner, uint16_t view, const char *bytes, size_t length)
{
    char name[32];

    snprintf(name, sizeof(name), "u%u", owner);
    buf_clear(&fixture->key);
    buf_clear(&fixture->value);
    layout_view_key(hash64(span_of_text(name)), view, span_of_text(name), &fixture->key);
    layout_view_value(fixture->key.len, (struct stored_view){true, span_of(bytes, length)}, &fixture->value);
}

static void put_view(struct fixture *fixture, struct store_writer *writer, unsigned owner, uint16_t view,
                     const char *text)
{
    struct err err = {0};

    make_view_row(fixture, owner, view, text, strlen(text));
    assert_ok(store_put(writer, TABLE_VIEWS, buf_span(&fixture->key), buf_span(&fixture->value), &err));
}

static void put_mark(struct fixture *fixture, const char *key, const char *value)
{
    struct store_writer *writer = NULL;
    struct err err = {0};

    assert_ok(store_write_begin(fixture->store, &writer, &err));
    assert_ok(store_put(writer, TABLE_MARKS, span_of_text(key), span_of_text(value), &err));
    assert_ok(store_commit(&writer, &err));
    assert_null(writer);
}

static void assert_mark(struct fixture *fixture, const char *key, const char *expected)
{
    struct err err = {0};
    struct span value;

    assert_ok(store_find(fixture->reader, TABLE_MARKS, span_of_text(key), &value, &err));
    assert_true(span_equal_text(value, expected));
}

/* --- reading and writing --- */

static void what_is_put_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct err err = {0};
    struct span value = {"untouched", 9};

    put_mark(fixture, "a", "1");
    assert_ok(store_read_begin(fixture->reader, &err));
    assert_mark(fixture, "a", "1");
    assert_int_equal(store_find(fixture->reader, TABLE_MARKS, SPAN_LITERAL("b"), &value, &err), ERR_ABSENT);
    assert_int_equal(store_find(fixture->reader, TABLE_PARKED, SPAN_LITERAL("a"), &value, &err), ERR_ABSENT);
    assert_int_equal(err.kind, 0);
    assert_true(span_equal_text(value, "untouched"));
}

static void keys_that_can_not_be_stored_are_absent(void **state)
{
    struct fixture *fixture = *state;
    struct err err = {0};
    char key[600] = {1};
    struct span value;

    assert_ok(store_read_begin(fixture->reader, &err));
    assert_int_equal(store_find(fixture->reader, TABLE_MARKS, span_of(key, 0), &value, &err), ERR_ABSENT);
    assert_int_equal(store_find(fixture->reader, TABLE_MARKS, span_of(key, 512), &value, &err), ERR_ABSENT);
}

static void a_snapshot_does_not_see_later_commits(void **state)
{
    struct fixture *fixture = *state;
    struct err err = {0};

    put_mark(fixture, "a", "1");
    assert_ok(store_read_begin(fixture->reader, &err));
    uint64_t version = store_read_version(fixture->reader);
    put_mark(fixture, "a", "2");
    assert_mark(fixture, "a", "1");
    assert_true(store_read_version(fixture->reader) == version);
    assert_ok(store_read_begin(fixture->reader, &err)); /* on a reader that has one: renewed */
    assert_mark(fixture, "a", "2");
    assert_true(store_read_version(fixture->reader) == version + 1);
    assert_ok(store_read_begin(fixture->reader, &err)); /* nothing new: kept */
    assert_true(store_read_version(fixture->reader) == version + 1);
}

static void an_aborted_writer_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct store_writer *writer = NULL;
    struct err err = {0};
    struct digest digest;
    struct span value;

    assert_ok(store_write_begin(fixture->store, &writer, &err));
    put_view(fixture, writer, 1, 0, "gone");
    assert_ok(store_put(writer, TABLE_MARKS, SPAN_LITERAL("m"), SPAN_LITERAL("gone"), &err));
    store_abort(&writer);
    assert_null(writer);
    store_abort(&writer);

    /* Nor does what it changed of the digest go into the next commit. */
    put_mark(fixture, "n", "stays");
    assert_ok(store_read_begin(fixture->reader, &err));
    assert_int_equal(store_find(fixture->reader, TABLE_MARKS, SPAN_LITERAL("m"), &value, &err), ERR_ABSENT);
    assert_ok(digest_of_view(fixture->reader, 0, &digest, &err));
    assert_int_equal(digest.count, 0);
    assert_ok(digest_check(fixture->reader, &err));
}

static void a_writer_sees_what_it_wrote(void **state)
{
    struct fixture *fixture = *state;
    struct store_writer *writer = NULL;
    struct err err = {0};
    struct span value;

    assert_ok(store_write_begin(fixture->store, &writer, &err));
    assert_int_equal(store_writer_find(writer, TABLE_MARKS, SPAN_LITERAL("m"), &value, &err), ERR_ABSENT);
    assert_ok(store_put(writer, TABLE_MARKS, SPAN_LITERAL("m"), SPAN_LITERAL("x"), &err));
    assert_ok(store_writer_find(writer, TABLE_MARKS, SPAN_LITERAL("m"), &value, &err));
    assert_true(span_equal_text(value, "x"));
    store_abort(&writer);
}

static void the_same_value_again_writes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct store_writer *writer = NULL;
    struct err err = {0};

    put_mark(fixture, "a", "1");
    assert_ok(store_read_begin(fixture->reader, &err));
    uint64_t version = store_read_version(fixture->reader);
    put_mark(fixture, "a", "1");
    assert_ok(store_write_begin(fixture->store, &writer, &err));
    assert_ok(store_delete(writer, TABLE_MARKS, SPAN_LITERAL("never there"), &err));
    assert_ok(store_commit(&writer, &err));
    assert_ok(store_read_begin(fixture->reader, &err));
    assert_true(store_read_version(fixture->reader) == version);
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
    struct fixture *fixture = *state;
    struct store_cursor *cursor = NULL;
    struct buf found = BUF_INIT;
    struct err err = {0};
    struct span key, value;
    int rc;

    for (size_t i = ARRAY_COUNT(keys); i > 0; i--)
        put_mark(fixture, keys[i - 1], "x");
    assert_ok(store_read_begin(fixture->reader, &err));
    for (size_t i = 0; i < ARRAY_COUNT(walks); i++) {
        buf_clear(&found);
        assert_ok(store_cursor_open(fixture->reader, TABLE_MARKS, span_of_text(walks[i].prefix),
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
    struct fixture *fixture = *state;
    struct store_writer *writer = NULL;
    struct err err = {0};
    struct span value;
    size_t length = 3 << 20;
    char *bytes = mem_alloc(length);

    memset(bytes, 'x', length);
    assert_ok(store_write_begin(fixture->store, &writer, &err));
    make_view_row(fixture, 1, 0, bytes, length);
    assert_ok(store_put(writer, TABLE_VIEWS, buf_span(&fixture->key), buf_span(&fixture->value), &err));
    assert_ok(store_commit(&writer, &err));
    assert_ok(store_read_begin(fixture->reader, &err));
    assert_ok(store_find(fixture->reader, TABLE_VIEWS, buf_span(&fixture->key), &value, &err));
    assert_true(span_equal(value, buf_span(&fixture->value)));
    assert_ok(digest_check(fixture->reader, &err));
    free(bytes);
}

static void a_closed_store_opens_again_with_all_it_had(void **state)
{
    struct fixture *fixture = *state;
    struct err err = {0};

    put_mark(fixture, "a", "1");
    store_reader_close(&fixture->reader);
    store_close(&fixture->store);
    assert_null(fixture->store);
    assert_ok(store_open(fixture->folder, &read_only, &fixture->store, &err));
    assert_ok(store_reader_open(fixture->store, &fixture->reader, &err));
    assert_ok(store_read_begin(fixture->reader, &err));
    assert_mark(fixture, "a", "1");
}

static void files_are_for_their_owner_only(void **state)
{
    static const char *const names[] = {"data.mdb", "lock.mdb", "namespace"};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char *path = mem_format("%s/%s", fixture->folder, names[i]);
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

static void random_change(struct fixture *fixture, struct store_writer *writer, uint64_t *random)
{
    static const char bytes[3000];
    struct err err = {0};
    unsigned owner = (unsigned)(next_random(random) % 500);
    uint16_t view = (uint16_t)(next_random(random) % 3 * 7);
    size_t length = next_random(random) % 20 == 0 ? next_random(random) % sizeof(bytes) : next_random(random) % 300;

    make_view_row(fixture, owner, view, bytes, length);
    if (next_random(random) % 3 == 0)
        assert_ok(store_delete(writer, TABLE_VIEWS, buf_span(&fixture->key), &err));
    else
        assert_ok(store_put(writer, TABLE_VIEWS, buf_span(&fixture->key), buf_span(&fixture->value), &err));
}

static void the_digest_is_that_of_the_rows_after_any_changes(void **state)
{
    struct fixture *fixture = *state;
    uint64_t random = 88172645463325252u;
    struct err err = {0};

    for (int round = 0; round < 200; round++) {
        struct store_writer *writer = NULL;
        assert_ok(store_write_begin(fixture->store, &writer, &err));
        for (uint64_t i = next_random(&random) % 100; i > 0; i--)
            random_change(fixture, writer, &random);
        if (next_random(&random) % 5 == 0)
            store_abort(&writer);
        else
            assert_ok(store_commit(&writer, &err));
        assert_ok(store_read_begin(fixture->reader, &err));
        assert_ok(digest_check(fixture->reader, &err));
    }
}

static void equal_contents_have_equal_digests_whatever_the_order(void **state)
{
    struct fixture *fixture = *state;
    struct digest digests[2];
    struct err err = {0};

    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 100; i++) {
            struct store_writer *writer = NULL;
            assert_ok(store_write_begin(fixture->store, &writer, &err));
            put_view(fixture, writer, round ? 99 - i : i, 4, round ? "b" : "a");
            if (round == 0)
                put_view(fixture, writer, i, 4, "b");
            assert_ok(store_commit(&writer, &err));
        }
        assert_ok(store_read_begin(fixture->reader, &err));
        assert_ok(digest_of_view(fixture->reader, 4, &digests[round], &err));
        struct store_writer *writer = NULL;
        assert_ok(store_write_begin(fixture->store, &writer, &err));
        for (unsigned i = 0; i < 100; i++) {
            make_view_row(fixture, i, 4, "", 0);
            assert_ok(store_delete(writer, TABLE_VIEWS, buf_span(&fixture->key), &err));
        }
        assert_ok(store_commit(&writer, &err));
    }
    assert_int_equal(digests[0].count, 100);
    assert_true(digest_equal(digests[0], digests[1]));
    /* All deleted: the digest of nothing, and no row is left of it. */
    assert_ok(store_read_begin(fixture->reader, &err));
    assert_ok(digest_of_view(fixture->reader, 4, &digests[0], &err));
    assert_true(digest_equal(digests[0], (struct digest){0, {0, 0}}));
    struct store_cursor *cursor = NULL;
    struct span key, value;
    assert_ok(store_cursor_open(fixture->reader, TABLE_BUCKETS, span_of("", 0), span_of("", 0), &cursor, &err));
    assert_int_equal(store_cursor_next(cursor, &key, &value, &err), ERR_ABSENT);
    store_cursor_close(&cursor);
}

static void one_byte_of_one_view_changes_the_digest(void **state)
{
    struct fixture *fixture = *state;
    struct digest before, after;
    struct store_writer *writer = NULL;
    struct err err = {0};

    assert_ok(store_write_begin(fixture->store, &writer, &err));
    put_view(fixture, writer, 1, 0, "one");
    put_view(fixture, writer, 2, 0, "two");
    put_view(fixture, writer, 2, 1, "two");
    assert_ok(store_commit(&writer, &err));
    assert_ok(store_read_begin(fixture->reader, &err));
    assert_ok(digest_of_view(fixture->reader, 0, &before, &err));
    assert_int_equal(before.count, 2);

    assert_ok(store_write_begin(fixture->store, &writer, &err));
    put_view(fixture, writer, 2, 0, "twp");
    assert_ok(store_commit(&writer, &err));
    assert_ok(store_read_begin(fixture->reader, &err));
    assert_ok(digest_of_view(fixture->reader, 0, &after, &err));
    assert_int_equal(after.count, 2);
    assert_false(digest_equal(before, after));
}

/* By hand, behind the store's back. */
static void a_row_that_was_changed_by_hand_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct store_writer *writer = NULL;
    struct err err = {0};
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi views;

    assert_ok(store_write_begin(fixture->store, &writer, &err));
    put_view(fixture, writer, 1, 0, "one");
    put_view(fixture, writer, 2, 0, "two");
    assert_ok(store_commit(&writer, &err));
    store_reader_close(&fixture->reader);
    store_close(&fixture->store);

    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 16), 0);
    assert_int_equal(mdb_env_set_mapsize(env, 1 << 30), 0);
    assert_int_equal(mdb_env_open(env, fixture->folder, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "views", 0, &views), 0);
    make_view_row(fixture, 2, 0, "tw0", 3);
    MDB_val key = {fixture->key.len, fixture->key.at};
    MDB_val value = {fixture->value.len, fixture->value.at};
    assert_int_equal(mdb_put(txn, views, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);

    assert_ok(store_open(fixture->folder, &read_only, &fixture->store, &err));
    assert_ok(store_reader_open(fixture->store, &fixture->reader, &err));
    assert_ok(store_read_begin(fixture->reader, &err));
    assert_int_equal(digest_check(fixture->reader, &err), ERR_BROKEN);
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

/* --- what is refused at the door --- */

static void a_folder_without_a_store_is_absent_to_a_reader_and_stays_untouched(void **state)
{
    char *folder = scratch_folder_make();
    char *missing = mem_format("%s/missing", folder);
    struct store *store = NULL;
    struct err err = {0};

    (void)state;
    assert_int_equal(store_open(folder, &read_only, &store, &err), ERR_ABSENT);
    assert_int_equal(store_open(missing, &read_only, &store, &err), ERR_ABSENT);
    assert_null(store);
    assert_int_equal(rmdir(folder), 0); /* still empty */
    free(missing);
    scratch_folder_remove(&folder);
}

static void a_folder_is_open_once_in_a_process(void **state)
{
    struct fixture *fixture = *state;
    struct store *second = NULL;
    struct err err = {0};

    assert_int_equal(store_open(fixture->folder, &read_only, &second, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "open in this process already"));
    put_mark(fixture, "a", "still writable");
}

static int claim_network(void *self, const char *path, int64_t *ret_type)
{
    int64_t *type = self;

    (void)path;
    if (*type < 0)
        return (int)*type;
    *ret_type = *type;
    return 0;
}

static void a_network_file_system_is_refused(void **state)
{
    static const struct {
        int64_t type;
        const char *name; /* NULL: fine */
    } systems[] = {
        {0x6969, "NFS"},      {0x517b, "SMB"},   {0xff534d42, "CIFS"}, {0xfe534d42, "SMB2"}, {0x01021997, "9p"},
        {0x65735546, "FUSE"}, {0xc36400, "Ceph"}, {0x5346414f, "AFS"},  {0xef53, NULL},       {0x01021994, NULL},
        {0x794c7630, NULL},   {0x58465342, NULL}, {0x9123683e, NULL},
    };
    char *folder = scratch_folder_make();
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(systems); i++) {
        int64_t type = systems[i].type;
        struct store_platform platform = {.file_system_type = claim_network, .self = &type};
        struct store_options options = {.access = STORE_READ_WRITE, .platform = &platform};
        struct store *store = NULL;
        int rc = store_open(folder, &options, &store, &err);
        if (systems[i].name == NULL) {
            assert_ok(rc);
        } else {
            assert_int_equal(rc, ERR_INPUT);
            assert_non_null(strstr(err.text, systems[i].name));
            assert_non_null(strstr(err.text, "use a local disk"));
        }
        store_close(&store);
    }
    scratch_folder_remove(&folder);
}

static void a_file_system_that_can_not_be_asked_is_an_error(void **state)
{
    int64_t type = -EIO;
    struct store_platform platform = {.file_system_type = claim_network, .self = &type};
    struct err err = {0};

    (void)state;
    assert_int_equal(file_system_check(&platform, "/", &err), ERR_BROKEN);
}

static void read_file(const char *folder, const char *name, struct buf *bytes)
{
    char *path = mem_format("%s/%s", folder, name);
    int fd = open(path, O_RDONLY);
    ssize_t got;

    assert_true(fd >= 0);
    while ((got = read(fd, buf_reserve(bytes, 65536), 65536)) > 0)
        bytes->len += (size_t)got;
    assert_int_equal(got, 0);
    close(fd);
    free(path);
}

static void another_format_version_is_refused_and_left_as_it_is(void **state)
{
    struct fixture *fixture = *state;
    struct buf before = BUF_INIT;
    struct buf after = BUF_INIT;
    struct err err = {0};
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi meta;
    uint32_t version = FORMAT_VERSION + 1;
    char *told = mem_format("format version %d, and this program knows version %d", FORMAT_VERSION + 1, FORMAT_VERSION);
    MDB_val key = {6, (void *)(uintptr_t)"format"};
    MDB_val value = {sizeof(version), &version};

    store_reader_close(&fixture->reader);
    store_close(&fixture->store);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 16), 0);
    assert_int_equal(mdb_env_open(env, fixture->folder, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "meta", 0, &meta), 0);
    assert_int_equal(mdb_put(txn, meta, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);

    read_file(fixture->folder, "data.mdb", &before);
    assert_int_equal(store_open(fixture->folder, &read_only, &fixture->store, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, told));
    free(told);
    assert_int_equal(store_open(fixture->folder, &read_write, &fixture->store, &err), ERR_INPUT);
    read_file(fixture->folder, "data.mdb", &after);
    assert_true(span_equal(buf_span(&before), buf_span(&after)));
    buf_release(&before);
    buf_release(&after);
}

static void a_data_file_of_something_else_is_refused(void **state)
{
    char *folder = scratch_folder_make();
    char *path = mem_format("%s/data.mdb", folder);
    struct store *store = NULL;
    struct err err = {0};
    FILE *file = fopen(path, "w");

    (void)state;
    assert_non_null(file);
    for (int i = 0; i < 10000; i++)
        fputs("not a store", file);
    fclose(file);
    assert_int_equal(store_open(folder, &read_only, &store, &err), ERR_INPUT);
    assert_int_equal(store_open(folder, &read_write, &store, &err), ERR_INPUT);
    free(path);
    scratch_folder_remove(&folder);
}

/* --- PID namespaces --- */

struct opening {
    const char *folder;
    struct store_options options;
    int expected; /* what store_open() should return */
    const char *says; /* part of the error's text, or NULL */
};

static int open_elsewhere(void *argument)
{
    const struct opening *opening = argument;
    struct store *store = NULL;
    struct err err = {0};

    int rc = store_open(opening->folder, &opening->options, &store, &err);
    if (rc != opening->expected || (opening->says != NULL && strstr(err.text, opening->says) == NULL)) {
        fprintf(stderr, "store_open() = %d, %s\n", rc, err.text);
        return 1;
    }
    store_close(&store);
    return 0;
}

static int open_elsewhere_and_wait(void *argument)
{
    const struct opening *opening = argument;
    struct store *store = NULL;
    struct err err = {0};

    if (store_open(opening->folder, &opening->options, &store, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    isolated_ready_and_wait();
    return 0;
}

static void a_process_of_another_pid_namespace_is_refused_with_what_to_do(void **state)
{
    struct fixture *fixture = *state;
    struct opening refused = {fixture->folder, read_only, ERR_INPUT, "shareProcessNamespace: true"};
    struct opening accepted = {fixture->folder, read_only, 0, NULL};
    struct err err = {0};

    put_mark(fixture, "a", "1");
    assert_int_equal(isolated_run(ISOLATED_PID_NAMESPACE, open_elsewhere, &refused), 0);
    assert_int_equal(isolated_run(ISOLATED_PROCESS, open_elsewhere, &accepted), 0);
    /* Whoever was there goes on. */
    put_mark(fixture, "a", "2");
    assert_ok(store_read_begin(fixture->reader, &err));
    assert_mark(fixture, "a", "2");
}

static void two_first_processes_of_pid_namespaces_do_not_share_a_store(void **state)
{
    struct fixture *fixture = *state;
    struct opening accepted = {fixture->folder, read_write, 0, NULL};
    struct opening refused = {fixture->folder, read_only, ERR_INPUT, "another PID namespace"};
    struct isolated child;

    put_mark(fixture, "a", "1");
    store_reader_close(&fixture->reader);
    store_close(&fixture->store);
    isolated_start(ISOLATED_PID_NAMESPACE, open_elsewhere_and_wait, &accepted, &child);
    assert_int_equal(isolated_run(ISOLATED_PID_NAMESPACE, open_elsewhere, &refused), 0);
    assert_int_equal(isolated_run(ISOLATED_PROCESS, open_elsewhere, &refused), 0);
    isolated_kill(&child);
}

static void a_killed_process_of_another_pid_namespace_blocks_nobody(void **state)
{
    struct fixture *fixture = *state;
    struct opening accepted = {fixture->folder, read_write, 0, NULL};
    struct err err = {0};
    struct isolated child;

    store_reader_close(&fixture->reader);
    store_close(&fixture->store);
    isolated_start(ISOLATED_PID_NAMESPACE, open_elsewhere_and_wait, &accepted, &child);
    isolated_kill(&child);
    assert_ok(store_open(fixture->folder, &read_write, &fixture->store, &err));
    put_mark(fixture, "a", "1");
    /* And in the other direction. */
    store_close(&fixture->store);
    assert_int_equal(isolated_run(ISOLATED_PID_NAMESPACE, open_elsewhere, &accepted), 0);
}

/* --- readers that die, slots, address space --- */

static int read_elsewhere_and_wait(void *argument)
{
    struct store *store = NULL;
    struct store_reader *reader = NULL;
    struct err err = {0};

    if (store_open(argument, &read_only, &store, &err) != 0 || store_reader_open(store, &reader, &err) != 0 ||
        store_read_begin(reader, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    isolated_ready_and_wait();
    return 0;
}

static void slots_of_killed_readers_are_cleared(void **state)
{
    struct fixture *fixture = *state;
    struct store_size size;
    struct err err = {0};
    struct isolated child;

    put_mark(fixture, "a", "1");
    isolated_start(ISOLATED_PROCESS, read_elsewhere_and_wait, fixture->folder, &child);
    assert_int_equal(store_clear_stale_readers(fixture->store), 0); /* it lives */
    assert_ok(store_size(fixture->store, &size, &err));
    assert_int_equal(size.readers, 2);
    isolated_kill(&child);
    assert_int_equal(store_clear_stale_readers(fixture->store), 1);
    assert_ok(store_size(fixture->store, &size, &err));
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
    struct fixture fixture = {.folder = folder};
    struct store_writer *writer = NULL;
    struct err err = {0};
    int rc = 0;

    (void)state;
    assert_ok(store_open(folder, &options, &fixture.store, &err));
    assert_ok(store_reader_open(fixture.store, &fixture.reader, &err));
    put_mark(&fixture, "a", "1");
    assert_ok(store_write_begin(fixture.store, &writer, &err));
    for (unsigned i = 0; rc == 0 && i < 100; i++) {
        make_view_row(&fixture, i, 0, bytes, sizeof(bytes));
        rc = store_put(writer, TABLE_VIEWS, buf_span(&fixture.key), buf_span(&fixture.value), &err);
    }
    assert_int_equal(rc, ERR_FULL);
    assert_non_null(strstr(err.text, "address space"));
    store_abort(&writer);
    put_mark(&fixture, "a", "2");
    assert_ok(store_read_begin(fixture.reader, &err));
    assert_mark(&fixture, "a", "2");
    assert_ok(digest_check(fixture.reader, &err));
    store_reader_close(&fixture.reader);
    store_close(&fixture.store);
    buf_release(&fixture.key);
    buf_release(&fixture.value);
    scratch_folder_remove(&folder);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they need all of it themselves */
static int open_in_little_space(void *argument)
{
    const struct opening *opening = argument;
    struct rlimit limit = {(rlim_t)200 << 30, (rlim_t)200 << 30};

    if (opening->expected != 0)
        limit.rlim_cur = limit.rlim_max = (rlim_t)1 << 30;
    return setrlimit(RLIMIT_AS, &limit) != 0 ? 2 : open_elsewhere(argument);
}

static void a_process_with_little_address_space_takes_what_it_can_get(void **state)
{
    struct fixture *fixture = *state;
    struct opening enough = {fixture->folder, read_only, 0, NULL};
    struct opening too_little = {fixture->folder, read_only, ERR_FULL, "ulimit -v"};

    store_reader_close(&fixture->reader);
    store_close(&fixture->store);
    assert_int_equal(isolated_run(ISOLATED_PROCESS, open_in_little_space, &enough), 0);
    assert_int_equal(isolated_run(ISOLATED_PROCESS, open_in_little_space, &too_little), 0);
}
#endif

/* --- disks --- */

static int complain(const char *what, const struct err *err)
{
    fprintf(stderr, "%s: %s\n", what, err->text);
    return 1;
}

static int put_of_size(struct fixture *fixture, unsigned owner, size_t length, struct err *err)
{
    static const char bytes[4 << 20];
    struct store_writer *writer = NULL;

    int rc = store_write_begin(fixture->store, &writer, err);
    if (rc < 0)
        return rc;
    make_view_row(fixture, owner, 0, bytes, length);
    rc = store_put(writer, TABLE_VIEWS, buf_span(&fixture->key), buf_span(&fixture->value), err);
    if (rc == 0)
        rc = store_commit(&writer, err);
    store_abort(&writer);
    return rc;
}

/* On a disk of 3 MiB with a neighbour's file of one: fills, reads on, makes room, goes on. */
static int fill_a_disk(void *argument)
{
    struct fixture fixture = {.folder = argument};
    struct err err = {0};
    struct span value;
    unsigned stored = 0;
    int rc;

    if (mount("none", fixture.folder, "tmpfs", 0, "size=3m") != 0)
        return complain("mount", &err);
    char *neighbour = mem_format("%s/neighbour", fixture.folder);
    int fd = open(neighbour, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || fallocate(fd, 0, 0, 1 << 20) != 0)
        return complain("neighbour", &err);
    close(fd);
    if (store_open(fixture.folder, &read_write, &fixture.store, &err) != 0 ||
        store_reader_open(fixture.store, &fixture.reader, &err) != 0)
        return complain("open", &err);

    while ((rc = put_of_size(&fixture, stored, 60000, &err)) == 0 && stored < 1000)
        stored++;
    if (rc != ERR_FULL || stored < 5)
        return complain("should have been full", &err);
    for (int i = 0; i < 20; i++) {
        if (put_of_size(&fixture, stored, 60000, &err) != ERR_FULL)
            return complain("should still be full", &err);
    }
    if (store_read_begin(fixture.reader, &err) != 0 || digest_check(fixture.reader, &err) != 0)
        return complain("reading a full store", &err);
    make_view_row(&fixture, stored - 1, 0, "", 0);
    if (store_find(fixture.reader, TABLE_VIEWS, buf_span(&fixture.key), &value, &err) != 0)
        return complain("the last commit", &err);
    store_read_end(fixture.reader);

    unlink(neighbour);
    if (put_of_size(&fixture, stored, 60000, &err) != 0)
        return complain("after room was made", &err);
    if (store_read_begin(fixture.reader, &err) != 0 || digest_check(fixture.reader, &err) != 0)
        return complain("reading after room was made", &err);
    store_reader_close(&fixture.reader);
    store_close(&fixture.store);

    /* A reader that comes to a full disk needs its slot in lock.mdb, not new space. */
    while (store_open(fixture.folder, &read_write, &fixture.store, &err) == 0 &&
           put_of_size(&fixture, ++stored, 60000, &err) == 0)
        store_close(&fixture.store);
    if (err.kind != ERR_FULL)
        return complain("should have been full again", &err);
    store_close(&fixture.store);
    if (store_open(fixture.folder, &read_only, &fixture.store, &err) != 0 ||
        store_reader_open(fixture.store, &fixture.reader, &err) != 0 || store_read_begin(fixture.reader, &err) != 0)
        return complain("a reader on a full disk", &err);
    store_reader_close(&fixture.reader);
    store_close(&fixture.store);
    free(neighbour);
    buf_release(&fixture.key);
    buf_release(&fixture.value);
    return 0;
}

static void a_full_disk_stops_writing_and_nothing_else_until_there_is_room(void **state)
{
    char *folder = scratch_folder_make();

    (void)state;
    assert_int_equal(isolated_run(ISOLATED_MOUNTS, fill_a_disk, folder), 0);
    scratch_folder_remove(&folder);
}

/* No room even for an empty store, nor for the lock file. */
static int open_on_a_full_disk(void *argument)
{
    const char *folder = argument;
    struct store *store = NULL;
    struct err err = {0};

    if (mount("none", folder, "tmpfs", 0, "size=64k") != 0)
        return complain("mount", &err);
    if (store_open(folder, &read_write, &store, &err) != ERR_FULL)
        return complain("should have been full", &err);
    return 0;
}

static void a_store_can_not_be_made_on_a_full_disk(void **state)
{
    char *folder = scratch_folder_make();

    (void)state;
    assert_int_equal(isolated_run(ISOLATED_MOUNTS, open_on_a_full_disk, folder), 0);
    scratch_folder_remove(&folder);
}

static int open_read_only_mount(void *argument)
{
    const char *folder = argument;
    struct store *store = NULL;
    struct err err = {0};

    if (mount("none", folder, "tmpfs", 0, "size=16m") != 0)
        return complain("mount", &err);
    if (store_open(folder, &read_write, &store, &err) != 0)
        return complain("open", &err);
    store_close(&store);
    if (mount("none", folder, "tmpfs", MS_REMOUNT | MS_RDONLY, NULL) != 0)
        return complain("remount", &err);
    if (store_open(folder, &read_only, &store, &err) != ERR_INPUT || strstr(err.text, "mount it read-write") == NULL)
        return complain("should have been refused", &err);
    return 0;
}

static void a_read_only_mount_is_refused_because_readers_write_to_the_lock_table(void **state)
{
    char *folder = scratch_folder_make();

    (void)state;
    assert_int_equal(isolated_run(ISOLATED_MOUNTS, open_read_only_mount, folder), 0);
    scratch_folder_remove(&folder);
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
    struct fixture *fixture = *state;
    struct reading reading = {.store = fixture->store};
    pthread_t threads[3];
    struct err err = {0};

    for (uint32_t i = 0; i < 300 || reading.snapshots < 100; i++) {
        struct store_writer *writer = NULL;
        assert_ok(store_write_begin(fixture->store, &writer, &err));
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

static void a_store_is_warmed_up_without_harm(void **state)
{
    struct fixture *fixture = *state;

    put_mark(fixture, "a", "1");
    store_warm_up(fixture->store, UINT64_MAX);
    store_warm_up(fixture->store, 0);
    put_mark(fixture, "a", "2");
}

#define with_store(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

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
        cmocka_unit_test(a_folder_without_a_store_is_absent_to_a_reader_and_stays_untouched),
        with_store(a_folder_is_open_once_in_a_process),
        cmocka_unit_test(a_network_file_system_is_refused),
        cmocka_unit_test(a_file_system_that_can_not_be_asked_is_an_error),
        with_store(another_format_version_is_refused_and_left_as_it_is),
        cmocka_unit_test(a_data_file_of_something_else_is_refused),
        with_store(a_process_of_another_pid_namespace_is_refused_with_what_to_do),
        with_store(two_first_processes_of_pid_namespaces_do_not_share_a_store),
        with_store(a_killed_process_of_another_pid_namespace_blocks_nobody),
        with_store(slots_of_killed_readers_are_cleared),
        cmocka_unit_test(readers_beyond_the_slots_are_told_so),
        cmocka_unit_test(a_map_that_is_full_is_told_and_does_no_harm),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        with_store(a_process_with_little_address_space_takes_what_it_can_get),
#endif
        cmocka_unit_test(a_full_disk_stops_writing_and_nothing_else_until_there_is_room),
        cmocka_unit_test(a_store_can_not_be_made_on_a_full_disk),
        cmocka_unit_test(a_read_only_mount_is_refused_because_readers_write_to_the_lock_table),
        with_store(readers_in_threads_see_whole_commits_only),
        with_store(a_store_is_warmed_up_without_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
