/* query/negotiation.h - which representation of a view a client wants (RFC 9110 12.5.1), and which it has already
 * (13.1.2). */
#ifndef TARN_QUERY_NEGOTIATION_H
#define TARN_QUERY_NEGOTIATION_H

#include <stdbool.h>

#include "schema/base/span.h"

enum representation {
    REPRESENTATION_JSON,
    REPRESENTATION_PROTOBUF,
    REPRESENTATION_EVENT_STREAM, /* not served yet; known so that it can be refused by name */
    REPRESENTATION_NONE,         /* 406 */
};

extern const char *const representation_types[REPRESENTATION_NONE]; /* "application/json" */

/* From the value of Accept; empty stands for anything. JSON wins among equals. */
enum representation negotiate(struct span accept);

/* Whether If-None-Match names this strong entity tag (with its quotes), weakly compared. */
bool etag_matches(struct span if_none_match, struct span etag);

#endif
