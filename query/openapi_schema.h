/* query/openapi_schema.h - messages of a schema as JSON Schema (of OpenAPI 3.1) and as examples: what the JSON of a view
 * looks like. */
#ifndef TARN_QUERY_OPENAPI_SCHEMA_H
#define TARN_QUERY_OPENAPI_SCHEMA_H

#include <jansson.h>

#include "schema/view/plan.h"

/* Adds the message, and each that it reaches, to the components, under their full names. rules: NULL, or of the view
 * that shows it: hidden fields are left out. */
void openapi_schema_add(json_t *components, const struct message_type *type, const struct message_rules *rules);

/* One value of a field that isn't a message; the caller's. */
json_t *openapi_schema_of_scalar(const struct field_type *field);

/* A message with something in each field; the caller's. */
json_t *openapi_schema_example(const struct message_type *type, const struct message_rules *rules);

#endif
