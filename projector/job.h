/* projector/job.h - what one commit brings: the rows that some owner ranges changed, and the positions up to which those
 * ranges are complete with them. Frozen by the main thread, written by the flusher, taken in by the main thread. */
#ifndef TARN_PROJECTOR_JOB_H
#define TARN_PROJECTOR_JOB_H

#include "projector/cache.h"
#include "projector/positions.h"

enum { ALL_RANGES = (1 << RANGE_COUNT) - 1 };

/* What a commit brings beside rows. */
struct job_position {
    struct partition *partition; /* the main thread's; not looked at by the flusher */
    uint16_t topic;
    int32_t number;
    unsigned range;
    struct position position;
};

struct job_partition {
    struct partition *partition; /* as above */
    uint16_t topic;
    int32_t number;
    struct partition_row row;
};

struct job {
    uint64_t number;   /* from 1 */
    uint32_t ranges;   /* a bit each */
    struct cache_frozen_list rows[RANGE_COUNT]; /* of each range */
    struct job_position *positions;
    size_t position_count, position_capacity;
    struct job_partition *partitions;
    size_t partition_count, partition_capacity;
    bool is_durable;   /* on the disk before it counts as done: somebody waits to hear that it is, or it is large */
    bool is_sorted;    /* tried before */
    /* the outcome */
    int rc;
    struct err err;
    int64_t took_us;
};

/* Freezes what the ranges have changed, each in its cache. The job is empty: zeroed, or finished. */
void job_freeze(struct job *job, uint32_t ranges, struct cache *const caches[RANGE_COUNT],
                struct positions *positions);

/* The job is committed, and the main thread's next look at the store sees it: its rows are clean, its positions stored. */
void job_finish(struct job *job, struct cache *const caches[RANGE_COUNT], struct positions *positions);

/* Lets go of the rows, written or not: only for a cache that goes too. */
void job_release(struct job *job, struct cache *const caches[RANGE_COUNT]);

size_t job_row_count(const struct job *job);

#endif
