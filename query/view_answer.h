/* query/view_answer.h - GET and HEAD /v1/{view}/{key}[/{key}…]: one view by its whole key. */
#ifndef TARN_QUERY_VIEW_ANSWER_H
#define TARN_QUERY_VIEW_ANSWER_H

#include "query/loop.h"

enum http_outcome view_answer(struct query_loop *loop, const struct http_request *request, struct http_wait *wait,
                              struct http_answer *answer);

/* Whether a request that waits for a position would wait on: see http_server_options.still_waits. */
bool view_answer_still_waits(struct query_loop *loop, const struct http_wait *wait);

#endif
