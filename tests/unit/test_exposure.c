/* Exposures: who is told of, once and again, through a port that takes, refuses or loses what it is given. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ops/runtime/metrics.h"
#include "query/exposure.h"
#include "schema/base/buf.h"
#include "schema/base/hash.h"
#include "schema/base/mem.h"
#include "tests/unit/served_world.h"

enum { RECORDS_MAX = 20000, DAY_MS = 86400000, THREADS = 3, OWNERS_EACH = 2000 };

/* What has been taken; touched by the exposures' thread until it is stopped. */
static struct fake {
    struct exposures *exposures;
    struct exposure_record *records;
    _Atomic int64_t count, refused;
    atomic_bool refuses, loses, stands_still;
} fake;

static bool take(void *self, const struct exposure_record *record)
{
    (void)self;
    if (atomic_load(&fake.refuses)) {
        atomic_fetch_add(&fake.refused, 1);
        return false;
    }
    int64_t at = atomic_fetch_add(&fake.count, 1);
    fake.records[at % RECORDS_MAX] = *record;
    exposures_told(fake.exposures, record->mark, !atomic_load(&fake.loses));
    return true;
}

static void pause_a_little(void *self, int64_t ms)
{
    (void)self;
    (void)ms;
    do
        usleep(500);
    while (atomic_load(&fake.stands_still));
}

static void flush(void *self, int64_t ms)
{
    (void)self;
    (void)ms;
}

static const struct exposure_port port = {take, pause_a_little, flush, NULL};
static struct served_world world; /* for its views and, in one test, for its answers */

static void start(unsigned threads, uint64_t memory_bytes)
{
    struct err err;

    fake.exposures = exposures_new(threads, memory_bytes);
    fake.records = mem_zero(RECORDS_MAX, sizeof(*fake.records));
    assert_int_equal(exposures_start(fake.exposures, &port, &err), 0);
}

static int set_up(void **state)
{
    (void)state;
    served_world_open(&world);
    served_world_fill(&world);
    served_world_put(&world, "shelf", "u1", "{'reader': 'u1', 'points': 7}");
    memset(&fake, 0, sizeof(fake));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    exposures_stop(fake.exposures, 0);
    served_world_close(&world);
    exposures_free(&fake.exposures);
    free(fake.records);
    return 0;
}

static void note(unsigned thread, const char *view, const char *owner, const char *generation, int64_t time_ms)
{
    exposure_note(exposures_queue(fake.exposures, thread),
                  &(struct exposure){.view = view_set_find(world.set, span_of_text(view)),
                                     .owner = span_of_text(owner),
                                     .owner_hash = hash64(span_of_text(owner)),
                                     .generation = generation,
                                     .time_ms = time_ms});
}

static void wait_for(_Atomic int64_t *value, int64_t wanted)
{
    for (int i = 0; i < 20000 && atomic_load(value) < wanted; i++)
        usleep(500);
    assert_int_equal(atomic_load(value), wanted);
}

static void wait_until_idle(void)
{
    for (int i = 0; i < 20000 && atomic_load(&exposures_counters(fake.exposures)->waiting) > 0; i++)
        usleep(500);
    assert_int_equal(atomic_load(&exposures_counters(fake.exposures)->waiting), 0);
}

static void a_person_is_told_of_once_for_a_generation_and_a_day(void **state)
{
    struct exposure_counters *counters;

    (void)state;
    start(2, 1 << 16);
    counters = exposures_counters(fake.exposures);
    for (int i = 0; i < 5; i++) {
        note(0, "shelf", "u1", "7f3a9c-2", DAY_MS + i);
        note(1, "loan", "u1", "7f3a9c-2", DAY_MS + i);
        wait_until_idle();
    }
    assert_in_range(atomic_load(&counters->published), 1, 2); /* two threads may meet */
    int64_t before = atomic_load(&counters->published);
    note(0, "shelf", "u1", "7f3a9c-2", 2 * (int64_t)DAY_MS - 1);
    note(0, "shelf", "u1", "91bd0e-1", DAY_MS);
    note(0, "shelf", "u2", "7f3a9c-2", DAY_MS);
    note(0, "shelf", "u1", "7f3a9c-2", 2 * (int64_t)DAY_MS);
    wait_for(&counters->published, before + 3);
    assert_int_equal(atomic_load(&counters->dropped), 0);
}

static void a_record_is_what_the_schema_says(void **state)
{
    struct exposure_record first, second, other;
    struct exposure exposure = {.view = view_set_find(world.set, SPAN_LITERAL("shelf")),
                                .owner = SPAN_LITERAL("u1"),
                                .owner_hash = hash64(SPAN_LITERAL("u1")),
                                .generation = "7f3a9c-2",
                                .time_ms = 1700000000123};
    static const char expected[] = "\x0a\x02u1\x12\x05shelf\x1a\x08"
                                   "7f3a9c-2\x22\x0b\x08\x80\xe2\xcf\xaa\x06\x10\xc0\xa9\xd3\x3a\x2a\x20";

    (void)state;
    assert_true(exposure_record_write(&exposure, &first));
    assert_true(span_equal_text(exposure_record_key(&first), "u1"));
    assert_memory_equal(exposure_record_value(&first).at, expected, sizeof(expected) - 1);
    assert_int_equal(exposure_record_value(&first).len, sizeof(expected) - 1 + 32);
    assert_memory_equal(span_bytes(exposure_record_value(&first)) + sizeof(expected) - 1, exposure_record_id(&first).at,
                        32);
    /* The same id for another screen at another hour, another one tomorrow. */
    exposure.view = view_set_find(world.set, SPAN_LITERAL("loan"));
    exposure.time_ms += 3600000;
    assert_true(exposure_record_write(&exposure, &second));
    assert_memory_equal(exposure_record_id(&first).at, exposure_record_id(&second).at, 32);
    exposure.time_ms += DAY_MS;
    assert_true(exposure_record_write(&exposure, &other));
    assert_memory_not_equal(exposure_record_id(&first).at, exposure_record_id(&other).at, 32);
    /* Bytes aren't text: as in the URL. The key stays as it is in the events. */
    exposure.view = view_set_find(world.set, SPAN_LITERAL("scan"));
    exposure.owner = SPAN_LITERAL("\xff\xef");
    assert_true(exposure_record_write(&exposure, &other));
    assert_memory_equal(exposure_record_value(&other).at, "\x0a\x03_-8", 5);
    assert_true(span_equal_text(exposure_record_key(&other), "\xff\xef"));
}

static void what_the_port_refuses_or_loses_is_counted_and_tried_again(void **state)
{
    struct exposure_counters *counters;

    (void)state;
    start(1, 1 << 16);
    counters = exposures_counters(fake.exposures);
    atomic_store(&fake.refuses, true);
    note(0, "shelf", "u1", "7f3a9c-2", 0);
    wait_for(&counters->dropped, 1);
    atomic_store(&fake.refuses, false);
    atomic_store(&fake.loses, true);
    note(0, "shelf", "u1", "7f3a9c-2", 0);
    wait_for(&counters->dropped, 2);
    atomic_store(&fake.loses, false);
    note(0, "shelf", "u1", "7f3a9c-2", 0);
    wait_for(&counters->published, 1);
    note(0, "shelf", "u1", "7f3a9c-2", 0);
    wait_until_idle();
    assert_int_equal(atomic_load(&counters->published), 1);
}

static void a_full_queue_costs_an_answer_nothing_but_the_telling(void **state)
{
    struct exposure_counters *counters;
    char owner[24];

    (void)state;
    start(1, 1 << 20);
    counters = exposures_counters(fake.exposures);
    atomic_store(&fake.stands_still, true);
    for (int i = 0; i < 5000; i++) {
        snprintf(owner, sizeof(owner), "u%d", i);
        note(0, "shelf", owner, "7f3a9c-2", 0);
    }
    assert_true(atomic_load(&counters->dropped) >= 2000);
    assert_int_equal(
        atomic_load(&counters->dropped) + atomic_load(&counters->waiting) + atomic_load(&counters->published), 5000);
    atomic_store(&fake.stands_still, false);
    wait_until_idle();
    int64_t published = atomic_load(&counters->published);
    assert_true(published >= 1024 && published < 5000);
    for (int i = 0; i < 5000; i++) { /* their next answers */
        snprintf(owner, sizeof(owner), "u%d", i);
        note(0, "shelf", owner, "7f3a9c-2", 0);
        if (i % 500 == 0)
            wait_until_idle();
    }
    wait_for(&counters->published, 5000);
}

static void what_is_too_large_is_dropped(void **state)
{
    char owner[1100];

    (void)state;
    start(1, 1 << 16);
    memset(owner, 'x', sizeof(owner) - 1);
    owner[sizeof(owner) - 1] = '\0';
    note(0, "shelf", owner, "7f3a9c-2", 0);
    assert_int_equal(atomic_load(&exposures_counters(fake.exposures)->dropped), 1);
}

static void little_memory_costs_repeats_and_loses_nobody(void **state)
{
    bool *seen = mem_zero(OWNERS_EACH, sizeof(bool));
    char owner[24];

    (void)state;
    start(1, 4096); /* 512 places */
    for (int i = 0; i < 2 * OWNERS_EACH; i++) {
        snprintf(owner, sizeof(owner), "u%d", i % OWNERS_EACH);
        note(0, "shelf", owner, "7f3a9c-2", 0);
        if (i % 500 == 0)
            wait_until_idle();
    }
    wait_until_idle();
    exposures_stop(fake.exposures, 0);
    int64_t count = atomic_load(&fake.count);
    assert_in_range(count, OWNERS_EACH + 1, 2 * OWNERS_EACH);
    for (int64_t i = 0; i < count; i++) {
        snprintf(owner, sizeof(owner), "%.*s", SPAN_ARGS(exposure_record_key(&fake.records[i])));
        seen[atoi(owner + 1)] = true;
    }
    for (int i = 0; i < OWNERS_EACH; i++)
        assert_true(seen[i]);
    free(seen);
}

static void *note_many(void *argument)
{
    unsigned thread = *(unsigned *)argument;
    char owner[24];

    for (int i = 0; i < OWNERS_EACH; i++) {
        snprintf(owner, sizeof(owner), "u%d", i);
        note(thread, "shelf", owner, "7f3a9c-2", 0);
        if (i % 200 == 0)
            usleep(1000);
    }
    return NULL;
}

static void threads_share_whom_they_have_told_of(void **state)
{
    pthread_t threads[THREADS];
    unsigned numbers[THREADS];

    (void)state;
    start(THREADS, 1 << 20);
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, note_many, &numbers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    wait_until_idle();
    int64_t published = atomic_load(&exposures_counters(fake.exposures)->published);
    int64_t dropped = atomic_load(&exposures_counters(fake.exposures)->dropped);
    assert_true(published + dropped >= OWNERS_EACH && published <= 2 * OWNERS_EACH);
}

static void only_who_has_seen_a_view_is_told_of(void **state)
{
    static const struct {
        const char *request, *lines;
        int status;
        int64_t published;
    } rows[] = {
        {"GET /v1/shelf/u2", NULL, 404, 0},
        {"HEAD /v1/shelf/u1", NULL, 200, 0},
        {"GET /v1/shelf/u1?fields=nonsense", NULL, 400, 0},
        {"GET /v1/shelf/u1", "If-None-Match: *\r\n", 304, 1},
        {"GET /v1/shelf/u1", NULL, 200, 1},
    };

    (void)state;
    start(1, 1 << 16);
    world.loop->exposures = exposures_queue(fake.exposures, 0);
    world.query.exposures = fake.exposures;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_int_equal(served_world_ask(&world, rows[i].request, rows[i].lines), rows[i].status);
        wait_until_idle();
        assert_int_equal(atomic_load(&fake.count), rows[i].published);
    }
    exposures_stop(fake.exposures, 0);
    assert_true(span_equal_text(exposure_record_key(&fake.records[0]), "u1"));
    world.loop->listener = LISTENER_ADMIN;
    served_world_ask(&world, "GET /metrics", NULL);
    assert_non_null(strstr(served_world_body(&world), "\ntarn_query_exposures_published_total 1\n"));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_person_is_told_of_once_for_a_generation_and_a_day),
        TEST(a_record_is_what_the_schema_says),
        TEST(what_the_port_refuses_or_loses_is_counted_and_tried_again),
        TEST(a_full_queue_costs_an_answer_nothing_but_the_telling),
        TEST(what_is_too_large_is_dropped),
        TEST(little_memory_costs_repeats_and_loses_nobody),
        TEST(threads_share_whom_they_have_told_of),
        TEST(only_who_has_seen_a_view_is_told_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
