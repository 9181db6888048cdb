/* How fast, how far, how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "projector/progress.h"
#include "schema/base/compiler.h"

static void assert_line(const struct progress *progress, const char *expected)
{
    struct buf line = BUF_INIT;
    progress_line(progress, &line);
    assert_string_equal(buf_text(&line), expected);
    buf_release(&line);
}

static void rate_and_time_left_follow_the_last_seconds(void **state)
{
    (void)state;
    struct progress progress = {.lag = -1};
    for (int64_t i = 0; i <= 40; i++) /* 10 s at 1,000/s */
        progress_note(&progress, i * 250000, i * 250, 1000000);
    assert_int_equal(progress_rate(&progress), 1000);
    for (int64_t i = 1; i <= 40; i++) /* and 10 s at 200,000/s */
        progress_note(&progress, 10000000 + i * 250000, 10000 + i * 50000, 5000000);
    assert_int_equal(progress_rate(&progress), 200000);
    assert_int_equal(progress_time_left_s(&progress), 25);
    assert_line(&progress, "catching up: 5,000,000 records behind, 200,000/s, 25 s left");
}

static void without_a_rate_or_a_log_end_no_time_is_told(void **state)
{
    (void)state;
    struct progress progress = {.lag = -1};
    progress_note(&progress, 0, 1234567, -1);
    assert_int_equal(progress_rate(&progress), 0);
    assert_int_equal(progress_time_left_s(&progress), -1);
    assert_line(&progress, "catching up: 1,234,567 records handled, 0/s");
}

static void long_waits_are_told_in_hours_and_minutes(void **state)
{
    (void)state;
    static const struct {
        int64_t lag;
        const char *line;
    } cases[] = {
        {59000, "catching up: 59,000 records behind, 1,000/s, 59 s left"},
        {61000, "catching up: 61,000 records behind, 1,000/s, 1 min 1 s left"},
        {7260000, "catching up: 7,260,000 records behind, 1,000/s, 2 h 1 min left"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct progress progress = {.lag = -1};
        progress_note(&progress, 0, 0, cases[i].lag);
        progress_note(&progress, 1000000, 1000, cases[i].lag);
        assert_line(&progress, cases[i].line);
    }
}

static void samples_are_kept_a_quarter_second_apart_however_often_they_come(void **state)
{
    (void)state;
    struct progress progress = {.lag = -1};
    for (int64_t i = 0; i < 100000; i++)
        progress_note(&progress, i, i, 0);
    assert_int_equal(progress.count, 1);
}

static void numbers_have_their_thousands_apart(void **state)
{
    (void)state;
    static const struct {
        int64_t number;
        const char *text;
    } cases[] = {{0, "0"}, {999, "999"}, {1000, "1,000"}, {1234567, "1,234,567"}, {-1, "-1"}, {-123456, "-123,456"}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct buf text = BUF_INIT;
        progress_number(cases[i].number, &text);
        assert_string_equal(buf_text(&text), cases[i].text);
        buf_release(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rate_and_time_left_follow_the_last_seconds),
        cmocka_unit_test(without_a_rate_or_a_log_end_no_time_is_told),
        cmocka_unit_test(long_waits_are_told_in_hours_and_minutes),
        cmocka_unit_test(samples_are_kept_a_quarter_second_apart_however_often_they_come),
        cmocka_unit_test(numbers_have_their_thousands_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
