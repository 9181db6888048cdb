/* DIR/lock: one holder, known to the others, gone with its process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "isolated.h"
#include "schema/base/clock.h"
#include "schema/base/mem.h"
#include "schema/store/lock.h"
#include "scratch_folder.h"

static int set_up(void **state)
{
    *state = scratch_folder_make();
    return 0;
}

static int tear_down(void **state)
{
    char *folder = *state;

    scratch_folder_remove(&folder);
    return 0;
}

static int take_and_wait(void *folder)
{
    struct lock *lock = NULL;
    struct err err = {0};

    if (lock_take(folder, "tarn-projector run", &lock, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    isolated_ready_and_wait();
    return 0;
}

static int take_and_go(void *folder)
{
    struct lock *lock = NULL;
    struct err err = {0};

    return lock_take(folder, "tarn-projector rebuild", &lock, &err) == 0 ? 0 : 1;
}

static void one_process_writes_and_the_others_are_told_which(void **state)
{
    const char *folder = *state;
    struct lock *lock = NULL;
    struct err err = {0};
    struct isolated child;

    isolated_start(ISOLATED_PROCESS, take_and_wait, *state, &child);
    assert_int_equal(lock_take(folder, "tarn-projector digest", &lock, &err), ERR_AGAIN);
    assert_null(lock);
    char *expected = mem_format("tarn-projector run (pid %d on ", (int)child.pid);
    assert_memory_equal(err.text, expected, strlen(expected));
    free(expected);
    expected = mem_format(") writes %s", folder);
    assert_string_equal(err.text + strlen(err.text) - strlen(expected), expected);
    free(expected);
    isolated_kill(&child);
}

static void the_lock_of_a_killed_process_is_free(void **state)
{
    struct lock *lock = NULL;
    struct err err = {0};
    struct isolated child;

    isolated_start(ISOLATED_PROCESS, take_and_wait, *state, &child);
    isolated_kill(&child);
    assert_int_equal(lock_take(*state, "tarn-projector run", &lock, &err), 0);
    lock_release(&lock);
    assert_null(lock);
}

static void the_lock_is_seen_from_another_pid_namespace(void **state)
{
    struct lock *lock = NULL;
    struct err err = {0};
    struct isolated child;

    isolated_start(ISOLATED_PID_NAMESPACE, take_and_wait, *state, &child);
    assert_int_equal(lock_take(*state, "tarn-projector run", &lock, &err), ERR_AGAIN);
    assert_non_null(strstr(err.text, "(pid 1 on "));
    isolated_kill(&child);
    assert_int_equal(lock_take(*state, "tarn-projector run", &lock, &err), 0);
    lock_release(&lock);
}

static void a_released_lock_can_be_taken(void **state)
{
    struct lock *lock = NULL;
    struct lock *second = NULL;
    struct err err = {0};

    assert_int_equal(lock_take(*state, "tarn-projector run", &lock, &err), 0);
    assert_int_equal(lock_take(*state, "tarn-projector run", &second, &err), ERR_AGAIN); /* in one process as well */
    lock_release(&lock);
    assert_int_equal(isolated_run(ISOLATED_PROCESS, take_and_go, *state), 0);
    assert_int_equal(lock_take(*state, "tarn-projector run", &lock, &err), 0);
    lock_release(&lock);
}

static void the_holder_is_told_while_it_holds(void **state)
{
    struct lock_holder holder = {.pid = -7};
    struct lock *lock = NULL;
    struct err err = {0};
    int64_t before_ms = clock_wall_ms(&clock_system);

    assert_int_equal(lock_find_holder(*state, &holder, &err), ERR_ABSENT); /* no file yet */
    assert_int_equal(lock_take(*state, "tarn-projector run", &lock, &err), 0);
    assert_int_equal(lock_find_holder(*state, &holder, &err), 0);
    assert_string_equal(holder.program, "tarn-projector run");
    assert_int_equal(holder.pid, getpid());
    assert_true(holder.since_ms >= before_ms && holder.since_ms <= clock_wall_ms(&clock_system));
    assert_true(holder.host[0] != '\0');
    lock_release(&lock);
    assert_int_equal(lock_find_holder(*state, &holder, &err), ERR_ABSENT); /* the file stays, the lock doesn't */
}

/* The one who took it hasn't written its name yet. */
static void a_holder_without_a_name_is_another_process(void **state)
{
    char *path = mem_format("%s/lock", (char *)*state);
    struct lock *lock = NULL;
    struct lock *second = NULL;
    struct err err = {0};

    assert_int_equal(lock_take(*state, "tarn-projector run", &lock, &err), 0);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(lock_take(*state, "tarn-projector run", &second, &err), ERR_AGAIN);
    assert_memory_equal(err.text, "another process writes ", 23);
    lock_release(&lock);
    free(path);
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_folder(one_process_writes_and_the_others_are_told_which),
        with_folder(the_lock_of_a_killed_process_is_free),
        with_folder(the_lock_is_seen_from_another_pid_namespace),
        with_folder(a_released_lock_can_be_taken),
        with_folder(the_holder_is_told_while_it_holds),
        with_folder(a_holder_without_a_name_is_another_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
