/* A writer that is killed at any moment of a commit, while readers have the store open. A reader keeps LMDB's lock file
 * alive, and with it what the writer left there half done; so the kills here come in between the system calls of one
 * commit, which kill_moment.c answers in the C library's place. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "isolated.h"
#include "kill_moment.h"
#include "schema/base/mem.h"
#include "schema/store/store.h"
#include "scratch_folder.h"
#include "tests/unit/assert_ok.h"

static const struct store_options read_write = {.access = STORE_READ_WRITE};
static const struct store_options read_only = {.access = STORE_READ_ONLY};

/* --- processes --- */

struct life {
    const char *folder;
    char value; /* what it writes */
    unsigned kill_at;
};

static const struct span keys[] = {{"a", 1}, {"b", 1}};

static int write_until_killed(void *argument)
{
    const struct life *life = argument;
    struct store *store = NULL;
    struct store_writer *writer = NULL;
    struct err err = {0};

    int rc = store_open(life->folder, &read_write, &store, &err);
    if (rc == 0)
        rc = store_write_begin(store, &writer, &err);
    for (size_t i = 0; rc == 0 && i < ARRAY_COUNT(keys); i++)
        rc = store_put(writer, TABLE_MARKS, keys[i], span_of(&life->value, 1), &err);
    kill_moment_set(life->kill_at);
    if (rc == 0)
        rc = store_commit(&writer, &err);
    kill_moment_set(0);
    store_close(&store);
    if (rc < 0)
        fprintf(stderr, "%s\n", err.text);
    return rc < 0 ? 1 : 0;
}

static int read_and_wait(void *argument)
{
    struct store *store = NULL;
    struct store_reader *reader = NULL;
    struct err err = {0};

    if (store_open(argument, &read_only, &store, &err) != 0 || store_reader_open(store, &reader, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    isolated_ready_and_wait();
    return 0;
}

/* --- tests --- */

static char value_at(struct span value)
{
    assert_int_equal(value.len, 1);
    return (char)*span_bytes(value);
}

/* What the next writer's reader sees before anything is written, and what it will be written upon: the same, or a
 * projector that has gone by the first would apply again what the second has. */
static void check_next_writer(const char *folder, char before, char after, unsigned kill_at)
{
    struct store *store = NULL;
    struct store_reader *reader = NULL;
    struct store_writer *writer = NULL;
    struct err err = {0};

    assert_ok(store_open(folder, &read_write, &store, &err));
    assert_ok(store_reader_open(store, &reader, &err));
    assert_ok(store_read_begin(reader, &err));
    assert_ok(store_write_begin(store, &writer, &err));
    char first = 0;
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        struct span read, written_upon;
        assert_ok(store_find(reader, TABLE_MARKS, keys[i], &read, &err));
        assert_ok(store_writer_find(writer, TABLE_MARKS, keys[i], &written_upon, &err));
        if (value_at(read) != value_at(written_upon))
            fail_msg("killed at moment %u: a reader sees '%c', the next commit builds on '%c'", kill_at, value_at(read),
                     value_at(written_upon));
        assert_true(value_at(read) == before || value_at(read) == after);
        assert_true(i == 0 || value_at(read) == first); /* all of a commit or nothing */
        first = value_at(read);
    }
    store_abort(&writer);
    store_reader_close(&reader);
    store_close(&store);
}

static void a_new_writer_reads_what_it_writes_upon_wherever_the_last_was_killed(void **state)
{
    enum { KILLED = 256 + SIGKILL };
    char *folder = scratch_folder_make();
    struct life life = {folder, '0', 0};
    struct isolated reader;
    int ended = KILLED;

    (void)state;
    assert_int_equal(isolated_run(ISOLATED_PROCESS, write_until_killed, &life), 0);
    isolated_start(ISOLATED_PROCESS, read_and_wait, folder, &reader);
    while (ended == KILLED) {
        char before = life.value;
        struct life whole = {folder, (char)(before + 1), 0};
        life.value = (char)(before + 2);
        life.kill_at++;
        assert_int_equal(isolated_run(ISOLATED_PROCESS, write_until_killed, &whole), 0);
        ended = isolated_run(ISOLATED_PROCESS, write_until_killed, &life);
        check_next_writer(folder, whole.value, life.value, life.kill_at);
    }
    assert_int_equal(ended, 0);
    assert_true(life.kill_at > 6); /* pages, sync, the page that makes them count: before and behind each */
    isolated_kill(&reader);
    scratch_folder_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_writer_reads_what_it_writes_upon_wherever_the_last_was_killed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
