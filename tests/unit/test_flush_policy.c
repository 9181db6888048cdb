#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "projector/flush_policy.h"
#include "schema/base/compiler.h"

enum { START_US = 100 * 1000 * 1000 };

/* Figures of a live projector in which nothing is due; a test changes what it is about. */
static struct flush_figures live(void)
{
    return (struct flush_figures){.now_us = START_US,
                                  .is_drained = true,
                                  .lag = 0,
                                  .budget_bytes = 1000,
                                  .dirty_bytes = 10,
                                  .dirty_rows = 1,
                                  .has_news = true,
                                  .oldest_dirty_us = START_US};
}

static enum flush_choice choose_after(int64_t since_start_us, bool is_catching_up, struct flush_figures figures)
{
    struct flush_policy policy = {.is_catching_up = is_catching_up,
                                  .has_awaited_lag = true,
                                  .last_start_us = START_US - since_start_us};

    return flush_policy_choose(&policy, &figures);
}

static void live_everything_is_committed_on_drain_at_least_five_milliseconds_apart(void **state)
{
    struct flush_policy policy = FLUSH_POLICY_INIT;
    struct flush_figures figures = live();

    (void)state;
    assert_int_equal(flush_policy_choose(&policy, &figures), FLUSH_ALL); /* the first at once */
    assert_int_equal(flush_policy_choose(&policy, &figures), FLUSH_NOTHING);
    assert_int_equal(flush_policy_wait_us(&policy, &figures), FLUSH_LIVE_INTERVAL_US);
    figures.now_us += FLUSH_LIVE_INTERVAL_US - 1;
    assert_int_equal(flush_policy_choose(&policy, &figures), FLUSH_NOTHING);
    figures.now_us += 1;
    assert_int_equal(flush_policy_choose(&policy, &figures), FLUSH_ALL);
}

static void live_a_fast_disk_is_not_waited_for_and_a_slow_one_gets_larger_commits(void **state)
{
    static const struct {
        int64_t took_us;
        int64_t interval_us;
    } rows[] = {
        {100, FLUSH_LIVE_INTERVAL_MIN_US},
        {800, FLUSH_LIVE_INTERVAL_MIN_US},
        {2000, 2500},
        {4000, FLUSH_LIVE_INTERVAL_US},
        {40000, FLUSH_LIVE_INTERVAL_US},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct flush_figures figures = live();
        figures.last_took_us = rows[i].took_us;
        assert_int_equal(choose_after(rows[i].interval_us - 1, false, figures), FLUSH_NOTHING);
        assert_int_equal(choose_after(rows[i].interval_us, false, figures), FLUSH_ALL);
    }
}

static void live_without_a_drain_it_is_committed_when_it_gets_old(void **state)
{
    struct flush_figures figures = live();

    (void)state;
    figures.is_drained = false;
    assert_int_equal(choose_after(FLUSH_LIVE_AGE_US, false, figures), FLUSH_NOTHING);
    figures.oldest_dirty_us = START_US - FLUSH_LIVE_AGE_US;
    assert_int_equal(choose_after(FLUSH_LIVE_AGE_US, false, figures), FLUSH_ALL);
}

static void what_is_too_much_for_one_transaction_is_committed_range_by_range(void **state)
{
    struct flush_figures figures = live();

    (void)state;
    figures.dirty_rows = FLUSH_ALL_ROWS + 1;
    assert_int_equal(choose_after(FLUSH_LIVE_INTERVAL_US, false, figures), FLUSH_OLDEST_RANGE);
    figures.is_hurried = true;
    assert_int_equal(choose_after(0, true, figures), FLUSH_OLDEST_RANGE);
}

static void catching_up_rows_stay_dirty_until_half_the_budget_is_used_or_they_are_old(void **state)
{
    struct flush_figures figures = live();

    (void)state;
    figures.lag = FLUSH_LIVE_LAG;
    assert_int_equal(choose_after(FLUSH_REFRESH_US, true, figures), FLUSH_NOTHING);
    figures.dirty_bytes = figures.budget_bytes / 2 + 1;
    assert_int_equal(choose_after(0, true, figures), FLUSH_OLDEST_RANGE);
    figures.dirty_bytes = 0;
    figures.oldest_dirty_us = START_US - FLUSH_CATCH_UP_AGE_US;
    assert_int_equal(choose_after(0, true, figures), FLUSH_OLDEST_RANGE);
}

static void what_nobody_reads_yet_stays_dirty_for_longer(void **state)
{
    struct flush_figures figures = live();

    (void)state;
    figures.lag = FLUSH_LIVE_LAG;
    figures.is_building = true;
    figures.oldest_dirty_us = START_US - FLUSH_CATCH_UP_AGE_US;
    assert_int_equal(choose_after(0, true, figures), FLUSH_NOTHING);
    figures.oldest_dirty_us = START_US - FLUSH_BUILDING_AGE_US;
    assert_int_equal(choose_after(0, true, figures), FLUSH_OLDEST_RANGE);
    figures.oldest_dirty_us = START_US;
    figures.dirty_bytes = figures.budget_bytes / 2 + 1;
    assert_int_equal(choose_after(0, true, figures), FLUSH_OLDEST_RANGE);
}

static void a_full_cache_and_a_waiting_request_are_served_at_once(void **state)
{
    struct flush_figures figures = live();

    (void)state;
    figures.lag = FLUSH_LIVE_LAG;
    figures.is_drained = false;
    assert_int_equal(choose_after(0, true, figures), FLUSH_NOTHING);
    figures.is_full = true;
    assert_int_equal(choose_after(0, true, figures), FLUSH_ALL);
    figures.is_full = false;
    figures.is_hurried = true;
    assert_int_equal(choose_after(0, true, figures), FLUSH_ALL);
}

static void ends_of_logs_alone_are_told_twice_a_second(void **state)
{
    struct flush_figures figures = live();

    (void)state;
    figures.has_news = false;
    assert_int_equal(choose_after(FLUSH_REFRESH_US, false, figures), FLUSH_NOTHING);
    figures.has_changed = true;
    assert_int_equal(choose_after(FLUSH_REFRESH_US - 1, false, figures), FLUSH_NOTHING);
    assert_int_equal(choose_after(FLUSH_REFRESH_US, false, figures), FLUSH_ALL);
}

static void the_mode_changes_late_in_both_directions_and_not_while_the_lag_is_unknown(void **state)
{
    static const struct {
        int64_t lag;
        bool is_catching_up;
    } steps[] = {{-1, false},
                 {FLUSH_CATCH_UP_LAG, false},
                 {FLUSH_CATCH_UP_LAG + 1, true},
                 {FLUSH_LIVE_LAG, true},
                 {-1, true},
                 {FLUSH_LIVE_LAG - 1, false},
                 {FLUSH_LIVE_LAG, false}};
    struct flush_policy policy = FLUSH_POLICY_INIT;
    struct flush_figures figures = live();

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        figures.lag = steps[i].lag;
        flush_policy_choose(&policy, &figures);
        assert_int_equal(policy.is_catching_up, steps[i].is_catching_up);
    }
}

static void the_first_news_wait_until_it_is_known_how_many_more_there_are(void **state)
{
    struct flush_policy policy = FLUSH_POLICY_INIT;
    struct flush_figures figures = live();

    (void)state;
    figures.lag = -1;
    figures.now_us += FLUSH_LAG_PATIENCE_US - 1;
    assert_int_equal(flush_policy_choose(&policy, &figures), FLUSH_NOTHING);
    assert_true(flush_policy_wait_us(&policy, &figures) > 0); /* nobody turns round and round meanwhile */
    figures.lag = 10;
    assert_int_equal(flush_policy_choose(&policy, &figures), FLUSH_ALL);
}

static void a_lag_that_stays_unknown_is_waited_for_once(void **state)
{
    struct flush_policy policy = FLUSH_POLICY_INIT;
    struct flush_figures figures = live();

    (void)state;
    figures.lag = -1;
    figures.now_us += FLUSH_LAG_PATIENCE_US;
    assert_int_equal(flush_policy_choose(&policy, &figures), FLUSH_ALL);
    figures.oldest_dirty_us = figures.now_us;
    figures.now_us += FLUSH_LIVE_INTERVAL_US;
    assert_int_equal(flush_policy_choose(&policy, &figures), FLUSH_ALL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_everything_is_committed_on_drain_at_least_five_milliseconds_apart),
        cmocka_unit_test(live_a_fast_disk_is_not_waited_for_and_a_slow_one_gets_larger_commits),
        cmocka_unit_test(live_without_a_drain_it_is_committed_when_it_gets_old),
        cmocka_unit_test(what_is_too_much_for_one_transaction_is_committed_range_by_range),
        cmocka_unit_test(catching_up_rows_stay_dirty_until_half_the_budget_is_used_or_they_are_old),
        cmocka_unit_test(what_nobody_reads_yet_stays_dirty_for_longer),
        cmocka_unit_test(a_full_cache_and_a_waiting_request_are_served_at_once),
        cmocka_unit_test(ends_of_logs_alone_are_told_twice_a_second),
        cmocka_unit_test(the_first_news_wait_until_it_is_known_how_many_more_there_are),
        cmocka_unit_test(a_lag_that_stays_unknown_is_waited_for_once),
        cmocka_unit_test(the_mode_changes_late_in_both_directions_and_not_while_the_lag_is_unknown),
    };

    return cmocka_run_group_tests_name("flush_policy", tests, NULL, NULL);
}
