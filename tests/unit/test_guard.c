/* The guard of a share: what it reads out of /metrics, what it judges, and how a watch ends. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ops/runtime/log.h"
#include "projector/exposition.h"
#include "projector/guard_watch.h"
#include "schema/base/mem.h"
#include "schema/store/generation.h"
#include "scratch_folder.h"

#define NEW "91bd0e-1"
#define OLD "7f3a9c-2"

/* --- the page --- */

static void samples_are_read_with_their_labels_and_what_is_not_understood_is_passed_over(void **state)
{
    (void)state;
    struct span page = SPAN_LITERAL("# HELP a says \"hello\"\n"
                                    "a 1\n"
                                    "b{x=\"1\",y=\"a\\\"}b\"} 2.5e3 1700000000000\r\n"
                                    "c{} +Inf\n"
                                    "broken{x=\"1\" 3\n"
                                    "broken{x=1} 3\n"
                                    "broken\n"
                                    "broken{x=\"1\"}3\n"
                                    "broken 1x\n"
                                    "\n"
                                    "d{x=\"\"} 4");
    static const struct {
        const char *name;
        double value;
    } expected[] = {{"a", 1}, {"b", 2500}, {"c", HUGE_VAL}, {"d", 4}};
    struct exposition_sample sample;
    struct span value;

    for (size_t i = 0; i < ARRAY_COUNT(expected); i++) {
        assert_true(exposition_next(&page, &sample));
        assert_true(span_equal_text(sample.name, expected[i].name));
        assert_true(sample.value == expected[i].value);
        if (i == 1) {
            assert_true(exposition_label(&sample, "y", &value));
            assert_true(span_equal_text(value, "a\\\"}b"));
            assert_true(exposition_label(&sample, "x", &value));
            assert_false(exposition_label(&sample, "z", &value));
        }
    }
    assert_false(exposition_next(&page, &sample));
}

static void every_beginning_of_a_page_is_read_without_harm(void **state)
{
    (void)state;
    const char *text = "a{x=\"1\\\\\",y=\"2\"} 3 4\nb{x=\"";

    for (size_t len = 0; len <= strlen(text); len++) {
        char *copy = mem_copy(text, len); /* exactly so long, for the sanitizer */
        struct span page = span_of(copy, len);
        struct exposition_sample sample;
        struct span value;
        while (exposition_next(&page, &sample)) {
            bool has_label = exposition_label(&sample, "y", &value);
            (void)has_label;
        }
        free(copy);
    }
}

static const char page_text[] =
    "tarn_query_generation_answers_total{generation=\"" NEW "\",class=\"2xx\"} 900\n"
    "tarn_query_generation_answers_total{generation=\"" NEW "\",class=\"3xx\"} 50\n"
    "tarn_query_generation_answers_total{generation=\"" NEW "\",class=\"4xx\"} 40\n"
    "tarn_query_generation_answers_total{generation=\"" NEW "\",class=\"5xx\"} 10\n"
    "tarn_query_generation_answer_seconds_bucket{generation=\"" NEW "\",le=\"0.001\"} 500\n"
    "tarn_query_generation_answer_seconds_bucket{generation=\"" NEW "\",le=\"0.01\"} 1000\n"
    "tarn_query_generation_answer_seconds_bucket{generation=\"" NEW "\",le=\"+Inf\"} 1000\n"
    "tarn_query_generation_answers_total{generation=\"" OLD "\",class=\"5xx\"} 7777\n";

static void figures_are_those_of_one_generation(void **state)
{
    (void)state;
    struct guard_figures figures;

    guard_figures_read(span_of_text(page_text), NEW, &figures);
    assert_true(figures.answers == 1000);
    assert_true(figures.server_errors == 10);
    assert_true(figures.client_errors == 40);
    assert_true(figures.timed == 1000 && figures.bucket_count == 2);
    double p99 = guard_figures_quantile(&figures, 0.99);
    assert_true(p99 > 0.0098 && p99 < 0.00983);
    assert_true(guard_figures_quantile(&figures, 0.25) == 0.0005);
    guard_figures_read(span_of_text(page_text), "ffffff-1", &figures);
    assert_true(figures.answers == 0);
    assert_true(guard_figures_quantile(&figures, 0.99) == 0);
}

static void what_counts_is_growth_and_a_server_that_began_again_counts_from_nothing(void **state)
{
    (void)state;
    const struct guard_figures before = {.answers = 100, .server_errors = 5, .timed = 100};
    const struct guard_figures later = {.answers = 150, .server_errors = 6, .timed = 150};
    const struct guard_figures again = {.answers = 20, .server_errors = 1, .timed = 20};
    struct guard_figures sum = {.answers = 0};

    guard_figures_add_growth(&sum, &before, &later);
    assert_true(sum.answers == 50 && sum.server_errors == 1 && sum.timed == 50);
    guard_figures_add_growth(&sum, &later, &again);
    assert_true(sum.answers == 70 && sum.server_errors == 2 && sum.timed == 70);
}

/* --- the limits --- */

static int parse(const char *text, struct guard_limits *limits, struct err *err)
{
    char *copy = mem_text(text);
    char *items[4];
    struct config_list list = {items, 0};

    for (char *item = strtok(copy, ","); item != NULL; item = strtok(NULL, ","))
        list.items[list.count++] = item;
    int rc = guard_limits_parse(&list, limits, err);
    free(copy);
    return rc;
}

static void limits_are_understood_or_refused_by_name(void **state)
{
    (void)state;
    static const char *const wrong[] = {"error-rate=1", "error-rate=-1%", "error-rate=101%", "p99=2",  "p99=0.5x",
                                        "p99=0ms",      "p95=2x",         "error-rate=nan%", "p99=infs", ""};
    struct guard_limits limits;
    struct err err;

    assert_int_equal(parse("error-rate=0.1%,p99=2x", &limits, &err), 0);
    assert_true(limits.error_rate > 0.00099 && limits.error_rate < 0.00101);
    assert_true(limits.p99_factor == 2 && limits.p99_s == 0);
    assert_int_equal(parse("p99=50ms", &limits, &err), 0);
    assert_true(limits.error_rate < 0 && limits.p99_s == 0.05);
    for (size_t i = 0; i + 1 < ARRAY_COUNT(wrong); i++) {
        assert_int_equal(parse(wrong[i], &limits, &err), ERR_INPUT);
        assert_non_null(strstr(err.text, wrong[i]));
    }
}

static struct guard_figures figures(double answers, double server_errors, double client_errors, double slow_part)
{
    struct guard_figures made = {.answers = answers, .server_errors = server_errors, .client_errors = client_errors,
                                 .bucket_count = 3, .bounds = {0.001, 0.01, 0.1}, .timed = answers};

    made.counts[0] = answers * (1 - slow_part);
    made.counts[1] = answers * (1 - slow_part);
    made.counts[2] = answers;
    return made;
}

static void a_candidate_is_judged_against_its_incumbent(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        double candidate[4], incumbent[4];
        bool is_well;
        const char *why;
    } cases[] = {
        {"both are well", {1000, 0, 50, 0}, {9000, 0, 450, 0}, true, ""},
        {"errors within the limit", {10000, 9, 0, 0}, {9000, 0, 0, 0}, true, ""},
        {"errors over the limit", {10000, 11, 0, 0}, {9000, 0, 0, 0}, false, "error rate is 0.11%"},
        {"views that it lacks", {1000, 0, 500, 0}, {9000, 0, 450, 0}, false, "of 4xx"},
        {"a few more 404s than the other, by chance", {1000, 0, 60, 0}, {9000, 0, 450, 0}, true, ""},
        {"fewer 404s than the other", {1000, 0, 0, 0}, {9000, 0, 4500, 0}, true, ""},
        {"slower", {1000, 0, 0, 0.05}, {9000, 0, 0, 0}, false, "its p99 is"},
        {"slower, but by too few answers to tell", {50, 0, 0, 0.05}, {9000, 0, 0, 0}, true, ""},
        {"as slow as the other", {1000, 0, 0, 0.05}, {9000, 0, 0, 0.05}, true, ""},
        {"nobody asked", {0, 0, 0, 0}, {9000, 0, 0, 0}, true, ""},
    };
    struct guard_limits limits;
    struct err err;

    assert_int_equal(parse("error-rate=0.1%,p99=2x", &limits, &err), 0);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const double *own = cases[i].candidate, *other = cases[i].incumbent;
        const struct guard_figures candidate = figures(own[0], own[1], own[2], own[3]);
        const struct guard_figures incumbent = figures(other[0], other[1], other[2], other[3]);
        struct buf why = BUF_INIT;
        bool is_well = guard_is_well(&limits, &candidate, &incumbent, &why);
        if (is_well != cases[i].is_well || strstr(buf_text(&why), cases[i].why) == NULL)
            fail_msg("%s: %s", cases[i].what, buf_text(&why));
        buf_release(&why);
    }
}

/* --- the watch --- */

/* A world whose time passes when it is waited for, with one query server. */
struct world {
    char *folder;
    int64_t now_ms;
    double rate;          /* answers of each side a second */
    double error_part;    /* of the candidate's, from error_at_ms on */
    int64_t error_at_ms;
    int64_t silent_at_ms; /* the server is gone from then on */
    int64_t meddle_at_ms; /* somebody changes the shares */
    double answers, errors;
};

static int64_t world_ms(void *self)
{
    return ((struct world *)self)->now_ms;
}

static int64_t world_us(void *self)
{
    return ((struct world *)self)->now_ms * 1000;
}

static int world_fetch(void *self, const char *url, struct buf *page, struct err *err)
{
    struct world *world = self;

    if (world->now_ms >= world->silent_at_ms)
        return err_set(err, ERR_AGAIN, "%s: no connection", url);
    for (int side = 0; side < 2; side++)
        buf_add_format(page,
                       "tarn_query_generation_answers_total{generation=\"%s\",class=\"2xx\"} %.0f\n"
                       "tarn_query_generation_answers_total{generation=\"%s\",class=\"5xx\"} %.0f\n",
                       side ? OLD : NEW, world->answers, side ? OLD : NEW, side ? 0 : world->errors);
    return 0;
}

static void world_wait(void *self, int64_t ms)
{
    struct world *world = self;
    struct serving serving;
    struct err err;

    world->now_ms += ms;
    double more = world->rate * (double)ms / 1000;
    world->answers += more;
    if (world->now_ms >= world->error_at_ms)
        world->errors += more * world->error_part;
    if (world->now_ms >= world->meddle_at_ms) {
        assert_int_equal(serving_read(world->folder, &serving, &err), 0);
        assert_int_equal(serving_promote(&serving, NEW, 50, world->now_ms, 0, &err), 0);
        assert_int_equal(serving_write(world->folder, &serving, &err), 0);
        world->meddle_at_ms = INT64_MAX;
    }
}

static struct world world_make(void)
{
    struct world world = {.now_ms = 1000000, .rate = 100, .error_part = 0, .error_at_ms = INT64_MAX,
                          .silent_at_ms = INT64_MAX, .meddle_at_ms = INT64_MAX, .answers = 5000, .errors = 4000};
    struct serving serving;
    struct err err;

    world.folder = scratch_folder_make();
    memset(&serving, 0, sizeof(serving));
    assert_int_equal(store_directory_prepare(world.folder, &err), 0);
    serving_start(&serving, OLD, 1000);
    assert_int_equal(serving_promote(&serving, NEW, 10, world.now_ms, 0, &err), 0);
    assert_int_equal(serving_write(world.folder, &serving, &err), 0);
    return world;
}

static int run_watch(struct world *world, int64_t for_ms, bool *ret_is_well, struct buf *why, struct err *err)
{
    const struct clock_port clock = {world_ms, world_us, world};
    const struct guard_world port = {&clock, world_fetch, world_wait, world};
    char *urls[] = {"http://one/metrics"};
    const struct config_list list = {urls, 1};
    struct guard_watch watch = {world->folder, NEW, &list, {.error_rate = 0.001}, for_ms};

    return guard_watch(&watch, &port, ret_is_well, why, err);
}

static void a_watch_ends_as_what_it_saw(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        double rate, error_part;
        int64_t error_after_ms, silent_after_ms;
        bool is_well;
        int64_t least_ms, most_ms; /* how long it took; for 600 s */
        const char *why;
    } cases[] = {
        {"all is well: errors from before the watch don't count", 100, 0, 0, INT64_MAX, true, 600000, 602000, "answers"},
        {"errors from the start", 100, 0.5, 0, INT64_MAX, false, 1000, 5000, "error rate"},
        {"errors at the end aren't thinned out", 1000, 0.01, 550000, INT64_MAX, false, 550000, 570000, "error rate"},
        {"few answers are judged at the end alone", 0.05, 1, 0, INT64_MAX, false, 600000, 602000, "error rate"},
        {"nobody asks", 0, 0, 0, INT64_MAX, false, 600000, 602000, "answered nobody"},
        {"the server goes", 100, 0, 0, 20000, false, 45000, 55000, "no query server"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct world world = world_make();
        struct buf why = BUF_INIT;
        bool is_well = !cases[i].is_well;
        struct err err;
        int64_t began = world.now_ms;
        world.rate = cases[i].rate;
        world.error_part = cases[i].error_part;
        world.error_at_ms = began + cases[i].error_after_ms;
        if (cases[i].silent_after_ms != INT64_MAX)
            world.silent_at_ms = began + cases[i].silent_after_ms;
        assert_int_equal(run_watch(&world, 600000, &is_well, &why, &err), 0);
        int64_t took = world.now_ms - began;
        if (is_well != cases[i].is_well || strstr(buf_text(&why), cases[i].why) == NULL || took < cases[i].least_ms ||
            took > cases[i].most_ms)
            fail_msg("%s: after %lld ms: %s", cases[i].what, (long long)took, buf_text(&why));
        buf_release(&why);
        scratch_folder_remove(&world.folder);
    }
}

static void a_watch_taken_up_after_a_kill_ends_when_the_first_would_have(void **state)
{
    (void)state;
    struct world world = world_make();
    struct buf why = BUF_INIT;
    bool is_well = false;
    struct err err;
    int64_t began = world.now_ms;

    world.now_ms += 400000;
    assert_int_equal(run_watch(&world, 600000, &is_well, &why, &err), 0);
    assert_true(is_well);
    assert_in_range(world.now_ms - began, 600000, 602000);

    /* Later than that, it still looks before it decides. */
    world.now_ms = began + 3600000;
    assert_int_equal(run_watch(&world, 600000, &is_well, &why, &err), 0);
    assert_in_range(world.now_ms - began, 3610000, 3612000);
    buf_release(&why);
    scratch_folder_remove(&world.folder);
}

static void shares_that_somebody_else_changed_are_left_alone(void **state)
{
    (void)state;
    struct world world = world_make();
    struct buf why = BUF_INIT;
    bool is_well = false;
    struct err err;

    world.meddle_at_ms = world.now_ms + 5000;
    assert_int_equal(run_watch(&world, 600000, &is_well, &why, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "were changed meanwhile"));
    buf_release(&why);
    scratch_folder_remove(&world.folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_are_read_with_their_labels_and_what_is_not_understood_is_passed_over),
        cmocka_unit_test(every_beginning_of_a_page_is_read_without_harm),
        cmocka_unit_test(figures_are_those_of_one_generation),
        cmocka_unit_test(what_counts_is_growth_and_a_server_that_began_again_counts_from_nothing),
        cmocka_unit_test(limits_are_understood_or_refused_by_name),
        cmocka_unit_test(a_candidate_is_judged_against_its_incumbent),
        cmocka_unit_test(a_watch_ends_as_what_it_saw),
        cmocka_unit_test(a_watch_taken_up_after_a_kill_ends_when_the_first_would_have),
        cmocka_unit_test(shares_that_somebody_else_changed_are_left_alone),
    };

    log_init("test_guard", false, LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
