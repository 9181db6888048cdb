/* What holds a generation under construction back: its rate, and the commits of those that people read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "projector/throttle.h"
#include "schema/base/compiler.h"

enum {
    SECOND = 1000 * 1000,
    TURN_US = 10 * 1000,
    LEAST_REST_US = TURN_US, /* on two cores, beside live commits */
};

static int64_t admitted_in(struct throttle *throttle, int64_t from_us, int64_t seconds, int64_t wanted)
{
    int64_t sum = 0;
    for (int64_t at = from_us; at < from_us + seconds * SECOND; at += TURN_US)
        sum += throttle_admit(throttle, at, wanted);
    return sum;
}

static void without_a_rate_everything_is_admitted(void **state)
{
    struct throttle throttle;

    (void)state;
    throttle_init(&throttle, 0, 2, 0);
    assert_int_equal(throttle_admit(&throttle, 0, 4096), 4096);
    assert_int_equal(throttle_admit(&throttle, 0, 4096), 4096);
}

static void a_rate_is_kept_to_whatever_its_size(void **state)
{
    static const int64_t rates[] = {1, 7, 100, 4999, 1000000};

    (void)state;
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct throttle throttle;
        throttle_init(&throttle, rates[i], 2, 0);
        int64_t admitted = admitted_in(&throttle, 0, 20, 1000 * 1000);
        assert_in_range(admitted, rates[i] * 19, rates[i] * 21);
    }
}

static void a_pause_is_not_made_up_for_in_one_go(void **state)
{
    struct throttle throttle;

    (void)state;
    throttle_init(&throttle, 1000, 2, 0);
    assert_in_range(throttle_admit(&throttle, (int64_t)3600 * SECOND, 100000), 1, 100);
}

static void what_is_not_used_may_be_used_later(void **state)
{
    struct throttle throttle;

    (void)state;
    throttle_init(&throttle, 1000, 2, 0);
    int64_t admitted = throttle_admit(&throttle, SECOND / 20, 4096);
    assert_int_equal(admitted, 50);
    throttle_return(&throttle, 30);
    assert_int_equal(throttle_admit(&throttle, SECOND / 20, 4096), 30);
    assert_int_equal(throttle_admit(&throttle, SECOND / 20, 4096), 0);
}

static int64_t rest_after(struct throttle *throttle, struct pressure *pressure, int64_t *now_us, unsigned looks)
{
    int64_t rest = 0;
    for (unsigned i = 0; i < looks; i++) {
        *now_us += SECOND / 10;
        rest = throttle_rest_us(throttle, pressure, *now_us, TURN_US);
    }
    return rest;
}

/* One behind the other, for a while. */
static void commit(struct pressure *pressure, int count, int64_t took_us)
{
    for (int i = 0; i < count; i++)
        pressure_note(pressure, pressure->noted_us + took_us, took_us);
}

/* A generation begins to be built, on two cores, when live commits have taken that long so often. */
static void begin_beside(struct pressure *pressure, struct throttle *throttle, int count, int64_t took_us)
{
    commit(pressure, count, took_us);
    pressure->building = 1;
    throttle_init(throttle, 0, 2, 0);
}

static void it_rests_while_live_commits_take_longer_than_before_and_less_when_they_recover(void **state)
{
    struct pressure pressure = {0};
    struct throttle throttle;
    int64_t now_us = 0;

    (void)state;
    begin_beside(&pressure, &throttle, 1000, 2000);
    assert_int_equal(rest_after(&throttle, &pressure, &now_us, 20), LEAST_REST_US);

    commit(&pressure, 1000, 9000);
    assert_int_equal(pressure.usual_us, 2000);
    int64_t soon = rest_after(&throttle, &pressure, &now_us, 2);
    int64_t later = rest_after(&throttle, &pressure, &now_us, 10);
    assert_true(soon > LEAST_REST_US);
    assert_true(later > soon);
    assert_true(rest_after(&throttle, &pressure, &now_us, 100) <= 200 * 1000);

    commit(&pressure, 1000, 2000);
    assert_int_equal(rest_after(&throttle, &pressure, &now_us, 100), LEAST_REST_US);
}

static void it_begins_with_little_beside_live_commits_and_takes_more_while_they_do_not_suffer(void **state)
{
    struct pressure pressure = {0};
    struct throttle throttle;
    int64_t now_us = 0;

    (void)state;
    begin_beside(&pressure, &throttle, 1000, 2000);
    assert_true(throttle_rest_us(&throttle, &pressure, now_us, TURN_US) > 10 * TURN_US);
    int64_t soon = rest_after(&throttle, &pressure, &now_us, 2);
    int64_t later = rest_after(&throttle, &pressure, &now_us, 5);
    assert_true(soon > later && later > LEAST_REST_US);
}

static void commits_that_are_fast_enough_are_nobodys_reason_to_rest(void **state)
{
    struct pressure pressure = {0};
    struct throttle throttle;
    int64_t now_us = 0;

    (void)state;
    begin_beside(&pressure, &throttle, 1, 100);
    commit(&pressure, 1000, 1000);
    assert_int_equal(rest_after(&throttle, &pressure, &now_us, 20), LEAST_REST_US);
}

static void beside_live_commits_the_time_of_one_core_is_left_alone_and_without_any_none(void **state)
{
    static const struct {
        int64_t cores, share_permille;
    } cases[] = {{1, 500}, {2, 500}, {4, 750}, {64, 985}};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct pressure pressure = {0};
        struct throttle throttle;
        int64_t now_us = 0;
        throttle_init(&throttle, 0, cases[i].cores, now_us);
        assert_int_equal(rest_after(&throttle, &pressure, &now_us, 20), 0);
        commit(&pressure, 1, 1000);
        rest_after(&throttle, &pressure, &now_us, 20);
        assert_int_equal(throttle.share_permille, cases[i].share_permille);
    }
}

static void a_commit_counts_for_as_long_as_an_event_may_meet_it(void **state)
{
    struct pressure pressure = {0};

    (void)state;
    for (int i = 0; i < 50; i++) {
        commit(&pressure, 20, 1000);
        commit(&pressure, 1, 20000);
    }
    assert_in_range(pressure.commit_us, 10000, 12000); /* half of the time is the long one's; their mean is 1,905 */
    commit(&pressure, 1, 1000 * 1000);
    assert_int_equal(pressure.commit_us, 1000 * 1000);
}

static void it_does_not_rest_for_ever_when_resting_helps_nobody(void **state)
{
    struct pressure pressure = {0};
    struct throttle throttle;
    int64_t now_us = 0;

    (void)state;
    begin_beside(&pressure, &throttle, 1, 2000);
    commit(&pressure, 1000, 9000);
    assert_true(rest_after(&throttle, &pressure, &now_us, 50) > LEAST_REST_US); /* the least share, but not for long yet */
    assert_int_equal(throttle.share_permille, THROTTLE_SHARE_MIN);
    assert_int_equal(rest_after(&throttle, &pressure, &now_us, 100), LEAST_REST_US);
    commit(&pressure, 1000, 40000);
    assert_true(rest_after(&throttle, &pressure, &now_us, 20) > LEAST_REST_US); /* slower still: perhaps it is the cause now */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_rate_everything_is_admitted),
        cmocka_unit_test(a_rate_is_kept_to_whatever_its_size),
        cmocka_unit_test(a_pause_is_not_made_up_for_in_one_go),
        cmocka_unit_test(what_is_not_used_may_be_used_later),
        cmocka_unit_test(it_rests_while_live_commits_take_longer_than_before_and_less_when_they_recover),
        cmocka_unit_test(it_begins_with_little_beside_live_commits_and_takes_more_while_they_do_not_suffer),
        cmocka_unit_test(commits_that_are_fast_enough_are_nobodys_reason_to_rest),
        cmocka_unit_test(beside_live_commits_the_time_of_one_core_is_left_alone_and_without_any_none),
        cmocka_unit_test(a_commit_counts_for_as_long_as_an_event_may_meet_it),
        cmocka_unit_test(it_does_not_rest_for_ever_when_resting_helps_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
