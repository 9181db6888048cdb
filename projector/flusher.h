/* projector/flusher.h - the thread that owns the store's writer: takes one job, sorts, writes, commits, says so.
 *
 * One job at a time. The job belongs to the flusher between flusher_start() and the flusher_finished() that hands it
 * back. */
#ifndef TARN_PROJECTOR_FLUSHER_H
#define TARN_PROJECTOR_FLUSHER_H

#include "projector/cache.h"
#include "projector/positions.h"
#include "schema/base/clock.h"

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
    struct cache_frozen_list rows;
    struct job_position *positions;
    size_t position_count, position_capacity;
    struct job_partition *partitions;
    size_t partition_count, partition_capacity;
    bool is_sorted;    /* tried before */
    /* the outcome */
    int rc;
    struct err err;
    int64_t took_us;
};

struct flusher;

MUST_CHECK int flusher_open(struct store *store, const struct clock_port *clock, struct flusher **ret_flusher,
                            struct err *err);

/* Gives up the job in flight unless its commit has begun, ends the thread. */
void flusher_close(struct flusher **flusher);

bool flusher_is_busy(struct flusher *flusher);

/* Not while it is busy. */
void flusher_start(struct flusher *flusher, struct job *job);

/* The job that has ended, with its outcome, or NULL. */
struct job *flusher_finished(struct flusher *flusher);

/* Readable while a job has ended and hasn't been taken back. */
int flusher_event_fd(const struct flusher *flusher);

#endif
