/* What one event, and one answer, cost the CPU: no Kafka, no network, everything in memory.
 *
 *     bench-fold SCHEMA [EVENTS [PEOPLE [THREADS]]]   (100,000 over 5,000 on 1; SCHEMA holds schema/examples/genetics)
 *
 * The benchmark's events go through the materializer into a store in a temporary folder, then the views that came of it
 * are read, written and rendered. ns_per_event is what the clock says while records are handled, caller_cpu_ns_per_event
 * what the calling thread takes of it, which is what counts when there are cores enough, cpu_ns_per_event what all threads
 * take for everything, the flusher included. They are times; for a figure that holds still, count instructions: valgrind --tool=callgrind --toggle-collect=materializer_handle, or another function. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ops/bench/bench_events.h"
#include "projector/materializer.h"
#include "projector/positions.h"
#include "schema/base/mem.h"
#include "schema/json/render.h"

enum { BATCH = 10000, MEMORY_BYTES = 1 << 30, VIEWS_MAX = 2000, ROUNDS = 20 };

/* Address space that valgrind has, too. */
#define MAP_BYTES ((uint64_t)8 << 30)

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "bench-fold: %s: %s\n", what, why);
    exit(1);
}

static double ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static struct view_set *views_load(const char *path)
{
    struct mistakes mistakes = {NULL, 0, 0};
    struct view_set *views = NULL;
    struct buf bytes = BUF_INIT;
    struct err err = {0};
    FILE *file = fopen(path, "rb");
    size_t got;

    if (file == NULL)
        fail(path, "can't be opened");
    while ((got = fread(buf_reserve(&bytes, 65536), 1, 65536, file)) > 0)
        bytes.len += got;
    fclose(file);
    if (view_set_load(buf_span(&bytes), &views, &mistakes, &err) < 0)
        fail(path, err.text);
    buf_release(&bytes);
    return views;
}

/* All streams come from one topic. */
static void settings_make(const struct view_set *views, struct generation_settings *settings)
{
    *settings = (struct generation_settings){.stream_count = views->stream_count,
                                             .topic_count = 1,
                                             .type_header_count = 1,
                                             .max_view_bytes = 1 << 20,
                                             .projection_version = PROJECTION_VERSION};
    settings->streams = mem_zero(views->stream_count, sizeof(*settings->streams));
    for (size_t i = 0; i < views->stream_count; i++)
        settings->streams[i] = (struct topic_of_stream){mem_text(views->streams[i].name), mem_text("bench")};
    settings->topics = mem_zero(1, sizeof(char *));
    settings->topics[0] = mem_text("bench");
    settings->type_headers = mem_zero(1, sizeof(char *));
    settings->type_headers[0] = mem_text("type");
    settings->start = mem_text("beginning");
}

/* --- the events, as a source would give them --- */

static bool header(void *self, const struct record *record, const char *name, struct span *ret_value)
{
    (void)self;
    (void)name;
    *ret_value = span_of_text(record->opaque);
    return true;
}

static struct record *records_make(size_t count, uint64_t people)
{
    struct record *records = mem_zero(count, sizeof(*records));
    struct bench_events events;

    bench_events_init(&events, 1, people);
    for (size_t i = 0; i < count; i++) {
        struct bench_event event = bench_events_next(&events);
        struct span key = span_of_text(event.user);
        records[i] = (struct record){.offset = (int64_t)i,
                                     .has_key = true,
                                     .time_ms = 1790000000000 + (int64_t)i,
                                     .key = span_of(mem_copy(key.at, key.len), key.len),
                                     .value = span_of(mem_copy(event.value.at, event.value.len), event.value.len),
                                     .opaque = mem_text(event.type)};
    }
    bench_events_release(&events);
    return records;
}

static void records_free(struct record *records, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)records[i].key.at);
        free((void *)(uintptr_t)records[i].value.at);
        free(records[i].opaque);
    }
    free(records);
}

/* --- events in --- */

static void fold(struct store *store, const struct view_set *views, struct record *records, size_t count,
                 unsigned threads)
{
    const struct record_source source = {.header = header};
    struct generation_settings settings;
    struct materializer *materializer = NULL;
    struct partition *partition = NULL;
    struct err err = {0};
    double handle_ns = 0, caller_ns = 0, cpu_ns = ns(CLOCK_PROCESS_CPUTIME_ID);

    settings_make(views, &settings);
    struct materializer_options options = {.store = store,
                                           .views = views,
                                           .settings = &settings,
                                           .source = &source,
                                           .memory_bytes = MEMORY_BYTES,
                                           .park_limit = MATERIALIZER_PARK_LIMIT,
                                           .fold_threads = threads,
                                           .clock = &clock_system};
    if (materializer_open(&options, &materializer, &err) < 0 ||
        positions_add(materializer_positions(materializer), 0, 0, 0, PARTITION_FOLLOWING, &partition, &err) < 0)
        fail("materializer", err.text);
    for (size_t taken = 0; taken < count;) {
        size_t left = count - taken;
        size_t handled = 0;
        double began = ns(CLOCK_MONOTONIC), caller_began = ns(CLOCK_THREAD_CPUTIME_ID);
        if (materializer_handle(materializer, records + taken, left < BATCH ? left : BATCH, &handled, &err) < 0)
            fail("records", err.text);
        handle_ns += ns(CLOCK_MONOTONIC) - began;
        caller_ns += ns(CLOCK_THREAD_CPUTIME_ID) - caller_began;
        taken += handled;
        if (materializer_turn(materializer, &(struct materializer_turn){.lag = (int64_t)(count - taken)}, &err) < 0)
            fail("turn", err.text);
        if (handled == 0)
            materializer_wait(materializer, 50);
    }
    if (materializer_flush(materializer, &err) < 0)
        fail("flush", err.text);
    cpu_ns = ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns;
    printf("{\"events\": %zu, \"threads\": %u, \"ns_per_event\": %.0f, \"caller_cpu_ns_per_event\": %.0f, "
           "\"cpu_ns_per_event\": %.0f, \"events_per_s\": %.0f}\n",
           count, threads, handle_ns / (double)count, caller_ns / (double)count, cpu_ns / (double)count,
           (double)count * 1e9 / handle_ns);
    materializer_close(&materializer);
    generation_settings_release(&settings);
}

/* --- views out --- */

static size_t views_read(struct store *store, struct span *ret_views, struct err *err)
{
    struct store_reader *reader = NULL;
    struct store_cursor *cursor = NULL;
    struct stored_view stored;
    struct span key, value;
    size_t count = 0;
    int rc = store_reader_open(store, &reader, err);

    if (rc == 0)
        rc = store_read_begin(reader, err);
    if (rc == 0)
        rc = store_cursor_open(reader, TABLE_VIEWS, SPAN_LITERAL(""), SPAN_LITERAL(""), &cursor, err);
    while (rc == 0 && count < VIEWS_MAX && (rc = store_cursor_next(cursor, &key, &value, err)) == 0) {
        rc = layout_parse_view_value(value, &stored, err);
        if (rc == 0)
            ret_views[count++] = span_of(mem_copy(stored.bytes.at, stored.bytes.len), stored.bytes.len);
    }
    if (rc < 0 && rc != ERR_ABSENT)
        fail("store", err->text);
    store_cursor_close(&cursor);
    store_read_end(reader);
    store_reader_close(&reader);
    return count;
}

struct view_bench {
    const struct message_type *type;
    const struct render_plan *plan;
    struct arena arena;
    struct buf out;
    struct err err;
};

/* Returns the bytes that came of it. */
typedef size_t view_bench_fn(struct view_bench *bench, struct span view);

static ProtobufCMessage *decoded(struct view_bench *bench, struct span view)
{
    ProtobufCMessage *message = NULL;

    if (message_decode_own(bench->type, view, &bench->arena, &message, &bench->err) < 0)
        fail("view", bench->err.text);
    return message;
}

static size_t bench_decode(struct view_bench *bench, struct span view)
{
    ProtobufCMessage *message = NULL;

    if (message_decode(bench->type, view, &bench->arena, &message, &bench->err) < 0)
        fail("view", bench->err.text);
    return view.len;
}

static size_t bench_decode_own(struct view_bench *bench, struct span view)
{
    decoded(bench, view);
    return view.len;
}

static size_t bench_decode_and_copy(struct view_bench *bench, struct span view)
{
    message_copy(decoded(bench, view), &bench->arena);
    return view.len;
}

static size_t bench_decode_and_encode(struct view_bench *bench, struct span view)
{
    message_encode(decoded(bench, view), &bench->out);
    return bench->out.len;
}

static size_t bench_render_json(struct view_bench *bench, struct span view)
{
    if (render_json(bench->plan, NULL, view, &bench->out, &bench->err) < 0)
        fail("view", bench->err.text);
    return bench->out.len;
}

static void serve(struct store *store, const struct view *view)
{
    static const struct {
        const char *name;
        view_bench_fn *run;
    } benches[] = {
        {"decode", bench_decode},
        {"decode_own", bench_decode_own},
        {"decode_own_and_copy", bench_decode_and_copy},
        {"decode_own_and_encode", bench_decode_and_encode},
        {"render_json", bench_render_json},
    };
    struct span *views = mem_zero(VIEWS_MAX, sizeof(*views));
    struct render_plan *plan = render_plan_new(view);
    struct view_bench bench = {view->type, plan, ARENA_INIT, BUF_INIT, {0}};
    size_t count = views_read(store, views, &bench.err);

    for (size_t i = 0; i < ARRAY_COUNT(benches); i++) {
        double began = ns(CLOCK_THREAD_CPUTIME_ID);
        size_t bytes = 0;
        for (size_t k = 0; k < count * ROUNDS; k++) {
            arena_reset(&bench.arena);
            buf_clear(&bench.out);
            bytes += benches[i].run(&bench, views[k % count]);
        }
        double calls = (double)(count * ROUNDS);
        printf("{\"view\": \"%s\", \"ns\": %.0f, \"bytes\": %.0f}\n", benches[i].name, (ns(CLOCK_THREAD_CPUTIME_ID) - began) / calls,
               (double)bytes / calls);
    }
    for (size_t i = 0; i < count; i++)
        free((void *)(uintptr_t)views[i].at);
    free(views);
    arena_release(&bench.arena);
    buf_release(&bench.out);
    render_plan_free(&plan);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: bench-fold SCHEMA [EVENTS [PEOPLE [THREADS]]]\n");
        return 2;
    }
    size_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 100000;
    char folder[] = "/tmp/tarn-bench-fold-XXXXXX";
    struct store_options options = {.access = STORE_READ_WRITE, .map_bytes = MAP_BYTES};
    struct view_set *views = views_load(argv[1]);
    struct store *store = NULL;
    struct err err = {0};

    if (mkdtemp(folder) == NULL || store_open(folder, &options, &store, &err) < 0)
        fail(folder, err.text);
    struct record *records = records_make(count, argc > 3 ? strtoull(argv[3], NULL, 10) : 5000);
    fold(store, views, records, count, argc > 4 ? (unsigned)atoi(argv[4]) : 1);
    serve(store, &views->views[0]);

    records_free(records, count);
    store_close(&store);
    view_set_free(&views);
    char *data = mem_format("%s/data.mdb", folder);
    char *lock = mem_format("%s/lock.mdb", folder);
    unlink(data);
    unlink(lock);
    rmdir(folder);
    free(data);
    free(lock);
    return 0;
}
