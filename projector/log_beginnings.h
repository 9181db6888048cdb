/* projector/log_beginnings.h - whether Kafka still has what a rebuild wants to read from its beginning on. */
#ifndef TARN_PROJECTOR_LOG_BEGINNINGS_H
#define TARN_PROJECTOR_LOG_BEGINNINGS_H

#include "projector/kafka_client.h"
#include "projector/log_watch.h"

struct log_beginning {
    uint16_t topic; /* its place in the topics */
    int32_t partition;
    int64_t earliest; /* the first offset that Kafka still has */
};

struct log_beginnings {
    struct log_beginning *items;
    size_t count;
};

/* Asks Kafka about all partitions of the topics, for at most timeout_ms. ERR_AGAIN: it didn't answer in time;
 * ERR_INPUT: there is no such topic, or a wrong setting. */
MUST_CHECK int log_beginnings_ask(const struct kafka_settings *settings, char *const *topics, size_t topic_count,
                                  int64_t timeout_ms, struct log_beginnings *ret_beginnings, struct err *err);
/* The same of a watch that is open, for tests. */
MUST_CHECK int log_beginnings_watch(const struct log_watch *watch, char *const *topics, size_t topic_count,
                                    int64_t timeout_ms, struct log_beginnings *ret_beginnings, struct err *err);
void log_beginnings_release(struct log_beginnings *beginnings);

#endif
