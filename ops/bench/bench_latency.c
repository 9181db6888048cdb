/* From produce to readable: how long after an event's planned time another process can read what it did.
 *
 *     bench-latency BROKERS TOPIC STORE EVENTS RATE PEOPLE
 *
 * STORE may be `-`: how long until a bare consumer has the event, which is what Kafka and librdkafka take of it.
 *
 * Open loop: event i is due at start + i / RATE, whether or not the ones before it have arrived, and its latency counts
 * from there. The first fifth isn't counted: a broker whose code isn't compiled yet is another subject. An event is readable
 * once a snapshot of the store, taken by this process, holds a position of its partition behind it, in every range. The
 * producer lingers 0 ms; the topic has no other writer. Prints one line of JSON. */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ops/runtime/thread_priority.h"
#include "schema/base/buf.h"
#include "schema/base/clock.h"
#include "schema/base/mem.h"
#include "schema/store/generation.h"
#include "schema/store/layout.h"
#include "schema/store/partitioner.h"
#include "schema/store/store.h"

enum { LOOK_EVERY_NS = 250 * 1000 }; /* is in the latencies; every 0.1 ms took a sixth of a core from what is measured */

/* The events of one partition in the order they were produced; event i of it has offset base + i. */
struct lane {
    int64_t base;
    int64_t *due_us; /* 0: not counted */
    size_t count;
    size_t capacity;
    size_t seen;
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "bench-latency: %s: %s\n", what, why);
    exit(1);
}

struct setting {
    const char *name, *value;
};

static rd_kafka_t *client_open(rd_kafka_type_t type, const char *brokers, const struct setting *settings, size_t count)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char reason[200];

    if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers, reason, sizeof(reason)) != RD_KAFKA_CONF_OK)
        fail(brokers, reason);
    for (size_t i = 0; i < count; i++)
        if (rd_kafka_conf_set(conf, settings[i].name, settings[i].value, reason, sizeof(reason)) != RD_KAFKA_CONF_OK)
            fail(settings[i].name, reason);
    rd_kafka_t *kafka = rd_kafka_new(type, conf, reason, sizeof(reason));
    if (kafka == NULL)
        fail(brokers, reason);
    return kafka;
}

static rd_kafka_t *producer_open(const char *brokers)
{
    static const struct setting settings[] = {
        {"linger.ms", "0"}, {"enable.idempotence", "true"}, {"socket.nagle.disable", "true"},
    };

    return client_open(RD_KAFKA_PRODUCER, brokers, settings, ARRAY_COUNT(settings));
}

static struct lane *lanes_open(rd_kafka_t *kafka, const char *topic, int32_t *ret_count)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(kafka, topic, NULL);
    rd_kafka_resp_err_t rc = rd_kafka_metadata(kafka, 0, handle, &metadata, 10000);

    if (rc != RD_KAFKA_RESP_ERR_NO_ERROR)
        fail(topic, rd_kafka_err2str(rc));
    int32_t count = metadata->topics[0].partition_cnt;
    struct lane *lanes = mem_zero((size_t)count, sizeof(*lanes));
    for (int32_t partition = 0; partition < count; partition++) {
        int64_t low;
        rc = rd_kafka_query_watermark_offsets(kafka, topic, partition, &low, &lanes[partition].base, 10000);
        if (rc != RD_KAFKA_RESP_ERR_NO_ERROR)
            fail(topic, rd_kafka_err2str(rc));
    }
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    *ret_count = count;
    return lanes;
}

/* A marker that means something else now. */
static void produce(rd_kafka_t *kafka, const char *topic, int32_t partition, const char *user)
{
    static const char type[] = "genetics.v1.MarkerReinterpreted";
    struct buf value = BUF_INIT;
    static uint64_t number;

    buf_add_byte(&value, 1 << 3 | 2);
    buf_add_byte(&value, (uint8_t)strlen(user));
    buf_add_text(&value, user);
    buf_add_literal(&value, "\x12\x05sleep\x1a\x08rs123751"); /* category, code */
    buf_add_format(&value, "\x32%c%016" PRIx64, 16, number++); /* advice: never the same twice */
    rd_kafka_resp_err_t rc = rd_kafka_producev(
        kafka, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_KEY(user, strlen(user)),
        RD_KAFKA_V_VALUE(value.at, value.len), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_HEADER("type", type, (ssize_t)sizeof(type) - 1), RD_KAFKA_V_END);
    if (rc != RD_KAFKA_RESP_ERR_NO_ERROR)
        fail("produce", rd_kafka_err2str(rc));
    buf_release(&value);
}

/* --- who waits for the events -------------------------------------------------------------------------------------- */

struct watcher {
    bool (*look)(struct watcher *watcher); /* false: nothing new since the last look */
    int32_t partition_count;
    int64_t *next_offsets; /* by partition: the first that can't be seen yet */
    struct store_reader *reader;
    uint16_t topic;
    uint64_t version;
    rd_kafka_queue_t *queue;
};

/* The first offset of the partition that some range doesn't have yet. */
static int64_t readable_before(struct store_reader *reader, uint16_t topic, int32_t partition)
{
    struct buf key = BUF_INIT;
    int64_t least = INT64_MAX;
    struct err err;

    for (unsigned range = 0; range < RANGE_COUNT; range++) {
        struct span value;
        struct position position = {0};
        buf_clear(&key);
        layout_position_key(topic, partition, range, &key);
        if (store_find(reader, TABLE_POSITIONS, buf_span(&key), &value, &err) == 0 &&
            layout_parse_position(value, &position, &err) < 0)
            fail("position", err.text);
        if (position.next_offset < least)
            least = position.next_offset;
    }
    buf_release(&key);
    return least;
}

static bool look_at_store(struct watcher *watcher)
{
    struct err err;

    if (store_read_begin(watcher->reader, &err) < 0)
        fail("snapshot", err.text);
    bool is_new = store_read_version(watcher->reader) != watcher->version;
    watcher->version = store_read_version(watcher->reader);
    for (int32_t partition = 0; is_new && partition < watcher->partition_count; partition++)
        watcher->next_offsets[partition] = readable_before(watcher->reader, watcher->topic, partition);
    store_read_end(watcher->reader);
    return is_new;
}

static struct watcher watch_store(const char *directory, const char *topic)
{
    struct watcher watcher = {.look = look_at_store};
    struct serving serving;
    struct generation *generation = NULL;
    struct store *store = NULL;
    struct err err;

    if (serving_read(directory, &serving, &err) < 0 ||
        generation_open(directory, serving_incumbent(&serving), &generation, &err) < 0 ||
        store_open(generation->folder, &(struct store_options){.access = STORE_READ_ONLY}, &store, &err) < 0 ||
        store_reader_open(store, &watcher.reader, &err) < 0)
        fail(directory, err.text);
    int number = generation_topic_number(&generation->settings, span_of_text(topic));
    if (number < 0)
        fail(topic, "isn't a topic of this store");
    watcher.topic = (uint16_t)number;
    return watcher;
}

static bool look_at_topic(struct watcher *watcher)
{
    rd_kafka_message_t *messages[256];
    ssize_t count = rd_kafka_consume_batch_queue(watcher->queue, 0, messages, ARRAY_COUNT(messages));

    for (ssize_t i = 0; i < count; i++) {
        if (messages[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            watcher->next_offsets[messages[i]->partition] = messages[i]->offset + 1;
        rd_kafka_message_destroy(messages[i]);
    }
    return count > 0;
}

static struct watcher watch_topic(const char *brokers, const char *topic, int32_t partition_count,
                                  const struct lane *lanes)
{
    static const struct setting settings[] = {
        {"group.id", "bench-latency"}, {"enable.auto.commit", "false"}, {"isolation.level", "read_committed"},
        {"fetch.wait.max.ms", "100"}, {"socket.nagle.disable", "true"},
    };
    struct watcher watcher = {.look = look_at_topic};
    rd_kafka_t *kafka = client_open(RD_KAFKA_CONSUMER, brokers, settings, ARRAY_COUNT(settings));
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partition_count);

    for (int32_t partition = 0; partition < partition_count; partition++) {
        rd_kafka_topic_partition_list_add(list, topic, partition)->offset = lanes[partition].base;
    }
    rd_kafka_poll_set_consumer(kafka);
    rd_kafka_resp_err_t rc = rd_kafka_assign(kafka, list);
    if (rc != RD_KAFKA_RESP_ERR_NO_ERROR)
        fail(topic, rd_kafka_err2str(rc));
    rd_kafka_topic_partition_list_destroy(list);
    watcher.queue = rd_kafka_queue_get_consumer(kafka);
    return watcher;
}

static int compare_numbers(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

static void print_outcome(int64_t *latencies_us, size_t count, uint64_t rate)
{
    qsort(latencies_us, count, sizeof(*latencies_us), compare_numbers);
    printf("{\"events\": %zu, \"rate\": %" PRIu64 ", \"p50_ms\": %.2f, \"p90_ms\": %.2f, \"p99_ms\": %.2f, "
           "\"p999_ms\": %.2f, \"max_ms\": %.2f}\n",
           count, rate, (double)latencies_us[count / 2] / 1e3, (double)latencies_us[count * 9 / 10] / 1e3,
           (double)latencies_us[count * 99 / 100] / 1e3, (double)latencies_us[count * 999 / 1000] / 1e3,
           (double)latencies_us[count - 1] / 1e3);
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: bench-latency BROKERS TOPIC STORE EVENTS RATE PEOPLE\n");
        return 2;
    }
    const char *topic = argv[2];
    size_t events = strtoull(argv[4], NULL, 10);
    uint64_t rate = strtoull(argv[5], NULL, 10);
    uint64_t people = strtoull(argv[6], NULL, 10);
    rd_kafka_t *kafka = producer_open(argv[1]);
    int32_t partition_count;
    struct lane *lanes = lanes_open(kafka, topic, &partition_count);
    struct watcher watcher = strcmp(argv[3], "-") == 0 ? watch_topic(argv[1], topic, partition_count, lanes)
                                                       : watch_store(argv[3], topic);
    watcher.partition_count = partition_count;
    watcher.next_offsets = mem_zero((size_t)partition_count, sizeof(*watcher.next_offsets));
    int64_t *latencies_us = mem_alloc(events * sizeof(*latencies_us));
    size_t produced = 0;
    size_t seen = 0;
    size_t counted = 0;
    size_t warm_up = events / 5;
    int64_t start_us = clock_monotonic_us(&clock_system) + 100000;

    thread_priority_prompt(); /* after librdkafka's threads: only the looking is the meter's own */
    while (seen < events) {
        int64_t now_us = clock_monotonic_us(&clock_system);
        for (; produced < events; produced++) {
            int64_t due_us = start_us + (int64_t)(produced * 1000000 / rate);
            char user[32];
            if (due_us > now_us)
                break;
            snprintf(user, sizeof(user), "user-%08" PRIu64, (uint64_t)produced * 7919 % people);
            int32_t partition = partitioner_partition(PARTITIONER_MURMUR2, span_of_text(user), partition_count);
            struct lane *lane = &lanes[partition];
            lane->due_us = mem_grow(lane->due_us, lane->count, &lane->capacity, sizeof(*lane->due_us));
            lane->due_us[lane->count++] = produced < warm_up ? 0 : due_us;
            produce(kafka, topic, partition, user);
        }
        rd_kafka_poll(kafka, 0);
        if (watcher.look(&watcher)) {
            now_us = clock_monotonic_us(&clock_system);
            for (int32_t partition = 0; partition < partition_count; partition++) {
                struct lane *lane = &lanes[partition];
                int64_t before = watcher.next_offsets[partition];
                for (; lane->seen < lane->count && lane->base + (int64_t)lane->seen < before; lane->seen++, seen++)
                    if (lane->due_us[lane->seen] != 0)
                        latencies_us[counted++] = now_us - lane->due_us[lane->seen];
            }
        }
        if (now_us - start_us > (int64_t)(events * 1000000 / rate) + 60000000)
            fail("events", "still not readable a minute after the last one");
        nanosleep(&(struct timespec){.tv_nsec = LOOK_EVERY_NS}, NULL);
    }
    print_outcome(latencies_us, counted, rate);
    return 0;
}
