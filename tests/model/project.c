/* tests/model/project.c - events in, views out, without Kafka: the whole way from a record to the store and back.
 *
 *     project SET [--max-view-bytes N] [--park-limit N] [--digest] < records
 *
 * Reads records from stdin, hands them to the materializer over a store in a temporary folder, and prints one line of
 * JSON for each view, {"view", "key", "made", "json", "hex"}, in the order of the store, and one for each parked event,
 * {"parked": reason, "topic", "partition", "offset", "key", "type", "message"}. With --digest: a line for each view
 * type, as `tarn-projector digest` prints it, instead of the views.
 *
 * A record on stdin, all integers little-endian without gaps (Python: struct "<HiqqBBIHI"):
 *     topic length u16, partition i32, offset i64, time in ms i64, has key u8, is null u8, key length u32,
 *     type length u16, value length u32; then the bytes of topic, key, type, value.
 * Each stream of the schema has a topic of its own, which has the stream's name. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "projector/materializer.h"
#include "projector/parked.h"
#include "schema/base/mem.h"
#include "schema/json/render.h"
#include "schema/store/digest.h"
#include "schema/view/key.h"

struct options {
    const char *set_path;
    uint64_t max_view_bytes;
    size_t park_limit;
    bool is_digest;
};

struct run {
    struct options options;
    char folder[64];
    struct view_set *views;
    struct generation_settings settings;
    struct span input; /* records point into it */
    struct arena types; /* of the records */
    struct record *records;
    size_t record_count;
    struct store *store;
    struct materializer *materializer;
};

static void die(const char *what, const struct err *err)
{
    fprintf(stderr, "project: %s%s%s\n", what, err ? ": " : "", err ? err->text : "");
    exit(1);
}

static struct span read_all(FILE *file)
{
    struct buf buf = BUF_INIT;
    size_t len;

    do {
        len = fread(buf_reserve(&buf, 1 << 16), 1, 1 << 16, file);
        buf.len += len;
    } while (len > 0);
    return buf_span(&buf);
}

static void parse_options(int argc, char **argv, struct options *options)
{
    *options = (struct options){.max_view_bytes = 1 << 20, .park_limit = 1000000};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--digest") == 0)
            options->is_digest = true;
        else if (strcmp(argv[i], "--max-view-bytes") == 0 && i + 1 < argc)
            options->max_view_bytes = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--park-limit") == 0 && i + 1 < argc)
            options->park_limit = strtoull(argv[++i], NULL, 10);
        else if (argv[i][0] != '-' && options->set_path == NULL)
            options->set_path = argv[i];
        else
            die("usage: project SET [--max-view-bytes N] [--park-limit N] [--digest] < records", NULL);
    }
    if (options->set_path == NULL)
        die("usage: project SET [--max-view-bytes N] [--park-limit N] [--digest] < records", NULL);
}

static void load_views(struct run *run)
{
    struct mistakes mistakes = {NULL, 0, 0};
    struct err err;
    FILE *file = fopen(run->options.set_path, "rb");

    if (file == NULL)
        die(run->options.set_path, NULL);
    struct span set = read_all(file);
    fclose(file);
    if (view_set_load(set, &run->views, &mistakes, &err) < 0) {
        for (size_t i = 0; i < mistakes.count; i++)
            fprintf(stderr, "%s\n", mistakes.lines[i]);
        die(run->options.set_path, &err);
    }
    mistakes_release(&mistakes);
    free((void *)(uintptr_t)set.at);
}

static void make_settings(struct run *run)
{
    struct generation_settings *settings = &run->settings;
    size_t count = run->views->stream_count;

    *settings = (struct generation_settings){
        .streams = mem_zero(count, sizeof(*settings->streams)),
        .stream_count = count,
        .topics = mem_zero(count, sizeof(*settings->topics)),
        .topic_count = count,
        .type_headers = mem_zero(1, sizeof(*settings->type_headers)),
        .type_header_count = 1,
        .max_view_bytes = run->options.max_view_bytes,
        .projection_version = PROJECTION_VERSION,
        .start = mem_text("beginning"),
    };
    settings->type_headers[0] = mem_text("type");
    for (size_t i = 0; i < count; i++) { /* streams are sorted by name, so topics are */
        settings->streams[i].stream = mem_text(run->views->streams[i].name);
        settings->streams[i].topic = mem_text(run->views->streams[i].name);
        settings->topics[i] = mem_text(run->views->streams[i].name);
    }
}

/* --- records --------------------------------------------------------------------------------------------------- */

struct frame_reader {
    const uint8_t *at;
    const uint8_t *end;
};

static uint64_t take_integer(struct frame_reader *reader, size_t size)
{
    uint64_t number = 0;

    if ((size_t)(reader->end - reader->at) < size)
        die("a record ends too early", NULL);
    for (size_t i = 0; i < size; i++)
        number |= (uint64_t)reader->at[i] << (8 * i);
    reader->at += size;
    return number;
}

static struct span take_bytes(struct frame_reader *reader, size_t len)
{
    if ((size_t)(reader->end - reader->at) < len)
        die("a record ends too early", NULL);
    struct span bytes = span_of(reader->at, len);
    reader->at += len;
    return bytes;
}

static void read_records(struct run *run)
{
    size_t capacity = 0;

    run->input = read_all(stdin);
    struct frame_reader reader = {run->input.at, run->input.at};
    if (run->input.len > 0)
        reader.end = reader.at + run->input.len;
    while (reader.at < reader.end) {
        run->records = mem_grow(run->records, run->record_count, &capacity, sizeof(*run->records));
        struct record *record = &run->records[run->record_count++];
        *record = (struct record){.topic = 0};
        size_t topic_len = take_integer(&reader, 2);
        record->partition = (int32_t)take_integer(&reader, 4);
        record->offset = (int64_t)take_integer(&reader, 8);
        record->time_ms = (int64_t)take_integer(&reader, 8);
        record->has_key = take_integer(&reader, 1) != 0;
        record->is_null = take_integer(&reader, 1) != 0;
        size_t key_len = take_integer(&reader, 4);
        size_t type_len = take_integer(&reader, 2);
        size_t value_len = take_integer(&reader, 4);
        int topic = generation_topic_number(&run->settings, take_bytes(&reader, topic_len));
        if (topic < 0)
            die("a record of a topic that no stream of the schema has", NULL);
        record->topic = (uint16_t)topic;
        record->key = take_bytes(&reader, key_len);
        struct span *type = arena_alloc(&run->types, sizeof(*type));
        *type = take_bytes(&reader, type_len);
        record->opaque = type;
        record->value = take_bytes(&reader, value_len);
    }
}

static bool type_header(void *self, const struct record *record, const char *name, struct span *ret_value)
{
    const struct span *type = record->opaque;

    (void)self;
    if (strcmp(name, "type") != 0 || type->len == 0)
        return false;
    *ret_value = *type;
    return true;
}

/* --- the run --------------------------------------------------------------------------------------------------- */

static const struct record_source source = {.header = type_header};

static void open_store(struct run *run)
{
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    struct store_options store_options = {.access = STORE_READ_WRITE, .map_bytes = (uint64_t)1 << 34};
    struct err err;

    snprintf(run->folder, sizeof(run->folder), "%s/tarn-project-XXXXXX", parent);
    if (mkdtemp(run->folder) == NULL)
        die("no temporary folder", NULL);
    if (store_open(run->folder, &store_options, &run->store, &err) < 0)
        die("store", &err);
    struct materializer_options options = {
        .store = run->store,
        .views = run->views,
        .settings = &run->settings,
        .source = &source,
        .memory_bytes = (size_t)64 << 20,
        .park_limit = run->options.park_limit,
        .clock = &clock_system,
    };
    if (materializer_open(&options, &run->materializer, &err) < 0)
        die("materializer", &err);
}

static void add_partitions(struct run *run)
{
    struct positions *positions = materializer_positions(run->materializer);
    struct partition *partition;
    struct err err;

    for (size_t i = 0; i < run->record_count; i++) {
        const struct record *record = &run->records[i];
        if (positions_find(positions, record->topic, record->partition) == NULL &&
            positions_add(positions, record->topic, record->partition, 0, PARTITION_FOLLOWING, &partition, &err) < 0)
            die("partition", &err);
    }
}

static void handle_records(struct run *run)
{
    struct materializer_turn turn = {.is_drained = false, .lag = 1};
    struct err err;

    for (size_t taken = 0; taken < run->record_count;) {
        size_t handled = 0;
        if (materializer_handle(run->materializer, run->records + taken, run->record_count - taken, &handled, &err) < 0)
            die("handle", &err);
        taken += handled;
        if (materializer_turn(run->materializer, &turn, &err) < 0)
            die("turn", &err);
        if (taken < run->record_count)
            materializer_wait(run->materializer, 50);
    }
    if (materializer_flush(run->materializer, &err) < 0)
        die("flush", &err);
}

static void close_store(struct run *run)
{
    static const char *const files[] = {"data.mdb", "lock.mdb", "namespace"};
    char path[100];

    materializer_close(&run->materializer);
    store_close(&run->store);
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        snprintf(path, sizeof(path), "%s/%s", run->folder, files[i]);
        unlink(path);
    }
    rmdir(run->folder);
}

/* --- what came of it ------------------------------------------------------------------------------------------- */

static void add_hex(struct buf *out, struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        buf_add_format(out, "%02x", span_bytes(bytes)[i]);
}

static void add_quoted(struct buf *out, struct span text)
{
    json_t *json = json_stringn(text.len ? text.at : "", text.len);
    char *quoted = json ? json_dumps(json, JSON_ENCODE_ANY) : NULL;

    buf_add_text(out, quoted ? quoted : "null");
    free(quoted);
    json_decref(json);
}

static void print_view(const struct view *view, const struct render_plan *plan, struct span key,
                       struct stored_view stored, struct buf *out)
{
    struct buf key_shown = BUF_INIT;
    struct err err;

    buf_clear(out);
    buf_add_format(out, "{\"view\": \"%s\", \"key\": ", view->name);
    if (key_text(view, key, &key_shown, &err) < 0)
        die("key", &err);
    add_quoted(out, buf_span(&key_shown));
    buf_add_format(out, ", \"made\": %s, \"hex\": \"", stored.is_made ? "true" : "false");
    add_hex(out, stored.bytes);
    buf_add_literal(out, "\", \"json\": ");
    size_t before = out->len;
    if (render_json(plan, NULL, stored.bytes, out, &err) == ERR_INPUT) { /* a Timestamp that JSON can't write */
        out->len = before;
        buf_add_literal(out, "null");
    }
    buf_add_literal(out, "}\n");
    fwrite(out->at, 1, out->len, stdout);
    buf_release(&key_shown);
}

static void print_views(struct run *run, struct store_reader *reader)
{
    const struct view_set *views = run->views;
    struct render_plan **plans = mem_zero(views->view_count, sizeof(struct render_plan *));
    struct store_cursor *cursor;
    struct span row_key, value, key;
    struct buf out = BUF_INIT;
    struct err err;
    int rc;

    for (size_t i = 0; i < views->view_count; i++)
        plans[i] = render_plan_new(&views->views[i]);
    if (store_cursor_open(reader, TABLE_VIEWS, span_of(NULL, 0), span_of(NULL, 0), &cursor, &err) < 0)
        die("views", &err);
    while ((rc = store_cursor_next(cursor, &row_key, &value, &err)) == 0) {
        uint64_t owner_hash;
        uint16_t number;
        struct stored_view stored;
        if (layout_parse_view_key(row_key, &owner_hash, &number, &key, &err) < 0 ||
            layout_parse_view_value(value, &stored, &err) < 0 || number >= views->view_count)
            die("view", &err);
        print_view(&views->views[number], plans[number], key, stored, &out);
    }
    if (rc != ERR_ABSENT)
        die("views", &err);
    store_cursor_close(&cursor);
    for (size_t i = 0; i < views->view_count; i++)
        render_plan_free(&plans[i]);
    free(plans);
    buf_release(&out);
}

static void print_digests(struct run *run, struct store_reader *reader)
{
    struct buf out = BUF_INIT;
    struct digest digest;
    struct err err;

    for (size_t i = 0; i < run->views->view_count; i++) {
        if (digest_of_view(reader, run->views->views[i].number, &digest, &err) < 0)
            die("digest", &err);
        digest_line(run->views->views[i].name, &digest, &out);
    }
    fwrite(out.at, 1, out.len, stdout);
    buf_release(&out);
}

static void print_parked(struct run *run, struct store_reader *reader)
{
    struct store_cursor *cursor;
    struct span row_key, value;
    struct buf out = BUF_INIT;
    struct err err;
    int rc;

    if (store_cursor_open(reader, TABLE_PARKED, span_of(NULL, 0), span_of(NULL, 0), &cursor, &err) < 0)
        die("parked", &err);
    while ((rc = store_cursor_next(cursor, &row_key, &value, &err)) == 0) {
        struct parked_key key;
        struct parked_event event;
        if (layout_parse_parked_key(row_key, &key, &err) < 0 || layout_parse_parked_event(value, &event, &err) < 0)
            die("parked", &err);
        buf_clear(&out);
        buf_add_format(&out, "{\"parked\": \"%s\", \"topic\": \"%s\", \"partition\": %d, \"offset\": %lld, \"key\": ",
                       park_reason_name(event.reason), run->settings.topics[key.topic], key.partition,
                       (long long)key.offset);
        add_quoted(&out, event.key);
        buf_add_literal(&out, ", \"type\": ");
        add_quoted(&out, event.type);
        buf_add_literal(&out, ", \"message\": ");
        add_quoted(&out, event.message);
        buf_add_literal(&out, "}\n");
        fwrite(out.at, 1, out.len, stdout);
    }
    if (rc != ERR_ABSENT)
        die("parked", &err);
    store_cursor_close(&cursor);
    buf_release(&out);
}

int main(int argc, char **argv)
{
    struct run run = {.types = ARENA_INIT};
    struct store_reader *reader;
    struct err err;

    parse_options(argc, argv, &run.options);
    load_views(&run);
    make_settings(&run);
    read_records(&run);
    open_store(&run);
    add_partitions(&run);
    handle_records(&run);

    if (store_reader_open(run.store, &reader, &err) < 0 || store_read_begin(reader, &err) < 0)
        die("reader", &err);
    if (run.options.is_digest)
        print_digests(&run, reader);
    else
        print_views(&run, reader);
    print_parked(&run, reader);
    store_read_end(reader);
    store_reader_close(&reader);

    close_store(&run);
    generation_settings_release(&run.settings);
    free(run.records);
    arena_release(&run.types);
    free((void *)(uintptr_t)run.input.at);
    view_set_free(&run.views);
    return fflush(stdout) == 0 ? 0 : 1;
}
