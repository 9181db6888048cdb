/* Publishes the lives of demo_lives.h.
 *
 *     demo_publisher BROKERS EXAMPLES.binpb [EVENTS_PER_SECOND]
 *
 * First every person's beginning (a line "ready" on stdout when it is all acknowledged), then about that many events a
 * second until SIGTERM or the parent's end. An event is written down as JSON and turned into a message of the example
 * schema at run time; its topic is its stream's name with ".events" behind it. */
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "ops/dev/demo_lives.h"
#include "ops/dev/json_message.h"
#include "schema/base/mem.h"
#include "schema/view/plan.h"

struct publisher {
    rd_kafka_t *client;
    struct view_set *views;
    struct arena arena;
    struct buf value;
};

static void die(const char *what, const char *which)
{
    fprintf(stderr, "demo_publisher: %s: %s\n", what, which);
    exit(1);
}

/* --- publishing --------------------------------------------------------------------------------------------------- */

static void produce(struct publisher *publisher, const char *stream, const char *key, const char *type,
                    struct span value)
{
    char topic[100];
    rd_kafka_resp_err_t code;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(1);

    snprintf(topic, sizeof(topic), "%s.events", stream);
    if (type)
        rd_kafka_header_add(headers, "type", -1, type, -1);
    do {
        code = rd_kafka_producev(publisher->client, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_KEY(key, strlen(key)),
                                 RD_KAFKA_V_VALUE((void *)(uintptr_t)value.at, value.len),
                                 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
        rd_kafka_poll(publisher->client, code ? 100 : 0);
    } while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL);
    if (code)
        die(topic, rd_kafka_err2str(code));
}

static void publish(void *self, const char *key, const char *type, json_t *event)
{
    struct publisher *publisher = self;
    ProtobufCMessage *message = NULL;
    struct err err;

    if (!event) {
        produce(publisher, type, key, NULL, span_of(NULL, 0));
        return;
    }
    const struct event_plan *plan = view_set_event(publisher->views, span_of_text(type));
    if (!plan)
        die("no such event", type);
    arena_reset(&publisher->arena);
    buf_clear(&publisher->value);
    if (json_message_read(plan->event, event, &publisher->arena, &message, &err) < 0)
        die(type, err.text);
    message_encode(message, &publisher->value);
    produce(publisher, plan->stream->name, key, type, buf_span(&publisher->value));
    json_decref(event);
}

/* --- the program -------------------------------------------------------------------------------------------------- */

static struct view_set *load_examples(const char *path)
{
    struct buf bytes = BUF_INIT;
    struct mistakes mistakes = {NULL, 0, 0};
    struct err err = {0};
    struct view_set *views = NULL;
    FILE *file = fopen(path, "rb");
    if (!file)
        die(path, strerror(errno));
    size_t got;
    while ((got = fread(buf_reserve(&bytes, 65536), 1, 65536, file)) > 0)
        bytes.len += got;
    fclose(file);
    if (view_set_load(buf_span(&bytes), &views, &mistakes, &err) < 0)
        die(path, err.text);
    mistakes_release(&mistakes);
    buf_release(&bytes);
    return views;
}

int main(int argc, char **argv)
{
    struct publisher publisher = {0};
    struct demo_lives lives;
    char reason[300];
    sigset_t ends;

    if (argc < 3) {
        fprintf(stderr, "usage: demo_publisher BROKERS EXAMPLES.binpb [EVENTS_PER_SECOND]\n");
        return 2;
    }
    int rate = argc > 3 ? atoi(argv[3]) : 20;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);

    publisher.views = load_examples(argv[2]);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", argv[1], NULL, 0);
    rd_kafka_conf_set(conf, "linger.ms", "2", NULL, 0);
    publisher.client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    if (!publisher.client)
        die("librdkafka", reason);

    demo_lives_begin(&lives, publish, &publisher);
    if (rd_kafka_flush(publisher.client, 30000))
        die(argv[1], "doesn't take the events");
    puts("ready");
    fflush(stdout);

    struct timespec pause = {.tv_sec = rate <= 1, .tv_nsec = rate <= 1 ? 0 : 1000000000 / rate};
    while (sigtimedwait(&ends, NULL, &pause) < 0) {
        demo_lives_go_on(&lives);
        rd_kafka_poll(publisher.client, 0);
    }
    rd_kafka_flush(publisher.client, 1000);
    rd_kafka_destroy(publisher.client);
    arena_release(&publisher.arena);
    buf_release(&publisher.value);
    view_set_free(&publisher.views);
    return 0;
}
