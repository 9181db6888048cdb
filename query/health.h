/* query/health.h - /healthz: the process turns its loops; /readyz: its answers are worth asking for. */
#ifndef TARN_QUERY_HEALTH_H
#define TARN_QUERY_HEALTH_H

#include "query/loop.h"

enum http_outcome health_answer_alive(struct query_loop *loop, const struct http_request *request,
                                      struct http_wait *wait, struct http_answer *answer);
enum http_outcome health_answer_ready(struct query_loop *loop, const struct http_request *request,
                                      struct http_wait *wait, struct http_answer *answer);

#endif
