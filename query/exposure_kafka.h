/* query/exposure_kafka.h - exposures to a topic: the one place of the query server that knows Kafka. */
#ifndef TARN_QUERY_EXPOSURE_KAFKA_H
#define TARN_QUERY_EXPOSURE_KAFKA_H

#include "ops/runtime/config.h"
#include "query/exposure.h"

struct exposure_kafka_settings {
    const char *topic;
    const char *brokers;
    const struct config_list *extra; /* --kafka NAME=VALUE, as given */
};

struct exposure_kafka;

/* No broker needs to be there. ERR_INPUT: a wrong setting; named, its value never. Tells `told` with `told_self`. */
MUST_CHECK int exposure_kafka_open(const struct exposure_kafka_settings *settings, exposure_told_fn *told,
                                   void *told_self, struct exposure_kafka **ret_kafka, struct err *err);
void exposure_kafka_close(struct exposure_kafka **kafka);

struct exposure_port exposure_kafka_port(struct exposure_kafka *kafka);

#endif
