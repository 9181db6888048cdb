/* ops/runtime/url.h - percent-decoding of paths and queries. */
#ifndef TARN_RUNTIME_URL_H
#define TARN_RUNTIME_URL_H

#include <stdbool.h>

#include "schema/base/arena.h"
#include "schema/base/span.h"

/* Percent-decodes into the arena; false for a malformed escape. '+' stays as it is in paths, is a space in queries.
 * What has nothing to decode is handed back as it is. */
bool url_decode(struct span encoded, bool is_query, struct arena *arena, struct span *ret_decoded);

/* The next `name=value` of a query, decoded; false at the end; *ret_ok false for a malformed escape. */
bool url_query_next(struct span *query, struct arena *arena, struct span *ret_name, struct span *ret_value,
                    bool *ret_ok);

#endif
