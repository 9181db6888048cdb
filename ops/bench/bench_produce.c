/* Fills a topic with the benchmark's events: the same ones for the same seed, on every machine.
 *
 *     bench-produce BROKERS TOPIC EVENTS PEOPLE [SEED [RATE]]
 *
 * The mix of a genetics service, 306 bytes on average: 40% whole reports (~670 bytes), 40% withdrawn or booked small things
 * (~40), 20% markers that mean something else now (~110), over PEOPLE people, each as likely as any other. The first event
 * of each person is a report when EVENTS is large enough. Keys go through murmur2, as Java's producers do. With RATE (events per
 * second) the stream is even; without it, as fast as the broker takes it. */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "schema/base/buf.h"
#include "schema/base/clock.h"

struct random {
    uint64_t state;
};

/* splitmix64: small, well mixed, the same everywhere. */
static uint64_t random_next(struct random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t random_below(struct random *random, uint64_t bound)
{
    return random_next(random) % bound;
}

/* --- protobuf's wire format, as little of it as the three events need --- */

static void put_varint(struct buf *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        buf_add_byte(out, (uint8_t)(value | 0x80));
    buf_add_byte(out, (uint8_t)value);
}

static void put_number(struct buf *out, uint32_t field, uint64_t value)
{
    put_varint(out, field << 3);
    put_varint(out, value);
}

static void put_bytes(struct buf *out, uint32_t field, struct span bytes)
{
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len);
    buf_add_span(out, bytes);
}

static void put_text(struct buf *out, uint32_t field, const char *text)
{
    put_bytes(out, field, span_of_text(text));
}

static void put_double(struct buf *out, uint32_t field, double value)
{
    put_varint(out, field << 3 | 1);
    buf_add(out, &value, sizeof(value)); /* little-endian machines only, as x86 and ARM are */
}

/* --- the events, field numbers as in schema/examples/genetics/events.proto --- */

static const char *const categories[] = {"nutrition", "skin", "sleep", "fitness"};
static const char *const traits[] = {"Caffeine metabolism", "Vitamin D level", "Skin elasticity", "Deep sleep",
                                     "Lactose tolerance", "Muscle recovery", "Alcohol flush", "Sun sensitivity"};

static void put_marker(struct random *random, uint32_t number, struct buf *scratch)
{
    char code[16];

    snprintf(code, sizeof(code), "rs%06" PRIu32, 100000 + number * 7919);
    buf_clear(scratch);
    put_text(scratch, 1, categories[number % ARRAY_COUNT(categories)]);
    put_text(scratch, 2, code);
    put_text(scratch, 3, traits[number % ARRAY_COUNT(traits)]);
    put_number(scratch, 4, random_below(random, 3));
    put_double(scratch, 5, (double)random_below(random, 1000) / 10);
    put_text(scratch, 6, "Ask your doctor before you change it.");
}

static const char *report_completed(struct random *random, const char *user, struct buf *out)
{
    struct buf part = BUF_INIT;
    char report[32];

    snprintf(report, sizeof(report), "r-%08" PRIx64, random_next(random) & 0xffffffff);
    put_text(out, 1, user);
    put_text(out, 2, report);
    put_number(&part, 1, 1790000000 + random_below(random, 1000000));
    put_bytes(out, 3, buf_span(&part));
    for (uint32_t marker = 0; marker < 6; marker++) {
        put_marker(random, marker, &part);
        put_bytes(out, 5, buf_span(&part));
    }
    buf_release(&part);
    return "genetics.v1.AnalysisCompleted";
}

static const char *marker_reinterpreted(struct random *random, const char *user, struct buf *out)
{
    uint32_t number = (uint32_t)random_below(random, 6);
    struct buf score = BUF_INIT;
    char code[16];

    snprintf(code, sizeof(code), "rs%06" PRIu32, 100000 + number * 7919);
    put_text(out, 1, user);
    put_text(out, 2, categories[number % ARRAY_COUNT(categories)]);
    put_text(out, 3, code);
    put_number(out, 4, random_below(random, 3));
    put_double(&score, 1, (double)random_below(random, 1000) / 10);
    put_bytes(out, 5, buf_span(&score));
    put_text(out, 6, "Newer studies see less of an effect; nothing to change.");
    buf_release(&score);
    return "genetics.v1.MarkerReinterpreted";
}

static const char *marker_withdrawn(struct random *random, const char *user, struct buf *out)
{
    uint32_t number = 6 + (uint32_t)random_below(random, 6);
    char code[16];

    snprintf(code, sizeof(code), "rs%06" PRIu32, 100000 + number * 7919);
    put_text(out, 1, user);
    put_text(out, 2, categories[number % ARRAY_COUNT(categories)]);
    put_text(out, 3, code);
    return "genetics.v1.MarkerWithdrawn";
}

static void produce(rd_kafka_t *kafka, const char *topic, const char *user, const char *type, struct span value)
{
    for (;;) {
        rd_kafka_resp_err_t rc = rd_kafka_producev(
            kafka, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_KEY(user, strlen(user)),
            RD_KAFKA_V_VALUE((void *)(uintptr_t)value.at, value.len), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_HEADER("type", type, (ssize_t)strlen(type)), RD_KAFKA_V_END);
        if (rc == RD_KAFKA_RESP_ERR_NO_ERROR)
            return;
        if (rc != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            fprintf(stderr, "bench-produce: %s\n", rd_kafka_err2str(rc));
            exit(1);
        }
        rd_kafka_poll(kafka, 100);
    }
}

static int64_t failed;

static void on_delivery(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque)
{
    (void)kafka;
    (void)opaque;
    failed += message->err != 0;
}

static rd_kafka_t *producer_open(const char *brokers)
{
    const char *const settings[][2] = {
        {"bootstrap.servers", brokers}, {"partitioner", "murmur2"}, {"linger.ms", "5"}, {"batch.size", "1000000"},
        {"queue.buffering.max.messages", "500000"}, {"acks", "1"},
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char reason[200];

    for (size_t i = 0; i < ARRAY_COUNT(settings); i++) {
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], reason, sizeof(reason)) != RD_KAFKA_CONF_OK) {
            fprintf(stderr, "bench-produce: %s\n", reason);
            exit(1);
        }
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    if (kafka == NULL) {
        fprintf(stderr, "bench-produce: %s\n", reason);
        exit(1);
    }
    return kafka;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: bench-produce BROKERS TOPIC EVENTS PEOPLE [SEED [RATE]]\n");
        return 2;
    }
    uint64_t events = strtoull(argv[3], NULL, 10);
    uint64_t people = strtoull(argv[4], NULL, 10);
    struct random random = {argc > 5 ? strtoull(argv[5], NULL, 10) : 1};
    uint64_t rate = argc > 6 ? strtoull(argv[6], NULL, 10) : 0;
    rd_kafka_t *kafka = producer_open(argv[1]);
    struct buf value = BUF_INIT;
    uint64_t bytes = 0;
    int64_t start_us = clock_monotonic_us(&clock_system);

    for (uint64_t i = 0; i < events; i++) {
        uint64_t person = random_below(&random, people);
        uint64_t kind = random_below(&random, 100);
        char user[32];

        snprintf(user, sizeof(user), "user-%08" PRIu64, person);
        buf_clear(&value);
        const char *type = kind < 40   ? report_completed(&random, user, &value)
                           : kind < 60 ? marker_reinterpreted(&random, user, &value)
                                       : marker_withdrawn(&random, user, &value);
        bytes += value.len;
        produce(kafka, argv[2], user, type, buf_span(&value));
        if ((i & 1023) == 0)
            rd_kafka_poll(kafka, 0);
        while (rate != 0 && clock_monotonic_us(&clock_system) - start_us < (int64_t)(i * 1000000 / rate))
            rd_kafka_poll(kafka, 1);
    }
    rd_kafka_resp_err_t rc = rd_kafka_flush(kafka, 60000);
    double seconds = (double)(clock_monotonic_us(&clock_system) - start_us) / 1e6;
    printf("{\"events\": %" PRIu64 ", \"failed\": %" PRId64 ", \"average_bytes\": %.0f, \"seconds\": %.2f}\n", events,
           failed, (double)bytes / (double)(events ? events : 1), seconds);
    rd_kafka_destroy(kafka);
    buf_release(&value);
    return rc != RD_KAFKA_RESP_ERR_NO_ERROR || failed != 0;
}
