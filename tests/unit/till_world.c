#include "tests/unit/till_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "projector/parked.h"
#include "schema/base/mem.h"
#include "schema/json/render.h"
#include "schema/store/digest.h"
#include "schema/view/key.h"
#include "tests/unit/scratch_folder.h"

static int64_t read_wall(void *self)
{
    const struct till_world *world = self;

    return 1700000000000 + world->now_us / 1000;
}

static int64_t read_monotonic(void *self)
{
    const struct till_world *world = self;

    return world->now_us;
}

/* The world's own clock needs the world: one at a time. */
static struct clock_port world_clock = {read_wall, read_monotonic, NULL};

static void hear_parked(void *self, const struct parked_key *key, enum park_reason reason, const char *message)
{
    struct till_world *world = self;

    (void)key;
    world->parked_told++;
    world->parked_reason = reason;
    snprintf(world->parked_message, sizeof(world->parked_message), "%s", message);
}

static void load_views(struct till_world *world)
{
    struct mistakes mistakes = {NULL, 0, 0};
    struct buf bytes = BUF_INIT;
    struct err err = {0};
    size_t got;
    FILE *file = fopen("build/protos/till.binpb", "rb");

    assert_non_null(file);
    do {
        got = fread(buf_reserve(&bytes, 65536), 1, 65536, file);
        bytes.len += got;
    } while (got > 0);
    fclose(file);
    int rc = view_set_load(buf_span(&bytes), &world->views, &mistakes, &err);
    for (size_t i = 0; i < mistakes.count; i++)
        print_error("%s\n", mistakes.lines[i]);
    if (rc < 0)
        fail_msg("%s", err.text);
    mistakes_release(&mistakes);
    buf_release(&bytes);
}

static void make_settings(struct till_world *world)
{
    world->settings = (struct generation_settings){.stream_count = 2,
                                                   .topic_count = TILL_TOPICS,
                                                   .type_header_count = 1,
                                                   .max_view_bytes = 4096,
                                                   .projection_version = PROJECTION_VERSION};
    world->settings.streams = mem_zero(2, sizeof(struct topic_of_stream));
    world->settings.streams[0] = (struct topic_of_stream){mem_text("people"), mem_text("people.events")};
    world->settings.streams[1] = (struct topic_of_stream){mem_text("till"), mem_text("till.events")};
    world->settings.topics = mem_zero(2, sizeof(char *));
    world->settings.topics[TOPIC_PEOPLE] = mem_text("people.events");
    world->settings.topics[TOPIC_TILL] = mem_text("till.events");
    world->settings.type_headers = mem_zero(1, sizeof(char *));
    world->settings.type_headers[0] = mem_text("type");
    world->settings.id_headers = mem_zero(1, sizeof(char *));
    world->settings.id_headers[0] = mem_text("id");
    world->settings.id_header_count = 1;
    world->settings.start = mem_text("beginning");
}

static unsigned fold_threads(void)
{
    const char *text = getenv("TARN_TEST_FOLD_THREADS");

    return text != NULL ? (unsigned)atoi(text) : 1;
}

void till_world_open(struct till_world *world, int32_t partition_count, uint64_t seed)
{
    *world = (struct till_world){.now_us = 1000000,
                                 .fold_threads = fold_threads(),
                                 .batch = 64,
                                 .park_limit = MATERIALIZER_PARK_LIMIT,
                                 .memory_bytes = MATERIALIZER_MEMORY_MIN,
                                 .turn = {.is_drained = false, .lag = 0}};
    world->folder = scratch_folder_make();
    world->store_folder = mem_format("%s/store", world->folder);
    struct err err = {0};
    if (store_directory_prepare(world->folder, &err) < 0 || mkdir(world->store_folder, 0700) < 0)
        fail_msg("%s: %s", world->folder, err.text);
    load_views(world);
    make_settings(world);
    world->source = scripted_source_new(TILL_TOPICS, partition_count, seed);
    world->port = scripted_source_port(world->source);
    world_clock.self = world;
    till_world_start(world);
}

void till_world_start(struct till_world *world)
{
    struct store_options options = {.access = STORE_READ_WRITE};
    struct err err = {0};

    if (store_open(world->store_folder, &options, &world->store, &err) < 0)
        fail_msg("%s", err.text);
    struct materializer_options parts = {.store = world->store,
                                         .views = world->views,
                                         .settings = &world->settings,
                                         .source = &world->port,
                                         .directory = world->folder,
                                         .memory_bytes = world->memory_bytes,
                                         .park_limit = world->park_limit,
                                         .fold_threads = world->fold_threads,
                                         .clock = &world_clock,
                                         .listener = {hear_parked, world}};
    if (materializer_open(&parts, &world->materializer, &err) < 0)
        fail_msg("%s", err.text);

    struct positions *positions = materializer_positions(world->materializer);
    for (uint16_t topic = 0; topic < TILL_TOPICS; topic++)
        for (int32_t i = 0; i < scripted_source_partitions(world->source); i++) {
            struct partition *partition = positions_find(positions, topic, i);
            if (partition == NULL)
                assert_int_equal(positions_add(positions, topic, i, 0, PARTITION_FOLLOWING, &partition, &err), 0);
            if (partition->row.state == PARTITION_FOLLOWING)
                world->port.assign(world->port.self, topic, i, partition->cursor.next_offset, &err);
        }
}

void till_world_kill(struct till_world *world)
{
    materializer_close(&world->materializer);
    store_close(&world->store);
}

void till_world_close(struct till_world *world)
{
    till_world_kill(world);
    scripted_source_free(&world->source);
    generation_settings_release(&world->settings);
    view_set_free(&world->views);
    free(world->store_folder);
    scratch_folder_remove(&world->folder);
}

bool till_world_step(struct till_world *world)
{
    struct record *records = mem_zero(world->batch, sizeof(*records));
    struct err err = {0};
    size_t count = 0, taken = 0;

    assert_int_equal(world->port.poll(world->port.self, records, world->batch, 0, &count, &err), 0);
    do {
        size_t handled = 0;
        if (materializer_handle(world->materializer, records + taken, count - taken, &handled, &err) < 0)
            fail_msg("%s", err.text);
        taken += handled;
        if (materializer_turn(world->materializer, &world->turn, &err) < 0)
            fail_msg("%s", err.text);
        if (taken < count)
            materializer_wait(world->materializer, 100);
    } while (taken < count);
    free(records);
    return count > 0;
}

void till_world_drain(struct till_world *world)
{
    struct err err = {0};

    while (till_world_step(world))
        continue;
    if (materializer_flush(world->materializer, &err) < 0)
        fail_msg("%s", err.text);
}

/* --- events, in protobuf's wire format --- */

static void put_varint(struct buf *bytes, uint64_t number)
{
    for (; number >= 0x80; number >>= 7)
        buf_add_byte(bytes, (uint8_t)(number | 0x80));
    buf_add_byte(bytes, (uint8_t)number);
}

static void put_text(struct buf *bytes, unsigned field, const char *text)
{
    put_varint(bytes, field << 3 | 2);
    put_varint(bytes, strlen(text));
    buf_add_text(bytes, text);
}

static void add_event(struct till_world *world, uint16_t topic, const char *person, const char *type, struct buf *bytes)
{
    struct span value = buf_span(bytes);

    if (value.at == NULL)
        value.at = "";
    scripted_source_add(world->source, topic, person, type, &value);
    buf_release(bytes);
}

void till_bought(struct till_world *world, const char *person, const char *receipt, int32_t amount)
{
    struct buf bytes = BUF_INIT;

    put_text(&bytes, 1, person);
    put_text(&bytes, 2, receipt);
    put_varint(&bytes, 3 << 3);
    put_varint(&bytes, (uint64_t)(int64_t)amount);
    add_event(world, TOPIC_TILL, person, "till.v1.Bought", &bytes);
}

void till_returned(struct till_world *world, const char *person, const char *receipt)
{
    struct buf bytes = BUF_INIT;

    put_text(&bytes, 1, person);
    put_text(&bytes, 2, receipt);
    add_event(world, TOPIC_TILL, person, "till.v1.Returned", &bytes);
}

void till_renamed(struct till_world *world, const char *person, const char *name)
{
    struct buf bytes = BUF_INIT;

    put_text(&bytes, 1, person);
    put_text(&bytes, 2, name);
    add_event(world, TOPIC_PEOPLE, person, "people.v1.Renamed", &bytes);
}

void till_gone(struct till_world *world, const char *person)
{
    struct buf bytes = BUF_INIT;

    put_text(&bytes, 1, person);
    add_event(world, TOPIC_PEOPLE, person, "people.v1.Gone", &bytes);
}

void till_left(struct till_world *world, const char *person, const char *receipt)
{
    struct buf bytes = BUF_INIT;

    put_text(&bytes, 1, person);
    put_text(&bytes, 2, receipt);
    add_event(world, TOPIC_PEOPLE, person, "people.v1.Left", &bytes);
}

void till_raw(struct till_world *world, uint16_t topic, const char *key, const char *type, const char *bytes,
              size_t len)
{
    struct span value = span_of(bytes, len);

    scripted_source_add(world->source, topic, key, type, bytes != NULL ? &value : NULL);
}

/* --- what the store has --- */

static struct store_reader *begin_read(struct till_world *world)
{
    struct store_reader *reader = NULL;
    struct err err = {0};

    assert_int_equal(store_reader_open(world->store, &reader, &err), 0);
    assert_int_equal(store_read_begin(reader, &err), 0);
    return reader;
}

static void end_read(struct store_reader *reader)
{
    store_read_end(reader);
    store_reader_close(&reader);
}

char *till_view(struct till_world *world, const char *name, const char *key1, const char *key2)
{
    const struct view *view = view_set_find(world->views, span_of_text(name));
    struct span segments[2] = {span_of_text(key1), span_of_text(key2 != NULL ? key2 : "")};
    struct buf key = BUF_INIT, owner = BUF_INIT, row_key = BUF_INIT, json = BUF_INIT;
    struct arena arena = ARENA_INIT;
    struct stored_view stored;
    struct span value;
    struct err err = {0};
    char *text = NULL;

    assert_non_null(view);
    assert_int_equal(key_parse(view, segments, key2 != NULL ? 2 : 1, &arena, &key, &owner, &err), 0);
    layout_view_key(hash64(buf_span(&owner)), view->number, buf_span(&key), &row_key);
    struct store_reader *reader = begin_read(world);
    int rc = store_find(reader, TABLE_VIEWS, buf_span(&row_key), &value, &err);
    if (rc == 0) {
        struct render_plan *plan = render_plan_new(view);
        assert_int_equal(layout_parse_view_value(value, &stored, &err), 0);
        if (!stored.is_made)
            buf_add_literal(&json, "unseen ");
        assert_int_equal(render_json(plan, NULL, stored.bytes, &json, &err), 0);
        text = mem_text(buf_text(&json));
        render_plan_free(&plan);
    }
    end_read(reader);
    buf_release(&key);
    buf_release(&owner);
    buf_release(&row_key);
    buf_release(&json);
    arena_release(&arena);
    return text;
}

char *till_digest(struct till_world *world)
{
    struct store_reader *reader = begin_read(world);
    struct buf text = BUF_INIT;
    struct err err = {0};

    if (digest_check(reader, &err) < 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < world->views->view_count; i++) {
        struct digest digest;
        assert_int_equal(digest_of_view(reader, world->views->views[i].number, &digest, &err), 0);
        digest_line(world->views->views[i].name, &digest, &text);
    }
    end_read(reader);
    char *copy = mem_text(buf_text(&text));
    buf_release(&text);
    return copy;
}

size_t till_rows(struct till_world *world, enum store_table table)
{
    struct store_reader *reader = begin_read(world);
    const struct span all = {NULL, 0};
    struct store_cursor *cursor = NULL;
    struct span key, value;
    struct err err = {0};
    size_t count = 0;

    assert_int_equal(store_cursor_open(reader, table, all, all, &cursor, &err), 0);
    while (store_cursor_next(cursor, &key, &value, &err) == 0)
        count++;
    store_cursor_close(&cursor);
    end_read(reader);
    return count;
}

size_t till_parked(struct till_world *world, uint16_t topic, const char *key)
{
    if (key == NULL)
        return materializer_parked(world->materializer);
    const struct parked_unit *unit = materializer_parked_unit(world->materializer, topic, hash64(span_of_text(key)));
    return unit != NULL ? unit->count : 0;
}

void till_expect_view(struct till_world *world, const char *view, const char *key1, const char *key2,
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

struct partition *till_partition(struct till_world *world, uint16_t topic, int32_t number)
{
    struct partition *partition = positions_find(materializer_positions(world->materializer), topic, number);

    if (partition == NULL) {
        fail_msg("topic %u has no partition %d", topic, number);
        abort();
    }
    return partition;
}

const char *till_person(unsigned number)
{
    static char name[16];

    snprintf(name, sizeof(name), "p%u", number);
    return name;
}
