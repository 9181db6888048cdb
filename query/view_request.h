/* query/view_request.h - what a request about a view asks for, by its URL and its header fields. */
#ifndef TARN_QUERY_VIEW_REQUEST_H
#define TARN_QUERY_VIEW_REQUEST_H

#include "query/at_least.h"
#include "query/loop.h"
#include "query/negotiation.h"

/* Lives as long as the request's arena. */
struct view_request {
    const struct served_view *view;
    const struct field_selection *fields; /* NULL: everything */
    struct at_least at_least;
    enum representation representation; /* JSON or protobuf */
    struct span if_none_match;
};

/* Reads it for the chosen generation; the view's key and its owner are left in the loop's buffers. False: it asks for
 * what isn't there or can't be understood, and has been answered. */
MUST_CHECK bool view_request_read(struct query_loop *loop, const struct http_request *request,
                                  struct view_request *ret_request, struct http_answer *answer);

#endif
