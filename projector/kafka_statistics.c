/* The statistics are one JSON object: "brokers" by name, with their connections, and "topics" by name, with their
 * "partitions", each of which tells the id of its broker. */
#include "projector/kafka_statistics.h"

#include <jansson.h>
#include <string.h>

enum { FRESH_MS = 900 }; /* a fetch of a quiet partition is answered within fetch.wait.max.ms */

static json_t *json_of(const struct kafka_statistics *statistics)
{
    return (json_t *)(uintptr_t)statistics; /* jansson's walks take nothing that is const */
}

struct kafka_statistics *kafka_statistics_read(const char *text, size_t text_len)
{
    return (struct kafka_statistics *)json_loadb(text, text_len, 0, NULL);
}

void kafka_statistics_free(struct kafka_statistics **statistics)
{
    json_decref(json_of(*statistics));
    *statistics = NULL;
}

/* -1: not told, as librdkafka itself says it of ids and offsets. */
static int64_t number_of(const json_t *object, const char *name)
{
    const json_t *number = json_object_get(object, name);

    return json_is_integer(number) ? json_integer_value(number) : -1;
}

static bool is_state(const json_t *broker, const char *state)
{
    const char *found = json_string_value(json_object_get(broker, "state"));

    return found != NULL && strcmp(found, state) == 0;
}

/* Real connections: "logical" ones (the group's coordinator) only carry commits. */
struct kafka_brokers kafka_statistics_brokers(const struct kafka_statistics *statistics)
{
    struct kafka_brokers brokers = {0};
    const char *name;
    json_t *broker;

    json_object_foreach(json_object_get(json_of(statistics), "brokers"), name, broker)
    {
        const char *kind = json_string_value(json_object_get(broker, "source"));
        if (number_of(broker, "nodeid") < 0 || kind == NULL || strcmp(kind, "logical") == 0)
            continue;
        int64_t disconnects = number_of(broker, "disconnects");
        brokers.disconnects += disconnects > 0 ? disconnects : 0;
        brokers.is_up = brokers.is_up || is_state(broker, "UP") || is_state(broker, "UPDATE");
    }
    return brokers;
}

static bool is_broker_fresh(json_t *brokers, int64_t id)
{
    const char *name;
    json_t *broker;

    if (id < 0)
        return false; /* nobody leads the partition; brokers that aren't asked yet who they are have such ids */
    json_object_foreach(brokers, name, broker)
    {
        int64_t idle_us = number_of(broker, "rxidle");
        if (number_of(broker, "nodeid") == id && is_state(broker, "UP") && idle_us >= 0 && idle_us < FRESH_MS * 1000)
            return true;
    }
    return false;
}

void kafka_statistics_ends(const struct kafka_statistics *statistics, const char *topic,
                           void (*visit)(void *self, const struct kafka_log_end *end), void *self)
{
    json_t *brokers = json_object_get(json_of(statistics), "brokers");
    const json_t *told = json_object_get(json_object_get(json_of(statistics), "topics"), topic);
    const char *name;
    json_t *partition;

    json_object_foreach(json_object_get(told, "partitions"), name, partition)
    {
        const struct kafka_log_end end = {
            .partition = (int32_t)number_of(partition, "partition"),
            .offset = number_of(partition, "ls_offset"),
            .is_fresh = is_broker_fresh(brokers, number_of(partition, "broker")),
        };
        visit(self, &end);
    }
}
