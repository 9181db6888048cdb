/* projector/kafka_conf.h - librdkafka's settings: set one by one, and from --kafka. No message tells a value: it may be a
 * secret. */
#ifndef TARN_PROJECTOR_KAFKA_CONF_H
#define TARN_PROJECTOR_KAFKA_CONF_H

#include <librdkafka/rdkafka.h>

#include "ops/runtime/config.h"
#include "schema/base/err.h"

/* A setting that --kafka may not change. */
struct kafka_fixed {
    const char *name;
    const char *why;
};

/* origin: put before the name in messages, "--kafka " or "". ERR_INPUT: librdkafka doesn't know it, or refuses the value. */
MUST_CHECK int kafka_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value, const char *origin,
                              struct err *err);

/* --kafka NAME=VALUE, as given; NULL: none. ERR_INPUT too: no pair, or a setting that is fixed. */
MUST_CHECK int kafka_conf_extra(rd_kafka_conf_t *conf, const struct config_list *extra,
                                const struct kafka_fixed *fixed, size_t fixed_count, struct err *err);

/* Kafka's own lines are for --log-level debug: what an operator needs is told once by whoever uses the client. */
void kafka_conf_log(const rd_kafka_t *client, int level, const char *facility, const char *text);

#endif
