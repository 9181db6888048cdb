/* DIR/serving: what it says, how it changes, and that a file that isn't understood is refused. */
#include "schema/store/serving.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/base/hash.h"
#include "schema/base/mem.h"
#include "schema/store/durable.h"
#include "schema/store/generation.h"
#include "tests/unit/scratch_folder.h"

#define A "7f3a9c-1"
#define B "91bd0e-1"
#define C "6aa01c-3"

static int set_up(void **state)
{
    struct err err = {0};

    *state = scratch_folder_make();
    return store_directory_prepare(*state, &err);
}

static int tear_down(void **state)
{
    char *folder = *state;

    scratch_folder_remove(&folder);
    return 0;
}

static struct serving started(void)
{
    struct serving serving;

    serving_start(&serving, A, 1000);
    return serving;
}

/* "A 90 B 10; was ...; retain ..." as one text. */
static const char *shown(const struct serving *serving)
{
    static char text[2000];
    size_t at = 0;

    for (size_t i = 0; i < serving->now.count; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s %u", i ? " " : "", serving->now.shares[i].name,
                               serving->now.shares[i].percent);
    for (size_t i = 0; i < serving->past_count; i++) {
        at += (size_t)snprintf(text + at, sizeof(text) - at, "; %s", serving->past[i].is_undone ? "undone" : "was");
        for (size_t j = 0; j < serving->past[i].served.count; j++)
            at += (size_t)snprintf(text + at, sizeof(text) - at, " %s %u", serving->past[i].served.shares[j].name,
                                   serving->past[i].served.shares[j].percent);
    }
    for (size_t i = 0; i < serving->retained_count; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "; retain %s", serving->retained[i].name);
    return text;
}

static void promote(struct serving *serving, const char *name, unsigned percent)
{
    struct err err = {0};

    assert_int_equal(serving_promote(serving, name, percent, 2000, 0, &err), 0);
}

/* --- changes --- */

static void a_share_grows_until_the_candidate_is_the_incumbent(void **state)
{
    struct serving serving = started();

    (void)state;
    promote(&serving, B, 10);
    assert_string_equal(shown(&serving), A " 90 " B " 10; was " A " 100");
    promote(&serving, B, 60);
    assert_string_equal(shown(&serving), A " 40 " B " 60; was " A " 90 " B " 10; was " A " 100");
    promote(&serving, B, 100);
    assert_string_equal(shown(&serving), B " 100; was " A " 40 " B " 60; was " A " 90 " B " 10; was " A " 100; retain " A);
}

static void asking_for_what_is_there_changes_nothing(void **state)
{
    struct serving serving = started();

    (void)state;
    promote(&serving, A, 100);
    promote(&serving, B, 0);
    assert_string_equal(shown(&serving), A " 100");
    promote(&serving, B, 30);
    promote(&serving, B, 30);
    assert_string_equal(shown(&serving), A " 70 " B " 30; was " A " 100");
}

static void a_candidate_gives_its_share_back_and_is_retained(void **state)
{
    struct serving serving = started();

    (void)state;
    promote(&serving, B, 30);
    promote(&serving, B, 0);
    assert_string_equal(shown(&serving), A " 100; undone " A " 70 " B " 30; was " A " 100; retain " B);
    promote(&serving, B, 50);
    assert_null(serving_find_retained(&serving, B));
}

static void a_third_and_the_incumbent_get_no_share(void **state)
{
    struct serving serving = started();
    struct err err = {0};

    (void)state;
    assert_int_equal(serving_promote(&serving, A, 50, 2000, 0, &err), ERR_INPUT);
    promote(&serving, B, 30);
    assert_int_equal(serving_promote(&serving, C, 10, 2000, 0, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "--traffic 0"));
    assert_int_equal(serving_promote(&serving, B, 101, 2000, 0, &err), ERR_INPUT);
    assert_string_equal(shown(&serving), A " 70 " B " 30; was " A " 100");
    promote(&serving, C, 100);
    assert_string_equal(shown(&serving), C " 100; was " A " 70 " B " 30; was " A " 100; retain " A "; retain " B);
}

static void a_roll_back_goes_to_what_was_before_and_not_to_what_was_undone(void **state)
{
    struct serving serving = started();
    struct err err = {0};

    (void)state;
    assert_int_equal(serving_roll_back(&serving, 3000, &err), ERR_ABSENT);
    promote(&serving, B, 100);
    promote(&serving, C, 100);
    assert_int_equal(serving_roll_back(&serving, 3000, &err), 0);
    assert_string_equal(shown(&serving), B " 100; undone " C " 100; was " A " 100; retain " A "; retain " C);
    assert_int_equal(serving.now.since_ms, 3000);
    assert_int_equal(serving_roll_back(&serving, 4000, &err), 0);
    assert_string_equal(shown(&serving), A " 100; undone " B " 100; undone " C " 100; retain " C "; retain " B);
    assert_int_equal(serving_roll_back(&serving, 5000, &err), ERR_ABSENT);
}

static void a_roll_back_passes_the_shares_by_that_led_to_what_is_served(void **state)
{
    struct serving serving = started();
    struct err err = {0};

    (void)state;
    promote(&serving, B, 10);
    promote(&serving, B, 40);
    promote(&serving, B, 100);
    assert_int_equal(serving_roll_back(&serving, 3000, &err), 0);
    assert_string_equal(shown(&serving),
                        A " 100; undone " B " 100; undone " A " 60 " B " 40; undone " A " 90 " B " 10; retain " B);
    assert_int_equal(serving_roll_back(&serving, 4000, &err), ERR_ABSENT);
    promote(&serving, B, 10);
    promote(&serving, B, 40);
    assert_int_equal(serving_roll_back(&serving, 5000, &err), 0);
    assert_int_equal(serving_percent(&serving, A), 100);
}

static void a_roll_back_goes_back_to_shares_that_were_served_before_a_third(void **state)
{
    struct serving serving = started();
    struct err err = {0};

    (void)state;
    promote(&serving, B, 50);
    promote(&serving, C, 100);
    assert_int_equal(serving_roll_back(&serving, 3000, &err), 0);
    assert_int_equal(serving_percent(&serving, A), 50);
    assert_int_equal(serving_percent(&serving, B), 50);
}

static void a_roll_back_doesn_t_bring_a_share_again_that_was_taken_back(void **state)
{
    struct serving serving = started();
    struct err err = {0};

    (void)state;
    promote(&serving, B, 100);
    promote(&serving, C, 10);
    promote(&serving, C, 0);
    assert_int_equal(serving_roll_back(&serving, 3000, &err), 0);
    assert_int_equal(serving_percent(&serving, A), 100);
}

static void the_same_promotion_again_changes_until_when_the_former_is_retained(void **state)
{
    struct serving serving = started();
    struct err err = {0};

    (void)state;
    promote(&serving, B, 100);
    promote(&serving, C, 10);
    promote(&serving, C, 100);
    assert_int_equal(serving_promote(&serving, C, 100, 9000, 5000, &err), 0);
    assert_int_equal(serving_find_retained(&serving, B)->until_ms, 5000);
    assert_int_equal(serving_find_retained(&serving, A)->until_ms, 0); /* left by a change before */
    assert_int_equal(serving_promote(&serving, C, 100, 9000, 0, &err), 0);
    assert_int_equal(serving_find_retained(&serving, B)->until_ms, 5000);
}

static void a_dropped_generation_is_forgotten_unless_it_is_served(void **state)
{
    struct serving serving = started();
    struct err err = {0};

    (void)state;
    promote(&serving, B, 100);
    promote(&serving, C, 100);
    assert_int_equal(serving_forget(&serving, C, &err), ERR_INPUT);
    assert_int_equal(serving_forget(&serving, B, &err), 0);
    assert_string_equal(shown(&serving), C " 100; was " A " 100; retain " A);
}

static void the_history_keeps_the_newest(void **state)
{
    struct serving serving = started();

    (void)state;
    for (int i = 0; i < SERVING_PAST_MAX; i++) {
        promote(&serving, B, 100);
        promote(&serving, A, 100);
    }
    assert_int_equal(serving.past_count, SERVING_PAST_MAX);
    assert_int_equal(serving.retained_count, 1);
}

/* --- sides --- */

static void an_owner_stays_on_the_candidate_s_side_while_its_share_grows(void **state)
{
    struct serving serving = started();
    unsigned on_candidate[101] = {0};

    (void)state;
    for (unsigned percent = 1; percent < 100; percent++) {
        promote(&serving, B, percent);
        for (uint64_t owner = 0; owner < 2000; owner++) {
            uint64_t hash = hash64(span_of(&owner, sizeof(owner)));
            size_t side = serving_side(&serving.now, hash);
            on_candidate[percent] += side == 1;
            struct serving_shares smaller = serving.now;
            smaller.shares[1].percent = percent - 1;
            if (serving_side(&smaller, hash) == 1)
                assert_int_equal(side, 1);
        }
    }
    assert_in_range(on_candidate[10], 150, 250);
    assert_in_range(on_candidate[50], 900, 1100);
    assert_in_range(on_candidate[99], 1960, 2000);
}

/* --- the file --- */

static void what_is_served_reads_back(void **state)
{
    struct serving serving = started(), read;
    struct err err = {0};

    assert_int_equal(serving_read(*state, &read, &err), ERR_ABSENT);
    promote(&serving, B, 100);
    promote(&serving, C, 20);
    assert_int_equal(serving_roll_back(&serving, 7000, &err), 0);
    assert_int_equal(serving_write(*state, &serving, &err), 0);
    assert_int_equal(serving_read(*state, &read, &err), 0);
    char expected[2000];
    snprintf(expected, sizeof(expected), "%s", shown(&serving));
    assert_string_equal(shown(&read), expected);
    assert_int_equal(read.now.since_ms, 7000);
    assert_int_equal(serving_percent(&read, B), 100);
    assert_int_equal(serving_percent(&read, A), 0);
    assert_int_equal(serving_find_retained(&read, A)->until_ms, 0);
}

static void a_serving_file_that_is_not_understood_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "tarn-serving 1\n" A " 100\n",
        "tarn-serving 2\n" A " 100",
        "tarn-serving 2\n" A "\n",
        "tarn-serving 2\n" A " 90\n",
        "tarn-serving 2\n" A " 90\n" B " 20\n",
        "tarn-serving 2\n" A " 50\n" A " 50\n",
        "tarn-serving 2\n" A " 40\n" B " 30\n" C " 30\n",
        "tarn-serving 2\n" A " 100\nwill " B " 100\n",
        "tarn-serving 2\n" A " 100\nwas 12 " B " 90\n",
        "tarn-serving 2\n" A " 100\nretain x " B "\n",
        "tarn-serving 2\n" A " 100\nretain 12 " B " more\n",
        "tarn-serving 2\n" A " 100 \n",
        "tarn-serving 2\n" A " 0100\n",
        "tarn-serving 2\n../../../etc 100\n",
        "tarn-serving 2\n7777777777777777777777777777777777777777777777777 100\n",
    };
    struct serving serving = {.now = {.since_ms = 77}};
    struct err err = {0};

    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        assert_int_equal(durable_write(*state, "serving", span_of_text(texts[i]), &err), 0);
        assert_int_equal(serving_read(*state, &serving, &err), ERR_INPUT);
        assert_int_equal(serving.now.since_ms, 77);
    }
    assert_int_equal(durable_write(*state, "serving", span_of_text("tarn-serving 2\n"), &err), 0);
    assert_int_equal(serving_read(*state, &serving, &err), ERR_ABSENT);
}

static void nothing_is_served_where_there_is_no_store(void **state)
{
    char *missing = mem_format("%s/missing", (char *)*state);
    struct serving serving;
    struct err err = {0};

    assert_int_equal(serving_read(missing, &serving, &err), ERR_ABSENT);
    free(missing);
}

#define with_directory(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_share_grows_until_the_candidate_is_the_incumbent),
        cmocka_unit_test(asking_for_what_is_there_changes_nothing),
        cmocka_unit_test(a_candidate_gives_its_share_back_and_is_retained),
        cmocka_unit_test(a_third_and_the_incumbent_get_no_share),
        cmocka_unit_test(a_roll_back_goes_to_what_was_before_and_not_to_what_was_undone),
        cmocka_unit_test(a_roll_back_passes_the_shares_by_that_led_to_what_is_served),
        cmocka_unit_test(a_roll_back_goes_back_to_shares_that_were_served_before_a_third),
        cmocka_unit_test(a_roll_back_doesn_t_bring_a_share_again_that_was_taken_back),
        cmocka_unit_test(the_same_promotion_again_changes_until_when_the_former_is_retained),
        cmocka_unit_test(a_dropped_generation_is_forgotten_unless_it_is_served),
        cmocka_unit_test(the_history_keeps_the_newest),
        cmocka_unit_test(an_owner_stays_on_the_candidate_s_side_while_its_share_grows),
        with_directory(what_is_served_reads_back),
        with_directory(a_serving_file_that_is_not_understood_is_refused),
        with_directory(nothing_is_served_where_there_is_no_store),
    };

    return cmocka_run_group_tests_name("serving", tests, NULL, NULL);
}
