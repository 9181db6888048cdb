/* Decisions to drop: remembered over restarts and crashes, each once. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "isolated.h"
#include "schema/base/compiler.h"
#include "schema/base/mem.h"
#include "schema/store/dropped.h"
#include "scratch_folder.h"

static int set_up(void **state)
{
    char *folder = scratch_folder_make();
    char *control = mem_format("%s/control", folder);
    int rc = mkdir(control, 0700);

    free(control);
    *state = folder;
    return rc;
}

static int tear_down(void **state)
{
    char *folder = *state;

    scratch_folder_remove(&folder);
    return 0;
}

static void write_file(const char *folder, const char *text, size_t length)
{
    char *path = mem_format("%s/control/dropped", folder);
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    fclose(file);
    free(path);
}

static void assert_file(const char *folder, const char *expected)
{
    char *path = mem_format("%s/control/dropped", folder);
    char text[4096];
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    size_t length = fread(text, 1, sizeof(text) - 1, file);
    text[length] = '\0';
    fclose(file);
    free(path);
    assert_string_equal(text, expected);
}

static void a_decision_is_there_after_a_restart(void **state)
{
    const struct dropped_event events[] = {{"users", 0, 7}, {"genetics.events", 12, INT64_MAX}};
    const struct dropped_event other = {"users", 0, 8};
    struct dropped *dropped = NULL;
    struct err err = {0};

    assert_int_equal(dropped_open(*state, &dropped, &err), 0);
    assert_false(dropped_contains(dropped, &events[0]));
    assert_int_equal(dropped_add(dropped, events, 2, &err), 0);
    assert_true(dropped_contains(dropped, &events[0]));
    dropped_close(&dropped);
    assert_null(dropped);
    assert_file(*state, "users/0@7\ngenetics.events/12@9223372036854775807\n");

    assert_int_equal(dropped_open(*state, &dropped, &err), 0);
    assert_true(dropped_contains(dropped, &events[0]));
    assert_true(dropped_contains(dropped, &events[1]));
    assert_false(dropped_contains(dropped, &other));
    assert_int_equal(dropped_count(dropped), 2);
    dropped_close(&dropped);
}

static void a_decision_is_written_once(void **state)
{
    const struct dropped_event event = {"users", 0, 7};
    struct dropped *dropped = NULL;
    struct err err = {0};

    assert_int_equal(dropped_open(*state, &dropped, &err), 0);
    assert_int_equal(dropped_add(dropped, &event, 1, &err), 0);
    assert_int_equal(dropped_add(dropped, &event, 1, &err), 0);
    assert_int_equal(dropped_count(dropped), 1);
    assert_file(*state, "users/0@7\n");
    dropped_close(&dropped);
}

static void thousands_are_found(void **state)
{
    struct dropped *dropped = NULL;
    struct err err = {0};

    assert_int_equal(dropped_open(*state, &dropped, &err), 0);
    struct dropped_event *events = mem_zero(5000, sizeof(*events));
    for (int i = 0; i < 5000; i++)
        events[i] = (struct dropped_event){"users", i % 7, i};
    assert_int_equal(dropped_add(dropped, events, 5000, &err), 0);
    dropped_close(&dropped);
    assert_int_equal(dropped_open(*state, &dropped, &err), 0);
    assert_int_equal(dropped_count(dropped), 5000);
    for (int i = 0; i < 5000; i++) {
        assert_true(dropped_contains(dropped, &events[i]));
        events[i].partition++;
        assert_false(dropped_contains(dropped, &events[i]));
    }
    free(events);
    dropped_close(&dropped);
}

/* A crash in the middle of a line, wherever. */
static void a_torn_last_line_is_a_decision_that_was_not_made(void **state)
{
    static const char whole[] = "users/0@7\nusers/0@8123456789\n";
    const struct dropped_event first = {"users", 0, 7};
    const struct dropped_event second = {"users", 0, 8123456789};
    const struct dropped_event torn = {"users", 0, 8};
    const struct dropped_event next = {"users", 1, 9};
    struct err err = {0};

    for (size_t length = 10; length < sizeof(whole) - 1; length++) {
        struct dropped *dropped = NULL;
        write_file(*state, whole, length);
        assert_int_equal(dropped_open(*state, &dropped, &err), 0);
        assert_true(dropped_contains(dropped, &first));
        assert_false(dropped_contains(dropped, &second));
        assert_false(dropped_contains(dropped, &torn));
        assert_int_equal(dropped_add(dropped, &next, 1, &err), 0);
        dropped_close(&dropped);
        assert_file(*state, "users/0@7\nusers/1@9\n");
    }
}

static void a_line_in_the_middle_that_is_none_is_broken(void **state)
{
    static const struct span texts[] = {
        {"users/0@7\nusers\nusers/0@8\n", 26}, {"\n", 1}, {"users/@1\n", 9}, {"users/1@\n", 9},
        {"/1@1\n", 5}, {"users/1@-1\n", 11}, {"us\0rs/1@1\n", 10}, {"users/1@1 \n", 11},
    };
    struct err err = {0};

    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct dropped *dropped = NULL;
        write_file(*state, texts[i].at, texts[i].len);
        assert_int_equal(dropped_open(*state, &dropped, &err), ERR_BROKEN);
        assert_non_null(strstr(err.text, "dropped: line "));
        assert_null(dropped);
    }
}

/* The file may not grow past 40 bytes: the second decision fits, a third would be cut. */
static int add_on_a_full_disk(void *folder)
{
    const struct dropped_event fits[] = {{"users", 0, 7}, {"users", 0, 8}};
    const struct dropped_event too_much[] = {{"users", 0, 9}, {"users", 0, 10}, {"users", 0, 11}};
    struct rlimit limit = {40, 40};
    struct dropped *dropped = NULL;
    struct err err = {0};

    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 1;
    signal(SIGXFSZ, SIG_IGN);
    if (dropped_open(folder, &dropped, &err) != 0 || dropped_add(dropped, fits, 2, &err) != 0)
        return 2;
    if (dropped_add(dropped, too_much, 3, &err) != ERR_FULL)
        return 3;
    if (dropped_count(dropped) != 2 || dropped_contains(dropped, &too_much[0]))
        return 4;
    /* Nor does the next start find the part that fitted. */
    struct dropped *next = NULL;
    if (dropped_open(folder, &next, &err) != 0 || dropped_count(next) != 2)
        return 6;
    dropped_close(&next);
    if (dropped_add(dropped, too_much, 1, &err) != 0 || dropped_count(dropped) != 3)
        return 5;
    dropped_close(&dropped);
    return 0;
}

static void decisions_that_do_not_fit_the_disk_are_not_made_in_part(void **state)
{
    assert_int_equal(isolated_run(ISOLATED_PROCESS, add_on_a_full_disk, *state), 0);
    assert_file(*state, "users/0@7\nusers/0@8\nusers/0@9\n");
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_folder(a_decision_is_there_after_a_restart),
        with_folder(a_decision_is_written_once),
        with_folder(thousands_are_found),
        with_folder(a_torn_last_line_is_a_decision_that_was_not_made),
        with_folder(a_line_in_the_middle_that_is_none_is_broken),
        with_folder(decisions_that_do_not_fit_the_disk_are_not_made_in_part),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
