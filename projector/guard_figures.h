/* projector/guard_figures.h - how a generation answers, out of the /metrics of all query servers that serve it.
 *
 * The names are those of query/query_metrics.h: counters per generation, and a histogram of how long answers took. What
 * counts is what was added since the watch began; a counter that went back is a server that was started again. Pure. */
#ifndef TARN_PROJECTOR_GUARD_FIGURES_H
#define TARN_PROJECTOR_GUARD_FIGURES_H

#include "schema/base/span.h"

enum { GUARD_BUCKETS_MAX = 64 };

/* Counts of one generation; of one server, or added up. */
struct guard_figures {
    double answers;
    double server_errors; /* 5xx */
    double client_errors; /* 4xx: views that aren't there are among them */
    size_t bucket_count;
    double bounds[GUARD_BUCKETS_MAX]; /* seconds, ascending */
    double counts[GUARD_BUCKETS_MAX]; /* answers that took no longer */
    double timed;                     /* answers whose time was taken */
};

/* What the page says of the generation; zeros when it doesn't know it. */
void guard_figures_read(struct span page, const char *generation, struct guard_figures *ret_figures);

/* Adds to *sum what `now` has more than `before`, both of the same server. */
void guard_figures_add_growth(struct guard_figures *sum, const struct guard_figures *before,
                              const struct guard_figures *now);

/* Seconds below which this part (0.99) of the answers stayed, as Prometheus' histogram_quantile() has it; beyond the
 * last bound it is that bound. 0: none were timed. */
double guard_figures_quantile(const struct guard_figures *figures, double part);

#endif
