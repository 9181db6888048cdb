/* projector/crew.h - a few threads that do one thing together and then wait for the next: fork and join.
 *
 * The caller is one of them, so that a crew of one has no thread of its own. */
#ifndef TARN_PROJECTOR_CREW_H
#define TARN_PROJECTOR_CREW_H

#include "schema/base/compiler.h"
#include "schema/base/err.h"

struct crew;

/* number: 0 is the caller's own part, the others are the threads'; always the same thread has the same number. */
typedef void crew_work_fn(void *self, unsigned number);

/* count: with the caller, at least 1. */
MUST_CHECK int crew_open(unsigned count, struct crew **ret_crew, struct err *err);
void crew_close(struct crew **crew);

/* Calls work once with each number and returns when all have; what they wrote is seen by the caller, and what the caller
 * wrote before by them. From one thread at a time. */
void crew_run(struct crew *crew, crew_work_fn *work, void *self);

#endif
