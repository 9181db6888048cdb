/* What consuming costs by itself: the line that the projector's rebuild is compared with.
 *
 *     bench-consume BROKERS TOPIC SCHEMA consume|unpack|decode
 *
 * Reads all partitions of a topic from beginning to end in batches, with the settings that the projector uses; `unpack`
 * also looks up the `type` header and has protobuf-c unpack the message into an arena, `decode` has our own decoder, which
 * checks the bytes as well, do that. Prints one line of JSON. */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "schema/base/clock.h"
#include "schema/base/mem.h"
#include "schema/message/message.h"

enum { BATCH = 10000 };

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "bench-consume: %s: %s\n", what, why);
    exit(1);
}

static struct type_set *load_types(const char *path)
{
    struct buf bytes = BUF_INIT;
    struct type_set *types = NULL;
    struct err err;
    FILE *file = fopen(path, "rb");

    if (file == NULL)
        fail(path, "can't be opened");
    size_t got;
    while ((got = fread(buf_reserve(&bytes, 65536), 1, 65536, file)) > 0)
        bytes.len += got;
    fclose(file);
    if (type_set_load(buf_span(&bytes), &types, &err) < 0)
        fail(path, err.text);
    buf_release(&bytes);
    return types;
}

static rd_kafka_t *consumer_open(const char *brokers)
{
    const char *const settings[][2] = {
        {"bootstrap.servers", brokers}, {"group.id", "bench-consume"}, {"enable.auto.commit", "false"},
        {"enable.partition.eof", "true"}, {"isolation.level", "read_committed"}, {"queued.min.messages", "1000000"},
        {"queued.max.messages.kbytes", "262144"}, {"fetch.message.max.bytes", "4194304"},
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char reason[200];

    for (size_t i = 0; i < ARRAY_COUNT(settings); i++)
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], reason, sizeof(reason)) != RD_KAFKA_CONF_OK)
            fail(settings[i][0], reason);
    rd_kafka_t *kafka = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));
    if (kafka == NULL)
        fail(brokers, reason);
    rd_kafka_poll_set_consumer(kafka);
    return kafka;
}

/* Assigns every partition from its beginning; returns how many there are. */
static int assign_all(rd_kafka_t *kafka, const char *topic)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(kafka, topic, NULL);
    rd_kafka_resp_err_t rc = rd_kafka_metadata(kafka, 0, handle, &metadata, 10000);

    if (rc != RD_KAFKA_RESP_ERR_NO_ERROR || metadata->topics[0].partition_cnt == 0)
        fail(topic, rd_kafka_err2str(rc));
    int count = metadata->topics[0].partition_cnt;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    for (int partition = 0; partition < count; partition++)
        rd_kafka_topic_partition_list_add(list, topic, partition)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(kafka, list);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    return count;
}

static const struct message_type *type_of(const struct type_set *types, rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers;
    const void *name;
    size_t len;

    if (rd_kafka_message_headers(message, &headers) != 0 ||
        rd_kafka_header_get_last(headers, "type", &name, &len) != 0)
        fail("record", "has no type header");
    const struct message_type *type = type_set_find(types, span_of(name, len));
    if (type == NULL)
        fail("record", "of an unknown type");
    return type;
}

/* What is done with each record. The arena is empty. */
typedef void record_fn(const struct type_set *types, rd_kafka_message_t *message, struct arena *arena);

static void consume(const struct type_set *types, rd_kafka_message_t *message, struct arena *arena)
{
    (void)types;
    (void)message;
    (void)arena;
}

static void *alloc_in_arena(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void free_with_arena(void *arena, void *at)
{
    (void)arena;
    (void)at;
}

static void unpack(const struct type_set *types, rd_kafka_message_t *message, struct arena *arena)
{
    ProtobufCAllocator allocator = {alloc_in_arena, free_with_arena, arena};

    if (protobuf_c_message_unpack(&type_of(types, message)->pb, &allocator, message->len, message->payload) == NULL)
        fail("record", "can't be unpacked");
}

static void decode(const struct type_set *types, rd_kafka_message_t *message, struct arena *arena)
{
    ProtobufCMessage *event;
    struct err err;

    if (message_decode(type_of(types, message), span_of(message->payload, message->len), arena, &event, &err) < 0)
        fail("record", err.text);
}

static const struct {
    const char *name;
    record_fn *run;
} modes[] = {{"consume", consume}, {"unpack", unpack}, {"decode", decode}};

static record_fn *mode_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(modes); i++)
        if (strcmp(modes[i].name, name) == 0)
            return modes[i].run;
    fail(name, "consume, unpack or decode");
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: bench-consume BROKERS TOPIC SCHEMA consume|unpack|decode\n");
        return 2;
    }
    struct type_set *types = load_types(argv[3]);
    record_fn *run = mode_of(argv[4]);
    rd_kafka_t *kafka = consumer_open(argv[1]);
    int left = assign_all(kafka, argv[2]);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(kafka);
    rd_kafka_message_t **batch = mem_alloc(BATCH * sizeof(rd_kafka_message_t *));
    struct arena arena = ARENA_INIT;
    int64_t records = 0;
    int64_t first_us = 0;

    while (left > 0) {
        ssize_t count = rd_kafka_consume_batch_queue(queue, 1000, batch, 1);
        if (count == 1) {
            ssize_t more = rd_kafka_consume_batch_queue(queue, 0, batch + 1, BATCH - 1);
            count += more > 0 ? more : 0;
        }
        if (first_us == 0 && count > 0)
            first_us = clock_monotonic_us(&clock_system);
        for (ssize_t i = 0; i < count; i++) {
            if (batch[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
                left--;
            } else if (batch[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
                records++;
                arena_reset(&arena);
                run(types, batch[i], &arena);
            }
            rd_kafka_message_destroy(batch[i]);
        }
    }

    struct rusage usage;
    double seconds = (double)(clock_monotonic_us(&clock_system) - first_us) / 1e6;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("{\"records\": %" PRId64 ", \"seconds\": %.3f, \"per_second\": %.0f, \"cpu_us_per_record\": %.2f}\n", records,
           seconds, (double)records / seconds, cpu * 1e6 / (double)(records ? records : 1));
    arena_release(&arena);
    free(batch);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(kafka);
    type_set_free(&types);
    return 0;
}
