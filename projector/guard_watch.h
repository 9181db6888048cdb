/* projector/guard_watch.h - watches how a candidate answers while it has its share, and says how that ended.
 *
 * It keeps nothing: the share stands in DIR/serving, with the time since when, so a watch that was killed is taken up by
 * the same command again, and --for counts from when the share was given. */
#ifndef TARN_PROJECTOR_GUARD_WATCH_H
#define TARN_PROJECTOR_GUARD_WATCH_H

#include "projector/guard.h"
#include "schema/base/clock.h"
#include "schema/store/serving.h"

struct guard_watch {
    const char *directory;
    const char *generation;        /* the candidate */
    const struct config_list *urls; /* of /metrics, one for each query server */
    struct guard_limits limits;
    int64_t for_ms;
};

/* Fetches a page; http_fetch() outside of tests. */
typedef int guard_fetch_fn(void *self, const char *url, struct buf *page, struct err *err);

/* What the watch needs of the world. */
struct guard_world {
    const struct clock_port *clock;
    guard_fetch_fn *fetch;
    void (*wait_ms)(void *self, int64_t ms);
    void *self;
};

extern const struct guard_world guard_world_system;

/* Returns when it is decided: *ret_is_well, and why (appended). ERR_INPUT: the shares were changed by somebody else
 * meanwhile, so there is nothing to decide any more. */
MUST_CHECK int guard_watch(const struct guard_watch *watch, const struct guard_world *world, bool *ret_is_well,
                           struct buf *why, struct err *err);

#endif
