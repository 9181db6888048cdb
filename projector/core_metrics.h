/* projector/core_metrics.h - what the materializers of all generations count, for /metrics. The loop prints this table beside its own. */
#ifndef TARN_PROJECTOR_CORE_METRICS_H
#define TARN_PROJECTOR_CORE_METRICS_H

#include "ops/runtime/metrics.h"

extern const struct metric core_metrics[];
extern const size_t core_metric_count;

/* The values behind the table. */
extern struct core_counters {
    _Atomic int64_t records;         /* handled, whatever came of them */
    _Atomic int64_t applied;
    _Atomic int64_t replayed;        /* the store had them already */
    _Atomic int64_t skipped_type;    /* no handler names the type */
    _Atomic int64_t skipped_null;    /* a null value without a tombstone handler */
    _Atomic int64_t skipped_duplicate; /* its id was handled already */
    _Atomic int64_t skipped_reused;    /* likewise, but it holds something else */
    _Atomic int64_t skipped_dropped; /* someone decided to drop it */
    _Atomic int64_t erased;          /* for an erased key */
    _Atomic int64_t parked;          /* since the start */
    _Atomic int64_t parked_now;
    _Atomic int64_t erasures;
    _Atomic int64_t commits;
    _Atomic int64_t commit_failures;
    _Atomic int64_t rows_written;
    _Atomic int64_t cache_bytes;
    _Atomic int64_t cache_dirty_bytes;
    _Atomic int64_t cache_rows;
    _Atomic int64_t cache_evictions;
    _Atomic int64_t known_ids;
    _Atomic int64_t known_ids_bytes;
    _Atomic int64_t store_reads;     /* cache misses */
    _Atomic int64_t is_stalled;
    _Atomic int64_t is_catching_up;
} core_counters;

extern struct metric_histogram core_commit_seconds;

#endif
