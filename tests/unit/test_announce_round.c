#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "projector/announce_round.h"
#include "schema/base/mem.h"
#include "schema/view/key.h"
#include "tests/unit/schema_file.h"
#include "tests/unit/scratch_folder.h"

/* Two generations of one log, topic "shop" with one partition, and what a round makes of their stores. */
enum { GENERATIONS = 2, ROW_LIMIT = 1000 };

struct world {
    char *folder;
    struct announced *announced;
    struct announced_partition *at;
    struct view_set *views;
    char *topics[1];
    struct generation_settings settings;
    struct store *stores[GENERATIONS];
    struct announce_member members[GENERATIONS];
    struct positions positions;
    struct announce_batch batch;
    size_t commits, gave_up;
};

static void note_commit(void *self)
{
    ((struct world *)self)->commits++;
}

static void note_given_up(void *self, size_t count)
{
    ((struct world *)self)->gave_up += count;
}

static void load_views(struct world *world)
{
    struct buf bytes = schema_file_bytes("announcing");
    struct mistakes mistakes = {NULL, 0, 0};
    struct err err = {0};

    assert_int_equal(view_set_load(buf_span(&bytes), &world->views, &mistakes, &err), 0);
    mistakes_release(&mistakes);
    buf_release(&bytes);
}

static void open_generation(struct world *world, size_t number)
{
    static const char *const names[GENERATIONS] = {"aaaaaa-1", "bbbbbb-1"};
    const struct store_options options = {.access = STORE_READ_WRITE};
    const struct announcing_options announcing = {.views = world->views,
                                                  .settings = &world->settings,
                                                  .announced = world->announced,
                                                  .clock = &clock_system,
                                                  .row_limit = ROW_LIMIT,
                                                  .committed = note_commit,
                                                  .gave_up = note_given_up,
                                                  .self = world};
    struct announce_member *member = &world->members[number];
    char *folder = mem_format("%s/%s", world->folder, names[number]);
    char *command = mem_format("mkdir -p %s", folder);
    struct err err = {0};

    assert_int_equal(system(command), 0);
    if (store_open(folder, &options, &world->stores[number], &err) < 0)
        fail_msg("%s", err.text);
    *member = (struct announce_member){.name = names[number], .views = world->views, .settings = &world->settings};
    member->announcing = announcing_new(&announcing);
    announcing_set_served(member->announcing, number == 0);
    announcing_look(member->announcing, &world->positions, false);
    assert_int_equal(store_reader_open(world->stores[number], &member->reader, &err), 0);
    free(folder);
    free(command);
}

static int open_world(void **state)
{
    struct world *world = mem_zero(1, sizeof(*world));
    struct partition *partition;
    struct err err = {0};

    world->folder = scratch_folder_make();
    world->topics[0] = mem_text("shop");
    world->settings = (struct generation_settings){.topics = world->topics, .topic_count = 1};
    world->batch = (struct announce_batch){.arena = ARENA_INIT};
    load_views(world);
    assert_int_equal(announced_open(world->folder, &world->announced, &err), 0);
    world->at = announced_at(world->announced, "shop", 0);
    positions_init(&world->positions, 1);
    assert_int_equal(positions_add(&world->positions, 0, 0, 0, PARTITION_FOLLOWING, &partition, &err), 0);
    for (size_t i = 0; i < GENERATIONS; i++)
        open_generation(world, i);
    *state = world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < GENERATIONS; i++) {
        store_reader_close(&world->members[i].reader);
        announcing_free(&world->members[i].announcing);
        store_close(&world->stores[i]);
    }
    announce_batch_release(&world->batch);
    positions_release(&world->positions);
    announced_close(&world->announced);
    view_set_free(&world->views);
    free(world->topics[0]);
    scratch_folder_remove(&world->folder);
    free(world);
    return 0;
}

/* --- stores ------------------------------------------------------------------------------------------------------- */

/* Owners' hashes are spread over the ranges and over the sides of a share. */
static uint64_t owner_hash_of(int64_t offset)
{
    return (uint64_t)(offset + 1) * 0x9e3779b97f4a7c15u;
}

static void put_row(struct world *world, size_t number, struct store_writer *writer, int64_t offset)
{
    char owner[32];
    struct buf view_key = BUF_INIT, key = BUF_INIT, value = BUF_INIT;
    struct err err = {0};

    snprintf(owner, sizeof(owner), "u%d", (int)offset);
    assert_int_equal(key_encode_value(world->views->views[0].keys[0],
                                      (struct value){.kind = VALUE_STRING, .text = span_of_text(owner)}, &view_key, &err),
                     0);
    const struct announcement_key at = {
        .owner_hash = owner_hash_of(offset), .offset = offset, .view_key_hash = hash64(buf_span(&view_key))};
    const struct pending_announcement pending = {.event_time_ms = 1, .view_key = buf_span(&view_key)};
    layout_announcement_cache_key(&at, &key);
    layout_announcement(&pending, &value);
    assert_int_equal(
        announcing_put(world->members[number].announcing, writer, buf_span(&key), buf_span(&value), &err), 0);
    buf_release(&view_key);
    buf_release(&key);
    buf_release(&value);
}

static void put_positions(struct store_writer *writer, int64_t slowest, int64_t others)
{
    const struct partition_row row = {.state = PARTITION_FOLLOWING, .end_offset = slowest, .seen_at_ms = 1};
    struct buf key = BUF_INIT, value = BUF_INIT;
    struct err err = {0};

    for (unsigned range = 0; range < RANGE_COUNT; range++) {
        const struct position position = {.next_offset = range == 5 ? slowest : others, .caught_up_at_ms = 1};
        buf_clear(&key);
        buf_clear(&value);
        layout_position_key(0, 0, range, &key);
        layout_position(&position, &value);
        assert_int_equal(store_put(writer, TABLE_POSITIONS, buf_span(&key), buf_span(&value), &err), 0);
    }
    buf_clear(&key);
    buf_clear(&value);
    layout_partition_key(0, 0, &key);
    layout_partition(&row, &value);
    assert_int_equal(store_put(writer, TABLE_PARTITIONS, buf_span(&key), buf_span(&value), &err), 0);
    buf_release(&key);
    buf_release(&value);
}

/* A commit with a row for each offset of [from, to), up to position `to`, but for one range. */
static void commit(struct world *world, size_t number, int64_t from, int64_t to, int64_t slowest)
{
    struct store_writer *writer = NULL;
    struct err err = {0};

    assert_int_equal(store_write_begin(world->stores[number], &writer, &err), 0);
    for (int64_t offset = from; offset < to; offset++)
        put_row(world, number, writer, offset);
    put_positions(writer, slowest, to);
    assert_int_equal(announcing_let_go(world->members[number].announcing, writer, &err), 0);
    assert_int_equal(store_commit(&writer, &err), 0);
    announcing_committed(world->members[number].announcing);
}

static size_t rows_of(struct world *world, size_t number)
{
    struct err err = {0};

    assert_int_equal(store_read_begin(world->members[number].reader, &err), 0);
    size_t count = store_read_count(world->members[number].reader, TABLE_ANNOUNCEMENTS);
    store_read_end(world->members[number].reader);
    return count;
}

/* --- rounds ------------------------------------------------------------------------------------------------------- */

/* A round with these shares; its announcements are published when is_published. Returns how many there are. */
static size_t look(struct world *world, unsigned percent_a, unsigned percent_b, bool is_published)
{
    struct serving_shares shares = {.count = 0};
    struct announce_member *served[SERVING_SHARES_MAX];
    const unsigned percents[] = {percent_a, percent_b};
    struct err err = {0};

    for (size_t i = 0; i < GENERATIONS; i++)
        if (percents[i] > 0) {
            snprintf(shares.shares[shares.count].name, GENERATION_NAME_MAX, "%s", world->members[i].name);
            shares.shares[shares.count].percent = percents[i];
            served[shares.count++] = &world->members[i];
        }
    if (announce_round(served, &shares, 100, &world->batch, &err) < 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; is_published && i < world->batch.move_count; i++)
        atomic_store(&world->batch.moves[i].entry->next_offset, world->batch.moves[i].next_offset);
    return world->batch.count;
}

static void assert_offsets(const struct world *world, int64_t from, int64_t to)
{
    assert_int_equal(world->batch.count, to - from);
    for (size_t i = 0; i < world->batch.count; i++)
        assert_int_equal(world->batch.items[i].offset, from + (int64_t)i);
}

static void begin_at(struct world *world, int64_t offset)
{
    atomic_store(&world->at->next_offset, offset);
}

static int64_t clock_now_us;

static int64_t read_clock(void *self)
{
    (void)self;
    return clock_now_us;
}

static const struct clock_port set_clock = {read_clock, read_clock, NULL};

static void a_log_that_was_made_anew_is_announced_from_its_end_on(void **state)
{
    struct world *world = *state;
    struct partition *partition = world->positions.partitions[0];
    const struct announcing_options options = {.views = world->views,
                                               .settings = &world->settings,
                                               .announced = world->announced,
                                               .clock = &set_clock,
                                               .row_limit = ROW_LIMIT,
                                               .committed = note_commit,
                                               .gave_up = note_given_up,
                                               .self = world};
    struct announcing *announcing = announcing_new(&options);

    announcing_set_served(announcing, true);
    begin_at(world, 1000);
    positions_advance_to(&world->positions, partition, 40);
    positions_end_seen(&world->positions, partition, 40, 1);
    for (int second = 1; second < 10; second++) {
        clock_now_us = second * 1000000;
        announcing_look(announcing, &world->positions, true);
        assert_int_equal(atomic_load(&world->at->next_offset), 1000); /* may be an old answer */
    }
    for (int second = 10; second < 14; second++) {
        clock_now_us = second * 1000000;
        announcing_look(announcing, &world->positions, true);
    }
    assert_int_equal(atomic_load(&world->at->next_offset), 40);
    announcing_free(&announcing);
}

static void nothing_is_announced_before_it_is_known_from_where(void **state)
{
    struct world *world = *state;

    commit(world, 0, 0, 10, 10);
    assert_int_equal(look(world, 100, 0, true), 0);
    assert_int_equal(rows_of(world, 0), 0); /* and nothing piles up */
    announcing_end_reached(world->members[0].announcing, 0, 0, 10);
    commit(world, 0, 10, 12, 12);
    assert_int_equal(look(world, 100, 0, true), 2);
    assert_offsets(world, 10, 12);
    assert_int_equal(look(world, 100, 0, true), 0);
}

static void one_that_is_not_served_begins_nothing(void **state)
{
    struct world *world = *state;

    announcing_end_reached(world->members[1].announcing, 0, 0, 10);
    announcing_look(world->members[1].announcing, &world->positions, true);
    assert_int_equal(atomic_load(&world->at->next_offset), ANNOUNCED_NOT_YET);
    announcing_look(world->members[0].announcing, &world->positions, true);
    assert_int_equal(atomic_load(&world->at->next_offset), 0); /* its cursor: what comes to a ready store is news */
}

static void what_lies_behind_the_slowest_range_waits(void **state)
{
    struct world *world = *state;

    begin_at(world, 0);
    commit(world, 0, 0, 10, 4);
    assert_int_equal(look(world, 100, 0, true), 4);
    assert_offsets(world, 0, 4);
    commit(world, 0, 10, 10, 10);
    assert_int_equal(look(world, 100, 0, true), 6);
    assert_offsets(world, 4, 10);
}

static void a_cut_over_to_one_that_is_behind_announces_nothing_again(void **state)
{
    struct world *world = *state;

    begin_at(world, 80);
    commit(world, 0, 80, 100, 100);
    commit(world, 1, 80, 90, 90);
    assert_int_equal(look(world, 100, 0, true), 20); /* A is at 100 */
    assert_int_equal(look(world, 0, 100, true), 0);  /* B at 90 takes over */
    commit(world, 1, 90, 105, 105);
    assert_int_equal(look(world, 0, 100, true), 5);
    assert_offsets(world, 100, 105);
}

static void a_cut_over_to_one_that_is_ahead_loses_nothing(void **state)
{
    struct world *world = *state;

    begin_at(world, 80);
    commit(world, 0, 80, 90, 90);
    commit(world, 1, 80, 100, 100);
    assert_int_equal(look(world, 100, 0, true), 10); /* A is at 90 */
    assert_int_equal(look(world, 0, 100, true), 10); /* B at 100 takes over */
    assert_offsets(world, 90, 100);
    commit(world, 0, 90, 100, 100);
    assert_int_equal(look(world, 100, 0, true), 0); /* and back */
}

static void while_traffic_is_shared_each_is_told_once_and_by_the_side_that_answers(void **state)
{
    struct world *world = *state;
    size_t of_candidate = 0;
    const struct serving_shares shares = {.shares = {{"aaaaaa-1", 70}, {"bbbbbb-1", 30}}, .count = 2};

    begin_at(world, 0);
    commit(world, 0, 0, 60, 60);
    commit(world, 1, 0, 50, 50);
    assert_int_equal(look(world, 70, 30, true), 50); /* as far as both show it */
    for (int64_t offset = 0; offset < 50; offset++)
        of_candidate += serving_side(&shares, owner_hash_of(offset)) == 1;
    assert_true(of_candidate > 0 && of_candidate < 50);
    bool was_told[50] = {false};
    for (size_t i = 0; i < world->batch.count; i++) {
        assert_false(was_told[world->batch.items[i].offset]);
        was_told[world->batch.items[i].offset] = true;
    }
    commit(world, 1, 50, 60, 60);
    assert_int_equal(look(world, 70, 30, true), 10);
}

static void what_is_not_acknowledged_comes_again(void **state)
{
    struct world *world = *state;

    begin_at(world, 0);
    commit(world, 0, 0, 5, 5);
    assert_int_equal(look(world, 100, 0, false), 5);
    char id[ANNOUNCEMENT_ID_CHARS + 1];
    memcpy(id, world->batch.items[3].record.id, sizeof(id));
    assert_int_equal(look(world, 100, 0, true), 5);
    assert_string_equal(world->batch.items[3].record.id, id);
}

static void a_batch_is_bounded_and_never_ends_within_an_offset(void **state)
{
    struct world *world = *state;
    int64_t next = 0;

    begin_at(world, 0);
    commit(world, 0, 0, 500, 500);
    commit(world, 0, 500, 1000, 1000);
    for (int rounds = 0; next < 1000 && rounds < 20; rounds++) {
        size_t count = look(world, 100, 0, true);
        assert_offsets(world, next, next + (int64_t)count);
        next += (int64_t)count;
    }
    assert_int_equal(next, 1000);
}

static void the_erased_are_left_out(void **state)
{
    struct world *world = *state;
    struct store_writer *writer = NULL;
    struct buf view_key = BUF_INIT, mark = BUF_INIT;
    struct err err = {0};

    begin_at(world, 0);
    commit(world, 0, 0, 3, 3);
    assert_int_equal(key_encode_value(world->views->views[0].keys[0],
                                      (struct value){.kind = VALUE_STRING, .text = SPAN_LITERAL("u1")}, &view_key, &err),
                     0);
    layout_view_key(owner_hash_of(1), 0, buf_span(&view_key), &mark);
    assert_int_equal(store_write_begin(world->stores[0], &writer, &err), 0);
    assert_int_equal(store_put(writer, TABLE_MARKS, buf_span(&mark), SPAN_LITERAL("12345678"), &err), 0);
    assert_int_equal(store_commit(&writer, &err), 0);
    assert_int_equal(look(world, 100, 0, true), 2);
    assert_int_equal(world->batch.erased, 1);
    assert_int_equal(world->batch.items[1].offset, 2);
    buf_release(&view_key);
    buf_release(&mark);
}

static void what_is_announced_is_let_go_of_with_the_next_commit_in_every_generation(void **state)
{
    struct world *world = *state;

    begin_at(world, 0);
    commit(world, 0, 0, 10, 10);
    commit(world, 1, 0, 10, 10);
    assert_int_equal(look(world, 100, 0, true), 10);
    commit(world, 0, 10, 11, 11);
    commit(world, 1, 10, 11, 11);
    assert_int_equal(rows_of(world, 0), 1);
    assert_int_equal(rows_of(world, 1), 1);
    assert_int_equal(world->gave_up, 0);
}

static void beyond_the_limit_the_oldest_are_given_up_but_for_those_on_their_way(void **state)
{
    struct world *world = *state;

    begin_at(world, 0);
    commit(world, 0, 0, 10, 10);
    atomic_store(&world->at->sent_offset, 10);
    commit(world, 0, 10, ROW_LIMIT + 30, ROW_LIMIT + 30);
    assert_int_equal(rows_of(world, 0), ROW_LIMIT);
    assert_int_equal(world->gave_up, 30);
    begin_at(world, 10);
    look(world, 100, 0, true);
    assert_int_equal(world->batch.items[0].offset, 40);
}

static void a_crash_before_the_offset_is_written_down_loses_nothing(void **state)
{
    struct world *world = *state;
    struct err err = {0};

    begin_at(world, 7);
    commit(world, 0, 7, 10, 10);
    begin_at(world, ANNOUNCED_NOT_YET); /* another process, and no file */
    assert_int_equal(store_read_begin(world->members[0].reader, &err), 0);
    assert_int_equal(announcing_resume(world->members[0].announcing, world->members[0].reader, &err), 0);
    store_read_end(world->members[0].reader);
    assert_int_equal(look(world, 100, 0, true), 3);
    assert_offsets(world, 7, 10);
}

static void the_offsets_are_kept_in_a_file(void **state)
{
    struct world *world = *state;
    struct announced *again = NULL;
    char *command = mem_format("mkdir -p %s/control", world->folder);
    struct err err = {0};

    assert_int_equal(system(command), 0);
    free(command);
    assert_int_equal(announced_write(world->announced, &err), 0);
    begin_at(world, 1234567890123);
    atomic_store(&announced_at(world->announced, "a.b/c", 7)->next_offset, 1);
    assert_int_equal(announced_write(world->announced, &err), 0);
    assert_int_equal(announced_open(world->folder, &again, &err), 0);
    assert_int_equal(atomic_load(&announced_at(again, "shop", 0)->next_offset), 1234567890123);
    assert_int_equal(atomic_load(&announced_at(again, "a.b/c", 7)->next_offset), 1);
    assert_int_equal(atomic_load(&announced_at(again, "shop", 1)->next_offset), ANNOUNCED_NOT_YET);
    announced_close(&again);
}

static void a_file_that_is_not_understood_is_refused(void **state)
{
    static const char *const texts[] = {"", "tarn-announced 2\n", "tarn-announced 1\nshop 3\n",
                                        "tarn-announced 1\nshop/0 3", "tarn-announced 1\nshop/0 -3\n",
                                        "tarn-announced 1\nshop/99999999999 3\n",
                                        "tarn-announced 1\nshop/0 99999999999999999999\n"};
    struct world *world = *state;
    struct announced *opened = NULL;
    struct err err = {0};
    char *command = mem_format("mkdir -p %s/control", world->folder);
    char *path = mem_format("%s/control/announced", world->folder);

    assert_int_equal(system(command), 0);
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        FILE *file = fopen(path, "w");
        fputs(texts[i], file);
        fclose(file);
        assert_int_equal(announced_open(world->folder, &opened, &err), ERR_INPUT);
    }
    free(command);
    free(path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_log_that_was_made_anew_is_announced_from_its_end_on),
        TEST(nothing_is_announced_before_it_is_known_from_where),
        TEST(one_that_is_not_served_begins_nothing),
        TEST(what_lies_behind_the_slowest_range_waits),
        TEST(a_cut_over_to_one_that_is_behind_announces_nothing_again),
        TEST(a_cut_over_to_one_that_is_ahead_loses_nothing),
        TEST(while_traffic_is_shared_each_is_told_once_and_by_the_side_that_answers),
        TEST(what_is_not_acknowledged_comes_again),
        TEST(a_batch_is_bounded_and_never_ends_within_an_offset),
        TEST(the_erased_are_left_out),
        TEST(what_is_announced_is_let_go_of_with_the_next_commit_in_every_generation),
        TEST(beyond_the_limit_the_oldest_are_given_up_but_for_those_on_their_way),
        TEST(a_crash_before_the_offset_is_written_down_loses_nothing),
        TEST(the_offsets_are_kept_in_a_file),
        TEST(a_file_that_is_not_understood_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
