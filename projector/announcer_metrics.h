/* projector/announcer_metrics.h - what the announcer counts, for /metrics. */
#ifndef TARN_PROJECTOR_ANNOUNCER_METRICS_H
#define TARN_PROJECTOR_ANNOUNCER_METRICS_H

#include "ops/runtime/metrics.h"

extern const struct metric announcer_metrics[];
extern const size_t announcer_metric_count;

/* The values behind the table. */
extern struct announcer_counters {
    _Atomic int64_t published; /* acknowledged */
    _Atomic int64_t given_up;
    _Atomic int64_t erased; /* left out */
    _Atomic int64_t pending;
    _Atomic int64_t oldest_ms;
} announcer_counters;

extern struct metric_histogram announcer_seconds;

#endif
