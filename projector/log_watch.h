/* projector/log_watch.h - questions about logs, answered beside the reading of them: a port with two implementations,
 * Kafka (kafka_watch.c) and a scripted one for tests. No call waits. */
#ifndef TARN_PROJECTOR_LOG_WATCH_H
#define TARN_PROJECTOR_LOG_WATCH_H

#include "projector/fingerprint.h"

/* A topic as Kafka last told it. */
struct watched_topic {
    bool is_known;           /* Kafka has answered at least once */
    int32_t partition_count; /* 0: there is no such topic */
    char trouble[160];       /* "", or why the last answer is an old one, or none */
};

/* A question about one partition's log, and its answer. */
struct log_check {
    uint16_t topic;
    int32_t partition;
    int64_t anchor_offset; /* of the record to be read again; -1: none */
    int64_t time_ms;       /* > 0: asks for the offset of the first record of this time or later, too */
    uint64_t ticket;       /* the asker's own */

    bool is_answered; /* false: Kafka didn't answer; ask again */
    struct log_facts facts;
    int64_t time_offset; /* the end, when all records are older */
    char trouble[160];
};

enum { LOG_CHECKS_MAX = 1024 }; /* at once; no topic may have more partitions */

struct log_watch {
    void (*topic)(void *self, uint16_t topic, struct watched_topic *ret_topic);
    /* False: busy with the questions before; they are copied otherwise. At most LOG_CHECKS_MAX. */
    bool (*ask)(void *self, const struct log_check *checks, size_t count);
    /* The answers, all at once and each once; false: not yet. checks has room for LOG_CHECKS_MAX. */
    bool (*answer)(void *self, struct log_check *checks, size_t *ret_count);
    void *self;
};

#endif
