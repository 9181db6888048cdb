/* projector/announcer_kafka.h - the port `announce_sink` on Kafka: an idempotent producer to one topic. */
#ifndef TARN_PROJECTOR_ANNOUNCER_KAFKA_H
#define TARN_PROJECTOR_ANNOUNCER_KAFKA_H

#include "ops/runtime/config.h"
#include "projector/announcer.h"

struct announcer_kafka;

struct announcer_kafka_settings {
    const char *brokers;
    const char *topic;
    const struct config_list *extra; /* --kafka NAME=VALUE, as given; NULL: none */
};

/* No broker needs to be there. ERR_INPUT: a setting that is malformed, unknown, wrong or ours. */
MUST_CHECK int announcer_kafka_open(const struct announcer_kafka_settings *settings, struct announcer_kafka **ret_kafka,
                                    struct err *err);
/* What isn't acknowledged is left alone. */
void announcer_kafka_close(struct announcer_kafka **kafka);

/* Lives as long as the client. */
const struct announce_sink *announcer_kafka_sink(struct announcer_kafka *kafka);

#endif
