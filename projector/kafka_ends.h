/* projector/kafka_ends.h - where the logs of some topics end now, asked and waited for. */
#ifndef TARN_PROJECTOR_KAFKA_ENDS_H
#define TARN_PROJECTOR_KAFKA_ENDS_H

#include "projector/kafka_client.h"

struct kafka_ends;

struct log_end {
    uint16_t topic; /* its place in the list */
    int32_t partition;
    int64_t end_offset; /* the next offset that a record would get */
};

/* The topics must outlive it. Connects to nothing yet. */
MUST_CHECK int kafka_ends_open(const struct kafka_settings *settings, char *const *topics, size_t topic_count,
                               struct kafka_ends **ret_ends, struct err *err);
void kafka_ends_close(struct kafka_ends **ends);

/* All partitions of all topics; the list is the caller's to free. ERR_AGAIN: Kafka doesn't answer. */
MUST_CHECK int kafka_ends_ask(struct kafka_ends *ends, struct log_end **ret_list, size_t *ret_count, struct err *err);

#endif
