/* ops/runtime/metrics.h - counters, gauges and histograms in Prometheus' text format.
 *
 * A program declares its metrics as one static table; values are relaxed atomics, so that any thread may count and the
 * admin listener may print at any moment. */
#ifndef TARN_RUNTIME_METRICS_H
#define TARN_RUNTIME_METRICS_H

#include <stdatomic.h>
#include <stdio.h>

#include "schema/base/buf.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* Seconds' upper bounds, ascending; +Inf is added. */
struct metric_histogram {
    const double *bounds;
    size_t bound_count;
    _Atomic uint64_t *counts; /* bound_count + 1, not cumulative */
    _Atomic uint64_t sum_us;
};

struct metric {
    const char *name;   /* "tarn_projector_records_total" */
    const char *labels; /* "topic=\"users\"", or NULL. Rows of the same name stand one behind the other */
    enum metric_kind kind;
    const char *help;
    _Atomic int64_t *value;
    struct metric_histogram *histogram;
    double scale; /* what a value is multiplied with when printed; 0 means 1 */
};

void metrics_print(const struct metric *metrics, size_t count, struct buf *out);

static inline void metric_add(_Atomic int64_t *value, int64_t more)
{
    atomic_fetch_add_explicit(value, more, memory_order_relaxed);
}

static inline void metric_set(_Atomic int64_t *value, int64_t now)
{
    atomic_store_explicit(value, now, memory_order_relaxed);
}

static inline int64_t metric_get(_Atomic int64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

void metric_observe_us(struct metric_histogram *histogram, int64_t us);
/* The place of an observation among the counts; bound_count: beyond all bounds. */
size_t metric_bucket_us(const double *bounds, size_t bound_count, int64_t us);

/* A label's value escaped as Prometheus wants it. */
void metrics_escape_label(struct span text, struct buf *out);

#endif
