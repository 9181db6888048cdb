#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "projector/core_metrics.h"
#include "schema/base/mem.h"
#include "tests/unit/till_world.h"

enum { WINDOW = 10 };

static void open_world(struct till_world *world, int32_t partitions, uint64_t seed, uint64_t window)
{
    till_world_open(world, partitions, seed);
    till_world_kill(world);
    world->settings.dedupe_window = window;
    till_world_start(world);
}

static void restart(struct till_world *world)
{
    till_world_kill(world);
    till_world_start(world);
}

/* A purchase with an id; its amount tells one that was applied twice. */
static void bought(struct till_world *world, const char *person, const char *id, int32_t amount)
{
    scripted_source_set_id(world->source, id);
    till_bought(world, person, "r", amount);
    scripted_source_set_id(world->source, NULL);
}

/* Records of somebody else's, without ids, that only move the log on. */
static void pass_records(struct till_world *world, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        till_raw(world, TOPIC_TILL, "zoe", "till.v1.Audited", "", 0);
}

static void expect_total(struct till_world *world, const char *person, int total)
{
    char *json = till_view(world, "customer", person, NULL);
    char *expected = mem_format("\"total\":%d,", total);

    assert_non_null(json);
    if (strstr(json, expected) == NULL)
        fail_msg("%s instead of %s", json, expected);
    free(expected);
    free(json);
}

/* --- which records are duplicates --- */

static void a_record_whose_id_was_handled_is_skipped_and_its_position_moves(void **state)
{
    struct till_world world;
    int64_t before = core_counters.skipped_duplicate;

    (void)state;
    open_world(&world, 1, 1, WINDOW);
    bought(&world, "ann", "1", 5);
    bought(&world, "ann", "1", 5);
    bought(&world, "ann", "2", 7);
    bought(&world, "ann", "1", 5);
    till_world_drain(&world);

    expect_total(&world, "ann", 12);
    assert_int_equal(core_counters.skipped_duplicate, before + 2);
    const struct partition *partition = positions_find(materializer_positions(world.materializer), TOPIC_TILL, 0);
    assert_int_equal(partition->stored[owner_range(hash64(SPAN_LITERAL("ann")))].next_offset, 4);
    till_world_close(&world);
}

static void the_window_counts_offsets_back_from_the_record(void **state)
{
    static const struct {
        int64_t distance;
        int total;
    } rows[] = {{WINDOW - 1, 5}, {WINDOW, 5}, {WINDOW + 1, 10}};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        for (int is_gap = 0; is_gap < 2; is_gap++) { /* what a log leaves out counts like what it has */
            struct till_world world;
            open_world(&world, 1, 1, WINDOW);
            bought(&world, "ann", "1", 5);
            if (is_gap)
                scripted_source_skip(world.source, TOPIC_TILL, 0, rows[i].distance - 1);
            else
                pass_records(&world, (unsigned)rows[i].distance - 1);
            bought(&world, "ann", "1", 5);
            till_world_drain(&world);
            expect_total(&world, "ann", rows[i].total);
            till_world_close(&world);
        }
    }
}

static void a_duplicate_is_handled_too_so_the_next_one_is_looked_for_behind_it(void **state)
{
    struct till_world world;

    (void)state;
    open_world(&world, 1, 1, WINDOW);
    for (int i = 0; i < 5; i++) {
        bought(&world, "ann", "1", 5);
        pass_records(&world, WINDOW - 3);
    }
    till_world_drain(&world);
    expect_total(&world, "ann", 5);
    till_world_close(&world);
}

static void an_id_is_its_key_s_and_its_topic_s(void **state)
{
    struct till_world world;

    (void)state;
    open_world(&world, 1, 1, WINDOW);
    bought(&world, "ann", "1", 5);
    bought(&world, "bob", "1", 6);
    scripted_source_set_id(world.source, "1");
    till_renamed(&world, "ann", "Ann"); /* another topic */
    till_world_drain(&world);
    expect_total(&world, "ann", 5);
    expect_total(&world, "bob", 6);
    char *json = till_view(&world, "customer", "ann", NULL);
    assert_non_null(strstr(json, "\"name\":\"Ann\""));
    free(json);
    assert_int_equal(till_rows(&world, TABLE_IDS), 3);
    till_world_close(&world);
}

static void without_an_id_or_a_window_nothing_is_skipped_and_nothing_kept(void **state)
{
    (void)state;
    for (int has_window = 0; has_window < 2; has_window++) {
        struct till_world world;
        open_world(&world, 1, 1, has_window ? WINDOW : 0);
        bought(&world, "ann", has_window ? NULL : "1", 5);
        bought(&world, "ann", has_window ? "" : "1", 5);
        till_world_drain(&world);
        expect_total(&world, "ann", 10);
        assert_int_equal(till_rows(&world, TABLE_IDS), 0);
        till_world_close(&world);
    }
}

static void what_no_view_takes_leaves_no_id(void **state)
{
    struct till_world world;

    (void)state;
    open_world(&world, 1, 1, WINDOW);
    scripted_source_set_id(world.source, "1");
    till_raw(&world, TOPIC_TILL, "ann", "till.v1.Audited", "", 0);
    till_raw(&world, TOPIC_TILL, "ann", "till.v1.Bought", NULL, 0); /* a tombstone that nobody takes */
    till_world_drain(&world);
    assert_int_equal(till_rows(&world, TABLE_IDS), 0);
    till_world_close(&world);
}

static void an_id_that_comes_with_something_else_is_counted_apart(void **state)
{
    struct till_world world;
    int64_t duplicates = core_counters.skipped_duplicate, reused = core_counters.skipped_reused;

    (void)state;
    open_world(&world, 1, 1, WINDOW);
    bought(&world, "ann", "1", 5);
    till_world_drain(&world);
    restart(&world); /* the store knows what it held */
    bought(&world, "ann", "1", 6);
    bought(&world, "ann", "1", 6);
    till_world_drain(&world);
    expect_total(&world, "ann", 5);
    assert_int_equal(core_counters.skipped_reused, reused + 1);
    assert_int_equal(core_counters.skipped_duplicate, duplicates + 1);
    till_world_close(&world);
}

/* --- what is kept --- */

static void ids_that_leave_the_window_leave_the_store(void **state)
{
    struct till_world world;
    char id[16];

    (void)state;
    open_world(&world, 1, 1, WINDOW);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(id, sizeof(id), "%u", i);
        bought(&world, i % 3 == 0 ? "ann" : i % 3 == 1 ? "bob" : "cid", id, 1);
        if (i % 7 == 0)
            till_world_step(&world);
        if (i % 100 == 99) {
            till_world_drain(&world);
            assert_in_range(till_rows(&world, TABLE_IDS), WINDOW, WINDOW + RANGE_COUNT);
            assert_int_equal(core_counters.known_ids, till_rows(&world, TABLE_IDS));
            if (i % 200 == 99)
                restart(&world);
        }
    }
    assert_int_equal(core_counters.cache_rows, 6); /* customers and receipts: ids leave the cache with their commit */
    till_world_close(&world);
    assert_int_equal(core_counters.known_ids, 0);
}

static void after_a_kill_a_duplicate_is_known_whether_its_first_was_committed_or_not(void **state)
{
    struct till_world world;

    (void)state;
    open_world(&world, 1, 1, WINDOW);
    bought(&world, "ann", "1", 5);
    till_world_drain(&world);
    bought(&world, "ann", "2", 7);
    till_world_step(&world); /* handled, and not committed */
    restart(&world);
    bought(&world, "ann", "1", 5);
    bought(&world, "ann", "2", 7);
    till_world_drain(&world);
    expect_total(&world, "ann", 12);
    restart(&world);
    bought(&world, "ann", "2", 7);
    till_world_drain(&world);
    expect_total(&world, "ann", 12);
    till_world_close(&world);
}

/* --- with parked events and erasures --- */

static void a_duplicate_of_a_parked_event_is_not_parked_again(void **state)
{
    struct till_world world;
    const struct parked_selection all = {.is_all = true};
    struct parked_outcome outcome;
    struct err err = {0};

    (void)state;
    open_world(&world, 1, 1, 1000);
    bought(&world, "ann", "1", INT32_MAX);
    bought(&world, "ann", "2", 1); /* overflows */
    bought(&world, "ann", "3", 4); /* waits */
    bought(&world, "ann", "2", 1);
    bought(&world, "ann", "3", 4);
    till_world_drain(&world);
    assert_int_equal(till_parked(&world, TOPIC_TILL, "ann"), 2);

    assert_int_equal(materializer_drop(world.materializer, &all, &outcome, &err), 0); /* drops 2; 3 overflows as well */
    assert_int_equal(outcome.dropped, 1);
    till_world_drain(&world);
    bought(&world, "ann", "2", 1);
    till_world_drain(&world);
    assert_int_equal(till_parked(&world, TOPIC_TILL, "ann"), 1); /* a dropped one stays dropped */
    till_world_close(&world);
}

static void a_retry_applies_a_parked_event_once(void **state)
{
    struct till_world world;
    const struct parked_selection all = {.is_all = true};
    struct parked_outcome outcome;
    struct err err = {0};

    (void)state;
    open_world(&world, 1, 1, 1000);
    till_raw(&world, TOPIC_TILL, "ann", "till.v1.Bought", "\xff", 1);
    bought(&world, "ann", "1", 4); /* waits */
    bought(&world, "ann", "1", 4);
    till_world_drain(&world);
    assert_int_equal(materializer_drop(world.materializer, &all, &outcome, &err), 0);
    assert_int_equal(outcome.applied, 1);
    bought(&world, "ann", "1", 4);
    till_world_drain(&world);
    expect_total(&world, "ann", 4);
    assert_int_equal(till_rows(&world, TABLE_PARKED), 0);
    till_world_close(&world);
}

/* Decisions are kept beside the store: one that reads the log anew knows them. */
static void a_dropped_event_s_id_is_known_to_a_rebuild(void **state)
{
    struct till_world world;
    const struct parked_selection all = {.is_all = true};
    struct parked_outcome outcome;
    struct err err = {0};

    (void)state;
    open_world(&world, 1, 1, 1000);
    scripted_source_set_id(world.source, "1");
    till_raw(&world, TOPIC_TILL, "ann", "till.v1.Bought", "\xff", 1);
    till_world_drain(&world);
    assert_int_equal(materializer_drop(world.materializer, &all, &outcome, &err), 0);
    till_raw(&world, TOPIC_TILL, "ann", "till.v1.Bought", "\xff", 1);
    till_world_drain(&world);
    assert_int_equal(till_rows(&world, TABLE_PARKED), 0);

    till_world_kill(&world);
    char *file = mem_format("%s/data.mdb", world.store_folder);
    assert_int_equal(remove(file), 0);
    free(file);
    till_world_start(&world);
    till_world_drain(&world);
    assert_int_equal(till_rows(&world, TABLE_PARKED), 0);
    till_world_close(&world);
}

static void an_erasure_takes_its_owner_s_ids_once_nothing_is_left_to_feed(void **state)
{
    struct till_world world;

    (void)state;
    open_world(&world, 1, 1, 1000);
    bought(&world, "ann", "1", 5);
    bought(&world, "ann", "2", 5);
    bought(&world, "bob", "1", 5);
    till_world_drain(&world);
    bought(&world, "ann", "3", 5); /* not committed yet */
    till_world_step(&world);
    assert_int_equal(till_rows(&world, TABLE_IDS), 3);
    scripted_source_set_id(world.source, "4");
    till_gone(&world, "ann"); /* all that the till feeds; Farewell, which people's events feed, is left */
    till_world_drain(&world);
    assert_int_equal(till_rows(&world, TABLE_IDS), 2); /* bob's, and that of the erasure itself */

    bought(&world, "ann", "1", 5); /* late, and dropped by the mark */
    till_world_drain(&world);
    assert_null(till_view(&world, "customer", "ann", NULL));
    assert_int_equal(till_rows(&world, TABLE_IDS), 2);
    till_world_close(&world);
}

static void an_erasure_of_some_views_leaves_the_ids_that_the_others_need(void **state)
{
    struct till_world world;

    (void)state;
    open_world(&world, 1, 1, 1000);
    bought(&world, "ann", "1", 5);
    till_world_drain(&world);
    till_left(&world, "ann", "r"); /* the receipt, not the customer */
    till_world_drain(&world);
    bought(&world, "ann", "1", 5);
    till_world_drain(&world);
    expect_total(&world, "ann", 5);
    till_world_close(&world);
}

/* --- any interleaving --- */

static uint64_t draw(uint64_t *seed, uint64_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (*seed >> 33) % below;
}

/* Events with ids of a few people, again and again: some duplicates lie within the window, others behind it. */
static void write_history(struct till_world *world, unsigned events)
{
    uint64_t seed = 20261122;
    char person[16], id[16], receipt[16];

    for (unsigned i = 0; i < events; i++) {
        uint64_t what = draw(&seed, 100);
        unsigned number = (unsigned)draw(&seed, 60);
        snprintf(person, sizeof(person), "p%u", (unsigned)draw(&seed, 25));
        snprintf(id, sizeof(id), "%u", number);
        snprintf(receipt, sizeof(receipt), "r%u", number % 5);
        scripted_source_set_id(world->source, what < 85 ? id : NULL);
        if (what < 60 || what >= 90)
            till_bought(world, person, receipt, (int32_t)number);
        else if (what < 70)
            till_returned(world, person, receipt);
        else if (what < 76)
            till_renamed(world, person, receipt);
        else if (what < 78)
            till_raw(world, TOPIC_TILL, person, "till.v1.Bought", "\xff", 1);
        else if (what < 79)
            till_gone(world, person);
        else if (what < 80)
            till_raw(world, TOPIC_PEOPLE, person, NULL, NULL, 0); /* a tombstone */
        else if (what < 83)
            till_left(world, person, receipt);
        else
            scripted_source_skip(world->source, TOPIC_TILL, 0, (int64_t)draw(&seed, 9));
    }
}

struct outcome_of_history {
    char *digest;
    size_t parked;
};

static struct outcome_of_history read_history(uint64_t seed, uint64_t window, size_t batch, unsigned kill_every,
                                              bool by_range)
{
    struct till_world world;
    struct outcome_of_history outcome;
    unsigned turns = 0;

    open_world(&world, 3, seed, window);
    write_history(&world, 3000);
    world.batch = batch;
    world.turn.lag = by_range ? 1000000 : 0;
    while (till_world_step(&world)) {
        world.now_us += by_range ? 11 * 1000 * 1000 : 60 * 1000; /* so that each turn may start a job */
        if (kill_every > 0 && ++turns % kill_every == 0) {
            if (turns / kill_every % 2 == 0) /* a kill gives up what is being written */
                materializer_wait(world.materializer, 10000);
            restart(&world);
        }
    }
    till_world_drain(&world);
    outcome.digest = till_digest(&world);
    outcome.parked = till_rows(&world, TABLE_PARKED);
    assert_in_range(till_rows(&world, TABLE_IDS), 1, 6 * (window + RANGE_COUNT));
    till_world_close(&world);
    return outcome;
}

static void any_interleaving_batch_size_and_kill_skips_the_same_records(void **state)
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
    enum { NARROW = 40 };

    (void)state;
    struct outcome_of_history expected = read_history(1, NARROW, 64, 0, false);
    assert_true(expected.parked > 5);
    for (size_t i = 0; i < ARRAY_COUNT(runs); i++) {
        struct outcome_of_history outcome =
            read_history(runs[i].seed, NARROW, runs[i].batch, runs[i].kill_every, runs[i].by_range);
        assert_string_equal(outcome.digest, expected.digest);
        assert_int_equal(outcome.parked, expected.parked);
        free(outcome.digest);
    }
    struct outcome_of_history wide = read_history(1, 100 * NARROW, 64, 0, false);
    assert_string_not_equal(wide.digest, expected.digest); /* the window is what decides */
    free(wide.digest);
    free(expected.digest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_whose_id_was_handled_is_skipped_and_its_position_moves),
        cmocka_unit_test(the_window_counts_offsets_back_from_the_record),
        cmocka_unit_test(a_duplicate_is_handled_too_so_the_next_one_is_looked_for_behind_it),
        cmocka_unit_test(an_id_is_its_key_s_and_its_topic_s),
        cmocka_unit_test(without_an_id_or_a_window_nothing_is_skipped_and_nothing_kept),
        cmocka_unit_test(what_no_view_takes_leaves_no_id),
        cmocka_unit_test(an_id_that_comes_with_something_else_is_counted_apart),
        cmocka_unit_test(ids_that_leave_the_window_leave_the_store),
        cmocka_unit_test(after_a_kill_a_duplicate_is_known_whether_its_first_was_committed_or_not),
        cmocka_unit_test(a_duplicate_of_a_parked_event_is_not_parked_again),
        cmocka_unit_test(a_retry_applies_a_parked_event_once),
        cmocka_unit_test(a_dropped_event_s_id_is_known_to_a_rebuild),
        cmocka_unit_test(an_erasure_takes_its_owner_s_ids_once_nothing_is_left_to_feed),
        cmocka_unit_test(an_erasure_of_some_views_leaves_the_ids_that_the_others_need),
        cmocka_unit_test(any_interleaving_batch_size_and_kill_skips_the_same_records),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    /* Each lane knows the ids of its owners alone. */
    if (setenv("TARN_TEST_FOLD_THREADS", "3", 1) != 0)
        return 1;
    return failed + cmocka_run_group_tests_name("dedupe, on three threads", tests, NULL, NULL);
}
