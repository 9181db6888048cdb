/* projector/change_worker.h - a change of the set of generations on a thread of its own: copying a large one takes minutes,
 * in which the supervisor obeys a stop, answers probes and takes other requests. */
#ifndef TARN_PROJECTOR_CHANGE_WORKER_H
#define TARN_PROJECTOR_CHANGE_WORKER_H

#include "projector/follower_set.h"
#include "projector/generation_change.h"

struct change_worker;

enum { CHANGE_BORROWS_MAX = 2 };

/* Returns once the change has chosen what it takes over, and from whom: `serving` may change from then on. The stores of
 * the named generations are borrowed: their followers aren't closed meanwhile (follower_set_borrow). arguments is borrowed,
 * and nobody else's, until change_worker_take(). */
MUST_CHECK int change_worker_start(struct follower_set *followers, change_fn *change, const json_t *arguments,
                                   const char *const names[CHANGE_BORROWS_MAX], struct change_worker **ret_worker,
                                   struct err *err);
bool change_worker_is_done(const struct change_worker *worker);
/* What the change returned; ends the worker, which is done. */
MUST_CHECK int change_worker_take(struct change_worker **worker, json_t **ret_outcome, struct err *err);

#endif
