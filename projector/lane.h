/* projector/lane.h - one thread's share of the fold: some of the owner ranges, and all that belongs to their owners.
 *
 * A record's key is the owner of everything the record can reach (views, marks, parked events), and the owner's hash gives
 * its range. So lanes have nothing in common but what none of them changes: each has its own cache, its own look at the
 * store, its own marks, parked events and ids, its own memory to project in. A lane handles its records in the order of
 * the batch; which lane is ahead of which makes no difference to any owner. */
#ifndef TARN_PROJECTOR_LANE_H
#define TARN_PROJECTOR_LANE_H

#include <pthread.h>

#include "projector/applier.h"
#include "projector/materializer.h"

/* What is counted per batch rather than per record: an atomic addition costs as much as a table look-up. */
enum { TALLY_REPLAYED = OUTCOME_COUNT, TALLY_DROPPED, TALLY_RECORDS, TALLY_COUNT };

/* A record on its way into its lane. */
struct routed {
    const struct record *record;
    struct partition *partition;
    uint64_t unit_hash;
    size_t index; /* in the batch */
};

/* A partition stops at this record: it would have to be parked, and there are too many. */
struct refusal {
    struct partition *partition;
    size_t index;
};

/* What all lanes read and none changes during a batch. */
struct lane_surroundings {
    const struct materializer_options *options;
    const struct intake *intake;
    struct dropped *dropped; /* NULL: no decisions */
    pthread_mutex_t listener_lock;
};

struct lane {
    struct lane_surroundings *surroundings;
    uint32_t ranges; /* a bit each */
    struct rows rows;
    struct erasures erasures;
    struct parked_units parked;
    struct dedupe dedupe;
    struct applier applier;

    /* the batch at hand */
    struct routed *records;
    size_t count, capacity;
    size_t next;       /* of records: the first that it hasn't come to */
    bool is_in_flight; /* a job is being written: waiting may make room */
    /* what came of it */
    size_t stop; /* index of its first record that isn't handled, the cache being full; SIZE_MAX: none */
    struct refusal *refusals;
    size_t refusal_count, refusal_capacity;
    int64_t tally[TALLY_COUNT];
    int rc;
    struct err err;
};

MUST_CHECK int lane_open(struct lane_surroundings *surroundings, struct positions *positions, uint32_t ranges,
                         size_t memory_bytes, struct lane **ret_lane, struct err *err);
void lane_close(struct lane **lane);

/* Reads marks, parked events and ids of its owners; the positions are there. */
MUST_CHECK int lane_load(struct lane *lane, struct err *err);

/* An empty batch. */
void lane_begin(struct lane *lane, bool is_in_flight);
static inline bool lane_has(const struct lane *lane, unsigned range)
{
    return lane->ranges >> range & 1;
}
void lane_add(struct lane *lane, const struct routed *routed);

/* Handles what was added: on a thread of its own, or not. */
void lane_run(struct lane *lane);

/* Or record by record, while there is a next one. False: it can't go on, for want of room or with an error. */
bool lane_step(struct lane *lane);

/* The batch ends before the lane's next record, if there is one. */
void lane_stop(struct lane *lane);

/* The partition stops at that record. */
void lane_refuse(struct lane *lane, const struct routed *routed);

/* Whether the lane refused that record of the batch, or one before it of the same partition. */
bool lane_refused(const struct lane *lane, const struct partition *partition, size_t index);

#endif
