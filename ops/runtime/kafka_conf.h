/* ops/runtime/kafka_conf.h - a Kafka client's settings in three layers: our defaults, --kafka, and what is ours alone,
 * as its brokers are with every client.
 *
 * What is ours is refused in --kafka by name, with the reason: a setting that would silently break exactness must not be
 * settable by accident, and an ignored one would be a lie. No message tells a value: it may be a secret. */
#ifndef TARN_RUNTIME_KAFKA_CONF_H
#define TARN_RUNTIME_KAFKA_CONF_H

#include <librdkafka/rdkafka.h>

#include "ops/runtime/config.h"
#include "schema/base/compiler.h"
#include "schema/base/err.h"

enum kafka_layer {
    KAFKA_DEFAULT, /* --kafka may say otherwise */
    KAFKA_OURS,    /* refused in --kafka */
};

struct kafka_setting {
    const char *name;
    const char *value; /* NULL: left alone, or set by the caller */
    enum kafka_layer layer;
    const char *why; /* of KAFKA_OURS */
};

/* All three layers: the settings, and --kafka NAME=VALUE as given (NULL: none) between them. brokers: --brokers; NULL:
 * none, as the settings are only looked at. Kafka's own lines go to the log of level debug: what an operator needs is told
 * once by whoever uses the client. The caller gives the conf to rd_kafka_new(), or destroys it.
 * ERR_INPUT: librdkafka doesn't know a setting or refuses its value, `extra` has no pair, or one that is ours. */
MUST_CHECK int kafka_conf_new(const struct kafka_setting *settings, size_t count, const char *brokers,
                              const struct config_list *extra, rd_kafka_conf_t **ret_conf, struct err *err);

/* origin: put before the name in messages, "--brokers: " or "". ERR_INPUT as above. */
MUST_CHECK int kafka_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value, const char *origin,
                              struct err *err);

#endif
