#include "tests/unit/served_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <cmocka.h>

#include "ops/runtime/http_parser.h"
#include "query/routes.h"
#include "schema/base/mem.h"
#include "schema/store/partitioner.h"
#include "schema/view/key.h"
#include "tests/unit/isolated.h"
#include "tests/unit/message_json.h"
#include "tests/unit/schema_file.h"
#include "tests/unit/scratch_folder.h"

static char stream_names[3][16] = {"branch", "people", "shop"};
static char topic_names[3][16] = {"branches", "people", "shop.events"};
static char *topics[] = {topic_names[0], topic_names[1], topic_names[2]};
static struct topic_of_stream streams[] = {
    {stream_names[0], topic_names[0]}, {stream_names[1], topic_names[1]}, {stream_names[2], topic_names[2]}};
static char type_header[] = "type", id_header[] = "id", beginning[] = "beginning";
static char *type_headers[] = {type_header}, *id_headers[] = {id_header};

static const struct generation_settings settings = {
    .streams = streams,
    .stream_count = 3,
    .topics = topics,
    .topic_count = 3,
    .type_headers = type_headers,
    .type_header_count = 1,
    .dedupe_window = 1000,
    .id_headers = id_headers,
    .id_header_count = 1,
    .max_view_bytes = 1 << 20,
    .projection_version = PROJECTION_VERSION,
    .start = beginning,
};

static int64_t read_wall(void *self)
{
    return ((struct served_world *)self)->now_ms;
}

static int64_t read_monotonic(void *self)
{
    return ((struct served_world *)self)->now_ms * 1000;
}

void served_world_open(struct served_world *world)
{
    *world = (struct served_world){.now_ms = 1700000000000};
    world->folder = scratch_folder_make();
    world->directory = mem_format("%s/store", world->folder);
    world->clock = (struct clock_port){read_wall, read_monotonic, world};
    world->query.clock = &world->clock;
    world->query.figures = figures_table_new();
    world->query.served = served_new(world->directory, world->query.figures);
    world->loop = query_loop_new(&world->query, LISTENER_PUBLIC);
}

void served_world_close(struct served_world *world)
{
    served_world_close_loop(world);
    served_free(&world->query.served);
    figures_table_free(&world->query.figures);
    view_set_free(&world->set);
    free(world->directory);
    scratch_folder_remove(&world->folder);
}

void served_world_open_loop(struct served_world *world, struct served_world *ret_other)
{
    *ret_other = (struct served_world){.now_ms = world->now_ms};
    ret_other->loop = query_loop_new(&world->query, LISTENER_PUBLIC);
}

void served_world_close_loop(struct served_world *world)
{
    query_loop_free(&world->loop);
    arena_release(&world->arena);
    buf_release(&world->request_text);
    buf_release(&world->headers);
    buf_release(&world->body);
}

/* --- writing: in a process of its own ------------------------------------------------------------------------------- */

struct writing {
    struct served_world *world;
    const struct served_change *changes;
    size_t count;
};

static char *store_folder(struct served_world *world)
{
    struct serving serving;
    struct err err;

    if (world->writes_to[0] != '\0')
        return mem_format("%s/generations/%s", world->directory, world->writes_to);
    if (serving_read(world->directory, &serving, &err) != 0)
        return NULL;
    return mem_format("%s/generations/%s", world->directory, serving_incumbent(&serving));
}

static int row_key(const struct served_world *world, const struct served_change *change, struct arena *arena,
                   const struct view **ret_view, struct buf *out, struct err *err)
{
    const char *texts[] = {change->key1, change->key2, change->key3};
    struct buf key = BUF_INIT, owner = BUF_INIT;
    struct span segments[3];
    size_t count = 0;

    *ret_view = view_set_find(world->set, span_of_text(change->view));
    while (count < 3 && texts[count] != NULL) {
        segments[count] = span_of_text(texts[count]);
        count++;
    }
    int rc = key_parse(*ret_view, segments, count, arena, &key, &owner, err);
    if (rc == 0)
        layout_view_key(hash64(buf_span(&owner)), (*ret_view)->number, buf_span(&key), out);
    buf_release(&key);
    buf_release(&owner);
    return rc;
}

static int put_view(const struct served_world *world, const struct served_change *change, struct store_writer *writer,
                    struct arena *arena, struct err *err)
{
    struct buf key = BUF_INIT, bytes = BUF_INIT, value = BUF_INIT;
    const struct view *view;

    int rc = row_key(world, change, arena, &view, &key, err);
    if (rc == 0 && change->kind == CHANGE_GONE) {
        rc = store_delete(writer, TABLE_VIEWS, buf_span(&key), err);
    } else if (rc == 0) {
        if (change->kind == CHANGE_GARBAGE)
            buf_add_literal(&bytes, "\xff\xff\xff");
        else
            message_encode(message_of_json(view->type, change->json, arena), &bytes);
        layout_view_value(key.len, (struct stored_view){change->kind != CHANGE_UNMADE, buf_span(&bytes)}, &value);
        rc = store_put(writer, TABLE_VIEWS, buf_span(&key), buf_span(&value), err);
    }
    buf_release(&key);
    buf_release(&bytes);
    buf_release(&value);
    return rc;
}

static int put_row(const struct served_change *change, struct store_writer *writer, struct err *err)
{
    struct buf key = BUF_INIT, value = BUF_INIT;
    int rc = 0;

    if (change->kind == CHANGE_PARTITION) {
        layout_partition_key(change->topic, change->partition, &key);
        layout_partition(&change->row, &value);
        rc = store_put(writer, TABLE_PARTITIONS, buf_span(&key), buf_span(&value), err);
    } else if (change->kind == CHANGE_PARKED) {
        struct span record_key = span_of_text(change->record_key);
        struct parked_key parked = {hash64(record_key), change->topic, 0, 5};
        struct parked_event event = {.reason = PARK_OVERFLOW, .has_key = true, .key = record_key};
        layout_parked_key(&parked, &key);
        layout_parked_event(&event, &value);
        rc = store_put(writer, TABLE_PARKED, buf_span(&key), buf_span(&value), err);
    } else if (change->kind == CHANGE_ID) {
        const struct handled_id id = {.owner_hash = hash64(span_of_text(change->record_key)),
                                      .id_hash = hash64(span_of_text(change->id)),
                                      .topic = change->topic,
                                      .partition = change->partition,
                                      .offset = 5};
        layout_id_key(&id, &key);
        layout_id(&id, &value);
        rc = store_put(writer, TABLE_IDS, buf_span(&key), buf_span(&value), err);
    } else {
        layout_position(&change->position, &value);
        for (int range = 0; rc == 0 && range < RANGE_COUNT; range++) {
            if (change->range >= 0 && change->range != range)
                continue;
            buf_clear(&key);
            layout_position_key(change->topic, change->partition, (unsigned)range, &key);
            rc = store_put(writer, TABLE_POSITIONS, buf_span(&key), buf_span(&value), err);
        }
    }
    buf_release(&key);
    buf_release(&value);
    return rc;
}

static int write_changes(void *argument)
{
    const struct writing *writing = argument;
    struct store_options options = {.access = STORE_READ_WRITE};
    struct arena arena = ARENA_INIT;
    struct store_writer *writer = NULL;
    struct store *store = NULL;
    char *folder = store_folder(writing->world);
    struct err err = {.text = "no serving file"};

    int rc = folder == NULL ? -1 : store_open(folder, &options, &store, &err);
    if (rc == 0)
        rc = store_write_begin(store, &writer, &err);
    for (size_t i = 0; rc == 0 && i < writing->count; i++) {
        const struct served_change *change = &writing->changes[i];
        bool is_view = change->kind == CHANGE_VIEW || change->kind == CHANGE_UNMADE || change->kind == CHANGE_GONE ||
                       change->kind == CHANGE_GARBAGE;
        rc = is_view ? put_view(writing->world, change, writer, &arena, &err) : put_row(change, writer, &err);
    }
    if (rc == 0)
        rc = store_commit(&writer, &err);
    store_abort(&writer);
    store_close(&store);
    arena_release(&arena);
    free(folder);
    if (rc < 0)
        fprintf(stderr, "writing: %s\n", err.text);
    return rc == 0 ? 0 : 1;
}

void served_world_change(struct served_world *world, const struct served_change *changes, size_t count)
{
    struct writing writing = {world, changes, count};

    query_loop_rest(world->loop);
    assert_int_equal(isolated_run(ISOLATED_PROCESS, write_changes, &writing), 0);
}

void served_world_put(struct served_world *world, const char *view, const char *key, const char *json)
{
    served_world_change(world, &(struct served_change){.kind = CHANGE_VIEW, .view = view, .key1 = key, .json = json},
                        1);
}

static void make_generation(struct served_world *world, const char *schema_name)
{
    struct generation *generation = NULL;
    struct mistakes mistakes = {0};
    struct err err = {0};

    struct buf schema = schema_file_bytes(schema_name);
    view_set_free(&world->set);
    if (view_set_load(buf_span(&schema), &world->set, &mistakes, &err) != 0)
        fail_msg("%s", err.text);
    mistakes_release(&mistakes);
    assert_int_equal(store_directory_prepare(world->directory, &err), 0);
    if (generation_make(world->directory, buf_span(&schema), &settings, &generation, &err) != 0)
        fail_msg("%s", err.text);
    snprintf(world->writes_to, sizeof(world->writes_to), "%s", generation->name);
    generation_close(&generation);
    buf_release(&schema);
    served_world_change(world, NULL, 0); /* makes the store */
}

void served_world_make(struct served_world *world)
{
    struct serving serving;
    struct err err = {0};

    make_generation(world, "served");
    serving_start(&serving, world->writes_to, 0);
    assert_int_equal(serving_write(world->directory, &serving, &err), 0);
    world->writes_to[0] = '\0';
}

static void catch_up(struct served_world *world)
{
    struct served_change changes[2 * SERVED_TOPICS];

    for (uint16_t topic = 0; topic < SERVED_TOPICS; topic++) {
        changes[2 * topic] = (struct served_change){
            .kind = CHANGE_POSITION,
            .topic = topic,
            .range = -1,
            .position = {.next_offset = 10, .last_offset = 9, .caught_up_at_ms = world->now_ms},
        };
        changes[2 * topic + 1] = (struct served_change){
            .kind = CHANGE_PARTITION,
            .topic = topic,
            .row = {.end_offset = 10,
                    .seen_at_ms = world->now_ms,
                    .partition_count = 1,
                    .partitioner = PARTITIONER_MURMUR2},
        };
    }
    served_world_change(world, changes, ARRAY_COUNT(changes));
}

void served_world_fill(struct served_world *world)
{
    served_world_make(world);
    catch_up(world);
    served_world_refresh(world);
}

void served_world_add(struct served_world *world, const char *schema)
{
    make_generation(world, schema);
    catch_up(world);
}

void served_world_promote(struct served_world *world, const char *generation, unsigned percent)
{
    struct serving serving;
    struct err err = {0};

    assert_int_equal(serving_read(world->directory, &serving, &err), 0);
    if (serving_promote(&serving, generation, percent, world->now_ms, 0, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(serving_write(world->directory, &serving, &err), 0);
}

void served_world_refresh(struct served_world *world)
{
    struct err err = {0};

    if (served_refresh(world->query.served, &err) != 0)
        fail_msg("%s", err.text);
}

/* --- asking --------------------------------------------------------------------------------------------------------- */

static int call(struct served_world *world)
{
    buf_clear(&world->headers);
    buf_clear(&world->body);
    world->answer = (struct http_answer){.status = 200, .headers = &world->headers, .body = &world->body};
    world->outcome = routes_answer(world->loop, &world->request, &world->wait, &world->answer);
    if (world->outcome == HTTP_ANSWERED && world->answer.body_borrowed.at != NULL)
        buf_add_span(&world->body, world->answer.body_borrowed);
    query_loop_rest(world->loop); /* as the loop does before it waits */
    return world->outcome == HTTP_ANSWERED ? world->answer.status : 0;
}

int served_world_ask(struct served_world *world, const char *request_line, const char *header_lines)
{
    struct http_head_scan scan = {0};
    struct http_refusal refusal = {0};
    struct http_head head;

    arena_reset(&world->arena);
    buf_clear(&world->request_text);
    buf_add_format(&world->request_text, "%s HTTP/1.1\r\nHost: test\r\n%s\r\n", request_line,
                   header_lines != NULL ? header_lines : "");
    struct http_limits limits = http_limits_default;
    limits.header_fields = ARRAY_COUNT(world->fields);
    if (http_parse_head(&scan, buf_span(&world->request_text), &limits, world->fields, &head, &refusal) !=
        HTTP_PARSE_DONE)
        fail_msg("%s: %s", request_line, refusal.detail);
    world->request = (struct http_request){
        .method = head.method,
        .method_text = head.method_text,
        .path = head.path,
        .query = head.query,
        .fields = world->fields,
        .field_count = head.field_count,
        .arena = &world->arena,
    };
    world->wait = (struct http_wait){
        .now_us = world->now_ms * 1000, .began_us = world->now_ms * 1000, .deadline_us = world->now_ms * 1000};
    return call(world);
}

int served_world_resume(struct served_world *world, bool is_last)
{
    world->wait.now_us = world->now_ms * 1000;
    world->wait.is_again = true;
    world->wait.is_last = is_last;
    return call(world);
}

const char *served_world_header(struct served_world *world, const char *name)
{
    static char value[4096];
    const char *line = buf_text(&world->headers);

    for (; *line != '\0'; line = strstr(line, "\r\n") + 2) {
        if (strncasecmp(line, name, strlen(name)) != 0 || line[strlen(name)] != ':')
            continue;
        snprintf(value, sizeof(value), "%.*s", (int)strcspn(line + strlen(name) + 2, "\r"), line + strlen(name) + 2);
        return value;
    }
    return NULL;
}

const char *served_world_body(struct served_world *world)
{
    return buf_text(&world->body);
}
