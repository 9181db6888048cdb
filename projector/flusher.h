/* projector/flusher.h - the thread that owns the store's writer: takes one job, sorts, writes, commits, says so. What isn't
 * durable by then another one brings to the disk (checkpointer.h).
 *
 * One job at a time. The job belongs to the flusher between flusher_start() and the flusher_finished() that hands it
 * back. */
#ifndef TARN_PROJECTOR_FLUSHER_H
#define TARN_PROJECTOR_FLUSHER_H

#include "projector/announcing.h"
#include "projector/job.h"
#include "schema/base/clock.h"

struct flusher;

/* announcing: NULL where nothing is announced. */
MUST_CHECK int flusher_open(struct store *store, struct announcing *announcing, const struct clock_port *clock,
                            struct flusher **ret_flusher, struct err *err);

/* Gives up the job in flight unless its commit has begun, ends the thread. */
void flusher_close(struct flusher **flusher);

/* Not while it has one. */
void flusher_start(struct flusher *flusher, struct job *job);

/* The job that has ended, with its outcome, or NULL. */
struct job *flusher_finished(struct flusher *flusher);

/* Readable while a job has ended and hasn't been taken back. */
int flusher_event_fd(const struct flusher *flusher);

#endif
