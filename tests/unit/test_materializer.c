#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "projector/core_metrics.h"
#include "schema/base/mem.h"
#include "tests/unit/power_cut.h"
#include "tests/unit/till_world.h"

static const struct position *stored_position(struct till_world *world, uint16_t topic, const char *key)
{
    const struct partition *partition = till_partition(world, topic, 0);

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

    till_expect_view(&world, "customer", "ann", NULL,
                     "{\"person\":\"ann\",\"total\":12,\"bought\":2,\"name\":\"Ann\"}");
    till_expect_view(&world, "receipt", "ann", "r2",
                     "{\"person\":\"ann\",\"receipt\":\"r2\",\"amount\":7,\"note\":\"\"}");
    till_world_close(&world);
}

static void what_another_stream_brings_first_is_kept_unseen(void **state)
{
    struct till_world world;

    (void)state;
    till_world_open(&world, 1, 1);
    till_renamed(&world, "ann", "Ann");
    till_world_drain(&world);
    till_expect_view(&world, "customer", "ann", NULL,
                     "unseen {\"person\":\"ann\",\"total\":0,\"bought\":0,\"name\":\"Ann\"}");

    till_bought(&world, "ann", "r1", 5);
    till_world_drain(&world);
    till_expect_view(&world, "customer", "ann", NULL, "{\"person\":\"ann\",\"total\":5,\"bought\":1,\"name\":\"Ann\"}");
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
    till_expect_view(&world, "receipt", "ann", "r1", NULL);

    till_bought(&world, "ann", "r1", 6);
    till_world_drain(&world);
    till_expect_view(&world, "receipt", "ann", "r1",
                     "{\"person\":\"ann\",\"receipt\":\"r1\",\"amount\":6,\"note\":\"\"}");
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

/* A long mixture of everything, the same for the same seed. */
static void write_history(struct till_world *world, unsigned events)
{
    uint64_t seed = 42;

    for (unsigned i = 0; i < events; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        unsigned what = (unsigned)(seed >> 33) % 100;
        const char *person = till_person((unsigned)(seed >> 40) % (events / 8 + 1));
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
        till_bought(&world, till_person(i), "r", 1);
    world.turn.lag = 1000000;
    world.batch = 1000;
    till_world_step(&world);
    world.now_us += 11 * 1000 * 1000;
    till_world_step(&world); /* starts a job for one range */
    materializer_wait(world.materializer, 10000);
    till_world_kill(&world);
    till_world_start(&world);

    const struct partition *partition = till_partition(&world, TOPIC_TILL, 0);
    unsigned ahead = 0;
    for (unsigned range = 0; range < RANGE_COUNT; range++)
        ahead += partition->stored[range].next_offset == 200;
    assert_int_equal(ahead, 1);
    assert_int_equal(partition->cursor.next_offset, 0);

    till_world_drain(&world);
    for (unsigned i = 0; i < 200; i++) {
        char expected[100];
        snprintf(expected, sizeof(expected), "{\"person\":\"%s\",\"total\":1,\"bought\":1,\"name\":\"\"}",
                 till_person(i));
        till_expect_view(&world, "customer", till_person(i), NULL, expected);
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

    till_expect_view(&world, "customer", "ann", NULL, NULL);
    till_expect_view(&world, "receipt", "ann", "r1", NULL);
    till_expect_view(&world, "receipt", "ann", "r2", NULL);
    till_expect_view(&world, "customer", "bob", NULL, "{\"person\":\"bob\",\"total\":5,\"bought\":1,\"name\":\"\"}");
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
        till_bought(&world, "ann", till_person(i), 1);
    till_world_drain(&world);
    till_world_kill(&world); /* these are in the store alone */
    till_world_start(&world);
    for (unsigned i = 15; i < 40; i++)
        till_bought(&world, "ann", till_person(i), 1);
    till_bought(&world, "anna", "r", 1);
    till_raw(&world, TOPIC_PEOPLE, "ann", NULL, NULL, 0); /* the tombstone of Gone */
    till_world_drain(&world);

    assert_int_equal(till_rows(&world, TABLE_VIEWS), 2);
    till_expect_view(&world, "receipt", "anna", "r",
                     "{\"person\":\"anna\",\"receipt\":\"r\",\"amount\":1,\"note\":\"\"}");
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

    till_expect_view(&world, "receipt", "ann", "r1", NULL);
    till_expect_view(&world, "receipt", "ann", "r2",
                     "{\"person\":\"ann\",\"receipt\":\"r2\",\"amount\":1,\"note\":\"\"}");
    till_expect_view(&world, "customer", "ann", NULL, "{\"person\":\"ann\",\"total\":4,\"bought\":3,\"name\":\"\"}");
    till_world_close(&world);
}
/* --- memory --- */

/* An event of 2 KB. */
static void buy_much(struct till_world *world, unsigned number)
{
    char event[2200];
    const char *person = till_person(number);
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
        till_bought(&world, till_person(i), "r2", 1);
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
        till_bought(&world, till_person(i), "r1", 1);
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
        till_bought(&world, till_person(i), "r", 1);
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
