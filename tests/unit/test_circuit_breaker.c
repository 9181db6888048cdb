/* The breaker against a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ops/runtime/circuit_breaker.h"

enum { SHORTEST = 100, LONGEST = 350 };

static struct circuit_breaker new_breaker(unsigned failures_to_open)
{
    return (struct circuit_breaker){
        .failures_to_open = failures_to_open, .shortest_us = SHORTEST, .longest_us = LONGEST};
}

static void opens_after_so_many_failures_in_a_row(void **state)
{
    struct circuit_breaker breaker = new_breaker(3);

    (void)state;
    circuit_breaker_failed(&breaker, 0);
    circuit_breaker_failed(&breaker, 0);
    circuit_breaker_succeeded(&breaker);
    circuit_breaker_failed(&breaker, 0);
    circuit_breaker_failed(&breaker, 0);
    assert_true(circuit_breaker_allows(&breaker, 0));
    circuit_breaker_failed(&breaker, 0);
    assert_false(circuit_breaker_allows(&breaker, SHORTEST - 1));
    assert_int_equal(breaker.shown_state, CIRCUIT_OPEN);
    assert_int_equal(breaker.failures_total, 5);
    assert_int_equal(breaker.openings_total, 1);
}

static void lets_one_call_try_when_its_time_has_come(void **state)
{
    struct circuit_breaker breaker = new_breaker(1);

    (void)state;
    circuit_breaker_failed(&breaker, 0);
    assert_true(circuit_breaker_allows(&breaker, SHORTEST));
    assert_int_equal(breaker.shown_state, CIRCUIT_HALF_OPEN);
    circuit_breaker_succeeded(&breaker);
    assert_int_equal(breaker.shown_state, CIRCUIT_CLOSED);
    assert_true(circuit_breaker_allows(&breaker, SHORTEST));
}

static void stays_open_twice_as_long_after_each_failed_try_up_to_a_bound(void **state)
{
    struct circuit_breaker breaker = new_breaker(5);
    static const int64_t waits[] = {SHORTEST, 2 * SHORTEST, LONGEST, LONGEST};
    int64_t now = 1000;

    (void)state;
    for (int i = 0; i < 5; i++)
        circuit_breaker_failed(&breaker, now);
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        assert_false(circuit_breaker_allows(&breaker, now + waits[i] - 1));
        now += waits[i];
        assert_true(circuit_breaker_allows(&breaker, now));
        circuit_breaker_failed(&breaker, now); /* one failure is enough while half-open */
    }
    circuit_breaker_succeeded(&breaker);
    for (int i = 0; i < 5; i++)
        circuit_breaker_failed(&breaker, now);
    assert_true(circuit_breaker_allows(&breaker, now + SHORTEST)); /* a success made it begin anew */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_after_so_many_failures_in_a_row),
        cmocka_unit_test(lets_one_call_try_when_its_time_has_come),
        cmocka_unit_test(stays_open_twice_as_long_after_each_failed_try_up_to_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
