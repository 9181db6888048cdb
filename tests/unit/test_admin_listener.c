/* The probes of a program whose work is a loop: what was told last is what is answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ops/runtime/admin_listener.h"
#include "ops/runtime/http_fetch.h"
#include "schema/base/clock.h"
#include "schema/base/mem.h"

enum { TIMEOUT_MS = 10 * 1000, HUNG_AFTER_US = 60 * 1000 * 1000, MAX_BYTES = 64 * 1024 };

static void print_metrics(void *self, struct buf *out)
{
    buf_add_format(out, "answers_total %d\n", *(int *)self);
}

struct world {
    struct admin_listener *listener;
    int answers;
    struct buf body;
    struct err err;
};

static int set_up(void **state)
{
    struct world *world = mem_zero(1, sizeof(*world));
    const struct admin_listener_options options = {.listen = "127.0.0.1:0",
                                                   .hung_after_us = HUNG_AFTER_US,
                                                   .print_metrics = print_metrics,
                                                   .self = &world->answers};

    world->answers = 42;
    assert_int_equal(admin_listener_open(&options, &world->listener, &world->err), 0);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    admin_listener_close(&world->listener);
    buf_release(&world->body);
    free(world);
    return 0;
}

static int get(struct world *world, const char *path)
{
    char *url = mem_format("http://%s%s", admin_listener_address(world->listener), path);

    buf_clear(&world->body);
    int rc = http_fetch(url, TIMEOUT_MS, MAX_BYTES, &world->body, &world->err);
    free(url);
    return rc;
}

static struct admin_news news(bool is_ready, const char *problem)
{
    return (struct admin_news){
        .is_ready = is_ready, .problem = problem, .turned_at_us = clock_monotonic_us(&clock_system)};
}

static void it_is_alive_and_not_ready_before_it_was_told_anything(void **state)
{
    struct world *world = *state;

    assert_int_equal(get(world, "/healthz"), 0);
    assert_string_equal(buf_text(&world->body), "ok\n");
    assert_int_equal(get(world, "/readyz"), ERR_AGAIN);
}

static void it_is_ready_as_told_and_says_what_is_wrong_all_the_same(void **state)
{
    struct world *world = *state;
    struct admin_news told = news(true, NULL);

    admin_listener_tell(world->listener, &told);
    assert_int_equal(get(world, "/readyz"), 0);
    assert_string_equal(buf_text(&world->body), "ready\n");

    told = news(true, "Kafka can't be reached");
    admin_listener_tell(world->listener, &told);
    assert_int_equal(get(world, "/readyz"), 0);
    assert_string_equal(buf_text(&world->body), "ready\nKafka can't be reached\n");

    told = news(false, "not connected yet");
    admin_listener_tell(world->listener, &told);
    assert_int_equal(get(world, "/readyz"), ERR_AGAIN);
}

static void a_loop_that_has_not_turned_for_long_is_hung_until_it_turns(void **state)
{
    struct world *world = *state;
    struct admin_news told = news(true, NULL);

    told.turned_at_us -= HUNG_AFTER_US + 1;
    admin_listener_tell(world->listener, &told);
    assert_int_equal(get(world, "/healthz"), ERR_AGAIN);
    assert_int_equal(get(world, "/readyz"), 0);

    admin_listener_turned(world->listener, clock_monotonic_us(&clock_system));
    assert_int_equal(get(world, "/healthz"), 0);
}

static void metrics_are_those_of_the_program_and_then_what_was_told(void **state)
{
    struct world *world = *state;
    struct admin_news told = news(true, NULL);
    struct buf text = BUF_INIT;

    buf_add_literal(&text, "lag{partition=\"3\"} 7\n");
    told.metrics = &text;
    admin_listener_tell(world->listener, &told);
    buf_release(&text); /* it was copied */
    assert_int_equal(get(world, "/metrics"), 0);
    assert_string_equal(buf_text(&world->body), "answers_total 42\nlag{partition=\"3\"} 7\n");
}

static void other_paths_are_not_there(void **state)
{
    assert_int_equal(get(*state, "/"), ERR_AGAIN);
    assert_int_equal(get(*state, "/metrics/"), ERR_AGAIN);
}

static void an_address_that_is_none_is_refused_by_the_flags_name(void **state)
{
    const struct admin_listener_options options = {.listen = "nowhere", .print_metrics = print_metrics};
    struct admin_listener *listener = NULL;
    struct err err;

    (void)state;
    assert_int_equal(admin_listener_open(&options, &listener, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "--listen"));
    assert_null(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_alive_and_not_ready_before_it_was_told_anything, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_is_ready_as_told_and_says_what_is_wrong_all_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_loop_that_has_not_turned_for_long_is_hung_until_it_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(metrics_are_those_of_the_program_and_then_what_was_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_paths_are_not_there, set_up, tear_down),
        cmocka_unit_test(an_address_that_is_none_is_refused_by_the_flags_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
