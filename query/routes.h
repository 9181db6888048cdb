/* query/routes.h - which path is answered by whom, on which listener. */
#ifndef TARN_QUERY_ROUTES_H
#define TARN_QUERY_ROUTES_H

#include "query/loop.h"

/* An http_handler_fn; loop_state is a struct query_loop. */
enum http_outcome routes_answer(void *loop_state, const struct http_request *request, struct http_wait *wait,
                                struct http_answer *answer);

#endif
