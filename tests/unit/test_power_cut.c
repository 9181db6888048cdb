/* The power goes off behind each system call of a run of commits: whatever the disk has kept of what wasn't synced, the
 * store opens in the next boot, holds what one commit left, whole, and lacks none that was brought to the disk. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "schema/base/hash.h"
#include "schema/base/mem.h"
#include "schema/store/checkpoint.h"
#include "schema/store/store.h"
#include "scratch_folder.h"
#include "tests/unit/assert_ok.h"
#include "tests/unit/counted_boots.h"
#include "tests/unit/power_cut.h"

enum { COMMITS = 28, KEYS = 200, VALUE_BYTES = 300, CUTS_OF_A_CALL = 2 };

struct run {
    char *folder, *cut_folder;
    struct counted_boots machine;
    pthread_t committer;
    struct store *store;
    atomic_uint begun;   /* the commit that is being made, or the last one */
    atomic_uint made;    /* the last one that has ended */
    atomic_uint certain; /* the last one that no cut may take */
    unsigned cuts, lost;
};

static struct store_options read_write_of(const struct run *run)
{
    return (struct store_options){.access = STORE_READ_WRITE, .platform = &run->machine.platform};
}

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

static unsigned assert_whole_in(struct run *run, const char *folder)
{
    struct store_options options = read_write_of(run);
    struct store *store = NULL;
    struct store_reader *reader = NULL;
    struct err err = {0};

    if (store_open(folder, &options, &store, &err) < 0)
        fail_msg("cut %u: %s", run->cuts, err.text);
    assert_ok(store_reader_open(store, &reader, &err));
    assert_ok(store_read_begin(reader, &err));
    unsigned found = commit_found(reader);
    assert_whole(reader, found);
    store_reader_close(&reader);
    store_close(&store);
    return found;
}

static void cut(struct run *run, uint64_t seed)
{
    power_cut_write(run->cut_folder, seed);
    run->machine.boot++;
    unsigned found = assert_whole_in(run, run->cut_folder);
    run->machine.boot--;
    if (found < run->certain || found > run->begun)
        fail_msg("cut %u: holds commit %u; %u was promised, %u begun", run->cuts, found, run->certain, run->begun);
    run->cuts++;
    run->lost += found < run->begun;
}

static void cut_here(void *self)
{
    struct run *run = self;

    if (!pthread_equal(pthread_self(), run->committer))
        return; /* what it fails by is the test's own thread's */
    for (unsigned i = 0; i < CUTS_OF_A_CALL; i++)
        cut(run, run->cuts);
}

/* --- tests --- */

static void run_begin(struct run *run)
{
    struct err err;

    *run = (struct run){.folder = scratch_folder_make(), .cut_folder = scratch_folder_make()};
    counted_boots_init(&run->machine);
    run->committer = pthread_self();
    struct store_options options = read_write_of(run);
    assert_ok(store_open(run->folder, &options, &run->store, &err));
    power_cut_watch(run->folder);
    power_cut_at_each_call(cut_here, run);
}

static void run_end(struct run *run)
{
    store_close(&run->store);
    power_cut_end();
    scratch_folder_remove(&run->folder);
    scratch_folder_remove(&run->cut_folder);
}

static void commit(struct run *run, unsigned number, bool is_relaxed)
{
    struct store_writer *writer = NULL;
    struct err err;

    put_all(run, number, &writer);
    run->begun = number;
    assert_ok(is_relaxed ? store_commit_relaxed(&writer, &err) : store_commit(&writer, &err));
    run->made = number;
    if (!is_relaxed)
        run->certain = number;
}

static void sync_all(struct run *run)
{
    struct err err;
    unsigned made = run->made;

    assert_ok(store_sync(run->store, &err));
    if (made > run->certain)
        run->certain = made;
}

static void a_cut_leaves_one_commit_whole_and_takes_none_that_was_synced(void **state)
{
    struct run run;

    (void)state;
    run_begin(&run);
    for (unsigned number = 1; number <= COMMITS; number++) {
        commit(&run, number, number % 11 != 0);
        if (number % 4 == 0)
            sync_all(&run);
        cut_here(&run);
    }
    assert_true(run.cuts > COMMITS * 10);
    assert_true(run.lost > COMMITS); /* or nothing was ever left to be synced */
    run_end(&run);
}

static void *sync_over_and_over(void *self)
{
    struct run *run = self;

    while (run->made < COMMITS)
        sync_all(run);
    return NULL;
}

static void one_thread_may_sync_while_another_commits(void **state)
{
    struct run run;
    pthread_t thread;

    (void)state;
    run_begin(&run);
    commit(&run, 1, true);
    assert_int_equal(pthread_create(&thread, NULL, sync_over_and_over, &run), 0);
    for (unsigned number = 2; number <= COMMITS; number++)
        commit(&run, number, number % 11 != 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    sync_all(&run);
    cut_here(&run);
    assert_int_equal(run.certain, COMMITS);
    assert_true(run.lost > COMMITS);
    run_end(&run);
}

static void a_relaxed_commit_syncs_nothing(void **state)
{
    struct run run;

    (void)state;
    run_begin(&run);
    power_cut_at_each_call(NULL, NULL);
    commit(&run, 1, true); /* makes the first checkpoint */
    assert_true(power_cut_takes_something());
    power_cut_fail_next_sync(); /* which there isn't */
    for (unsigned number = 2; number <= COMMITS; number++)
        commit(&run, number, true);
    struct err err;
    assert_int_equal(store_sync(run.store, &err), ERR_BROKEN);
    run_end(&run);
}

static void a_disk_that_is_left_behind_is_waited_for(void **state)
{
    struct run run;

    (void)state;
    run_begin(&run);
    power_cut_at_each_call(NULL, NULL);
    for (unsigned i = 0; i <= CHECKPOINT_AHEAD_MAX; i++)
        commit(&run, 1 + i % 2, true);
    run.certain = 2; /* and not 0 */
    run.begun = 2;
    for (unsigned i = 0; i < 20; i++)
        cut_here(&run);
    run_end(&run);
}

static void a_sync_a_close_and_a_commit_of_nothing_bring_the_last_relaxed_commit_to_the_disk(void **state)
{
    struct run run;
    struct store_writer *writer = NULL;
    struct err err;

    (void)state;
    for (unsigned way = 0; way < 3; way++) {
        run_begin(&run);
        commit(&run, 1, true);
        if (way == 0) {
            assert_ok(store_sync(run.store, &err));
        } else if (way == 1) {
            store_close(&run.store);
        } else {
            assert_ok(store_write_begin(run.store, &writer, &err));
            assert_ok(store_commit(&writer, &err));
        }
        run.certain = 1;
        assert_false(power_cut_takes_something());
        char *path = mem_format("%s/checkpoint", run.folder);
        assert_int_equal(access(path, F_OK), way == 1 ? -1 : 0); /* what was closed needs none */
        free(path);
        for (unsigned i = 0; i < 20; i++)
            cut_here(&run);
        run_end(&run);
    }
}

/* What a process that was killed leaves: all that it wrote, as its kernel goes on. */
static void copy_as_seen(struct run *run)
{
    char *command = mem_format("cp '%s'/data.mdb '%s'/checkpoint '%s'", run->folder, run->folder, run->cut_folder);

    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a test's own folders */
    free(command);
}

static void a_killed_writer_loses_nothing_and_the_next_one_syncs_it_before_it_writes(void **state)
{
    struct run run;
    struct err err;
    struct store *store = NULL;

    (void)state;
    run_begin(&run);
    power_cut_at_each_call(NULL, NULL);
    for (unsigned number = 1; number <= COMMITS; number++)
        commit(&run, number, true);
    copy_as_seen(&run);
    assert_int_equal(assert_whole_in(&run, run.cut_folder), COMMITS);

    copy_as_seen(&run);
    power_cut_watch(run.cut_folder);
    power_cut_fail_next_sync();
    struct store_options options = read_write_of(&run);
    assert_int_equal(store_open(run.cut_folder, &options, &store, &err), ERR_BROKEN);
    assert_non_null(strstr(err.text, "can't be synced"));
    power_cut_end();
    run_end(&run);
}

static void after_a_sync_that_failed_nothing_is_committed_and_a_start_goes_back(void **state)
{
    struct run run;
    struct store_writer *writer = NULL;
    struct err err;

    (void)state;
    run_begin(&run);
    commit(&run, 1, true);
    sync_all(&run);
    commit(&run, 2, true);
    power_cut_fail_next_sync();
    assert_int_equal(store_sync(run.store, &err), ERR_BROKEN);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(store_write_begin(run.store, &writer, &err), ERR_BROKEN);
    assert_null(writer);
    store_close(&run.store);
    power_cut_end();
    assert_int_equal(assert_whole_in(&run, run.folder), 1); /* in the same boot */
    run_end(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_leaves_one_commit_whole_and_takes_none_that_was_synced),
        cmocka_unit_test(one_thread_may_sync_while_another_commits),
        cmocka_unit_test(a_relaxed_commit_syncs_nothing),
        cmocka_unit_test(a_disk_that_is_left_behind_is_waited_for),
        cmocka_unit_test(a_sync_a_close_and_a_commit_of_nothing_bring_the_last_relaxed_commit_to_the_disk),
        cmocka_unit_test(a_killed_writer_loses_nothing_and_the_next_one_syncs_it_before_it_writes),
        cmocka_unit_test(after_a_sync_that_failed_nothing_is_committed_and_a_start_goes_back),
    };

    return cmocka_run_group_tests_name("a power cut", tests, NULL, NULL);
}
