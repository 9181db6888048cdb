/* schema/view/convert.h - which values become which: the table of types "from event to view".
 *
 *     same type                        always
 *     integers, float, double          among each other; at run time the value must fit
 *     enum <- enum                     by name, then by number
 *     string <- enum, integer          name, decimal digits
 *     message <- message               same type; else the fields of the same name, each of which must convert
 *     list <- list, map <- map         when elements (values, of the same kind of key) do */
#ifndef TARN_VIEW_CONVERT_H
#define TARN_VIEW_CONVERT_H

#include "schema/base/buf.h"
#include "schema/view/compiler.h"
#include "schema/view/expression.h"

bool field_is_integer(const struct field_type *field); /* of whatever cardinality */
bool field_is_number(const struct field_type *field);  /* integer, float or double */
bool field_is_single(const struct field_type *field);  /* neither list nor map */
bool field_is_timestamp(const struct field_type *field);
bool field_is_duration(const struct field_type *field);

/* "a string", "a list of genetics.v1.Marker", "an int64": for mistakes. Lives as long as the compiler. */
const char *field_kind_text(struct compiler *compiler, const struct field_type *field);

/* Whether a field's value may become the target's. *why says what stands against it (appended). */
bool convert_field(struct compiler *compiler, const struct field_type *target, const struct field_type *source,
                   struct buf *why);

/* The same for one element of each. */
bool convert_element(struct compiler *compiler, const struct field_type *target, const struct field_type *source,
                     struct buf *why);

/* A text, number, true or false as a value of exactly the target's kind. Spans live in the plan's arena.
 * is_added: of ADD, where a negative number may go to an unsigned target: then it is VALUE_INT. */
bool convert_literal(struct compiler *compiler, const struct field_type *target, const struct source_text *literal,
                     bool is_added, struct value *ret_value, struct buf *why);

/* A number to compare a numeric field with: of the field's kind when it fits there, else the smallest kind that holds
 * it: VALUE_INT, VALUE_UINT, VALUE_DOUBLE. */
struct value convert_number_to_compare(const struct field_type *field, struct span digits);

#endif
