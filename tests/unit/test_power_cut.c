/* The power goes off behind each system call of a run of commits: whatever the disk has kept of what wasn't synced, the
 * store opens, holds what one commit left, whole, and lacks at most the last relaxed one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "schema/base/hash.h"
#include "schema/base/mem.h"
#include "schema/store/store.h"
#include "scratch_folder.h"
#include "tests/unit/assert_ok.h"
#include "tests/unit/power_cut.h"

enum { COMMITS = 28, KEYS = 200, VALUE_BYTES = 300, CUTS_OF_A_CALL = 2 };

static const struct store_options read_write = {.access = STORE_READ_WRITE};

struct run {
    char *folder, *cut_folder;
    struct store *store;
    unsigned begun;   /* the commit that is being made, or the last one */
    unsigned certain; /* the last one that no cut may take */
    unsigned cuts, lost;
};

/* --- what commits do --- */

static bool writes(unsigned commit, unsigned key)
{
    const unsigned question[] = {commit, key};

    return commit > 0 && (commit == 1 || hash64(span_of(question, sizeof(question))) % 16 == 0);
}

/* The commit that wrote the key last. */
static unsigned writer_of(unsigned commit, unsigned key)
{
    while (commit > 0 && !writes(commit, key))
        commit--;
    return commit;
}

static struct span key_of(unsigned key, char text[8])
{
    int length = snprintf(text, 8, "k%04u", key);

    return span_of(text, (size_t)length);
}

static void put_all(struct run *run, unsigned commit, struct store_writer **ret_writer)
{
    struct err err;
    uint8_t value[VALUE_BYTES];
    char text[8];

    assert_ok(store_write_begin(run->store, ret_writer, &err));
    memset(value, (int)commit, sizeof(value));
    for (unsigned key = 0; key < KEYS; key++)
        if (writes(commit, key))
            assert_ok(store_put(*ret_writer, TABLE_MARKS, key_of(key, text), span_of(value, sizeof(value)), &err));
}

/* --- what is left of them --- */

static unsigned commit_found(struct store_reader *reader)
{
    struct span value;
    struct err err;
    unsigned newest = 0;
    char text[8];

    for (unsigned key = 0; key < KEYS; key++) {
        int rc = store_find(reader, TABLE_MARKS, key_of(key, text), &value, &err);
        if (rc == ERR_ABSENT)
            continue;
        assert_ok(rc);
        assert_int_equal(value.len, VALUE_BYTES);
        if (*span_bytes(value) > newest)
            newest = *span_bytes(value);
    }
    return newest;
}

static void assert_whole(struct store_reader *reader, unsigned commit)
{
    struct span value;
    struct err err;
    char text[8];

    for (unsigned key = 0; commit > 0 && key < KEYS; key++) {
        assert_ok(store_find(reader, TABLE_MARKS, key_of(key, text), &value, &err));
        for (size_t i = 0; i < value.len; i++)
            assert_int_equal(span_bytes(value)[i], writer_of(commit, key));
    }
}

static void cut(struct run *run, uint64_t seed)
{
    struct store *store = NULL;
    struct store_reader *reader = NULL;
    struct err err;
    char *path = mem_format("%s/data.mdb", run->cut_folder);

    power_cut_write(path, seed);
    assert_ok(store_open(run->cut_folder, &read_write, &store, &err));
    assert_ok(store_reader_open(store, &reader, &err));
    assert_ok(store_read_begin(reader, &err));
    unsigned found = commit_found(reader);
    assert_whole(reader, found);
    if (found < run->certain || found > run->begun)
        fail_msg("cut %u: holds commit %u; %u was promised, %u begun", run->cuts, found, run->certain, run->begun);
    store_reader_close(&reader);
    store_close(&store);
    free(path);
    run->cuts++;
    run->lost += found < run->begun;
}

static void cut_here(void *self)
{
    struct run *run = self;

    for (unsigned i = 0; i < CUTS_OF_A_CALL; i++)
        cut(run, run->cuts);
}

/* --- tests --- */

static void run_begin(struct run *run)
{
    struct err err;

    *run = (struct run){.folder = scratch_folder_make(), .cut_folder = scratch_folder_make()};
    assert_ok(store_open(run->folder, &read_write, &run->store, &err));
    char *path = mem_format("%s/data.mdb", run->folder);
    power_cut_watch(path);
    power_cut_at_each_call(cut_here, run);
    free(path);
}

static void run_end(struct run *run)
{
    store_close(&run->store);
    power_cut_end();
    scratch_folder_remove(&run->folder);
    scratch_folder_remove(&run->cut_folder);
}

static void a_cut_leaves_one_commit_whole_and_takes_at_most_the_last_relaxed_one(void **state)
{
    struct run run;
    struct store_writer *writer = NULL;
    struct err err;

    (void)state;
    run_begin(&run);
    for (unsigned commit = 1; commit <= COMMITS; commit++) {
        bool is_relaxed = commit % 7 != 0;
        put_all(&run, commit, &writer);
        run.begun = commit;
        if (is_relaxed)
            assert_ok(store_commit_relaxed(&writer, &err));
        else
            assert_ok(store_commit(&writer, &err));
        run.certain = is_relaxed ? commit - 1 : commit;
        cut_here(&run);
    }
    assert_true(run.cuts > COMMITS * 10);
    assert_true(run.lost > COMMITS); /* or nothing was ever left to be synced */
    run_end(&run);
}

/* Without it the page that makes the last relaxed commit count stays with the kernel: some cuts take it. */
static void a_sync_a_close_and_a_commit_of_nothing_make_the_last_relaxed_commit_certain(void **state)
{
    struct run run;
    struct store_writer *writer = NULL;
    struct err err;

    (void)state;
    for (unsigned way = 0; way < 3; way++) {
        run_begin(&run);
        put_all(&run, 1, &writer);
        run.begun = 1;
        assert_ok(store_commit_relaxed(&writer, &err));
        if (way == 0) {
            assert_ok(store_sync(run.store, &err));
        } else if (way == 1) {
            store_close(&run.store);
        } else {
            assert_ok(store_write_begin(run.store, &writer, &err));
            assert_ok(store_commit(&writer, &err));
        }
        run.certain = 1;
        for (unsigned i = 0; i < 20; i++)
            cut_here(&run);
        run_end(&run);
    }
}

static void nothing_is_committed_behind_a_sync_that_failed(void **state)
{
    struct run run;
    struct store_writer *writer = NULL;
    struct err err;

    (void)state;
    run_begin(&run);
    put_all(&run, 1, &writer);
    run.begun = 1;
    assert_ok(store_commit_relaxed(&writer, &err));
    power_cut_fail_next_sync();
    assert_int_equal(store_sync(run.store, &err), ERR_BROKEN);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(store_write_begin(run.store, &writer, &err), ERR_BROKEN);
    assert_null(writer);
    cut_here(&run); /* what was on the disk before is still whole */
    run_end(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_leaves_one_commit_whole_and_takes_at_most_the_last_relaxed_one),
        cmocka_unit_test(a_sync_a_close_and_a_commit_of_nothing_make_the_last_relaxed_commit_certain),
        cmocka_unit_test(nothing_is_committed_behind_a_sync_that_failed),
    };

    return cmocka_run_group_tests_name("a power cut", tests, NULL, NULL);
}
