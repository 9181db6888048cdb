/* projector/kafka_source.h - records from Kafka: the record_source that `run` uses.
 *
 * Partitions are assigned one by one at offsets that the caller knows from the store; no consumer group is joined. The
 * source goes on trying by itself while brokers are away; what it can't mend by itself (an offset that isn't there, a
 * topic that is gone) is told as a trouble, and the partition stays quiet until it is assigned again.
 *
 * A partition's end comes as a record with is_partition_end when it is reached, and again twice a second for as long
 * as Kafka is heard and nothing is behind it: that is how the store knows that it is still caught up. All of one
 * thread. */
#ifndef TARN_PROJECTOR_KAFKA_SOURCE_H
#define TARN_PROJECTOR_KAFKA_SOURCE_H

#include "projector/kafka_client.h"
#include "projector/record_source.h"

struct kafka_source;

/* The topics' numbers are their places; they must outlive the source. */
MUST_CHECK int kafka_source_open(const struct kafka_settings *settings, char *const *topics, size_t topic_count,
                                 struct kafka_source **ret_source, struct err *err);
void kafka_source_close(struct kafka_source **source);

struct record_source kafka_source_port(struct kafka_source *source);

/* Readable (poll) when there may be records: for a caller that waits for other things too, and then polls with wait_ms 0. */
int kafka_source_event_fd(const struct kafka_source *source);

enum trouble_kind {
    TROUBLE_OFFSET, /* Kafka doesn't have the offset that was asked for */
    TROUBLE_TOPIC,  /* the topic or the partition isn't there (any more) */
    TROUBLE_OTHER,  /* not allowed, damaged records, ... */
};

struct partition_trouble {
    uint16_t topic;
    int32_t partition;
    enum trouble_kind kind;
    char text[200];
};

/* Takes one; false: there is none. */
bool kafka_source_take_trouble(struct kafka_source *source, struct partition_trouble *ret_trouble);

/* How Kafka is heard. */
struct kafka_link {
    bool is_up;       /* a broker answers */
    unsigned losses;  /* grows whenever a connection was lost: logs may have been rewritten behind it */
    int64_t errors;   /* told by librdkafka since the start */
    char reason[200]; /* the last error, while it isn't up */
};
const struct kafka_link *kafka_source_link(const struct kafka_source *source);

/* Tells Kafka's own tools how far we are: without waiting, and without consequence when it fails. */
struct kafka_offset {
    uint16_t topic;
    int32_t partition;
    int64_t next_offset;
};
void kafka_source_commit(struct kafka_source *source, const struct kafka_offset *offsets, size_t count);

#endif
