/* Events that can't be applied: what they hold up, what they don't, and how it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "projector/parked.h"
#include "tests/unit/till_world.h"

/* As the keeper does it for a partition that was stopped. */
static void read_on(struct till_world *world, struct partition *partition)
{
    struct err err;

    partition->is_cut = false;
    assert_int_equal(
        world->port.assign(world->port.self, partition->topic, partition->number, partition->cursor.next_offset, &err),
        0);
}

static void a_bad_event_stops_its_key_and_not_its_partition(void **state)
{
    struct till_world world;

    (void)state;
    till_world_open(&world, 1, 1);
    till_bought(&world, "ann", "r1", 1);
    till_raw(&world, TOPIC_TILL, "ann", "till.v1.Bought", "\xff", 1);
    till_bought(&world, "ann", "r2", 1);
    till_bought(&world, "bob", "r1", 1);
    till_renamed(&world, "ann", "Ann"); /* another topic: not this unit */
    till_world_drain(&world);

    assert_int_equal(till_parked(&world, TOPIC_TILL, "ann"), 2);
    assert_int_equal(world.parked_told, 1);
    assert_int_equal(world.parked_reason, PARK_UNPARSEABLE);
    till_expect_view(&world, "customer", "ann", NULL, "{\"person\":\"ann\",\"total\":1,\"bought\":1,\"name\":\"Ann\"}");
    till_expect_view(&world, "customer", "bob", NULL, "{\"person\":\"bob\",\"total\":1,\"bought\":1,\"name\":\"\"}");

    till_world_kill(&world); /* what waits still waits */
    till_world_start(&world);
    till_bought(&world, "ann", "r3", 1);
    till_world_drain(&world);
    assert_int_equal(till_parked(&world, TOPIC_TILL, "ann"), 3);
    till_world_close(&world);
}

static void each_fault_has_its_reason(void **state)
{
    static const struct {
        const char *key, *type, *bytes;
        size_t len;
        enum park_reason reason;
        uint16_t topic;
    } rows[] = {
        {"ann", "till.v1.Bought", "\xff", 1, PARK_UNPARSEABLE, TOPIC_TILL},
        {"ann", NULL, "", 0, PARK_NO_TYPE, TOPIC_TILL},
        {NULL, "till.v1.Bought",
         "\x0a\x03"
         "ann",
         5, PARK_NO_KEY, TOPIC_TILL},
        {"ann", "till.v1.Bought",
         "\x0a\x03"
         "bob\x12\x01r",
         8, PARK_FOREIGN_KEY, TOPIC_TILL},
        {"ann", "till.v1.Bought",
         "\x0a\x03"
         "ann\x12\x01r",
         8, PARK_WRONG_TOPIC, TOPIC_PEOPLE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct till_world world;
        till_world_open(&world, 1, 1);
        till_raw(&world, rows[i].topic, rows[i].key, rows[i].type, rows[i].bytes, rows[i].len);
        till_world_drain(&world);
        assert_int_equal(till_rows(&world, TABLE_PARKED), 1);
        assert_int_equal(world.parked_reason, rows[i].reason);
        assert_null(strstr(world.parked_message, "bob")); /* never a value */
        assert_int_equal(till_rows(&world, TABLE_VIEWS), 0);
        till_world_close(&world);
    }
}

static void an_event_is_applied_to_all_its_views_or_to_none(void **state)
{
    struct till_world world;

    (void)state;
    till_world_open(&world, 1, 1);
    till_bought(&world, "ann", "r1", INT32_MAX);
    till_bought(&world, "ann", "r2", 1); /* the sum overflows; the receipt alone would be fine */
    till_world_drain(&world);

    assert_int_equal(world.parked_reason, PARK_OVERFLOW);
    till_expect_view(&world, "receipt", "ann", "r2", NULL);
    till_expect_view(&world, "customer", "ann", NULL,
                     "{\"person\":\"ann\",\"total\":2147483647,\"bought\":1,\"name\":\"\"}");
    till_world_close(&world);
}

static void keyless_events_are_parked_each_on_its_own(void **state)
{
    struct till_world world;

    (void)state;
    till_world_open(&world, 1, 1);
    for (int i = 0; i < 3; i++)
        till_raw(&world, TOPIC_TILL, NULL, "till.v1.Bought", "", 0);
    till_world_drain(&world);

    assert_int_equal(till_parked(&world, TOPIC_TILL, NULL), 3);
    assert_int_equal(materializer_parked(world.materializer), 3);
    assert_int_equal(world.parked_told, 3); /* none waits for another */
    assert_int_equal(world.parked_told, 3);
    till_world_close(&world);
}

static void a_dropped_event_lets_go_of_what_waited_and_never_comes_back(void **state)
{
    struct till_world world;
    struct parked_selection selection = {.topic = TOPIC_TILL, .key = SPAN_LITERAL("ann")};
    struct parked_outcome outcome;
    struct err err = {0};

    (void)state;
    till_world_open(&world, 1, 1);
    till_raw(&world, TOPIC_TILL, "ann", "till.v1.Bought", "\xff", 1);
    till_bought(&world, "ann", "r1", 1);
    till_raw(&world, TOPIC_TILL, "ann", "till.v1.Bought", "\xff", 1);
    till_bought(&world, "ann", "r2", 2);
    till_world_drain(&world);
    assert_int_equal(till_parked(&world, TOPIC_TILL, "ann"), 4);

    assert_int_equal(materializer_drop(world.materializer, &selection, &outcome, &err), 0);
    assert_int_equal(outcome.dropped, 1);
    assert_int_equal(outcome.applied, 1);
    assert_int_equal(outcome.left, 2);
    till_world_kill(&world); /* decided, but the store doesn't know */
    till_world_start(&world);
    assert_int_equal(till_parked(&world, TOPIC_TILL, "ann"), 2);
    till_world_drain(&world);
    till_expect_view(&world, "customer", "ann", NULL, "{\"person\":\"ann\",\"total\":1,\"bought\":1,\"name\":\"\"}");

    assert_int_equal(materializer_drop(world.materializer, &selection, &outcome, &err), 0);
    till_world_drain(&world);
    till_expect_view(&world, "customer", "ann", NULL, "{\"person\":\"ann\",\"total\":3,\"bought\":2,\"name\":\"\"}");
    assert_int_equal(till_rows(&world, TABLE_PARKED), 0);
    assert_int_equal(materializer_drop(world.materializer, &selection, &outcome, &err), ERR_ABSENT);
    till_world_close(&world);
}

static void a_retry_stops_at_the_first_event_that_fails(void **state)
{
    struct till_world world;
    struct parked_selection selection = {.is_all = true};
    struct parked_outcome outcome;
    struct err err = {0};

    (void)state;
    till_world_open(&world, 1, 1);
    till_bought(&world, "ann", "r1", INT32_MAX);
    till_bought(&world, "ann", "r2", 1);
    till_bought(&world, "ann", "r3", -5); /* waits */
    till_world_drain(&world);
    assert_int_equal(materializer_retry(world.materializer, &selection, &outcome, &err), 0);
    assert_int_equal(outcome.applied, 0);
    assert_int_equal(outcome.left, 2);
    till_world_drain(&world);
    assert_int_equal(till_rows(&world, TABLE_PARKED), 2);
    till_world_close(&world);
}

static void an_erasure_overtakes_what_waits_and_takes_it_along(void **state)
{
    struct till_world world;

    (void)state;
    till_world_open(&world, 1, 1);
    till_raw(&world, TOPIC_TILL, "ann", "till.v1.Bought", "\xff", 1);
    till_bought(&world, "ann", "r1", 1);
    till_raw(&world, TOPIC_PEOPLE, "ann", NULL, "", 0); /* blocks the unit of the topic that erases */
    till_renamed(&world, "ann", "Ann");
    till_world_drain(&world);
    assert_int_equal(till_parked(&world, TOPIC_TILL, "ann"), 2);
    assert_int_equal(till_parked(&world, TOPIC_PEOPLE, "ann"), 2);

    till_gone(&world, "ann");
    till_world_drain(&world);
    assert_int_equal(till_parked(&world, TOPIC_TILL, "ann"), 0);
    assert_int_equal(till_rows(&world, TABLE_MARKS), 2);
    till_world_close(&world);
}

static void an_event_that_fails_erases_all_the_same(void **state)
{
    struct till_world world;
    static char event[5100] = "\x0a\x03"
                              "ann\x12\x02r1\x1a\x88\x27"; /* a name of 5000 bytes: over the limit */

    (void)state;
    memset(event + 12, 'n', 5000);
    till_world_open(&world, 1, 1);
    till_bought(&world, "ann", "r1", 1);
    till_world_drain(&world);
    till_raw(&world, TOPIC_PEOPLE, "ann", "people.v1.Left", event, 5012);
    till_world_drain(&world);

    assert_int_equal(world.parked_reason, PARK_TOO_LARGE);
    assert_int_equal(till_parked(&world, TOPIC_PEOPLE, "ann"), 1);
    till_expect_view(&world, "receipt", "ann", "r1", NULL);
    till_world_close(&world);
}

/* Both orders end with the same: people's events may come before or after the till's. */
static void what_an_erasure_heals_is_applied_as_if_the_erasure_had_come_first(void **state)
{
    static char event[5100] = "\x0a\x03"
                              "ann\x12\x02r1\"\x88\x27"; /* a note of 5000 bytes: over the receipt's limit */

    (void)state;
    memset(event + 12, 'n', 5000);
    for (int erased_first = 0; erased_first < 2; erased_first++) {
        struct till_world world;
        till_world_open(&world, 1, 1);
        for (int i = 0; i < 2; i++) {
            if (i == 1 - erased_first)
                till_left(&world, "ann", "r1");
            else
                till_raw(&world, TOPIC_TILL, "ann", "till.v1.Bought", event, 5012);
            if (i == erased_first)
                till_bought(&world, "ann", "r2", 3); /* waits, when there is something to wait for */
            till_world_drain(&world);
        }
        assert_int_equal(till_parked(&world, TOPIC_TILL, NULL), 0);
        till_expect_view(&world, "customer", "ann", NULL,
                         "{\"person\":\"ann\",\"total\":3,\"bought\":2,\"name\":\"\"}");
        till_world_close(&world);
    }
}

static void an_event_that_only_feeds_erased_keys_does_not_wait(void **state)
{
    struct till_world world;

    (void)state;
    till_world_open(&world, 1, 1);
    till_raw(&world, TOPIC_TILL, "ann", "till.v1.Bought", "\xff", 1);
    till_left(&world, "ann", "r1");
    till_world_drain(&world);
    till_returned(&world, "ann", "r1");
    till_world_drain(&world);
    assert_int_equal(till_parked(&world, TOPIC_TILL, NULL), 1);
    till_returned(&world, "ann", "r2");
    till_world_drain(&world);
    assert_int_equal(till_parked(&world, TOPIC_TILL, NULL), 2);
    till_world_close(&world);
}

static void a_partition_with_too_many_parked_events_stops_alone(void **state)
{
    struct till_world world;
    struct parked_selection selection = {.is_all = true};
    struct parked_outcome outcome;
    struct err err = {0};

    (void)state;
    till_world_open(&world, 1, 1);
    till_world_kill(&world);
    world.park_limit = 3;
    till_world_start(&world);
    for (unsigned i = 0; i < 5; i++)
        till_raw(&world, TOPIC_TILL, till_person(i), "till.v1.Bought", "\xff", 1);
    till_bought(&world, "ann", "r1", 1);
    till_renamed(&world, "ann", "Ann");
    till_world_drain(&world);

    struct partition *partition = till_partition(&world, TOPIC_TILL, 0);
    assert_int_equal(partition->row.state, PARTITION_PARKED);
    assert_int_equal(partition->cursor.next_offset, 3); /* the fourth is read again */
    assert_int_equal(till_parked(&world, TOPIC_TILL, NULL), 3);
    till_expect_view(&world, "customer", "ann", NULL,
                     "unseen {\"person\":\"ann\",\"total\":0,\"bought\":0,\"name\":\"Ann\"}");

    till_world_kill(&world); /* it stays stopped */
    till_world_start(&world);
    partition = till_partition(&world, TOPIC_TILL, 0);
    assert_int_equal(partition->row.state, PARTITION_PARKED);
    assert_int_equal(materializer_drop(world.materializer, &selection, &outcome, &err), 0);
    assert_int_equal(partition->row.state, PARTITION_FOLLOWING);
    world.port.assign(world.port.self, TOPIC_TILL, 0, partition->cursor.next_offset, &err);
    till_world_drain(&world);
    assert_int_equal(till_parked(&world, TOPIC_TILL, NULL), 2);
    till_expect_view(&world, "customer", "ann", NULL, "{\"person\":\"ann\",\"total\":1,\"bought\":1,\"name\":\"Ann\"}");
    till_world_close(&world);
}

static void what_comes_behind_a_refused_event_waits_until_it_is_read_again(void **state)
{
    struct till_world world;

    (void)state;
    till_world_open(&world, 1, 1);
    till_world_kill(&world);
    world.park_limit = 1;
    till_world_start(&world);
    till_raw(&world, TOPIC_TILL, "ann", "till.v1.Bought", "\xff", 1);
    till_raw(&world, TOPIC_TILL, "bob", "till.v1.Bought", "\xff", 1); /* refused */
    till_world_step(&world);
    struct partition *partition = till_partition(&world, TOPIC_TILL, 0);
    assert_int_equal(partition->row.state, PARTITION_PARKED);

    till_gone(&world, "ann"); /* makes room */
    till_world_step(&world);
    assert_int_equal(partition->row.state, PARTITION_FOLLOWING);
    till_bought(&world, "eve", "r", 1); /* nobody has told the source yet: bob's would be passed over */
    till_world_drain(&world);
    assert_int_equal(partition->cursor.next_offset, 1);
    assert_int_equal(till_parked(&world, TOPIC_TILL, NULL), 0);

    read_on(&world, partition);
    till_world_drain(&world);
    assert_int_equal(till_parked(&world, TOPIC_TILL, "bob"), 1);
    till_expect_view(&world, "customer", "eve", NULL, "{\"person\":\"eve\",\"total\":1,\"bought\":1,\"name\":\"\"}");
    till_world_close(&world);
}

/* A shop where every tenth customer's event can't be read. */
static void write_shop(struct till_world *world)
{
    for (unsigned i = 0; i < 3000; i++) {
        if (i % 10 == 9)
            till_raw(world, TOPIC_TILL, till_person(10000 + i), "till.v1.Bought", "\xff", 1);
        else
            till_bought(world, till_person(i % 70), "r", 1);
    }
}

/* Drops what is parked and reads on from the cursors, until nothing is left; with a kill in between now and then. */
static char *read_shop(size_t park_limit, unsigned threads, size_t batch, size_t memory_bytes)
{
    const struct parked_selection all = {.is_all = true};
    struct parked_outcome outcome;
    struct till_world world;
    struct err err = {0};
    bool is_stopped = true;

    till_world_open(&world, 2, 1);
    till_world_kill(&world);
    world.park_limit = park_limit;
    world.fold_threads = threads;
    world.batch = batch;
    world.memory_bytes = memory_bytes;
    till_world_start(&world);
    write_shop(&world);
    for (unsigned round = 0; is_stopped; round++) {
        till_world_drain(&world);
        is_stopped = false;
        for (int32_t i = 0; i < 2; i++) {
            const struct partition *partition = till_partition(&world, TOPIC_TILL, i);
            assert_true(partition->parked <= park_limit);
            is_stopped |= partition->row.state == PARTITION_PARKED;
        }
        assert_int_equal(till_rows(&world, TABLE_PARKED), till_parked(&world, 0, NULL));
        if (round % 2 == 0) {
            till_world_kill(&world);
            till_world_start(&world);
        }
        assert_int_equal(materializer_drop(world.materializer, &all, &outcome, &err), 0);
        for (int32_t i = 0; i < 2; i++)
            read_on(&world, till_partition(&world, TOPIC_TILL, i));
    }
    till_world_drain(&world);
    char *digest = till_digest(&world);
    till_world_close(&world);
    return digest;
}

static void what_other_threads_did_behind_a_stop_is_neither_lost_nor_done_twice(void **state)
{
    static const struct {
        size_t park_limit;
        unsigned threads;
        size_t batch;
        size_t memory_bytes;
    } runs[] = {{7, 1, 500, 8 << 20},  {7, 3, 500, 8 << 20},     {7, 3, 40, 8 << 20},
                {1, 16, 700, 8 << 20}, {30, 2, 3000, 100 << 10}, {1000, 4, 1000, 100 << 10}};

    (void)state;
    char *expected = read_shop(SIZE_MAX, 1, 100, 64 << 20);
    for (size_t i = 0; i < ARRAY_COUNT(runs); i++) {
        char *digest = read_shop(runs[i].park_limit, runs[i].threads, runs[i].batch, runs[i].memory_bytes);
        assert_string_equal(digest, expected);
        free(digest);
    }
    free(expected);
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_event_stops_its_key_and_not_its_partition),
        cmocka_unit_test(each_fault_has_its_reason),
        cmocka_unit_test(an_event_is_applied_to_all_its_views_or_to_none),
        cmocka_unit_test(keyless_events_are_parked_each_on_its_own),
        cmocka_unit_test(a_dropped_event_lets_go_of_what_waited_and_never_comes_back),
        cmocka_unit_test(a_retry_stops_at_the_first_event_that_fails),
        cmocka_unit_test(an_erasure_overtakes_what_waits_and_takes_it_along),
        cmocka_unit_test(an_event_that_fails_erases_all_the_same),
        cmocka_unit_test(what_an_erasure_heals_is_applied_as_if_the_erasure_had_come_first),
        cmocka_unit_test(an_event_that_only_feeds_erased_keys_does_not_wait),
        cmocka_unit_test(a_partition_with_too_many_parked_events_stops_alone),
        cmocka_unit_test(what_comes_behind_a_refused_event_waits_until_it_is_read_again),
        cmocka_unit_test(what_other_threads_did_behind_a_stop_is_neither_lost_nor_done_twice),
    };

    /* All of it must hold whatever the number of threads. */
    setenv("TARN_TEST_FOLD_THREADS", "1", 1);
    int failed = cmocka_run_group_tests_name("materializer, parked events", tests, NULL, NULL);
    setenv("TARN_TEST_FOLD_THREADS", "3", 1);
    return failed + cmocka_run_group_tests_name("materializer, parked events, on three threads", tests, NULL, NULL);
}
