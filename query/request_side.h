/* query/request_side.h - which of the served generations a request belongs to. */
#ifndef TARN_QUERY_REQUEST_SIDE_H
#define TARN_QUERY_REQUEST_SIDE_H

#include "query/loop.h"

/* Of a request for /v1/{view}/{first key field}…: the side of the owner whom the URL names, so that a person stays with
 * one generation, whatever screen is opened and whatever server answers. Everything else, what can't be read included,
 * is the incumbent's. The loop has a generation. */
size_t request_side(struct query_loop *loop, const struct http_request *request);

#endif
