/* projector/keeper.h - which partitions are read, from when on, and when one must not be read any more.
 *
 * A partition is read only while its log has been recognized (fingerprint.h): at the start, again after a connection
 * was lost or Kafka complained about it, and every few seconds while it is read. A log that isn't the one that was
 * read stops its partition and no other.
 *
 * Partitions that a topic has when it is seen for the first time are read from the log's start (or from where
 * the generation was told to begin), all at once. One that
 * appears later begins only when each partition before it has passed the end it had then (its gate, in the store as
 * start_after): the records of a key that moved to the new partition come after those in the old one. The gates hold
 * across restarts, also for partitions that had begun, as some owner ranges may be replayed from before the gate. */
#ifndef TARN_PROJECTOR_KEEPER_H
#define TARN_PROJECTOR_KEEPER_H

#include "ops/runtime/log.h"
#include "projector/log_watch.h"
#include "projector/positions.h"
#include "projector/record_source.h"
#include "schema/base/clock.h"
#include "schema/store/generation_start.h"

struct keeper;

struct keeper_options {
    struct positions *positions; /* loaded; outlives it */
    char *const *topics;         /* by number */
    size_t topic_count;
    struct record_source source;
    struct log_watch watch;
    const struct clock_port *clock;
    const struct generation_start *start; /* where topics that were never read begin; NULL: at their logs' starts */
    /* One sentence per change of state, for the log. */
    void (*say)(void *self, enum log_level level, const char *sentence);
    void *self;
};

struct keeper *keeper_new(const struct keeper_options *options);
void keeper_free(struct keeper **keeper);

/* Looks at what Kafka has answered, asks what is to be asked, assigns and drops. Once per turn of the loop, with no
 * records in hand; never waits. ERR_INPUT: a topic has more partitions than this version reads. */
MUST_CHECK int keeper_turn(struct keeper *keeper, struct err *err);

/* Kafka complained about a partition: it isn't read until its log was recognized again. */
enum complaint {
    COMPLAINT_LOG,   /* the offset or the topic isn't there: the answer is in the log */
    COMPLAINT_OTHER, /* text says what */
};
void keeper_complain(struct keeper *keeper, uint16_t topic, int32_t partition, enum complaint complaint,
                     const char *text);

/* The source has given records that weren't taken: it is assigned again where the position stands. */
void keeper_read_again(struct keeper *keeper, uint16_t topic, int32_t partition);

/* A connection was lost: no log is known any more. */
void keeper_doubt_all(struct keeper *keeper);

/* An answer is awaited: the next turn should come soon. */
bool keeper_is_asking(const struct keeper *keeper);

/* Every topic is there, and each partition is read, waits behind the older ones, or is stopped. */
bool keeper_is_settled(const struct keeper *keeper);

/* NULL, or one sentence: what keeps a partition or a topic from being read. Lives until the next turn. */
const char *keeper_problem(const struct keeper *keeper);

#endif
