/* query/query_metrics.h - /metrics: what the query server counts. */
#ifndef TARN_QUERY_QUERY_METRICS_H
#define TARN_QUERY_QUERY_METRICS_H

#include "query/loop.h"

void query_metrics_print(struct query_loop *loop, struct buf *out);

#endif
