/* tests/unit/fake_logs.h - Kafka's logs as the keeper sees them: a log_watch that answers from a script, and a record
 * source that notes what it is told. A record's hash follows from its offset and the log's incarnation, so that a topic
 * that is made again has other records at the same offsets. */
#ifndef TARN_TESTS_FAKE_LOGS_H
#define TARN_TESTS_FAKE_LOGS_H

#include "projector/log_watch.h"
#include "projector/record_source.h"
#include "schema/base/clock.h"

enum { FAKE_TOPICS = 2, FAKE_PARTITIONS = 6 };

struct fake_log {
    int64_t start, end;
    uint64_t incarnation;
    int64_t compacted_offset; /* nothing stands there; -1: none */
    bool is_assigned;
    int64_t assigned_at;
    int assigns, drops;
};

struct fake_logs {
    struct fake_log logs[FAKE_TOPICS][FAKE_PARTITIONS];
    int32_t partition_counts[FAKE_TOPICS];
    bool is_silent; /* Kafka is away */
    int64_t now_us;
    struct log_check checks[LOG_CHECKS_MAX];
    size_t check_count;
    bool is_asked;
    size_t questions;
};

void fake_logs_init(struct fake_logs *logs);
struct log_watch fake_logs_watch(struct fake_logs *logs);
struct record_source fake_logs_source(struct fake_logs *logs);
struct clock_port fake_logs_clock(struct fake_logs *logs);

/* What stands at an offset of a log of that incarnation. */
struct anchor fake_logs_record(uint64_t incarnation, int64_t offset);

#endif
