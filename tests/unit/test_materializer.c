#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "projector/core_metrics.h"
#include "projector/parked.h"
#include "schema/base/mem.h"
#include "tests/unit/power_cut.h"
#include "tests/unit/till_world.h"

static void expect_view(struct till_world *world, const char *view, const char *key1, const char *key2,
                        const char *expected)
{
    char *json = till_view(world, view, key1, key2);

    if (expected == NULL) {
        if (json != NULL)
            fail_msg("%s/%s is there: %s", view, key1, json);
    } else {
        assert_non_null(json);
        assert_string_equal(json, expected);
    }
    free(json);
}

static struct partition *partition_at(struct till_world *world, uint16_t topic, int32_t number)
{
    struct partition *partition = positions_find(materializer_positions(world->materializer), topic, number);

    if (partition == NULL) {
        fail_msg("topic %u has no partition %d", topic, number);
        abort();
    }
    return partition;
}

static struct partition *partition_of(struct till_world *world, uint16_t topic)
{
    return partition_at(world, topic, 0);
}

/* As the keeper does it for a partition that was stopped. */
static void read_on(struct till_world *world, struct partition *partition)
{
    struct err err;

    partition->is_cut = false;
    assert_int_equal(world->port.assign(world->port.self, partition->topic, partition->number,
                                        partition->cursor.next_offset, &err),
                     0);
}

static const struct position *stored_position(struct till_world *world, uint16_t topic, const char *key)
{
    const struct partition *partition = partition_of(world, topic);

    return &partition->stored[owner_range(hash64(span_of_text(key)))];
}

/* --- the way of a record --- */

static void events_become_views(void **state)
{
    struct till_world world;

    (void)state;
    till_world_open(&world, 1, 1);
    till_bought(&world, "ann", "r1", 5);
    till_bought(&world, "ann", "r2", 7);
    till_renamed(&world, "ann", "Ann");
    till_world_drain(&world);

    expect_view(&world, "customer", "ann", NULL, "{\"person\":\"ann\",\"total\":12,\"bought\":2,\"name\":\"Ann\"}");
    expect_view(&world, "receipt", "ann", "r2", "{\"person\":\"ann\",\"receipt\":\"r2\",\"amount\":7,\"note\":\"\"}");
    till_world_close(&world);
}

static void what_another_stream_brings_first_is_kept_unseen(void **state)
{
    struct till_world world;

    (void)state;
    till_world_open(&world, 1, 1);
    till_renamed(&world, "ann", "Ann");
    till_world_drain(&world);
    expect_view(&world, "customer", "ann", NULL,
                "unseen {\"person\":\"ann\",\"total\":0,\"bought\":0,\"name\":\"Ann\"}");

    till_bought(&world, "ann", "r1", 5);
    till_world_drain(&world);
    expect_view(&world, "customer", "ann", NULL, "{\"person\":\"ann\",\"total\":5,\"bought\":1,\"name\":\"Ann\"}");
    till_world_close(&world);
}

static void a_view_that_is_deleted_comes_again_with_a_home_event(void **state)
{
    struct till_world world;

    (void)state;
    till_world_open(&world, 1, 1);
    till_bought(&world, "ann", "r1", 5);
    till_returned(&world, "ann", "r1");
    till_world_drain(&world);
    expect_view(&world, "receipt", "ann", "r1", NULL);

    till_bought(&world, "ann", "r1", 6);
    till_world_drain(&world);
    expect_view(&world, "receipt", "ann", "r1", "{\"person\":\"ann\",\"receipt\":\"r1\",\"amount\":6,\"note\":\"\"}");
    till_world_close(&world);
}

static void types_without_a_handler_and_null_values_are_skipped_and_passed(void **state)
{
    struct till_world world;

    (void)state;
    till_world_open(&world, 1, 1);
    till_raw(&world, TOPIC_TILL, "ann", "till.v1.Audited", "", 0);
    till_raw(&world, TOPIC_TILL, "ann", "no.such.Type", "xyz", 3);
    till_raw(&world, TOPIC_TILL, "ann", "till.v1.Bought", NULL, 0);
    till_world_drain(&world);

    assert_int_equal(till_parked(&world, TOPIC_TILL, NULL), 0);
    assert_int_equal(stored_position(&world, TOPIC_TILL, "ann")->next_offset, 3);
    assert_int_equal(till_rows(&world, TABLE_VIEWS), 0);
    till_world_close(&world);
}

static void offsets_that_a_log_leaves_out_leave_no_gap_behind(void **state)
{
    struct till_world world;

    (void)state;
    till_world_open(&world, 1, 1);
    till_bought(&world, "ann", "r1", 5);
    scripted_source_skip(world.source, TOPIC_TILL, 0, 10);
    till_bought(&world, "ann", "r2", 5);
    scripted_source_skip(world.source, TOPIC_TILL, 0, 3); /* aborted records at the end */
    till_world_drain(&world);

    assert_int_equal(stored_position(&world, TOPIC_TILL, "ann")->next_offset, 15);
    assert_int_equal(stored_position(&world, TOPIC_TILL, "ann")->last_offset, 11);
    assert_int_equal(positions_lag(materializer_positions(world.materializer)), 0);
    till_world_close(&world);
}

/* --- replays --- */

static const char *person_of(unsigned number)
{
    static char name[16];

    snprintf(name, sizeof(name), "p%u", number);
    return name;
}

/* A long mixture of everything, the same for the same seed. */
static void write_history(struct till_world *world, unsigned events)
{
    uint64_t seed = 42;

    for (unsigned i = 0; i < events; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        unsigned what = (unsigned)(seed >> 33) % 100;
        const char *person = person_of((unsigned)(seed >> 40) % (events / 8 + 1));
        char receipt[16];
        snprintf(receipt, sizeof(receipt), "r%u", (unsigned)(seed >> 20) % 5);
        if (what < 60)
            till_bought(world, person, receipt, (int32_t)(seed >> 50));
        else if (what < 70)
            till_returned(world, person, receipt);
        else if (what < 85)
            till_renamed(world, person, receipt);
        else if (what < 88)
            till_raw(world, TOPIC_TILL, person, "till.v1.Bought", "\xff", 1); /* unparseable */
        else if (what < 91)
            till_left(world, person, receipt);
        else if (what < 93)
            till_gone(world, person);
        else if (what < 94)
            till_raw(world, TOPIC_PEOPLE, person, NULL, NULL, 0); /* a tombstone */
        else if (what < 97)
            till_raw(world, TOPIC_TILL, person, "till.v1.Bought", "", 0); /* another owner's: none */
        else
            scripted_source_skip(world->source, TOPIC_TILL, 0, 1);
    }
}

struct outcome_of_history {
    char *digest;
    size_t parked;
    size_t marks;
};

/* Reads the history with a kill after every `kill_every` turns (0: none), committing range by range or all at once. */
static struct outcome_of_history read_history(uint64_t seed, size_t batch, unsigned kill_every, bool by_range)
{
    struct till_world world;
    struct outcome_of_history outcome;
    unsigned turns = 0;

    till_world_open(&world, 3, seed);
    write_history(&world, 1500);
    world.batch = batch;
    world.turn.lag = by_range ? 1000000 : 0;
    while (till_world_step(&world)) {
        world.now_us += by_range ? 11 * 1000 * 1000 : 60 * 1000; /* so that each turn may start a job */
        if (kill_every > 0 && ++turns % kill_every == 0) {
            /* A kill gives up what is being written. Where writing is slower than kill_every turns (under a sanitizer,
             * on a slow disk) nothing would ever be committed, so every other kill comes just behind a commit. */
            if (turns / kill_every % 2 == 0)
                materializer_wait(world.materializer, 10000);
            till_world_kill(&world);
            till_world_start(&world);
        }
    }
    till_world_drain(&world);
    outcome.digest = till_digest(&world);
    outcome.parked = till_rows(&world, TABLE_PARKED);
    outcome.marks = till_rows(&world, TABLE_MARKS);
    assert_int_equal(outcome.parked, till_parked(&world, 0, NULL));
    till_world_close(&world);
    return outcome;
}

static void any_interleaving_batch_size_and_kill_gives_the_same_bytes(void **state)
{
    static const struct {
        uint64_t seed;
        size_t batch;
        unsigned kill_every;
        bool by_range;
    } runs[] = {
        {2, 1000000, 0, false}, {3, 1, 0, false},  {4, 20, 0, true},   {5, 64, 0, true},    {6, 64, 5, false},
        {7, 64, 3, true},       {8, 500, 2, true}, {9, 100, 17, true}, {10, 20, 41, false}, {11, 20, 13, true},
    };

    (void)state;
    struct outcome_of_history expected = read_history(1, 64, 0, false);
    assert_true(expected.parked > 10);
    assert_true(expected.marks > 10);
    for (size_t i = 0; i < ARRAY_COUNT(runs); i++) {
        struct outcome_of_history outcome =
            read_history(runs[i].seed, runs[i].batch, runs[i].kill_every, runs[i].by_range);
        assert_string_equal(outcome.digest, expected.digest);
        assert_int_equal(outcome.parked, expected.parked);
        assert_int_equal(outcome.marks, expected.marks);
        free(outcome.digest);
    }
    free(expected.digest);
}

static void a_start_goes_on_at_the_oldest_range_and_drops_what_others_have(void **state)
{
    struct till_world world;

    (void)state;
    till_world_open(&world, 1, 1);
    for (unsigned i = 0; i < 200; i++)
        till_bought(&world, person_of(i), "r", 1);
    world.turn.lag = 1000000;
    world.batch = 1000;
    till_world_step(&world);
    world.now_us += 11 * 1000 * 1000;
    till_world_step(&world); /* starts a job for one range */
    materializer_wait(world.materializer, 10000);
    till_world_kill(&world);
    till_world_start(&world);

    const struct partition *partition = partition_of(&world, TOPIC_TILL);
    unsigned ahead = 0;
    for (unsigned range = 0; range < RANGE_COUNT; range++)
        ahead += partition->stored[range].next_offset == 200;
    assert_int_equal(ahead, 1);
    assert_int_equal(partition->cursor.next_offset, 0);

    till_world_drain(&world);
    for (unsigned i = 0; i < 200; i++) {
        char expected[100];
        snprintf(expected, sizeof(expected), "{\"person\":\"%s\",\"total\":1,\"bought\":1,\"name\":\"\"}",
                 person_of(i));
        expect_view(&world, "customer", person_of(i), NULL, expected);
    }
    till_world_close(&world);
}

/* --- erasure --- */

static void a_view_erased_before_a_late_event_stays_erased(void **state)
{
    struct till_world world;

    (void)state;
    till_world_open(&world, 1, 1);
    till_bought(&world, "ann", "r1", 5);
    till_bought(&world, "bob", "r1", 5);
    till_world_drain(&world);
    till_gone(&world, "ann");
    till_world_drain(&world);
    till_bought(&world, "ann", "r2", 5);
    till_renamed(&world, "ann", "Ann");
    till_raw(&world, TOPIC_TILL, "ann", "till.v1.Bought", "\xff", 1); /* bad ones too */
    till_raw(&world, TOPIC_TILL, "ann", NULL, "", 0);
    till_world_drain(&world);
    till_world_kill(&world);
    till_world_start(&world);
    till_bought(&world, "ann", "r3", 5);
    till_world_drain(&world);

    expect_view(&world, "customer", "ann", NULL, NULL);
    expect_view(&world, "receipt", "ann", "r1", NULL);
    expect_view(&world, "receipt", "ann", "r2", NULL);
    expect_view(&world, "customer", "bob", NULL, "{\"person\":\"bob\",\"total\":5,\"bought\":1,\"name\":\"\"}");
    assert_int_equal(till_parked(&world, TOPIC_TILL, NULL), 0);
    assert_int_equal(till_rows(&world, TABLE_VIEWS), 2);
    assert_int_equal(till_rows(&world, TABLE_MARKS), 2);
    till_world_close(&world);
}

static void an_erasure_by_leading_fields_takes_committed_and_uncommitted_views(void **state)
{
    struct till_world world;

    (void)state;
    till_world_open(&world, 1, 1);
    for (unsigned i = 0; i < 20; i++)
        till_bought(&world, "ann", person_of(i), 1);
    till_world_drain(&world);
    till_world_kill(&world); /* these are in the store alone */
    till_world_start(&world);
    for (unsigned i = 15; i < 40; i++)
        till_bought(&world, "ann", person_of(i), 1);
    till_bought(&world, "anna", "r", 1);
    till_raw(&world, TOPIC_PEOPLE, "ann", NULL, NULL, 0); /* the tombstone of Gone */
    till_world_drain(&world);

    assert_int_equal(till_rows(&world, TABLE_VIEWS), 2);
    expect_view(&world, "receipt", "anna", "r", "{\"person\":\"anna\",\"receipt\":\"r\",\"amount\":1,\"note\":\"\"}");
    till_world_close(&world);
}

static void an_erasure_of_a_whole_key_leaves_its_neighbours(void **state)
{
    struct till_world world;

    (void)state;
    till_world_open(&world, 1, 1);
    till_bought(&world, "ann", "r1", 1);
    till_bought(&world, "ann", "r2", 1);
    till_world_drain(&world);
    till_left(&world, "ann", "r1");
    till_world_drain(&world);
    till_bought(&world, "ann", "r1", 2);
    till_world_drain(&world);

    expect_view(&world, "receipt", "ann", "r1", NULL);
    expect_view(&world, "receipt", "ann", "r2", "{\"person\":\"ann\",\"receipt\":\"r2\",\"amount\":1,\"note\":\"\"}");
    expect_view(&world, "customer", "ann", NULL, "{\"person\":\"ann\",\"total\":4,\"bought\":3,\"name\":\"\"}");
    till_world_close(&world);
}

/* --- parked events --- */

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
    expect_view(&world, "customer", "ann", NULL, "{\"person\":\"ann\",\"total\":1,\"bought\":1,\"name\":\"Ann\"}");
    expect_view(&world, "customer", "bob", NULL, "{\"person\":\"bob\",\"total\":1,\"bought\":1,\"name\":\"\"}");

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
    expect_view(&world, "receipt", "ann", "r2", NULL);
    expect_view(&world, "customer", "ann", NULL,
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
    expect_view(&world, "customer", "ann", NULL, "{\"person\":\"ann\",\"total\":1,\"bought\":1,\"name\":\"\"}");

    assert_int_equal(materializer_drop(world.materializer, &selection, &outcome, &err), 0);
    till_world_drain(&world);
    expect_view(&world, "customer", "ann", NULL, "{\"person\":\"ann\",\"total\":3,\"bought\":2,\"name\":\"\"}");
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
    expect_view(&world, "receipt", "ann", "r1", NULL);
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
        expect_view(&world, "customer", "ann", NULL, "{\"person\":\"ann\",\"total\":3,\"bought\":2,\"name\":\"\"}");
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
        till_raw(&world, TOPIC_TILL, person_of(i), "till.v1.Bought", "\xff", 1);
    till_bought(&world, "ann", "r1", 1);
    till_renamed(&world, "ann", "Ann");
    till_world_drain(&world);

    struct partition *partition = partition_of(&world, TOPIC_TILL);
    assert_int_equal(partition->row.state, PARTITION_PARKED);
    assert_int_equal(partition->cursor.next_offset, 3); /* the fourth is read again */
    assert_int_equal(till_parked(&world, TOPIC_TILL, NULL), 3);
    expect_view(&world, "customer", "ann", NULL,
                "unseen {\"person\":\"ann\",\"total\":0,\"bought\":0,\"name\":\"Ann\"}");

    till_world_kill(&world); /* it stays stopped */
    till_world_start(&world);
    partition = partition_of(&world, TOPIC_TILL);
    assert_int_equal(partition->row.state, PARTITION_PARKED);
    assert_int_equal(materializer_drop(world.materializer, &selection, &outcome, &err), 0);
    assert_int_equal(partition->row.state, PARTITION_FOLLOWING);
    world.port.assign(world.port.self, TOPIC_TILL, 0, partition->cursor.next_offset, &err);
    till_world_drain(&world);
    assert_int_equal(till_parked(&world, TOPIC_TILL, NULL), 2);
    expect_view(&world, "customer", "ann", NULL, "{\"person\":\"ann\",\"total\":1,\"bought\":1,\"name\":\"Ann\"}");
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
    struct partition *partition = partition_of(&world, TOPIC_TILL);
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
    expect_view(&world, "customer", "eve", NULL, "{\"person\":\"eve\",\"total\":1,\"bought\":1,\"name\":\"\"}");
    till_world_close(&world);
}

/* A shop where every tenth customer's event can't be read. */
static void write_shop(struct till_world *world)
{
    for (unsigned i = 0; i < 3000; i++) {
        if (i % 10 == 9)
            till_raw(world, TOPIC_TILL, person_of(10000 + i), "till.v1.Bought", "\xff", 1);
        else
            till_bought(world, person_of(i % 70), "r", 1);
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
            const struct partition *partition = partition_at(&world, TOPIC_TILL, i);
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
            read_on(&world, partition_at(&world, TOPIC_TILL, i));
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

/* --- memory --- */

/* An event of 2 KB. */
static void buy_much(struct till_world *world, unsigned number)
{
    char event[2200];
    const char *person = person_of(number);
    size_t len = (size_t)snprintf(event, sizeof(event), "\x0a%c%s\x12\x01r\"%c%c", (int)strlen(person), person,
                                  (2000 & 0x7f) | 0x80, 2000 >> 7);

    memset(event + len, 'x', 2000);
    till_raw(world, TOPIC_TILL, person, "till.v1.Bought", event, len + 2000);
}

static size_t cached_bytes(void)
{
    return (size_t)metric_get(&core_counters.cache_bytes);
}

static void memory_that_is_taken_away_is_given_back_a_little_at_a_time(void **state)
{
    enum { STEP = 64 << 10, SLACK = 512 << 10, GOAL = 1 << 20 };
    struct till_world world;

    (void)state;
    till_world_open(&world, 1, 1);
    for (unsigned i = 0; i < 3000; i++)
        buy_much(&world, i);
    till_world_drain(&world);
    size_t before = cached_bytes();
    assert_true(before > GOAL + SLACK + 32 * STEP);

    materializer_set_memory(world.materializer, GOAL);
    for (unsigned i = 0; cached_bytes() > GOAL + SLACK; i++) {
        assert_true(i < 1000);
        size_t was = cached_bytes();
        till_bought(&world, person_of(i), "r2", 1);
        till_world_drain(&world);
        assert_true(cached_bytes() + 16 * STEP > was);
    }
    till_world_close(&world);
}

static void the_cache_stays_within_its_budget_by_waiting_for_commits(void **state)
{
    struct till_world world;
    size_t most = 0;

    (void)state;
    till_world_open(&world, 2, 1);
    world.turn.lag = 1000000;
    world.batch = 500;
    for (unsigned i = 0; i < 10000; i++) /* 20 MB through 8 */
        buy_much(&world, i);
    while (till_world_step(&world)) {
        world.now_us += 1000;
        size_t now = (size_t)metric_get(&core_counters.cache_bytes);
        most = now > most ? now : most;
    }
    till_world_drain(&world);
    assert_true(most <= MATERIALIZER_MEMORY_MIN + 64 * 1024);
    assert_true(most > MATERIALIZER_MEMORY_MIN / 2);
    assert_int_equal(till_rows(&world, TABLE_VIEWS), 20000);
    till_world_close(&world);
}

/* A file that may not grow stands for a full disk: both are ERR_FULL. */
static void set_file_limit(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_stops_commits_until_there_is_room_and_loses_nothing(void **state)
{
    struct till_world world;
    struct err err = {0};

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    till_world_open(&world, 1, 1);
    till_bought(&world, "ann", "r1", 1);
    till_world_drain(&world);
    set_file_limit(16384);
    for (unsigned i = 0; i < 1000; i++)
        till_bought(&world, person_of(i), "r1", 1);
    world.turn.is_drained = true;
    for (int i = 0; i < 20 && materializer_stalled(world.materializer) == NULL; i++) {
        world.now_us += 10 * 1000;
        till_world_step(&world);
        materializer_wait(world.materializer, 1000);
    }
    bool is_stalled = materializer_stalled(world.materializer) != NULL;
    int rc = materializer_flush(world.materializer, &err);
    set_file_limit(RLIM_INFINITY);
    assert_true(is_stalled);
    assert_int_equal(rc, ERR_FULL);
    assert_int_equal(till_rows(&world, TABLE_VIEWS), 2); /* still the last commit's */

    world.now_us += 60 * 1000 * 1000;
    for (int i = 0; i < 20 && materializer_stalled(world.materializer) != NULL; i++) {
        till_world_step(&world);
        materializer_wait(world.materializer, 1000);
    }
    till_world_drain(&world);
    assert_int_equal(till_rows(&world, TABLE_VIEWS), 2002);
    till_world_close(&world);
}

static void what_somebody_waits_for_is_on_the_disk_when_they_are_told(void **state)
{
    struct till_world world;
    struct err err = {0};

    (void)state;
    till_world_open(&world, 1, 1);
    till_world_drain(&world);
    power_cut_watch(world.store_folder);
    till_bought(&world, "ann", "r1", 1);
    while (till_world_step(&world))
        continue;
    assert_int_equal(materializer_flush(world.materializer, &err), 0);
    assert_false(power_cut_takes_something());
    assert_int_equal(till_rows(&world, TABLE_VIEWS), 2);
    till_world_close(&world);
    power_cut_end();
}

static void what_is_committed_while_catching_up_is_on_the_disk(void **state)
{
    struct till_world world;

    (void)state;
    till_world_open(&world, 1, 1);
    till_bought(&world, "ann", "r1", 1);
    till_world_drain(&world); /* live: a checkpoint is in use */
    world.turn.lag = 1000000;
    world.batch = 1000;
    for (unsigned i = 0; i < 200; i++)
        till_bought(&world, person_of(i), "r", 1);
    till_world_step(&world);
    power_cut_watch(world.store_folder);
    world.now_us += 11 * 1000 * 1000;
    till_world_step(&world); /* starts a job for one range */
    materializer_wait(world.materializer, 10000);
    assert_false(power_cut_takes_something());
    power_cut_end();
    till_world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_become_views),
        cmocka_unit_test(what_another_stream_brings_first_is_kept_unseen),
        cmocka_unit_test(a_view_that_is_deleted_comes_again_with_a_home_event),
        cmocka_unit_test(types_without_a_handler_and_null_values_are_skipped_and_passed),
        cmocka_unit_test(offsets_that_a_log_leaves_out_leave_no_gap_behind),
        cmocka_unit_test(any_interleaving_batch_size_and_kill_gives_the_same_bytes),
        cmocka_unit_test(a_start_goes_on_at_the_oldest_range_and_drops_what_others_have),
        cmocka_unit_test(a_view_erased_before_a_late_event_stays_erased),
        cmocka_unit_test(an_erasure_by_leading_fields_takes_committed_and_uncommitted_views),
        cmocka_unit_test(an_erasure_of_a_whole_key_leaves_its_neighbours),
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
        cmocka_unit_test(a_full_disk_stops_commits_until_there_is_room_and_loses_nothing),
        cmocka_unit_test(what_somebody_waits_for_is_on_the_disk_when_they_are_told),
        cmocka_unit_test(what_is_committed_while_catching_up_is_on_the_disk),
        cmocka_unit_test(memory_that_is_taken_away_is_given_back_a_little_at_a_time),
        cmocka_unit_test(the_cache_stays_within_its_budget_by_waiting_for_commits),
    };

    /* All of it must hold whatever the number of threads. */
    setenv("TARN_TEST_FOLD_THREADS", "1", 1);
    int failed = cmocka_run_group_tests_name("materializer", tests, NULL, NULL);
    setenv("TARN_TEST_FOLD_THREADS", "3", 1);
    return failed + cmocka_run_group_tests_name("materializer, on three threads", tests, NULL, NULL);
}
