/* Metrics as Prometheus reads them: the text is compared whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ops/runtime/metrics.h"

static void counters_and_gauges_are_printed_with_help_and_type_once_per_name(void **state)
{
    _Atomic int64_t reads = 3, writes = 4, lag_ms = 1500, big = (int64_t)1 << 53;
    const struct metric metrics[] = {
        {.name = "t_ops_total", .labels = "kind=\"read\"", .kind = METRIC_COUNTER, .help = "Ops.", .value = &reads},
        {.name = "t_ops_total", .labels = "kind=\"write\"", .kind = METRIC_COUNTER, .help = "Ops.", .value = &writes},
        {.name = "t_lag_seconds", .kind = METRIC_GAUGE, .help = "Lag.", .value = &lag_ms, .scale = 0.001},
        {.name = "t_big_total", .kind = METRIC_COUNTER, .help = "Big.", .value = &big},
    };
    struct buf out = BUF_INIT;

    (void)state;
    metric_add(&reads, 2);
    metric_set(&writes, 9);
    metrics_print(metrics, ARRAY_COUNT(metrics), &out);
    assert_string_equal(buf_text(&out), "# HELP t_ops_total Ops.\n# TYPE t_ops_total counter\n"
                                        "t_ops_total{kind=\"read\"} 5\nt_ops_total{kind=\"write\"} 9\n"
                                        "# HELP t_lag_seconds Lag.\n# TYPE t_lag_seconds gauge\nt_lag_seconds 1.5\n"
                                        "# HELP t_big_total Big.\n# TYPE t_big_total counter\n"
                                        "t_big_total 9007199254740992\n");
    buf_release(&out);
}

static void a_histogram_is_cumulative_and_ends_in_infinity(void **state)
{
    static const double bounds[] = {0.001, 0.01, 0.1};
    _Atomic uint64_t counts[4] = {0};
    struct metric_histogram histogram = {.bounds = bounds, .bound_count = 3, .counts = counts};
    const struct metric metric = {
        .name = "t_seconds", .labels = "a=\"b\"", .kind = METRIC_HISTOGRAM, .help = "Time.", .histogram = &histogram};
    static const int64_t observed_us[] = {0, 1000, 1001, 10000, 50000, 2000000};
    struct buf out = BUF_INIT;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(observed_us); i++)
        metric_observe_us(&histogram, observed_us[i]);
    metrics_print(&metric, 1, &out);
    assert_string_equal(buf_text(&out),
                        "# HELP t_seconds Time.\n# TYPE t_seconds histogram\n"
                        "t_seconds_bucket{a=\"b\",le=\"0.001\"} 2\nt_seconds_bucket{a=\"b\",le=\"0.01\"} 4\n"
                        "t_seconds_bucket{a=\"b\",le=\"0.1\"} 5\nt_seconds_bucket{a=\"b\",le=\"+Inf\"} 6\n"
                        "t_seconds_sum{a=\"b\"} 2.062001\nt_seconds_count{a=\"b\"} 6\n");
    buf_release(&out);
}

static void a_label_may_hold_anything(void **state)
{
    struct buf out = BUF_INIT;

    (void)state;
    metrics_escape_label(SPAN_LITERAL("a\"b\\c\nd"), &out);
    assert_string_equal(buf_text(&out), "a\\\"b\\\\c\\nd");
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_and_gauges_are_printed_with_help_and_type_once_per_name),
        cmocka_unit_test(a_histogram_is_cumulative_and_ends_in_infinity),
        cmocka_unit_test(a_label_may_hold_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
