/* What the running projector leaves for `status`. */
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

#include "projector/live_figures.h"
#include "schema/base/mem.h"
#include "tests/unit/scratch_folder.h"

enum { NOW_MS = 1000000 };

static const struct live_figures example = {
    .written_at_ms = NOW_MS,
    .generations = {{.name = "eda77a-1",
                     .state = "following",
                     .events_per_s = 1234,
                     .time_left_s = -1,
                     .problem = "topic loans, partition 3 is stopped: rewritten"},
                    {.name = "0c77a1-2", .state = "building", .records = 5, .lag = 6, .rate = 7}},
    .count = 2,
};

static int set_up(void **state)
{
    *state = scratch_folder_make();
    return 0;
}

static int tear_down(void **state)
{
    char *directory = *state;

    scratch_folder_remove(&directory);
    return 0;
}

static void write_figures(const char *directory, const struct live_figures *figures)
{
    struct err err = {0};

    if (live_figures_write(directory, figures, &err) != 0)
        fail_msg("%s", err.text);
}

static void write_text(const char *directory, const char *text)
{
    char *folder = mem_format("%s/control", directory);
    char *path = mem_format("%s/live", folder);

    assert_int_equal(mkdir(folder, 0700), 0);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    free(path);
    free(folder);
}

static void what_is_written_is_read_the_newest_of_it(void **state)
{
    struct live_figures first = example, read;
    struct err err = {0};

    first.generations[0].events_per_s = 999999;
    first.generations[0].problem[0] = '\0';
    write_figures(*state, &first); /* makes the folder */
    write_figures(*state, &example);
    assert_int_equal(live_figures_read(*state, NOW_MS, &read, &err), 0);
    assert_int_equal(read.written_at_ms, NOW_MS);
    assert_int_equal(read.count, 2);
    const struct live_generation *served = live_figures_find(&read, "eda77a-1");
    const struct live_generation *built = live_figures_find(&read, "0c77a1-2");
    assert_non_null(served);
    assert_non_null(built);
    assert_null(live_figures_find(&read, "eda77a-2"));
    assert_int_equal(served->events_per_s, 1234);
    assert_int_equal(served->time_left_s, -1);
    assert_string_equal(served->problem, example.generations[0].problem);
    assert_string_equal(built->state, "building");
    assert_int_equal(built->records, 5);
    assert_int_equal(built->lag, 6);
    assert_int_equal(built->rate, 7);
    assert_string_equal(built->problem, "");
}

static void the_longest_problem_is_read_whole_and_no_problem_is_an_empty_one(void **state)
{
    struct live_figures figures = example, read;
    struct err err = {0};

    memset(figures.generations[0].problem, 'x', sizeof(figures.generations[0].problem) - 1);
    figures.generations[0].problem[sizeof(figures.generations[0].problem) - 1] = '\0';
    write_figures(*state, &figures);
    assert_int_equal(live_figures_read(*state, NOW_MS, &read, &err), 0);
    assert_string_equal(read.generations[0].problem, figures.generations[0].problem);

    figures.generations[0].problem[0] = '\0';
    write_figures(*state, &figures);
    assert_int_equal(live_figures_read(*state, NOW_MS, &read, &err), 0);
    assert_string_equal(read.generations[0].problem, "");
}

static void figures_of_a_projector_that_stopped_telling_are_none(void **state)
{
    struct live_figures read = {.count = 7};
    struct err err = {0};

    assert_int_equal(live_figures_read(*state, NOW_MS, &read, &err), ERR_ABSENT);
    write_figures(*state, &example);
    assert_int_equal(live_figures_read(*state, NOW_MS + LIVE_FIGURES_AGE_MS, &read, &err), 0);
    read.count = 7;
    assert_int_equal(live_figures_read(*state, NOW_MS + LIVE_FIGURES_AGE_MS + 1, &read, &err), ERR_ABSENT);
    assert_int_equal(read.count, 7); /* untouched */
}

static void a_file_that_is_no_such_file_is_none(void **state)
{
    struct live_figures read;
    struct err err = {0};

    write_text(*state, "written_at_msoon 12\n\n\nproblem\nnonsense");
    assert_int_equal(live_figures_read(*state, NOW_MS, &read, &err), ERR_ABSENT);
}

static void a_text_that_is_too_long_is_cut_where_it_would_not_fit(void **state)
{
    char generation[201], *text = NULL;
    struct live_figures read;
    struct err err = {0};

    memset(generation, 'g', sizeof(generation) - 1);
    generation[sizeof(generation) - 1] = '\0';
    text = mem_format("written_at_ms %d\ngeneration %s\n", NOW_MS, generation);
    write_text(*state, text);
    assert_int_equal(live_figures_read(*state, NOW_MS, &read, &err), 0);
    assert_int_equal(strlen(read.generations[0].name), sizeof(read.generations[0].name) - 1);
    free(text);
}

static void nothing_is_left_beside_the_file(void **state)
{
    char *beside = mem_format("%s/control/.live.tmp", (char *)*state);

    write_figures(*state, &example);
    assert_int_equal(access(beside, F_OK), -1);
    free(beside);
}

static void figures_for_a_store_that_is_gone_are_a_fault_that_names_the_file(void **state)
{
    char *nowhere = mem_format("%s/nowhere", (char *)*state);
    struct err err = {0};

    assert_int_equal(live_figures_write(nowhere, &example, &err), ERR_BROKEN);
    assert_non_null(strstr(err.text, "nowhere/control/live"));
    free(nowhere);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_is_read_the_newest_of_it),
        TEST(the_longest_problem_is_read_whole_and_no_problem_is_an_empty_one),
        TEST(figures_of_a_projector_that_stopped_telling_are_none),
        TEST(a_file_that_is_no_such_file_is_none),
        TEST(a_text_that_is_too_long_is_cut_where_it_would_not_fit),
        TEST(nothing_is_left_beside_the_file),
        TEST(figures_for_a_store_that_is_gone_are_a_fault_that_names_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
