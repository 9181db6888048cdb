/* projector/kafka_producer.h - the port `record_sink` on Kafka: an idempotent, transactional producer.
 *
 * All in-sync replicas acknowledge; keys go to partitions as Java's clients put them (murmur2); the transactional id
 * fences whoever had it before. Not shared between threads. */
#ifndef TARN_PROJECTOR_KAFKA_PRODUCER_H
#define TARN_PROJECTOR_KAFKA_PRODUCER_H

#include "ops/runtime/config.h"
#include "projector/record_sink.h"

struct kafka_producer;

struct kafka_producer_settings {
    const char *brokers;
    const char *transactional_id;
    const struct config_list *extra; /* --kafka NAME=VALUE, as given; NULL: none. Must outlive the producer */
};

/* Connects to nothing yet. ERR_INPUT: a setting that is malformed, unknown, wrong or ours; never tells its value. */
MUST_CHECK int kafka_producer_new(const struct kafka_producer_settings *settings, struct kafka_producer **ret_producer,
                                  struct err *err);
void kafka_producer_free(struct kafka_producer **producer);
struct record_sink kafka_producer_port(struct kafka_producer *producer);

#endif
