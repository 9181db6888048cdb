/* query/openapi.h - /openapi.json: the routes as they are for one schema, as OpenAPI 3.1. */
#ifndef TARN_QUERY_OPENAPI_H
#define TARN_QUERY_OPENAPI_H

#include "schema/base/buf.h"
#include "schema/view/plan.h"

void openapi_write(const struct view_set *set, struct buf *out);

#endif
