/* Fills a store with views of genetic results without Kafka or a projection: what the query server is measured on by
 * itself. Usage: bench_fill DIR VIEWS, with build/examples.binpb; keys are "u-0000000" and on.
 *
 * A view is about 0.8 KB of protobuf and twice that as JSON, three categories with six markers each, and differs from
 * the next one. Positions say that everything was read and caught up just now. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "schema/base/clock.h"
#include "schema/base/hash.h"
#include "schema/base/mem.h"
#include "schema/store/generation.h"
#include "schema/store/layout.h"
#include "schema/store/partitioner.h"
#include "schema/store/store.h"
#include "schema/view/key.h"

enum { VIEWS_PER_COMMIT = 20000, PARTITIONS = 4 };

struct key_of_view {
    uint64_t owner_hash;
    uint32_t number;
};

static int compare_keys(const void *a, const void *b)
{
    const struct key_of_view *first = a, *second = b;

    return (first->owner_hash > second->owner_hash) - (first->owner_hash < second->owner_hash);
}

static void add_varint(uint64_t value, struct buf *out)
{
    for (; value >= 0x80; value >>= 7)
        buf_add_byte(out, (uint8_t)(value | 0x80));
    buf_add_byte(out, (uint8_t)value);
}

static void add_bytes(uint32_t field, struct span bytes, struct buf *out)
{
    add_varint((uint64_t)field << 3 | 2, out);
    add_varint(bytes.len, out);
    buf_add_span(out, bytes);
}

static void add_number(uint32_t field, uint64_t value, struct buf *out)
{
    if (value == 0)
        return;
    add_varint((uint64_t)field << 3, out);
    add_varint(value, out);
}

static void add_text(uint32_t field, const char *text, struct buf *out)
{
    add_bytes(field, span_of_text(text), out);
}

static void add_marker(uint32_t view, unsigned category, unsigned marker, struct buf *out)
{
    static const char *const traits[] = {"Caffeine", "Lactose", "Vitamin D", "Collagen", "Deep sleep", "Folate"};
    double score = (double)((view * 7919 + category * 31 + marker * 17) % 1000) / 1000;
    char code[16];

    snprintf(code, sizeof(code), "rs%06" PRIu32, (view * 131 + marker) % 1000000);
    add_text(1, code, out);
    add_text(2, traits[marker], out);
    add_number(3, (view + marker) % 3, out);
    buf_add_byte(out, 4 << 3 | 1);
    buf_add(out, &score, sizeof(score)); /* little-endian, as we are */
    add_text(5, "Less in the evening.", out);
}

static void make_view(uint32_t view, struct buf *out)
{
    static const char *const categories[] = {"nutrition", "skin", "sleep"};
    struct buf category = BUF_INIT, marker = BUF_INIT;
    char id[32];

    buf_clear(out);
    snprintf(id, sizeof(id), "u-%07" PRIu32, view);
    add_text(1, id, out);
    add_text(2, "Ada Lovelace", out);
    snprintf(id, sizeof(id), "r-%" PRIu32, view);
    add_text(3, id, out);
    for (unsigned i = 0; i < ARRAY_COUNT(categories); i++) {
        buf_clear(&category);
        add_text(1, categories[i], &category);
        for (unsigned j = 0; j < 5; j++) {
            buf_clear(&marker);
            add_marker(view, i, j, &marker);
            add_bytes(2, buf_span(&marker), &category);
        }
        add_number(3, 2, &category);
        add_number(4, 2, &category);
        add_bytes(7, buf_span(&category), out);
    }
    add_number(8, 6, out);
    add_number(9, 3, out);
    buf_release(&category);
    buf_release(&marker);
}

static int put_positions(struct store_writer *writer, size_t topic_count, struct err *err)
{
    struct buf key = BUF_INIT, value = BUF_INIT;
    int64_t now_ms = clock_wall_ms(&clock_system);
    struct position position = {.next_offset = 1000, .last_offset = 999, .caught_up_at_ms = now_ms};
    struct partition_row row = {
        .end_offset = 1000, .seen_at_ms = now_ms, .partition_count = PARTITIONS, .partitioner = PARTITIONER_MURMUR2};
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < topic_count * PARTITIONS * RANGE_COUNT; i++) {
        buf_clear(&key);
        buf_clear(&value);
        layout_position_key((uint16_t)(i / RANGE_COUNT / PARTITIONS), (int32_t)(i / RANGE_COUNT % PARTITIONS),
                            i % RANGE_COUNT, &key);
        layout_position(&position, &value);
        rc = store_put(writer, TABLE_POSITIONS, buf_span(&key), buf_span(&value), err);
    }
    for (unsigned i = 0; rc == 0 && i < topic_count * PARTITIONS; i++) {
        buf_clear(&key);
        buf_clear(&value);
        layout_partition_key((uint16_t)(i / PARTITIONS), (int32_t)(i % PARTITIONS), &key);
        layout_partition(&row, &value);
        rc = store_put(writer, TABLE_PARTITIONS, buf_span(&key), buf_span(&value), err);
    }
    buf_release(&key);
    buf_release(&value);
    return rc;
}

static int put_views(struct store *store, const struct view *view, const struct key_of_view *keys, size_t count,
                     struct err *err)
{
    struct buf key = BUF_INIT, owner = BUF_INIT, row_key = BUF_INIT, bytes = BUF_INIT, value = BUF_INIT;
    struct store_writer *writer = NULL;
    struct arena arena = ARENA_INIT;
    char id[32];

    int rc = store_write_begin(store, &writer, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct span segment = {id, (size_t)snprintf(id, sizeof(id), "u-%07" PRIu32, keys[i].number)};
        buf_clear(&key);
        buf_clear(&owner);
        buf_clear(&row_key);
        buf_clear(&value);
        rc = key_parse(view, &segment, 1, &arena, &key, &owner, err);
        layout_view_key(keys[i].owner_hash, view->number, buf_span(&key), &row_key);
        make_view(keys[i].number, &bytes);
        layout_view_value(row_key.len, (struct stored_view){true, buf_span(&bytes)}, &value);
        if (rc == 0)
            rc = store_put(writer, TABLE_VIEWS, buf_span(&row_key), buf_span(&value), err);
        arena_reset(&arena);
        if (rc == 0 && (i + 1) % VIEWS_PER_COMMIT == 0) {
            rc = store_commit(&writer, err);
            if (rc == 0)
                rc = store_write_begin(store, &writer, err);
        }
    }
    if (rc == 0)
        rc = put_positions(writer, view->set->stream_count, err);
    if (rc == 0)
        rc = store_commit(&writer, err);
    store_abort(&writer);
    buf_release(&key);
    buf_release(&owner);
    buf_release(&row_key);
    buf_release(&bytes);
    buf_release(&value);
    arena_release(&arena);
    return rc;
}

/* Each stream in a topic of its own, named as it is. */
static int make_generation(const char *directory, const struct view_set *set, struct span schema,
                           struct generation **ret_generation, struct err *err)
{
    static char type[] = "type", beginning[] = "beginning";
    static char *headers[] = {type};
    struct generation_settings settings = {
        .streams = mem_zero(set->stream_count, sizeof(struct topic_of_stream)),
        .stream_count = set->stream_count,
        .topics = mem_zero(set->stream_count, sizeof(char *)),
        .topic_count = set->stream_count,
        .type_headers = headers,
        .type_header_count = 1,
        .max_view_bytes = 1 << 20,
        .projection_version = PROJECTION_VERSION,
        .start = beginning,
    };
    struct serving serving;

    for (size_t i = 0; i < set->stream_count; i++) {
        settings.topics[i] = mem_text(set->streams[i].name);
        settings.streams[i] = (struct topic_of_stream){settings.topics[i], settings.topics[i]};
    }
    int rc = store_directory_prepare(directory, err);
    if (rc == 0)
        rc = generation_make(directory, schema, &settings, ret_generation, err);
    if (rc == 0) {
        serving_start(&serving, (*ret_generation)->name, 0);
        rc = serving_write(directory, &serving, err);
    }
    return rc;
}

static int read_schema(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rb");
    size_t got;

    if (file == NULL)
        return -1;
    while ((got = fread(buf_reserve(out, 65536), 1, 65536, file)) > 0)
        out->len += got;
    fclose(file);
    return 0;
}

int main(int argc, char **argv)
{
    size_t count = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    struct store_options options = {.access = STORE_READ_WRITE};
    struct generation *generation = NULL;
    struct mistakes mistakes = {0};
    struct view_set *set = NULL;
    struct store *store = NULL;
    struct buf schema = BUF_INIT;
    struct err err = {.text = "build/examples.binpb can't be read"};
    char id[32];

    if (count == 0) {
        fprintf(stderr, "usage: bench_fill DIR VIEWS\n");
        return 2;
    }
    int rc = read_schema("build/examples.binpb", &schema);
    if (rc == 0)
        rc = view_set_load(buf_span(&schema), &set, &mistakes, &err);
    if (rc == 0)
        rc = make_generation(argv[1], set, buf_span(&schema), &generation, &err);
    if (rc == 0)
        rc = store_open(generation->folder, &options, &store, &err);
    if (rc == 0) {
        struct key_of_view *keys = mem_alloc(count * sizeof(*keys));
        for (uint32_t i = 0; i < count; i++) {
            int len = snprintf(id, sizeof(id), "u-%07" PRIu32, i);
            keys[i] = (struct key_of_view){hash64(span_of(id, (size_t)len)), i};
        }
        qsort(keys, count, sizeof(*keys), compare_keys);
        rc = put_views(store, view_set_find(set, SPAN_LITERAL("genetic-result")), keys, count, &err);
        free(keys);
    }
    store_close(&store);
    generation_close(&generation);
    view_set_free(&set);
    mistakes_release(&mistakes);
    buf_release(&schema);
    if (rc < 0)
        fprintf(stderr, "bench_fill: %s\n", err.text);
    return rc == 0 ? 0 : 1;
}
