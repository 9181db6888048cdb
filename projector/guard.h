/* projector/guard.h - whether a candidate that has a share of the traffic answers well enough to have all of it. Pure.
 *
 *     error-rate=0.1%  of its answers, at most that part are errors: 5xx, and those 4xx that it has beyond the incumbent's
 *                      rate by more than chance explains (views that it lacks)
 *     p99=2x           its 99th percentile is at most so many times the incumbent's
 *     p99=50ms         or at most so long */
#ifndef TARN_PROJECTOR_GUARD_H
#define TARN_PROJECTOR_GUARD_H

#include "ops/runtime/config.h"
#include "projector/guard_figures.h"
#include "schema/base/buf.h"

enum { GUARD_ANSWERS_LEAST = 100 }; /* fewer answers are no evidence for a percentile, nor to end the watch early */

struct guard_limits {
    double error_rate; /* 0.001; below 0: not asked for */
    double p99_factor; /* 0: not asked for */
    double p99_s;      /* 0: not asked for */
};

/* Each item is `error-rate=P%`, `p99=Nx`, or `p99=Nms|Ns`. ERR_INPUT names the one that isn't understood. */
MUST_CHECK int guard_limits_parse(const struct config_list *items, struct guard_limits *ret_limits, struct err *err);

double guard_error_rate(const struct guard_figures *candidate, const struct guard_figures *incumbent);

/* False: a limit is passed; *why (appended) says which, with both figures. */
bool guard_is_well(const struct guard_limits *limits, const struct guard_figures *candidate,
                   const struct guard_figures *incumbent, struct buf *why);

#endif
