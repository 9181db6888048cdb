/* projector/kafka_statistics.h - what librdkafka's statistics say of brokers and of the ends of logs. */
#ifndef TARN_PROJECTOR_KAFKA_STATISTICS_H
#define TARN_PROJECTOR_KAFKA_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kafka_statistics;

/* text: the JSON of rd_kafka_conf_set_stats_cb(). What isn't in it, or not as expected, is as if it weren't known. */
struct kafka_statistics *kafka_statistics_read(const char *text, size_t text_len);
void kafka_statistics_free(struct kafka_statistics **statistics);

struct kafka_brokers {
    bool is_up;          /* one of them answers */
    int64_t disconnects; /* of all of them, since the client was made */
};
struct kafka_brokers kafka_statistics_brokers(const struct kafka_statistics *statistics);

struct kafka_log_end {
    int32_t partition;
    int64_t offset; /* the last stable one; negative: not known */
    bool is_fresh;  /* the partition's broker was heard from within a fetch's wait */
};
/* Calls visit for each partition of the topic that the client knows. */
void kafka_statistics_ends(const struct kafka_statistics *statistics, const char *topic,
                           void (*visit)(void *self, const struct kafka_log_end *end), void *self);

#endif
