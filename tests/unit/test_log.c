/* The log: one fault, one line, whatever the message holds. stderr is a file while a test runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "ops/runtime/log.h"

static char written[65536];

/* What log lines put there between these two. */
static int saved_stderr;
static FILE *capture;

static void begin_capture(void)
{
    fflush(stderr);
    capture = tmpfile();
    saved_stderr = dup(STDERR_FILENO);
    dup2(fileno(capture), STDERR_FILENO);
}

static void end_capture(void)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    rewind(capture);
    size_t len = fread(written, 1, sizeof(written) - 1, capture);
    written[len] = '\0';
    fclose(capture);
}

static void a_line_has_time_level_program_and_message(void **state)
{
    (void)state;
    log_init("tarn-test", false, LOG_INFO);
    begin_capture();
    log_warn("%d things", 3);
    end_capture();
    assert_int_equal(strlen(written), strlen("2026-11-22T14:00:00.000Z warn  tarn-test: 3 things\n"));
    assert_string_equal(written + strlen("2026-11-22T14:00:00.000Z"), " warn  tarn-test: 3 things\n");
}

static void lines_below_the_level_are_left_out(void **state)
{
    (void)state;
    log_init("tarn-test", false, LOG_WARN);
    begin_capture();
    log_debug("a");
    log_info("b");
    log_error("c");
    end_capture();
    assert_null(strstr(written, " a\n"));
    assert_null(strstr(written, " b\n"));
    assert_non_null(strstr(written, "error tarn-test: c\n"));
}

static void nobody_can_forge_a_line_or_steer_a_terminal(void **state)
{
    (void)state;
    log_init("tarn-test", false, LOG_INFO);
    begin_capture();
    log_info("topic a\nb\x1b[2J\x7f");
    end_capture();
    assert_non_null(strstr(written, "topic a\\x0ab\\x1b[2J\\x7f\n"));
    assert_int_equal(strlen(strchr(written, '\n')), 1);
}

static void json_lines_are_json_whatever_they_hold(void **state)
{
    json_error_t error;

    (void)state;
    log_init("tarn-test", true, LOG_INFO);
    begin_capture();
    log_error("a \"quoted\" \\ back\nline\x01 \xc3\xa4 \xff");
    end_capture();
    json_t *line = json_loads(written, 0, &error);
    if (line == NULL)
        fail_msg("%s: %s", error.text, written);
    assert_string_equal(json_string_value(json_object_get(line, "message")),
                        "a \"quoted\" \\ back\nline\x01 \xc3\xa4 \xef\xbf\xbd");
    assert_string_equal(json_string_value(json_object_get(line, "level")), "error");
    assert_string_equal(json_string_value(json_object_get(line, "program")), "tarn-test");
    json_decref(line);
}

static void a_message_that_is_too_long_is_cut_and_still_one_line(void **state)
{
    static char message[20000];
    json_error_t error;

    (void)state;
    for (int is_json = 0; is_json < 2; is_json++) {
        for (size_t len = 3900; len < 4200; len++) {
            memset(message, is_json ? '"' : 'x', len);
            message[len] = '\0';
            log_init("tarn-test", is_json, LOG_INFO);
            begin_capture();
            log_info("%s", message);
            end_capture();
            assert_true(strlen(written) <= 4096);
            assert_int_equal(strlen(strchr(written, '\n')), 1);
            if (is_json) {
                json_t *line = json_loads(written, 0, &error);
                assert_non_null(line);
                json_decref(line);
            }
        }
    }
}

static void progress_is_for_terminals_only(void **state)
{
    (void)state;
    log_init("tarn-test", false, LOG_INFO);
    begin_capture();
    log_progress("50%");
    log_progress(NULL);
    end_capture();
    assert_string_equal(written, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_level_program_and_message),
        cmocka_unit_test(lines_below_the_level_are_left_out),
        cmocka_unit_test(nobody_can_forge_a_line_or_steer_a_terminal),
        cmocka_unit_test(json_lines_are_json_whatever_they_hold),
        cmocka_unit_test(a_message_that_is_too_long_is_cut_and_still_one_line),
        cmocka_unit_test(progress_is_for_terminals_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
