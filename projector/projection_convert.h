/* projector/projection_convert.h - values from an event's types to a view's.
 *
 * The same type as it is; integers and floats when the value fits; enums by name, then number; texts from an enum's
 * name or an integer; messages of another type field by field, by name. */
#ifndef TARN_PROJECTOR_PROJECTION_CONVERT_H
#define TARN_PROJECTOR_PROJECTION_CONVERT_H

#include "projector/projection_source.h"

/* Where in its view the message stands that is to hold the value. */
struct view_place {
    size_t depth;                      /* of the view itself: 1 */
    const struct message_rules *rules; /* of that message; NULL: no rules there or below */
};

struct view_place view_place_inside(struct view_place place, const struct field_type *field);

/* What a source becomes in a field. Messages are copied deep, without unknown fields; texts are shared with the event.
 * VALUE_ABSENT for nothing. ERR_INPUT: it doesn't fit, or would be nested over MESSAGE_DEPTH_MAX. Not for lists. */
MUST_CHECK int convert_sourced(const struct sourced *sourced, const struct field_type *target, struct view_place place,
                               const struct source_scope *scope, struct value *ret_value);

/* MERGE of one field into `message`: nothing leaves it as it is, a list replaces it whole. */
MUST_CHECK int convert_into(const struct sourced *sourced, ProtobufCMessage *message, const struct field_type *target,
                            struct view_place place, const struct source_scope *scope);

/* convert_sourced() for a value that is already at hand. */
MUST_CHECK int convert_value(struct value value, const struct field_type *target, struct view_place place,
                             const struct source_scope *scope, struct value *ret_value);

#endif
