/* Requests of commands to the projector: carried out, told, withdrawn, expired; and what a crash leaves is picked
 * up. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "schema/base/mem.h"
#include "schema/store/control.h"
#include "schema/store/generation.h"
#include "schema/store/lock.h"
#include "scratch_folder.h"
#include "tests/unit/assert_ok.h"

enum { LONG_MS = 60 * 1000 };

struct fixture {
    char *directory;
    struct lock *lock; /* the projector's */
    struct control *control;
    struct clock_port clock; /* the machine's, shifted_ms ahead */
    int64_t shifted_ms;
};

static int64_t shifted_wall_ms(void *self)
{
    struct fixture *fixture = self;

    return clock_wall_ms(&clock_system) + fixture->shifted_ms;
}

static int64_t monotonic_us(void *self)
{
    struct fixture *fixture = self;

    return clock_monotonic_us(&clock_system) + fixture->shifted_ms * 1000;
}

static void open_control(struct fixture *fixture)
{
    struct err err = {0};

    control_close(&fixture->control);
    assert_ok(control_open(fixture->directory, &fixture->clock, &fixture->control, &err));
}

static int set_up(void **state)
{
    struct fixture *fixture = mem_zero(1, sizeof(*fixture));
    struct err err = {0};

    fixture->directory = scratch_folder_make();
    fixture->clock = (struct clock_port){shifted_wall_ms, monotonic_us, fixture};
    if (store_directory_prepare(fixture->directory, &err) != 0 ||
        lock_take(fixture->directory, "tarn-projector run", &fixture->lock, &err) != 0)
        return -1;
    open_control(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    control_close(&fixture->control);
    lock_release(&fixture->lock);
    scratch_folder_remove(&fixture->directory);
    free(fixture);
    return 0;
}

static void submit(struct fixture *fixture, const char *kind, char ret_id[CONTROL_ID_SIZE])
{
    json_t *arguments = json_pack("{s:s, s:s}", "topic", "users", "key", "dTE=");
    struct err err = {0};

    assert_ok(control_submit(fixture->directory, kind, arguments, LONG_MS, ret_id, &err));
    json_decref(arguments);
}

static void assert_no_request(struct fixture *fixture)
{
    struct control_request *request = NULL;
    struct err err = {0};

    for (int turn = 0; turn < 3; turn++)
        assert_int_equal(control_take(fixture->control, &request, &err), ERR_ABSENT);
    assert_null(request);
}

static void assert_empty(struct fixture *fixture, const char *subfolder)
{
    char *path = mem_format("%s/control/%s", fixture->directory, subfolder);

    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    free(path);
}

static void a_request_is_carried_out_and_its_outcome_told(void **state)
{
    struct fixture *fixture = *state;
    struct control_request *request = NULL;
    json_t *outcome = NULL;
    struct err err = {0};
    char id[CONTROL_ID_SIZE];

    assert_no_request(fixture);
    submit(fixture, "parked-retry", id);
    assert_ok(control_take(fixture->control, &request, &err));
    assert_string_equal(request->id, id);
    assert_string_equal(request->kind, "parked-retry");
    assert_string_equal(json_string_value(json_object_get(request->arguments, "topic")), "users");
    assert_string_equal(json_string_value(json_object_get(request->arguments, "key")), "dTE=");
    assert_no_request(fixture);

    json_t *answer = json_pack("{s:i}", "retried", 3);
    assert_ok(control_answer(fixture->control, &request, answer, NULL, &err));
    assert_null(request);
    json_decref(answer);
    assert_ok(control_wait(fixture->directory, id, LONG_MS, &outcome, &err));
    assert_int_equal(json_integer_value(json_object_get(outcome, "retried")), 3);
    json_decref(outcome);
    assert_no_request(fixture);
    assert_empty(fixture, "requests");
    assert_empty(fixture, "taken");
    assert_empty(fixture, "outcomes");
}

/* ERR_ABSENT too: "there is no such event" isn't "there is no answer yet". */
static void a_failure_is_told_as_it_was(void **state)
{
    static const struct err failures[] = {{ERR_FULL, "the disk is full: \"really\""},
                                          {ERR_ABSENT, "no event of that key is parked"},
                                          {ERR_INPUT, "topic x isn't one of the generation's"}};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_COUNT(failures); i++) {
        struct control_request *request = NULL;
        json_t *outcome = NULL;
        struct err err = {0};
        char id[CONTROL_ID_SIZE];
        submit(fixture, "parked-drop", id);
        assert_ok(control_take(fixture->control, &request, &err));
        assert_ok(control_answer(fixture->control, &request, NULL, &failures[i], &err));
        assert_int_equal(control_wait(fixture->directory, id, LONG_MS, &outcome, &err), failures[i].kind);
        assert_int_equal(err.kind, failures[i].kind);
        assert_string_equal(err.text, failures[i].text);
        assert_null(outcome);
    }
}

static void an_outcome_without_content_is_an_empty_object(void **state)
{
    struct fixture *fixture = *state;
    struct control_request *request = NULL;
    json_t *outcome = NULL;
    struct err err = {0};
    char id[CONTROL_ID_SIZE];

    assert_ok(control_submit(fixture->directory, "parked-retry", NULL, LONG_MS, id, &err));
    assert_ok(control_take(fixture->control, &request, &err));
    assert_true(json_is_object(request->arguments));
    assert_ok(control_answer(fixture->control, &request, NULL, NULL, &err));
    assert_ok(control_wait(fixture->directory, id, LONG_MS, &outcome, &err));
    assert_true(json_is_object(outcome));
    json_decref(outcome);
}

static void requests_come_in_the_order_they_were_made(void **state)
{
    struct fixture *fixture = *state;
    char ids[20][CONTROL_ID_SIZE];
    struct err err = {0};

    for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
        submit(fixture, "parked-retry", ids[i]);
        nanosleep(&(struct timespec){.tv_nsec = 2 * 1000 * 1000}, NULL);
    }
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
        struct control_request *request = NULL;
        assert_ok(control_take(fixture->control, &request, &err));
        assert_string_equal(request->id, ids[i]);
        assert_ok(control_answer(fixture->control, &request, NULL, NULL, &err));
    }
    assert_no_request(fixture);
}

/* However close to the last look: many file systems' clocks tick so slowly that the folder's mtime would miss it.
 * Here it is set back to what it was at that look. */
static void a_request_is_found_though_the_mtime_stands_still(void **state)
{
    struct fixture *fixture = *state;
    char *requests = mem_format("%s/control/requests", fixture->directory);
    struct err err = {0};
    char id[CONTROL_ID_SIZE];

    for (int i = 0; i < 20; i++) {
        struct control_request *request = NULL;
        struct timespec times[2];
        clock_gettime(CLOCK_REALTIME, &times[0]);
        times[1] = times[0];
        assert_int_equal(utimensat(AT_FDCWD, requests, times, 0), 0);
        assert_no_request(fixture);
        submit(fixture, "parked-retry", id);
        assert_int_equal(utimensat(AT_FDCWD, requests, times, 0), 0);
        assert_ok(control_take(fixture->control, &request, &err));
        assert_string_equal(request->id, id);
        assert_ok(control_answer(fixture->control, &request, NULL, NULL, &err));
    }
    free(requests);
}

static void a_request_that_nobody_took_can_be_withdrawn(void **state)
{
    struct fixture *fixture = *state;
    struct control_request *request = NULL;
    struct err err = {0};
    char id[CONTROL_ID_SIZE];

    submit(fixture, "parked-drop", id);
    assert_ok(control_withdraw(fixture->directory, id, &err));
    assert_no_request(fixture);
    submit(fixture, "parked-drop", id);
    assert_ok(control_take(fixture->control, &request, &err));
    assert_int_equal(control_withdraw(fixture->directory, id, &err), ERR_ABSENT); /* too late */
    assert_ok(control_answer(fixture->control, &request, NULL, NULL, &err));
}

static void a_request_that_is_withdrawn_while_it_is_found_is_not_carried_out(void **state)
{
    struct fixture *fixture = *state;
    struct control_request *request = NULL;
    struct err err = {0};
    char ids[2][CONTROL_ID_SIZE];

    submit(fixture, "parked-drop", ids[0]);
    nanosleep(&(struct timespec){.tv_nsec = 2 * 1000 * 1000}, NULL);
    submit(fixture, "parked-drop", ids[1]);
    assert_ok(control_take(fixture->control, &request, &err)); /* has seen both */
    assert_ok(control_answer(fixture->control, &request, NULL, NULL, &err));
    assert_ok(control_withdraw(fixture->directory, ids[1], &err));
    assert_no_request(fixture);
}

static void a_request_that_comes_too_late_is_refused(void **state)
{
    struct fixture *fixture = *state;
    json_t *outcome = NULL;
    struct err err = {0};
    char id[CONTROL_ID_SIZE];

    submit(fixture, "parked-drop", id);
    fixture->shifted_ms = LONG_MS + 1000;
    assert_no_request(fixture);
    assert_int_equal(control_wait(fixture->directory, id, LONG_MS, &outcome, &err), ERR_AGAIN);
    assert_non_null(strstr(err.text, "had expired"));
}

static void a_taken_request_is_carried_out_after_a_crash_even_when_late(void **state)
{
    struct fixture *fixture = *state;
    struct control_request *request = NULL;
    struct control_request *again = NULL;
    struct err err = {0};
    char taken[CONTROL_ID_SIZE], waiting[CONTROL_ID_SIZE];

    submit(fixture, "parked-drop", taken);
    assert_ok(control_take(fixture->control, &request, &err));
    submit(fixture, "parked-retry", waiting);
    /* The crash: nothing is answered. Later than any new request may be: */
    fixture->shifted_ms = LONG_MS + 1000;
    open_control(fixture);
    assert_ok(control_take(fixture->control, &again, &err));
    assert_string_equal(again->id, taken);
    assert_string_equal(again->kind, "parked-drop");
    assert_ok(control_answer(fixture->control, &again, NULL, NULL, &err));
    free(request->kind);
    json_decref(request->arguments);
    free(request);
    fixture->shifted_ms = 0;
    assert_ok(control_take(fixture->control, &again, &err));
    assert_string_equal(again->id, waiting);
    assert_ok(control_answer(fixture->control, &again, NULL, NULL, &err));
}

static void a_request_is_not_carried_out_again_when_the_crash_came_after_its_outcome(void **state)
{
    struct fixture *fixture = *state;
    struct control_request *request = NULL;
    json_t *outcome = NULL;
    struct err err = {0};
    char id[CONTROL_ID_SIZE];

    submit(fixture, "parked-drop", id);
    assert_ok(control_take(fixture->control, &request, &err));
    char *taken = mem_format("%s/control/taken/%s.json", fixture->directory, id);
    char *kept = mem_format("%s/kept", fixture->directory);
    assert_int_equal(link(taken, kept), 0);
    assert_ok(control_answer(fixture->control, &request, NULL, NULL, &err));
    assert_int_equal(rename(kept, taken), 0); /* as if its removal had not happened */
    open_control(fixture);
    assert_no_request(fixture);
    assert_empty(fixture, "taken");
    assert_ok(control_wait(fixture->directory, id, LONG_MS, &outcome, &err));
    json_decref(outcome);
    free(kept);
    free(taken);
}

static void waiting_ends_with_the_projector(void **state)
{
    struct fixture *fixture = *state;
    json_t *outcome = NULL;
    struct err err = {0};
    char id[CONTROL_ID_SIZE];

    submit(fixture, "parked-drop", id);
    lock_release(&fixture->lock);
    assert_int_equal(control_wait(fixture->directory, id, LONG_MS, &outcome, &err), ERR_AGAIN);
    assert_string_equal(err.text, "the projector is gone");
    assert_ok(control_withdraw(fixture->directory, id, &err)); /* and so the command may do it itself */
}

static void an_outcome_counts_though_the_projector_is_gone(void **state)
{
    struct fixture *fixture = *state;
    struct control_request *request = NULL;
    json_t *outcome = NULL;
    struct err err = {0};
    char id[CONTROL_ID_SIZE];

    submit(fixture, "parked-drop", id);
    assert_ok(control_take(fixture->control, &request, &err));
    assert_ok(control_answer(fixture->control, &request, NULL, NULL, &err));
    lock_release(&fixture->lock);
    assert_ok(control_wait(fixture->directory, id, LONG_MS, &outcome, &err));
    json_decref(outcome);
}

static void waiting_has_an_end(void **state)
{
    struct fixture *fixture = *state;
    json_t *outcome = NULL;
    struct err err = {0};
    char id[CONTROL_ID_SIZE];

    submit(fixture, "parked-drop", id);
    assert_int_equal(control_wait(fixture->directory, id, 30, &outcome, &err), ERR_AGAIN);
    assert_non_null(strstr(err.text, "no outcome from tarn-projector run within 30 ms"));
}

static void *answer_all(void *argument)
{
    struct fixture *fixture = argument;
    struct err err = {0};

    for (int answered = 0; answered < 5;) {
        struct control_request *request = NULL;
        int rc = control_take(fixture->control, &request, &err);
        if (rc == 0)
            rc = control_answer(fixture->control, &request, NULL, NULL, &err);
        if (rc < 0 && rc != ERR_ABSENT)
            return (void *)1;
        answered += rc == 0;
        nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
    }
    return NULL;
}

static void a_command_waits_while_the_projector_works(void **state)
{
    struct fixture *fixture = *state;
    pthread_t projector;
    struct err err = {0};
    void *fault = NULL;
    char id[CONTROL_ID_SIZE];

    assert_int_equal(pthread_create(&projector, NULL, answer_all, fixture), 0);
    for (int i = 0; i < 5; i++) {
        json_t *outcome = NULL;
        submit(fixture, "parked-retry", id);
        assert_ok(control_wait(fixture->directory, id, LONG_MS, &outcome, &err));
        json_decref(outcome);
    }
    assert_int_equal(pthread_join(projector, &fault), 0);
    assert_null(fault);
}

static void write_request(struct fixture *fixture, const char *id, const char *text)
{
    char *path = mem_format("%s/control/requests/%s", fixture->directory, id);
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    fclose(file);
    free(path);
}

static void what_is_not_understood_is_answered_and_not_carried_out(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{\"version\":2,\"kind\":\"parked-drop\",\"arguments\":{},\"expires_at_ms\":9999999999999}",
        "{\"version\":1,\"kind\":7,\"arguments\":{},\"expires_at_ms\":9999999999999}",
        "{\"version\":1,\"kind\":\"parked-drop\",\"arguments\":{}}",
    };
    struct fixture *fixture = *state;
    json_t *outcome = NULL;
    struct err err = {0};

    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        write_request(fixture, "0123-abcd.json", texts[i]);
        assert_no_request(fixture);
        assert_int_equal(control_wait(fixture->directory, "0123-abcd", LONG_MS, &outcome, &err), ERR_INPUT);
        assert_non_null(strstr(err.text, "not understood by this version"));
        assert_empty(fixture, "taken");
    }
}

static void files_that_are_no_requests_are_left_alone(void **state)
{
    static const char *const names[] = {"notes.txt", ".0123-abcd.json.tmp", "..json", "UP.json",
                                        "0123456789012345678901234567890123456789012345678901234567890123.json"};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        write_request(fixture, names[i], "{}");
    assert_no_request(fixture);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char *path = mem_format("%s/control/requests/%s", fixture->directory, names[i]);
        assert_int_equal(access(path, F_OK), 0);
        free(path);
    }
}

static void outcomes_that_nobody_comes_for_are_cleaned_up(void **state)
{
    struct fixture *fixture = *state;
    struct control_request *request = NULL;
    struct err err = {0};
    char id[CONTROL_ID_SIZE];

    submit(fixture, "parked-drop", id);
    assert_ok(control_take(fixture->control, &request, &err));
    assert_ok(control_answer(fixture->control, &request, NULL, NULL, &err));
    fixture->shifted_ms = 3600 * 1000 - 60 * 1000;
    open_control(fixture);
    char *path = mem_format("%s/control/outcomes/%s.json", fixture->directory, id);
    assert_int_equal(access(path, F_OK), 0); /* not an hour old */
    fixture->shifted_ms = 3600 * 1000 + 60 * 1000;
    open_control(fixture);
    assert_int_equal(access(path, F_OK), -1);
    free(path);
}

static void a_request_that_was_never_left_whole_is_cleaned_up(void **state)
{
    struct fixture *fixture = *state;
    char *path = mem_format("%s/control/requests/.0123-abcd.json.tmp", fixture->directory);

    write_request(fixture, ".0123-abcd.json.tmp", "{");
    fixture->shifted_ms = 3600 * 1000 - 60 * 1000;
    open_control(fixture);
    assert_int_equal(access(path, F_OK), 0); /* somebody may still be writing it */
    fixture->shifted_ms = 3600 * 1000 + 60 * 1000;
    open_control(fixture);
    assert_int_equal(access(path, F_OK), -1);
    free(path);
}

static void a_request_that_left_no_new_mtime_is_found_a_second_later(void **state)
{
    struct fixture *fixture = *state;
    struct control_request *request = NULL;
    struct err err = {0};
    char id[CONTROL_ID_SIZE];
    char *folder = mem_format("%s/control/requests", fixture->directory);
    const struct timespec hour_ago[] = {{.tv_sec = 1700000000}, {.tv_sec = 1700000000}};

    /* Old enough that it is believed. */
    assert_int_equal(utimensat(AT_FDCWD, folder, hour_ago, 0), 0);
    assert_int_equal(control_take(fixture->control, &request, &err), ERR_ABSENT);
    submit(fixture, "parked-drop", id);
    assert_int_equal(utimensat(AT_FDCWD, folder, hour_ago, 0), 0);
    assert_int_equal(control_take(fixture->control, &request, &err), ERR_ABSENT);
    fixture->shifted_ms += 1100;
    assert_ok(control_take(fixture->control, &request, &err));
    assert_string_equal(request->id, id);
    assert_ok(control_answer(fixture->control, &request, NULL, NULL, &err));
    free(folder);
}

#define with_projector(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_projector(a_request_is_carried_out_and_its_outcome_told),
        with_projector(a_failure_is_told_as_it_was),
        with_projector(an_outcome_without_content_is_an_empty_object),
        with_projector(requests_come_in_the_order_they_were_made),
        with_projector(a_request_is_found_though_the_mtime_stands_still),
        with_projector(a_request_that_nobody_took_can_be_withdrawn),
        with_projector(a_request_that_is_withdrawn_while_it_is_found_is_not_carried_out),
        with_projector(a_request_that_comes_too_late_is_refused),
        with_projector(a_taken_request_is_carried_out_after_a_crash_even_when_late),
        with_projector(a_request_is_not_carried_out_again_when_the_crash_came_after_its_outcome),
        with_projector(waiting_ends_with_the_projector),
        with_projector(an_outcome_counts_though_the_projector_is_gone),
        with_projector(waiting_has_an_end),
        with_projector(a_command_waits_while_the_projector_works),
        with_projector(what_is_not_understood_is_answered_and_not_carried_out),
        with_projector(files_that_are_no_requests_are_left_alone),
        with_projector(a_request_that_left_no_new_mtime_is_found_a_second_later),
        with_projector(outcomes_that_nobody_comes_for_are_cleaned_up),
        with_projector(a_request_that_was_never_left_whole_is_cleaned_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
