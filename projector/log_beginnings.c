/* One question for each partition once the topics are known, all at once. */
#include "projector/log_beginnings.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "projector/kafka_watch.h"
#include "schema/base/clock.h"
#include "schema/base/mem.h"

enum { LOOK_MS = 20 };

static bool is_late(int64_t end_us)
{
    if (clock_monotonic_us(&clock_system) >= end_us)
        return true;
    nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
    return false;
}

/* Waits until Kafka has told of the topic. */
static int find_topic(const struct log_watch *watch, uint16_t number, const char *name, int64_t end_us,
                      int32_t *ret_partitions, struct err *err)
{
    struct watched_topic topic;

    for (;;) {
        watch->topic(watch->self, number, &topic);
        if (topic.is_known)
            break;
        if (is_late(end_us))
            return err_set(err, ERR_AGAIN, "Kafka doesn't tell of topic %s%s%s", name, topic.trouble[0] ? ": " : "",
                           topic.trouble);
    }
    if (topic.partition_count <= 0)
        return err_set(err, ERR_INPUT, "Kafka has no topic %s", name);
    *ret_partitions = topic.partition_count;
    return 0;
}

static int ask_topic(const struct log_watch *watch, uint16_t number, const char *name, int32_t partitions,
                     int64_t end_us, struct log_beginnings *beginnings, struct err *err)
{
    struct log_check *checks = mem_zero(LOG_CHECKS_MAX, sizeof(*checks));
    size_t count = 0;
    int rc = partitions <= LOG_CHECKS_MAX
                 ? 0
                 : err_set(err, ERR_INPUT, "topic %s has %" PRId32 " partitions", name, partitions);

    for (int32_t i = 0; rc == 0 && i < partitions; i++)
        checks[count++] = (struct log_check){.topic = number, .partition = i, .anchor_offset = -1};
    while (rc == 0 && !watch->ask(watch->self, checks, count))
        if (is_late(end_us))
            rc = err_set(err, ERR_AGAIN, "Kafka doesn't answer");
    while (rc == 0 && !watch->answer(watch->self, checks, &count))
        if (is_late(end_us))
            rc = err_set(err, ERR_AGAIN, "Kafka doesn't answer");
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (!checks[i].is_answered) {
            rc = err_set(err, ERR_AGAIN, "%s/%" PRId32 ": %s", name, checks[i].partition, checks[i].trouble);
            break;
        }
        beginnings->items = mem_resize(beginnings->items, beginnings->count + 1, sizeof(*beginnings->items));
        beginnings->items[beginnings->count++] =
            (struct log_beginning){number, checks[i].partition, checks[i].facts.start_offset};
    }
    free(checks);
    return rc;
}

int log_beginnings_watch(const struct log_watch *watch, char *const *topics, size_t topic_count, int64_t timeout_ms,
                         struct log_beginnings *ret_beginnings, struct err *err)
{
    int64_t end_us = clock_monotonic_us(&clock_system) + timeout_ms * 1000;
    struct log_beginnings beginnings = {NULL, 0};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < topic_count; i++) {
        int32_t partitions = 0;
        rc = find_topic(watch, (uint16_t)i, topics[i], end_us, &partitions, err);
        if (rc == 0)
            rc = ask_topic(watch, (uint16_t)i, topics[i], partitions, end_us, &beginnings, err);
    }
    if (rc == 0)
        *ret_beginnings = beginnings;
    else
        log_beginnings_release(&beginnings);
    return rc;
}

int log_beginnings_ask(const struct kafka_settings *settings, char *const *topics, size_t topic_count,
                       int64_t timeout_ms, struct log_beginnings *ret_beginnings, struct err *err)
{
    struct kafka_watch *watch = NULL;

    int rc = kafka_settings_check(settings, err);
    if (rc == 0)
        rc = kafka_watch_open(settings, topics, topic_count, &watch, err);
    if (rc < 0)
        return rc;
    struct log_watch port = kafka_watch_port(watch);
    rc = log_beginnings_watch(&port, topics, topic_count, timeout_ms, ret_beginnings, err);
    kafka_watch_close(&watch);
    return rc;
}

void log_beginnings_release(struct log_beginnings *beginnings)
{
    free(beginnings->items);
    *beginnings = (struct log_beginnings){NULL, 0};
}
