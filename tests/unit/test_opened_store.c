/* A store as commands open it: what is missing is said as it is, and a key's positions are those of its partitions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "projector/opened_store.h"
#include "schema/base/mem.h"
#include "schema/store/partitioner.h"
#include "tests/unit/served_world.h"

static int set_up(void **state)
{
    struct served_world *world = mem_zero(1, sizeof(*world));

    served_world_open(world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct served_world *world = *state;

    served_world_close(world);
    free(world);
    return 0;
}

static void assert_refused(struct served_world *world, const char *name, enum err_kind kind, const char *told)
{
    struct opened_store opened = {0};
    struct err err = {0};

    assert_int_equal(opened_store_open(world->directory, name, STORE_READ_ONLY, &opened, &err), kind);
    assert_int_equal(err.kind, kind);
    if (strstr(err.text, told) == NULL)
        fail_msg("\"%s\" is not in: %s", told, err.text);
    assert_null(opened.generation);
    assert_null(opened.store);
}

static void open_served(struct served_world *world, const char *name, struct opened_store *ret_opened)
{
    struct err err = {0};

    if (opened_store_open(world->directory, name, STORE_READ_ONLY, ret_opened, &err) != 0)
        fail_msg("%s", err.text);
}

static void the_served_generation_is_opened_by_its_name_or_without(void **state)
{
    struct opened_store by_default, by_name;

    served_world_make(*state);
    open_served(*state, NULL, &by_default);
    char *name = mem_text(by_default.generation->name);
    assert_non_null(view_set_find(by_default.views, span_of_text("shelf")));
    opened_store_close(&by_default);
    open_served(*state, name, &by_name);
    assert_string_equal(by_name.generation->name, name);
    opened_store_close(&by_name);
    free(name);
}

static void a_folder_that_is_not_there_or_empty_is_no_store(void **state)
{
    struct served_world *world = *state;

    assert_refused(world, NULL, ERR_ABSENT, "is not a store, or an empty one");
    assert_int_equal(mkdir(world->directory, 0700), 0);
    assert_refused(world, NULL, ERR_ABSENT, "is not a store, or an empty one");
}

static void a_store_without_a_generation_and_an_unknown_or_impossible_name_are_told_apart(void **state)
{
    struct served_world *world = *state;
    struct err err = {0};

    assert_int_equal(store_directory_prepare(world->directory, &err), 0);
    assert_refused(world, NULL, ERR_ABSENT, "holds no generation");
    served_world_make(world);
    assert_refused(world, "ffffff-9", ERR_ABSENT, "holds no generation ffffff-9");
    assert_refused(world, "../serving", ERR_INPUT, "../serving is not a generation's name");
    assert_refused(world, "", ERR_INPUT, "is not a generation's name");
}

static void a_generation_whose_store_is_not_made_yet_holds_nothing_yet(void **state)
{
    struct served_world *world = *state;
    struct opened_store opened;

    served_world_make(world);
    open_served(world, NULL, &opened);
    char *data = mem_format("%s/data.mdb", opened.generation->folder);
    opened_store_close(&opened);
    assert_int_equal(unlink(data), 0);
    assert_refused(world, NULL, ERR_ABSENT, "holds nothing yet");
    free(data);
}

static void make_partitions(struct served_world *world, uint16_t topic, uint32_t count, uint32_t partitioner)
{
    for (int32_t partition = 0; partition < (int32_t)count; partition++) {
        const struct served_change changes[] = {
            {.kind = CHANGE_POSITION,
             .topic = topic,
             .partition = partition,
             .range = -1,
             .position = {.next_offset = 10 + partition, .last_offset = 9 + partition}},
            {.kind = CHANGE_PARTITION,
             .topic = topic,
             .partition = partition,
             .row = {.end_offset = 100, .partition_count = count, .partitioner = partitioner}}};
        served_world_change(world, changes, ARRAY_COUNT(changes));
    }
}

/* Of "shop.events" with a known partitioner the key's partition alone, of "people" every one. */
static void a_keys_positions_are_of_its_partition_where_that_is_known_and_of_all_where_it_is_not(void **state)
{
    struct served_world *world = *state;
    struct shown_position *list = NULL;
    struct opened_store opened;
    struct err err = {0};
    size_t count = 0;

    served_world_make(world);
    make_partitions(world, TOPIC_SHOP, 5, PARTITIONER_MURMUR2);
    make_partitions(world, TOPIC_PEOPLE, 3, PARTITIONER_MIXED);
    open_served(world, NULL, &opened);
    const struct span owner = span_of_text("u1");
    assert_int_equal(opened_store_positions(&opened, owner, &list, &count, &err), 0);
    assert_int_equal(count, 4);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(list[i].offset, 9 + list[i].partition);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(list[i].topic, TOPIC_PEOPLE);
        assert_int_equal(list[i].partition, i);
    }
    assert_int_equal(list[3].topic, TOPIC_SHOP);
    assert_int_equal(list[3].partition, partitioner_partition(PARTITIONER_MURMUR2, owner, 5));
    free(list);
    opened_store_close(&opened);
}

static void a_keys_position_is_that_of_its_own_range_and_before_the_first_record_it_is_minus_one(void **state)
{
    struct served_world *world = *state;
    const struct span owner = span_of_text("u1");
    int range = (int)owner_range(hash64(owner));
    const struct served_change changes[] = {
        {.kind = CHANGE_PARTITION,
         .topic = TOPIC_SHOP,
         .row = {.end_offset = 100, .partition_count = 1, .partitioner = PARTITIONER_MURMUR2}},
        {.kind = CHANGE_POSITION, .topic = TOPIC_SHOP, .range = -1, .position = {.next_offset = 50}},
        {.kind = CHANGE_POSITION, .topic = TOPIC_SHOP, .range = range, .position = {.next_offset = 0}}};
    struct shown_position *list = NULL;
    struct opened_store opened;
    struct err err = {0};
    size_t count = 0;

    served_world_make(world);
    served_world_change(world, changes, ARRAY_COUNT(changes));
    open_served(world, NULL, &opened);
    assert_int_equal(opened_store_positions(&opened, owner, &list, &count, &err), 0);
    assert_int_equal(count, 1);
    assert_int_equal(list[0].offset, -1);
    free(list);
    opened_store_close(&opened);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_served_generation_is_opened_by_its_name_or_without),
        TEST(a_folder_that_is_not_there_or_empty_is_no_store),
        TEST(a_store_without_a_generation_and_an_unknown_or_impossible_name_are_told_apart),
        TEST(a_generation_whose_store_is_not_made_yet_holds_nothing_yet),
        TEST(a_keys_positions_are_of_its_partition_where_that_is_known_and_of_all_where_it_is_not),
        TEST(a_keys_position_is_that_of_its_own_range_and_before_the_first_record_it_is_minus_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
