/* Which partitions are read, from when on, and which not any more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "fake_logs.h"
#include "projector/keeper.h"

struct world {
    struct fake_logs logs;
    struct clock_port clock;
    struct positions positions;
    struct keeper *keeper;
    char said[8192];
};

static char *topic_names[] = {(char[]){"loans"}, (char[]){"users"}};

static void say(void *self, enum log_level level, const char *sentence)
{
    struct world *world = self;
    size_t len = strlen(world->said);
    (void)level;
    snprintf(world->said + len, sizeof(world->said) - len, "%s\n", sentence);
}

static void start(struct world *world)
{
    struct keeper_options options = {
        .positions = &world->positions,
        .topics = topic_names,
        .topic_count = FAKE_TOPICS,
        .source = fake_logs_source(&world->logs),
        .watch = fake_logs_watch(&world->logs),
        .clock = &world->clock,
        .say = say,
        .self = world,
    };
    world->keeper = keeper_new(&options);
}

/* A topic "loans" of two partitions with ten records each, a topic "users" of one. */
static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    fake_logs_init(&world->logs);
    world->clock = fake_logs_clock(&world->logs);
    world->logs.now_us = 1000000;
    world->logs.partition_counts[0] = 2;
    world->logs.partition_counts[1] = 1;
    for (int t = 0; t < FAKE_TOPICS; t++) {
        for (int p = 0; p < FAKE_PARTITIONS; p++) {
            world->logs.logs[t][p].end = 10;
            world->logs.logs[t][p].incarnation = 1;
        }
    }
    positions_init(&world->positions, FAKE_TOPICS);
    start(world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    keeper_free(&world->keeper);
    positions_release(&world->positions);
    free(world);
    return 0;
}

static void turn(struct world *world, int milliseconds)
{
    struct err err;
    for (int i = 0; i < milliseconds; i += 10) {
        world->logs.now_us += 10000;
        assert_int_equal(keeper_turn(world->keeper, &err), 0);
    }
}

static struct partition *partition_at(struct world *world, uint16_t topic, int32_t number)
{
    struct partition *partition = positions_find(&world->positions, topic, number);
    if (!partition) {
        fail_msg("partition %d isn't known", (int)number);
        abort();
    }
    return partition;
}

/* As the materializer does it: handled and committed in every range. */
static void handle_to(struct world *world, uint16_t topic, int32_t number, int64_t next_offset)
{
    struct partition *partition = partition_at(world, topic, number);
    struct anchor last = fake_logs_record(world->logs.logs[topic][number].incarnation, next_offset - 1);
    partition->cursor = (struct position){
        .next_offset = next_offset, .last_offset = last.offset, .last_time_ms = last.time_ms, .last_hash = last.hash};
    for (unsigned range = 0; range < RANGE_COUNT; range++)
        partition->stored[range] = partition->cursor;
}

static void restart(struct world *world)
{
    keeper_free(&world->keeper);
    for (int t = 0; t < FAKE_TOPICS; t++) {
        for (int p = 0; p < FAKE_PARTITIONS; p++)
            world->logs.logs[t][p].is_assigned = false;
    }
    world->logs.is_asked = false;
    world->said[0] = '\0';
    start(world);
}

static void make_again(struct world *world, uint16_t topic, int32_t number, int64_t end)
{
    world->logs.logs[topic][number].incarnation++;
    world->logs.logs[topic][number].start = 0;
    world->logs.logs[topic][number].end = end;
}

static struct fake_log *log_at(struct world *world, uint16_t topic, int32_t number)
{
    return &world->logs.logs[topic][number];
}

static void a_topic_seen_for_the_first_time_is_read_from_its_start_all_partitions_at_once(void **state)
{
    struct world *world = *state;
    log_at(world, 0, 1)->start = 4;
    turn(world, 100);
    assert_true(log_at(world, 0, 0)->is_assigned);
    assert_int_equal(log_at(world, 0, 0)->assigned_at, 0);
    assert_true(log_at(world, 0, 1)->is_assigned);
    assert_int_equal(log_at(world, 0, 1)->assigned_at, 4);
    assert_int_equal(partition_at(world, 0, 0)->row.partition_count, 2);
    assert_true(keeper_is_settled(world->keeper));
    assert_null(keeper_problem(world->keeper));
}

static void a_topic_that_is_not_there_is_waited_for_and_the_others_are_read(void **state)
{
    struct world *world = *state;
    world->logs.partition_counts[0] = 0;
    turn(world, 300);
    assert_true(log_at(world, 1, 0)->is_assigned);
    assert_false(keeper_is_settled(world->keeper));
    assert_string_equal(keeper_problem(world->keeper), "topic loans isn't there");
    assert_non_null(strstr(world->said, "topic loans: there is no such topic yet; waiting for it\n"));
    const char *first = strstr(world->said, "no such topic yet");
    assert_null(strstr(first + 1, "no such topic yet")); /* said once */

    world->logs.partition_counts[0] = 2;
    turn(world, 300);
    assert_true(log_at(world, 0, 1)->is_assigned);
    assert_true(keeper_is_settled(world->keeper));
}

static void a_topic_with_more_partitions_than_can_be_watched_is_refused_and_not_read_by_halves(void **state)
{
    struct world *world = *state;
    struct err err = {0};

    world->logs.partition_counts[0] = LOG_CHECKS_MAX + 1;
    world->logs.now_us += 10000;
    assert_int_equal(keeper_turn(world->keeper, &err), ERR_INPUT);
    assert_string_equal(err.text,
                        "topic loans has 1025 partitions; this version reads topics of 1024 at most, and none "
                        "by halves");
    assert_int_equal(world->positions.count, 0);
    assert_false(log_at(world, 1, 0)->is_assigned);
}

static void nothing_is_read_while_kafka_is_away_and_everything_soon_after_it_answers(void **state)
{
    struct world *world = *state;
    world->logs.is_silent = true;
    turn(world, 520);
    assert_int_equal(world->positions.count, 0);
    assert_true(keeper_is_asking(world->keeper));
    world->logs.is_silent = false;
    turn(world, 40);
    assert_true(log_at(world, 0, 0)->is_assigned);
}

static void a_restart_goes_on_at_the_position_when_the_last_record_is_known_again(void **state)
{
    struct world *world = *state;
    turn(world, 100);
    handle_to(world, 0, 0, 7);
    restart(world);
    turn(world, 100);
    assert_true(log_at(world, 0, 0)->is_assigned);
    assert_int_equal(log_at(world, 0, 0)->assigned_at, 7);
}

static void a_topic_made_again_with_more_records_is_noticed_at_the_start_before_any_is_read(void **state)
{
    struct world *world = *state;
    turn(world, 100);
    handle_to(world, 0, 0, 7);
    int assigns = log_at(world, 0, 0)->assigns;
    make_again(world, 0, 0, 100);
    restart(world);
    turn(world, 300);
    assert_int_equal(log_at(world, 0, 0)->assigns, assigns);
    assert_int_equal(partition_at(world, 0, 0)->row.state, PARTITION_REWRITTEN);
    assert_true(log_at(world, 0, 1)->is_assigned); /* the others go on */
    assert_true(log_at(world, 1, 0)->is_assigned);
    assert_non_null(strstr(world->said, "topic loans, partition 0: the log was truncated, or the topic deleted"));
    assert_string_equal(keeper_problem(world->keeper), "topic loans, partition 0 is stopped: rewritten");
}

static void a_topic_made_again_while_it_is_read_is_noticed_by_an_older_record(void **state)
{
    struct world *world = *state;
    turn(world, 100);
    handle_to(world, 0, 0, 5);
    turn(world, 4000); /* record 4 is trusted now */
    make_again(world, 0, 0, 100);
    handle_to(world, 0, 0, 20); /* some of the new log was misread */
    turn(world, 4000);
    assert_int_equal(partition_at(world, 0, 0)->row.state, PARTITION_REWRITTEN);
    assert_false(log_at(world, 0, 0)->is_assigned);
    assert_true(log_at(world, 0, 1)->is_assigned);

    restart(world); /* record 19 is the new log's, but what was misread is still in the views */
    turn(world, 4000);
    assert_int_equal(partition_at(world, 0, 0)->row.state, PARTITION_REWRITTEN);
    assert_false(log_at(world, 0, 0)->is_assigned);
}

static void a_topic_made_again_soon_after_the_first_start_is_noticed_too(void **state)
{
    struct world *world = *state;
    turn(world, 100);
    handle_to(world, 0, 0, 5);
    turn(world, 20);
    make_again(world, 0, 0, 100);
    handle_to(world, 0, 0, 20);
    turn(world, 4000);
    assert_int_equal(partition_at(world, 0, 0)->row.state, PARTITION_REWRITTEN);
}

static void a_partition_stopped_before_anything_was_misread_goes_on_when_its_log_is_back(void **state)
{
    struct world *world = *state;
    turn(world, 100);
    handle_to(world, 0, 0, 7);
    make_again(world, 0, 0, 100);
    restart(world); /* with the wrong --brokers */
    turn(world, 100);
    assert_int_equal(partition_at(world, 0, 0)->row.state, PARTITION_REWRITTEN);

    log_at(world, 0, 0)->incarnation = 1;
    restart(world);
    turn(world, 100);
    assert_int_equal(partition_at(world, 0, 0)->row.state, PARTITION_FOLLOWING);
    assert_int_equal(log_at(world, 0, 0)->assigned_at, 7);
    assert_non_null(strstr(world->said, "the log that was read is back"));
}

static void a_log_that_ends_before_the_position_was_rewritten(void **state)
{
    struct world *world = *state;
    turn(world, 100);
    handle_to(world, 0, 0, 9);
    log_at(world, 0, 0)->end = 3;
    keeper_complain(world->keeper, 0, 0, COMPLAINT_LOG, "offset out of range");
    assert_false(log_at(world, 0, 0)->is_assigned); /* at once, before the answer */
    turn(world, 1000);
    assert_int_equal(partition_at(world, 0, 0)->row.state, PARTITION_REWRITTEN);
    assert_non_null(strstr(world->said, "it ends at offset 3, but was read up to 9"));
}

static void records_deleted_before_they_were_handled_are_lost_and_said(void **state)
{
    struct world *world = *state;
    turn(world, 100);
    handle_to(world, 0, 0, 3);
    log_at(world, 0, 0)->start = 6;
    restart(world);
    turn(world, 100);
    assert_int_equal(partition_at(world, 0, 0)->row.state, PARTITION_LOST);
    assert_non_null(strstr(world->said, "the log starts at offset 6, but 3 was to be read next"));
    assert_non_null(strstr(world->said, "retention"));
}

static void retention_behind_the_position_and_compaction_of_the_last_record_change_nothing(void **state)
{
    struct world *world = *state;
    turn(world, 100);
    handle_to(world, 0, 0, 7);
    handle_to(world, 0, 1, 7);
    log_at(world, 0, 0)->start = 7;
    log_at(world, 0, 1)->compacted_offset = 6;
    restart(world);
    turn(world, 4000);
    assert_true(log_at(world, 0, 0)->is_assigned);
    assert_true(log_at(world, 0, 1)->is_assigned);
}

static void after_a_lost_connection_every_log_is_known_again_before_it_is_read(void **state)
{
    struct world *world = *state;
    turn(world, 100);
    handle_to(world, 0, 0, 7);
    keeper_doubt_all(world->keeper);
    assert_false(log_at(world, 0, 0)->is_assigned);
    assert_false(keeper_is_settled(world->keeper));
    make_again(world, 0, 0, 100);
    turn(world, 200);
    assert_int_equal(partition_at(world, 0, 0)->row.state, PARTITION_REWRITTEN);
    assert_true(log_at(world, 0, 1)->is_assigned);
    assert_true(log_at(world, 1, 0)->is_assigned);
}

static void an_answer_that_was_asked_for_before_the_connection_was_lost_counts_no_more(void **state)
{
    struct world *world = *state;
    turn(world, 100);
    handle_to(world, 0, 0, 7);
    restart(world);
    turn(world, 20); /* asked */
    int assigns = log_at(world, 0, 0)->assigns;
    keeper_doubt_all(world->keeper);
    turn(world, 10);
    assert_int_equal(log_at(world, 0, 0)->assigns, assigns);
    turn(world, 100);
    assert_true(log_at(world, 0, 0)->is_assigned);
}

static void a_new_partition_begins_when_the_old_ones_have_passed_the_ends_they_had(void **state)
{
    struct world *world = *state;
    turn(world, 100);
    handle_to(world, 0, 0, 4);
    handle_to(world, 0, 1, 10);
    world->logs.partition_counts[0] = 3;
    turn(world, 500);
    assert_int_equal(partition_at(world, 0, 2)->row.state, PARTITION_WAITING);
    assert_false(log_at(world, 0, 2)->is_assigned);
    assert_int_equal(partition_at(world, 0, 0)->row.start_after, 10);

    log_at(world, 0, 0)->end = 50; /* what comes later needn't be waited for */
    handle_to(world, 0, 0, 9);
    turn(world, 500);
    assert_false(log_at(world, 0, 2)->is_assigned);
    handle_to(world, 0, 0, 10);
    turn(world, 500);
    assert_true(log_at(world, 0, 2)->is_assigned);
    assert_int_equal(log_at(world, 0, 2)->assigned_at, 0);
    assert_int_equal(partition_at(world, 0, 2)->row.state, PARTITION_FOLLOWING);
    assert_int_equal(partition_at(world, 0, 0)->row.partition_count, 3);
}

static void the_gates_hold_across_a_restart(void **state)
{
    struct world *world = *state;
    turn(world, 100);
    handle_to(world, 0, 0, 4);
    handle_to(world, 0, 1, 10);
    world->logs.partition_counts[0] = 3;
    turn(world, 500);
    log_at(world, 0, 0)->end = 100;
    restart(world);
    turn(world, 500);
    assert_false(log_at(world, 0, 2)->is_assigned);
    assert_true(log_at(world, 0, 0)->is_assigned);
    handle_to(world, 0, 0, 10);
    turn(world, 500);
    assert_true(log_at(world, 0, 2)->is_assigned);
}

static void a_replay_from_before_a_gate_holds_back_the_partition_that_had_begun(void **state)
{
    struct world *world = *state;
    turn(world, 100);
    handle_to(world, 0, 0, 10);
    handle_to(world, 0, 1, 10);
    world->logs.partition_counts[0] = 3;
    turn(world, 500);
    assert_int_equal(partition_at(world, 0, 2)->row.state, PARTITION_FOLLOWING);
    partition_at(world, 0, 0)->cursor.next_offset = 2; /* one range is behind after a kill */
    partition_at(world, 0, 0)->stored[3].next_offset = 2;
    restart(world);
    turn(world, 500);
    assert_true(log_at(world, 0, 0)->is_assigned);
    assert_false(log_at(world, 0, 2)->is_assigned);
    handle_to(world, 0, 0, 10);
    turn(world, 500);
    assert_true(log_at(world, 0, 2)->is_assigned);
}

static void a_topic_with_fewer_partitions_than_before_was_made_again(void **state)
{
    struct world *world = *state;
    turn(world, 100);
    world->logs.partition_counts[0] = 1;
    turn(world, 200);
    assert_int_equal(partition_at(world, 0, 1)->row.state, PARTITION_REWRITTEN);
    assert_false(log_at(world, 0, 1)->is_assigned);
    assert_true(log_at(world, 0, 0)->is_assigned);
}

static void a_topic_that_is_deleted_while_it_is_read_is_waited_for_and_known_again_or_not(void **state)
{
    struct world *world = *state;
    turn(world, 100);
    handle_to(world, 0, 0, 7);
    handle_to(world, 0, 1, 7);
    world->logs.partition_counts[0] = 0;
    turn(world, 200);
    assert_false(log_at(world, 0, 0)->is_assigned);
    assert_non_null(strstr(world->said, "topic loans: it isn't there any more"));
    make_again(world, 0, 0, 100);
    make_again(world, 0, 1, 100);
    world->logs.partition_counts[0] = 2;
    turn(world, 500);
    assert_int_equal(partition_at(world, 0, 0)->row.state, PARTITION_REWRITTEN);
    assert_int_equal(partition_at(world, 0, 1)->row.state, PARTITION_REWRITTEN);
}

static void a_partition_with_too_many_parked_events_is_dropped_and_goes_on_when_they_are_gone(void **state)
{
    struct world *world = *state;
    turn(world, 100);
    positions_set_state(&world->positions, partition_at(world, 0, 0), PARTITION_PARKED);
    turn(world, 20);
    assert_false(log_at(world, 0, 0)->is_assigned);
    assert_true(log_at(world, 0, 1)->is_assigned);
    positions_set_state(&world->positions, partition_at(world, 0, 0), PARTITION_FOLLOWING);
    turn(world, 100);
    assert_true(log_at(world, 0, 0)->is_assigned);
}

static void a_partition_that_was_stopped_and_goes_on_between_two_looks_is_read_from_its_cursor(void **state)
{
    struct world *world = *state;
    turn(world, 100);
    handle_to(world, 0, 0, 5);
    partition_at(world, 0, 0)->is_cut = true;
    positions_set_state(&world->positions, partition_at(world, 0, 0), PARTITION_PARKED);
    positions_set_state(&world->positions, partition_at(world, 0, 0), PARTITION_FOLLOWING);
    turn(world, 100);
    assert_true(log_at(world, 0, 0)->is_assigned);
    assert_int_equal(log_at(world, 0, 0)->assigned_at, 5);
    assert_false(partition_at(world, 0, 0)->is_cut);
}

static void a_complaint_that_is_not_about_the_log_is_said_once_and_tried_again(void **state)
{
    struct world *world = *state;
    turn(world, 100);
    keeper_complain(world->keeper, 0, 0, COMPLAINT_OTHER, "Broker: Topic authorization failed");
    turn(world, 1000);
    assert_true(log_at(world, 0, 0)->is_assigned);
    assert_non_null(strstr(world->said, "topic loans, partition 0: Broker: Topic authorization failed\n"));
    assert_non_null(strstr(world->said, "topic loans, partition 0: is read again\n"));
}

static void answers_that_do_not_come_are_asked_for_again(void **state)
{
    struct world *world = *state;
    turn(world, 100);
    keeper_doubt_all(world->keeper);
    world->logs.is_silent = true;
    turn(world, 2000);
    assert_false(log_at(world, 0, 0)->is_assigned);
    world->logs.is_silent = false;
    turn(world, 1000);
    assert_true(log_at(world, 0, 0)->is_assigned);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_topic_seen_for_the_first_time_is_read_from_its_start_all_partitions_at_once),
        TEST(a_topic_that_is_not_there_is_waited_for_and_the_others_are_read),
        TEST(a_topic_with_more_partitions_than_can_be_watched_is_refused_and_not_read_by_halves),
        TEST(nothing_is_read_while_kafka_is_away_and_everything_soon_after_it_answers),
        TEST(a_restart_goes_on_at_the_position_when_the_last_record_is_known_again),
        TEST(a_topic_made_again_with_more_records_is_noticed_at_the_start_before_any_is_read),
        TEST(a_topic_made_again_while_it_is_read_is_noticed_by_an_older_record),
        TEST(a_topic_made_again_soon_after_the_first_start_is_noticed_too),
        TEST(a_partition_stopped_before_anything_was_misread_goes_on_when_its_log_is_back),
        TEST(a_log_that_ends_before_the_position_was_rewritten),
        TEST(records_deleted_before_they_were_handled_are_lost_and_said),
        TEST(retention_behind_the_position_and_compaction_of_the_last_record_change_nothing),
        TEST(after_a_lost_connection_every_log_is_known_again_before_it_is_read),
        TEST(an_answer_that_was_asked_for_before_the_connection_was_lost_counts_no_more),
        TEST(a_new_partition_begins_when_the_old_ones_have_passed_the_ends_they_had),
        TEST(the_gates_hold_across_a_restart),
        TEST(a_replay_from_before_a_gate_holds_back_the_partition_that_had_begun),
        TEST(a_topic_with_fewer_partitions_than_before_was_made_again),
        TEST(a_topic_that_is_deleted_while_it_is_read_is_waited_for_and_known_again_or_not),
        TEST(a_partition_with_too_many_parked_events_is_dropped_and_goes_on_when_they_are_gone),
        TEST(a_partition_that_was_stopped_and_goes_on_between_two_looks_is_read_from_its_cursor),
        TEST(a_complaint_that_is_not_about_the_log_is_said_once_and_tried_again),
        TEST(answers_that_do_not_come_are_asked_for_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
