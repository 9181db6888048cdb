/* How old an answer is and from which position: partitions of a key, ranges, and what is remembered between commits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "schema/store/partitioner.h"
#include "tests/unit/served_world.h"

static struct served_world world;
static const uint16_t shelf_topics[] = {TOPIC_PEOPLE, TOPIC_SHOP};

static int set_up(void **state)
{
    (void)state;
    served_world_open(&world);
    served_world_fill(&world);
    assert_true(query_loop_has_generation(world.loop));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    served_world_close(&world);
    return 0;
}

/* Four partitions of the shop, each at another offset. */
static void make_four_partitions(enum partitioner partitioner)
{
    struct served_change changes[8];

    for (int32_t i = 0; i < 4; i++) {
        changes[2 * i] = (struct served_change){
            .kind = CHANGE_POSITION,
            .topic = TOPIC_SHOP,
            .partition = i,
            .range = -1,
            .position = {.next_offset = 100 * i, .last_offset = -1, .caught_up_at_ms = world.now_ms}};
        changes[2 * i + 1] = (struct served_change){
            .kind = CHANGE_PARTITION,
            .topic = TOPIC_SHOP,
            .partition = i,
            .row = {
                .end_offset = 100 * i, .seen_at_ms = world.now_ms, .partition_count = 4, .partitioner = partitioner}};
    }
    served_world_change(&world, changes, ARRAY_COUNT(changes));
}

/* What Tarn-Position would say of an owner. */
static const char *position_of(const char *owner, struct key_partitions *ret_partitions)
{
    static struct buf text;
    struct key_partitions partitions;
    struct err err;

    assert_int_equal(query_loop_snapshot(world.loop, &err), 0);
    assert_int_equal(freshness_partitions(world.loop->freshness, shelf_topics, 2, span_of_text(owner), &world.arena,
                                          &partitions, &err),
                     0);
    buf_clear(&text);
    assert_int_equal(freshness_position(world.loop->freshness, &partitions, &text, &err), 0);
    if (ret_partitions != NULL)
        *ret_partitions = partitions;
    return buf_text(&text);
}

static int64_t age_of(const char *owner)
{
    struct key_partitions partitions;
    struct err err;
    int64_t age_s = -1;

    (void)position_of(owner, &partitions);
    assert_int_equal(freshness_age_s(world.loop->freshness, &partitions, world.now_ms, &age_s, &err), 0);
    query_loop_rest(world.loop);
    return age_s;
}

/* Partitions are looked at anew only so often. */
static void wait_for_topology(void)
{
    query_loop_rest(world.loop);
    usleep(110 * 1000);
}

static void a_key_has_the_position_of_its_partition(void **state)
{
    char expected[64];

    (void)state;
    make_four_partitions(PARTITIONER_MURMUR2);
    for (int i = 0; i < 20; i++) {
        char owner[16];
        snprintf(owner, sizeof(owner), "u%d", i);
        int32_t partition = partitioner_partition(PARTITIONER_MURMUR2, span_of_text(owner), 4);
        snprintf(expected, sizeof(expected), "people/0@9, shop.events/%d@%d", (int)partition, (int)partition * 100 - 1);
        assert_string_equal(position_of(owner, NULL), expected);
    }
}

static void a_topic_whose_partitioner_nobody_knows_tells_all_partitions(void **state)
{
    static const char all[] = "people/0@9, shop.events/0@-1, shop.events/1@99, shop.events/2@199, shop.events/3@299";
    static const enum partitioner unclear[] = {PARTITIONER_UNKNOWN, PARTITIONER_MIXED};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(unclear); i++) {
        make_four_partitions(unclear[i]);
        /* partition 0 said murmur2 when the world was filled; a new row for it says otherwise */
        assert_string_equal(position_of("u1", NULL), all);
        wait_for_topology();
    }
}

static void partitions_that_disagree_about_the_partitioner_are_all_told(void **state)
{
    struct served_change other = {.kind = CHANGE_PARTITION,
                                  .topic = TOPIC_SHOP,
                                  .partition = 2,
                                  .row = {.partition_count = 4, .partitioner = PARTITIONER_CRC32}};

    (void)state;
    make_four_partitions(PARTITIONER_MURMUR2);
    served_world_change(&world, &other, 1);
    assert_non_null(strstr(position_of("u1", NULL), "shop.events/3@299"));
    wait_for_topology();
    other.row.partitioner = PARTITIONER_UNKNOWN; /* has seen no record: no objection */
    served_world_change(&world, &other, 1);
    struct key_partitions partitions;
    (void)position_of("u1", &partitions);
    assert_int_equal(partitions.count, 2);
}

static void a_partition_that_is_not_adopted_yet_makes_all_of_them_be_told(void **state)
{
    struct served_change grown = {.kind = CHANGE_PARTITION,
                                  .topic = TOPIC_SHOP,
                                  .partition = 0,
                                  .row = {.partition_count = 64, .partitioner = PARTITIONER_MURMUR2}};
    struct key_partitions partitions;

    (void)state;
    make_four_partitions(PARTITIONER_MURMUR2);
    served_world_change(&world, &grown, 1);
    int told_all = 0;
    for (int i = 0; i < 20; i++) {
        char owner[16];
        snprintf(owner, sizeof(owner), "u%d", i);
        (void)position_of(owner, &partitions);
        int32_t partition = partitioner_partition(PARTITIONER_MURMUR2, span_of_text(owner), 64);
        assert_int_equal(partitions.count, partition < 4 ? 2 : 5);
        told_all += partition >= 4;
    }
    assert_true(told_all > 0);
}

static void the_position_is_that_of_the_key_s_range(void **state)
{
    unsigned range = owner_range(hash64(SPAN_LITERAL("u1")));
    struct served_change moved = {.kind = CHANGE_POSITION,
                                  .topic = TOPIC_SHOP,
                                  .range = (int)range,
                                  .position = {.next_offset = 778, .last_offset = 777}};

    (void)state;
    assert_string_equal(position_of("u1", NULL), "people/0@9, shop.events/0@9");
    served_world_change(&world, &moved, 1); /* another snapshot: what was remembered no longer holds */
    assert_string_equal(position_of("u1", NULL), "people/0@9, shop.events/0@777");
    for (int i = 0; i < 100; i++) {
        char owner[16];
        snprintf(owner, sizeof(owner), "u%d", i);
        bool is_same = owner_range(hash64(span_of_text(owner))) == range;
        assert_int_equal(strstr(position_of(owner, NULL), "@777") != NULL, is_same);
    }
}

static void what_has_no_position_yet_is_at_minus_one(void **state)
{
    struct served_change added = {.kind = CHANGE_PARTITION,
                                  .topic = TOPIC_SHOP,
                                  .partition = 0,
                                  .row = {.partition_count = 2, .partitioner = PARTITIONER_MIXED}};
    struct served_change empty = added;

    (void)state;
    empty.partition = 1; /* a row, no positions */
    struct served_change changes[] = {added, empty};
    served_world_change(&world, changes, 2);
    assert_string_equal(position_of("u1", NULL), "people/0@9, shop.events/0@9, shop.events/1@-1");
}

static void the_age_is_that_of_the_oldest_partition_of_the_key(void **state)
{
    static const struct {
        int64_t next_offset, end_offset;
        int64_t caught_up_before_ms, seen_before_ms; /* before now; 0: never caught up */
        int64_t last_time_before_ms;                 /* of the last record; 0: none */
        int64_t age_s;
    } rows[] = {
        {10, 10, 500000, 0, 0, 0},     /* at the end, which was looked at just now */
        {10, 10, 500000, 1999, 0, 1},  /* the look at the log is what ages */
        {11, 10, 500000, 3000, 0, 3},  /* ahead of the end that was seen */
        {9, 10, 60000, 10, 0, 60},     /* behind: since it was caught up */
        {9, 10, 0, 10, 7000, 7},       /* never caught up: since the last record it has */
        {10, 10, 500000, -5000, 0, 0}, /* clocks that disagree: never negative */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct served_change changes[] = {
            {.kind = CHANGE_POSITION,
             .topic = TOPIC_SHOP,
             .range = -1,
             .position = {.next_offset = rows[i].next_offset,
                          .last_offset = rows[i].last_time_before_ms ? 0 : -1,
                          .last_time_ms = world.now_ms - rows[i].last_time_before_ms,
                          .caught_up_at_ms =
                              rows[i].caught_up_before_ms ? world.now_ms - rows[i].caught_up_before_ms : 0}},
            {.kind = CHANGE_PARTITION,
             .topic = TOPIC_SHOP,
             .row = {.end_offset = rows[i].end_offset,
                     .seen_at_ms = world.now_ms - rows[i].seen_before_ms,
                     .partition_count = 1,
                     .partitioner = PARTITIONER_MURMUR2}},
        };
        served_world_change(&world, changes, 2);
        assert_int_equal(age_of("u1"), rows[i].age_s);
    }
}

static void the_age_of_the_whole_store_counts_every_range_that_is_followed(void **state)
{
    struct served_change behind = {.kind = CHANGE_POSITION,
                                   .topic = TOPIC_BRANCHES,
                                   .range = 13,
                                   .position = {.next_offset = 9, .caught_up_at_ms = world.now_ms - 99000}};
    struct served_change stopped = {.kind = CHANGE_PARTITION,
                                    .topic = TOPIC_BRANCHES,
                                    .row = {.state = PARTITION_LOST, .end_offset = 10, .partition_count = 1}};
    struct err err;
    int64_t age_s;

    (void)state;
    served_world_change(&world, &behind, 1);
    assert_int_equal(query_loop_snapshot(world.loop, &err), 0);
    assert_int_equal(freshness_whole_age_s(world.loop->freshness, world.now_ms, &age_s, &err), 0);
    assert_int_equal(age_s, 99);
    wait_for_topology();
    served_world_change(&world, &stopped, 1);
    assert_int_equal(query_loop_snapshot(world.loop, &err), 0);
    assert_int_equal(freshness_whole_age_s(world.loop->freshness, world.now_ms, &age_s, &err), 0);
    assert_int_equal(age_s, 0);
}

static void only_the_owner_with_parked_events_is_incomplete(void **state)
{
    struct served_change parked = {.kind = CHANGE_PARKED, .topic = TOPIC_BRANCHES, .record_key = "u1"};
    struct err err;
    bool is_incomplete = true;

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(query_loop_snapshot(world.loop, &err), 0);
        assert_int_equal(
            freshness_is_incomplete(world.loop->freshness, hash64(SPAN_LITERAL("u1")), &is_incomplete, &err), 0);
        assert_int_equal(is_incomplete, i == 1);
        assert_int_equal(
            freshness_is_incomplete(world.loop->freshness, hash64(SPAN_LITERAL("u2")), &is_incomplete, &err), 0);
        assert_false(is_incomplete);
        served_world_change(&world, &parked, 1);
    }
}

static void a_partition_that_was_adopted_a_moment_ago_can_be_awaited(void **state)
{
    struct served_change added = {.kind = CHANGE_PARTITION,
                                  .topic = TOPIC_SHOP,
                                  .partition = 1,
                                  .row = {.partition_count = 2, .partitioner = PARTITIONER_MURMUR2}};
    struct err err;
    int64_t next_offset;

    (void)state;
    assert_int_equal(query_loop_snapshot(world.loop, &err), 0);
    assert_int_equal(freshness_next_offset(world.loop->freshness, TOPIC_SHOP, 1, 0, &next_offset, &err), ERR_ABSENT);
    served_world_change(&world, &added, 1);
    assert_int_equal(query_loop_snapshot(world.loop, &err), 0);
    assert_int_equal(freshness_next_offset(world.loop->freshness, TOPIC_SHOP, 1, 0, &next_offset, &err), 0);
    assert_int_equal(next_offset, 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_key_has_the_position_of_its_partition),
        TEST(a_topic_whose_partitioner_nobody_knows_tells_all_partitions),
        TEST(partitions_that_disagree_about_the_partitioner_are_all_told),
        TEST(a_partition_that_is_not_adopted_yet_makes_all_of_them_be_told),
        TEST(the_position_is_that_of_the_key_s_range),
        TEST(what_has_no_position_yet_is_at_minus_one),
        TEST(the_age_is_that_of_the_oldest_partition_of_the_key),
        TEST(the_age_of_the_whole_store_counts_every_range_that_is_followed),
        TEST(a_partition_that_was_adopted_a_moment_ago_can_be_awaited),
        TEST(only_the_owner_with_parked_events_is_incomplete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
