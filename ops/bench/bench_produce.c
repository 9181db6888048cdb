/* Fills a topic with the benchmark's events (bench_events.h).
 *
 *     bench-produce BROKERS TOPIC EVENTS|everyone PEOPLE [SEED [RATE]]
 *
 * Over PEOPLE people; `everyone`: one whole report of each, which fills a store. Keys go through murmur2, as Java's producers
 * do. With RATE (events per second) the stream is even; without it, as fast as the broker takes it. */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ops/bench/bench_events.h"
#include "schema/base/clock.h"

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
        fprintf(stderr, "usage: bench-produce BROKERS TOPIC EVENTS|everyone PEOPLE [SEED [RATE]]\n");
        return 2;
    }
    uint64_t people = strtoull(argv[4], NULL, 10);
    bool is_everyone = strcmp(argv[3], "everyone") == 0;
    uint64_t events = is_everyone ? people : strtoull(argv[3], NULL, 10);
    struct bench_events maker;
    uint64_t rate = argc > 6 ? strtoull(argv[6], NULL, 10) : 0;
    rd_kafka_t *kafka = producer_open(argv[1]);
    uint64_t bytes = 0;
    int64_t start_us = clock_monotonic_us(&clock_system);

    bench_events_init(&maker, argc > 5 ? strtoull(argv[5], NULL, 10) : 1, people);
    for (uint64_t i = 0; i < events; i++) {
        struct bench_event event = is_everyone ? bench_events_report(&maker, i) : bench_events_next(&maker);
        bytes += event.value.len;
        produce(kafka, argv[2], event.user, event.type, event.value);
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
    bench_events_release(&maker);
    return rc != RD_KAFKA_RESP_ERR_NO_ERROR || failed != 0;
}
