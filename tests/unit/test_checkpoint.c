/* What is found of a writer's commits by those who open the store after its end, in the same boot of the machine and in the
 * next one. What the disk may have kept at a power cut is test_power_cut.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "schema/base/mem.h"
#include "schema/store/store.h"
#include "scratch_folder.h"
#include "tests/unit/assert_ok.h"
#include "tests/unit/counted_boots.h"
#include "tests/unit/isolated.h"

struct fixture {
    char *folder;
    struct counted_boots machine;
    struct isolated writer;
};

static int set_up(void **state)
{
    struct fixture *fixture = mem_zero(1, sizeof(*fixture));

    fixture->folder = scratch_folder_make();
    counted_boots_init(&fixture->machine);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    scratch_folder_remove(&fixture->folder);
    free(fixture);
    return 0;
}

static int open_store(const struct fixture *fixture, enum store_access access, struct store **ret_store,
                      struct err *err)
{
    struct store_options options = {.access = access, .platform = &fixture->machine.platform};

    return store_open(fixture->folder, &options, ret_store, err);
}

/* --- a process that commits three times, syncs the second, and waits for its end --- */

static int commit(struct store *store, const char *key, bool is_relaxed, struct err *err)
{
    struct store_writer *writer = NULL;

    int rc = store_write_begin(store, &writer, err);
    if (rc == 0)
        rc = store_put(writer, TABLE_MARKS, span_of_text(key), SPAN_LITERAL("1"), err);
    if (rc == 0)
        rc = is_relaxed ? store_commit_relaxed(&writer, err) : store_commit(&writer, err);
    store_abort(&writer);
    return rc;
}

static int write_and_wait(void *argument)
{
    struct store *store = NULL;
    struct err err = {0};

    int rc = open_store(argument, STORE_READ_WRITE, &store, &err);
    if (rc == 0)
        rc = commit(store, "durable", false, &err);
    if (rc == 0)
        rc = commit(store, "synced", true, &err);
    if (rc == 0)
        rc = store_sync(store, &err);
    if (rc == 0)
        rc = commit(store, "relaxed", true, &err);
    if (rc < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    isolated_ready_and_wait();
    return 0;
}

static void write_and_be_killed(struct fixture *fixture)
{
    isolated_start(ISOLATED_PROCESS, write_and_wait, fixture, &fixture->writer);
    isolated_kill(&fixture->writer);
}

/* --- what is found --- */

static bool has(struct store *store, const char *key)
{
    struct store_reader *reader = NULL;
    struct span value;
    struct err err;

    assert_ok(store_reader_open(store, &reader, &err));
    assert_ok(store_read_begin(reader, &err));
    int rc = store_find(reader, TABLE_MARKS, span_of_text(key), &value, &err);
    assert_true(rc == 0 || rc == ERR_ABSENT);
    store_reader_close(&reader);
    return rc == 0;
}

static void assert_holds(const struct fixture *fixture, enum store_access access, bool has_relaxed)
{
    struct store *store = NULL;
    struct err err = {0};

    if (open_store(fixture, access, &store, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(has(store, "durable"));
    assert_true(has(store, "synced"));
    assert_int_equal(has(store, "relaxed"), has_relaxed);
    store_close(&store);
}

static char *checkpoint_path(const struct fixture *fixture)
{
    return mem_format("%s/checkpoint", fixture->folder);
}

static bool has_checkpoint(const struct fixture *fixture)
{
    char *path = checkpoint_path(fixture);
    bool is_there = access(path, F_OK) == 0;

    free(path);
    return is_there;
}

static void in_the_same_boot_all_is_there_and_a_writer_makes_the_checkpoint_needless(void **state)
{
    struct fixture *fixture = *state;

    write_and_be_killed(fixture);
    assert_holds(fixture, STORE_READ_ONLY, true);
    assert_true(has_checkpoint(fixture));
    assert_holds(fixture, STORE_READ_WRITE, true);
    assert_false(has_checkpoint(fixture));
    fixture->machine.boot++;
    assert_holds(fixture, STORE_READ_ONLY, true);
}

static void in_the_next_boot_whoever_comes_first_goes_back_to_the_checkpoint(void **state)
{
    struct fixture *fixture = *state;
    const enum store_access first[] = {STORE_READ_ONLY, STORE_READ_WRITE};

    for (size_t i = 0; i < ARRAY_COUNT(first); i++) {
        write_and_be_killed(fixture);
        fixture->machine.boot++;
        assert_holds(fixture, first[i], false);
        assert_false(has_checkpoint(fixture));
        assert_holds(fixture, STORE_READ_WRITE, false);
        scratch_folder_remove(&fixture->folder);
        fixture->folder = scratch_folder_make();
    }
}

static void what_follows_a_restored_store_is_kept(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = NULL;
    struct err err = {0};

    write_and_be_killed(fixture);
    fixture->machine.boot++;
    assert_ok(open_store(fixture, STORE_READ_WRITE, &store, &err));
    assert_ok(commit(store, "relaxed", true, &err));
    store_close(&store);
    fixture->machine.boot++;
    assert_holds(fixture, STORE_READ_ONLY, true);
}

static void a_store_that_somebody_has_open_is_not_set_back(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = NULL;
    struct err err = {0};

    isolated_start(ISOLATED_PROCESS, write_and_wait, fixture, &fixture->writer);
    char *named = mem_format("process %d has it open", (int)fixture->writer.pid);
    fixture->machine.boot++;
    assert_int_equal(open_store(fixture, STORE_READ_ONLY, &store, &err), ERR_AGAIN);
    assert_non_null(strstr(err.text, named));
    isolated_kill(&fixture->writer);
    assert_holds(fixture, STORE_READ_ONLY, false);
    free(named);
}

static void a_damaged_checkpoint_is_named(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = NULL;
    struct err err = {0};
    char *path = checkpoint_path(fixture);

    write_and_be_killed(fixture);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(open_store(fixture, STORE_READ_WRITE, &store, &err), ERR_BROKEN);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, "rebuild the store from Kafka"));
    free(path);
}

static int open_without_leave_to_write(void *argument)
{
    const struct fixture *fixture = argument;
    struct store *store = NULL;
    struct err err = {0};
    char *path = checkpoint_path(fixture);

    if (chmod(path, 0444) != 0 || chmod(fixture->folder, 0755) != 0 || (geteuid() == 0 && setuid(65534) != 0))
        return 1;
    free(path);
    int rc = open_store(fixture, STORE_READ_ONLY, &store, &err);
    if (rc != ERR_AGAIN || strstr(err.text, "start tarn-projector") == NULL) {
        fprintf(stderr, "%d: %s\n", rc, err.text);
        return 2;
    }
    return 0;
}

static void a_reader_that_may_not_write_is_told_who_has_to_come_first(void **state)
{
    struct fixture *fixture = *state;

    write_and_be_killed(fixture);
    fixture->machine.boot++;
    assert_int_equal(isolated_run(ISOLATED_PROCESS, open_without_leave_to_write, fixture), 0);
    char *path = checkpoint_path(fixture);
    assert_int_equal(chmod(path, 0600), 0);
    free(path);
    assert_holds(fixture, STORE_READ_WRITE, false);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(in_the_same_boot_all_is_there_and_a_writer_makes_the_checkpoint_needless),
        TEST(in_the_next_boot_whoever_comes_first_goes_back_to_the_checkpoint),
        TEST(what_follows_a_restored_store_is_kept),
        TEST(a_store_that_somebody_has_open_is_not_set_back),
        TEST(a_damaged_checkpoint_is_named),
        TEST(a_reader_that_may_not_write_is_told_who_has_to_come_first),
    };

    return cmocka_run_group_tests_name("checkpoint", tests, NULL, NULL);
}
