#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "projector/fingerprint.h"
#include "projector/job.h"

static struct partition *add(struct positions *positions, uint16_t topic, int32_t number, int64_t start)
{
    struct partition *partition = NULL;
    struct err err;

    assert_int_equal(positions_add(positions, topic, number, start, PARTITION_FOLLOWING, &partition, &err), 0);
    if (partition == NULL)
        abort();
    return partition;
}

static struct record record_at(int64_t offset)
{
    return (struct record){.offset = offset, .has_key = true, .time_ms = offset * 10, .key = SPAN_LITERAL("k"),
                           .value = SPAN_LITERAL("v")};
}

/* A commit of these ranges, as a job makes it. */
static void commit(struct positions *positions, uint32_t ranges)
{
    struct cache *cache = cache_new(1 << 20, NULL, 0);
    struct cache *caches[RANGE_COUNT];
    struct job job = {0};

    for (unsigned range = 0; range < RANGE_COUNT; range++)
        caches[range] = cache;
    job_freeze(&job, ranges, caches, positions);
    job_finish(&job, caches, positions);
    job_release(&job, caches);
    cache_free(&cache);
}

static void partitions_are_found_by_topic_and_number_and_listed_in_order(void **state)
{
    struct positions positions;

    (void)state;
    positions_init(&positions, 2);
    struct partition *b7 = add(&positions, 1, 7, 0);
    struct partition *a3 = add(&positions, 0, 3, 0);
    struct partition *a0 = add(&positions, 0, 0, 0);
    assert_ptr_equal(positions_find(&positions, 1, 7), b7);
    assert_ptr_equal(positions_find(&positions, 0, 3), a3);
    assert_null(positions_find(&positions, 0, 1));
    assert_null(positions_find(&positions, 0, 4));
    assert_null(positions_find(&positions, 0, -1));
    assert_null(positions_find(&positions, 2, 0));
    assert_ptr_equal(positions.partitions[0], a0);
    assert_ptr_equal(positions.partitions[2], b7);

    struct partition *none = NULL;
    struct err err;
    assert_int_equal(positions_add(&positions, 0, -1, 0, PARTITION_FOLLOWING, &none, &err), ERR_INPUT);
    assert_int_equal(positions_add(&positions, 0, INT32_MAX, 0, PARTITION_FOLLOWING, &none, &err), ERR_INPUT);
    positions_release(&positions);
}

static void a_position_holds_the_fingerprint_of_the_last_record(void **state)
{
    struct positions positions;
    struct record record = record_at(41);

    (void)state;
    positions_init(&positions, 1);
    struct partition *partition = add(&positions, 0, 0, 40);
    positions_advance(&positions, partition, &record);
    commit(&positions, ALL_RANGES);

    const struct position *stored = &partition->stored[3];
    assert_int_equal(stored->next_offset, 42);
    assert_int_equal(stored->last_offset, 41);
    assert_int_equal(stored->last_time_ms, 410);
    assert_true(stored->last_hash == fingerprint_hash(&record));

    positions_advance_to(&positions, partition, 50); /* control records: no fingerprint of theirs */
    commit(&positions, ALL_RANGES);
    assert_int_equal(stored->next_offset, 50);
    assert_int_equal(stored->last_offset, 41);
    positions_release(&positions);
}

static void a_record_is_replayed_for_the_ranges_that_have_it(void **state)
{
    struct positions positions;
    struct record record = record_at(9);

    (void)state;
    positions_init(&positions, 1);
    struct partition *partition = add(&positions, 0, 0, 0);
    commit(&positions, ALL_RANGES);
    positions_advance(&positions, partition, &record);
    commit(&positions, 1u << 5);
    assert_true(positions_is_replayed(partition, 5, 9));
    assert_false(positions_is_replayed(partition, 5, 10));
    assert_false(positions_is_replayed(partition, 6, 9));

    /* What a range has isn't taken back while the cursor comes again from behind. */
    partition->cursor = partition->stored[6];
    assert_int_equal(positions_of_range(partition, 5).next_offset, 10);
    assert_int_equal(positions_of_range(partition, 6).next_offset, 0);
    positions_release(&positions);
}

static void the_oldest_range_is_the_one_that_is_furthest_behind(void **state)
{
    struct positions positions;
    struct record record = record_at(9);
    uint64_t jobs[RANGE_COUNT] = {0};
    uint32_t seen = 0;

    (void)state;
    positions_init(&positions, 1);
    struct partition *partition = add(&positions, 0, 0, 0);
    commit(&positions, ALL_RANGES);
    for (unsigned i = 0; i < RANGE_COUNT; i++) {
        record.offset++;
        positions_advance(&positions, partition, &record);
        unsigned range = positions_oldest_range(&positions, jobs);
        seen |= 1u << range;
        jobs[range] = i + 1;
        commit(&positions, 1u << range);
    }
    assert_int_equal(seen, ALL_RANGES); /* each had its turn */
    commit(&positions, ALL_RANGES);
    assert_int_equal(positions_oldest_range(&positions, jobs), 0); /* all equal: the one whose turn was first */
    positions_release(&positions);
}

static void an_end_that_runs_ahead_takes_along_when_a_quiet_range_was_caught_up(void **state)
{
    struct positions positions;

    (void)state;
    positions_init(&positions, 1);
    struct partition *partition = add(&positions, 0, 0, 0);
    positions_end_seen(&positions, partition, 0, 1000);
    commit(&positions, ALL_RANGES);
    assert_int_equal(partition->stored[0].caught_up_at_ms, 1000);

    positions_end_seen(&positions, partition, 0, 5000); /* quiet: the row alone tells it */
    struct position position;
    assert_false(positions_must_write(partition, 0, ALL_RANGES, &position));
    commit(&positions, ALL_RANGES);
    assert_int_equal(partition->stored_row.seen_at_ms, 5000);
    assert_int_equal(partition->stored[0].caught_up_at_ms, 1000);

    positions_end_seen(&positions, partition, 3, 6000);
    commit(&positions, 1u << 7); /* another range's job */
    assert_int_equal(partition->stored_row.end_offset, 3);
    assert_int_equal(partition->stored[0].caught_up_at_ms, 5000);
    positions_release(&positions);
}

static void an_empty_partition_is_known_to_be_caught_up(void **state)
{
    struct positions positions;

    (void)state;
    positions_init(&positions, 1);
    struct partition *partition = add(&positions, 0, 0, 0);
    commit(&positions, ALL_RANGES);
    assert_int_equal(partition->stored[9].caught_up_at_ms, 0);
    positions_end_seen(&positions, partition, 0, 1000);
    assert_true(positions.has_changed);
    commit(&positions, 1u << 9);
    for (unsigned range = 0; range < RANGE_COUNT; range++)
        assert_int_equal(partition->stored[range].caught_up_at_ms, 1000);
    positions_release(&positions);
}

static void an_end_behind_the_cursor_is_an_old_answer(void **state)
{
    struct positions positions;
    struct record record = record_at(9);

    (void)state;
    positions_init(&positions, 1);
    assert_int_equal(positions_lag(&positions), -1); /* of no partition */
    struct partition *partition = add(&positions, 0, 0, 0);
    assert_int_equal(positions_lag(&positions), -1); /* no end */
    positions_advance(&positions, partition, &record);
    positions_end_seen(&positions, partition, 5, 1000);
    assert_int_equal(partition->row.end_offset, 10);
    assert_int_equal(positions_lag(&positions), 0);
    positions_end_seen(&positions, partition, 15, 1000);
    assert_int_equal(positions_lag(&positions), 5);
    positions_set_state(&positions, partition, PARTITION_REWRITTEN);
    assert_int_equal(positions_lag(&positions), 0); /* not read any more */
    positions_release(&positions);
}

static void changes_are_known_until_they_are_committed(void **state)
{
    struct positions positions;
    struct record record = record_at(0);

    (void)state;
    positions_init(&positions, 1);
    struct partition *partition = add(&positions, 0, 0, 0);
    positions_end_seen(&positions, partition, 0, 1000);
    commit(&positions, ALL_RANGES);
    assert_false(positions.has_moved);
    assert_false(positions.has_changed);

    uint64_t version = positions.states_version;
    positions_set_state(&positions, partition, PARTITION_PARKED);
    assert_true(positions.has_changed);
    assert_true(positions.states_version > version);
    commit(&positions, 1);
    assert_false(positions.has_changed);

    positions_advance(&positions, partition, &record);
    commit(&positions, 1u << 2);
    assert_true(positions.has_moved); /* the other ranges */
    commit(&positions, ALL_RANGES);
    assert_false(positions.has_moved);
    positions_release(&positions);
}

static void a_range_that_went_ahead_is_committed_as_far_as_it_got(void **state)
{
    struct positions positions;
    struct record first = record_at(3), behind = record_at(9), further = record_at(12);

    (void)state;
    positions_init(&positions, 1);
    struct partition *partition = add(&positions, 0, 0, 0);
    positions_advance(&positions, partition, &first);
    positions_go_ahead(&positions, partition, 5, &behind);
    positions_go_ahead(&positions, partition, 5, &further);
    positions_go_ahead(&positions, partition, 5, &behind); /* seen again: nothing is taken back */
    assert_true(positions_is_ahead(partition, 5, 12));
    assert_false(positions_is_ahead(partition, 5, 13));
    assert_false(positions_is_ahead(partition, 6, 9));
    assert_int_equal(positions_reached(partition), 13);

    commit(&positions, ALL_RANGES);
    assert_int_equal(partition->stored[5].next_offset, 13);
    assert_int_equal(partition->stored[5].last_offset, 12);
    assert_true(partition->stored[5].last_hash == fingerprint_hash(&further));
    assert_int_equal(partition->stored[6].next_offset, 4);
    assert_true(partition->stored[6].last_hash == fingerprint_hash(&first));
    assert_false(positions.has_moved);

    further.offset = 20; /* the cursor passes it */
    positions_advance(&positions, partition, &further);
    assert_int_equal(positions_of_range(partition, 5).next_offset, 21);
    positions_go_ahead(&positions, partition, 7, &further);
    positions_reset(&positions, partition, 0);
    assert_false(positions_is_ahead(partition, 7, 0));
    positions_end_batch(&positions);
    positions_release(&positions);
}

static void what_is_ahead_has_to_be_committed(void **state)
{
    struct positions positions;
    struct record record = record_at(9);

    (void)state;
    positions_init(&positions, 1);
    struct partition *partition = add(&positions, 0, 0, 0);
    commit(&positions, ALL_RANGES);
    positions_go_ahead(&positions, partition, 5, &record);
    assert_true(positions.has_moved);
    commit(&positions, 1u << 4);
    assert_true(positions.has_moved);
    commit(&positions, 1u << 5);
    assert_false(positions.has_moved);
    positions_release(&positions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(partitions_are_found_by_topic_and_number_and_listed_in_order),
        cmocka_unit_test(a_position_holds_the_fingerprint_of_the_last_record),
        cmocka_unit_test(a_record_is_replayed_for_the_ranges_that_have_it),
        cmocka_unit_test(the_oldest_range_is_the_one_that_is_furthest_behind),
        cmocka_unit_test(an_end_that_runs_ahead_takes_along_when_a_quiet_range_was_caught_up),
        cmocka_unit_test(an_empty_partition_is_known_to_be_caught_up),
        cmocka_unit_test(an_end_behind_the_cursor_is_an_old_answer),
        cmocka_unit_test(changes_are_known_until_they_are_committed),
        cmocka_unit_test(a_range_that_went_ahead_is_committed_as_far_as_it_got),
        cmocka_unit_test(what_is_ahead_has_to_be_committed),
    };

    return cmocka_run_group_tests_name("positions", tests, NULL, NULL);
}
