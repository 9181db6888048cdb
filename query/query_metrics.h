/* query/query_metrics.h - /metrics: what the query server counts.
 *
 * Of each generation that this process has served, the newest SERVED_FIGURES_MAX by name (so a rollback's reasons can
 * still be read, and a name's counters don't begin again when it comes back):
 *
 *     tarn_query_generation_answers_total{generation="7f3a9c-2",class="5xx"}   answers about keys, by class of status:
 *                                                                              2xx, 3xx, 4xx, 5xx; together: requests
 *     tarn_query_generation_answer_seconds_bucket{generation="…",le="0.0001"}  _sum, _count: from the turn of the loop
 *                                                                              that read the request to its answer
 *     tarn_query_generation_views_absent_total{generation="…"}                 of the 4xx, keys without a view
 *     tarn_query_generation_views_incomplete_total{generation="…"}             answers about keys with parked events
 *     tarn_query_generation_share_percent{generation="…"}                      of the traffic now; 0: no longer served
 *     tarn_query_generation_age_seconds{generation="…"}                        while it is served: since it last knew
 *                                                                              itself caught up
 *
 * Whoever compares two generations takes the differences of two scrapes. */
#ifndef TARN_QUERY_QUERY_METRICS_H
#define TARN_QUERY_QUERY_METRICS_H

#include "query/loop.h"

void query_metrics_print(struct query_loop *loop, struct buf *out);

#endif
