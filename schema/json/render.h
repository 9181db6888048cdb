/* schema/json/render.h - views as they are served: JSON (proto3 mapping) or protobuf, straight from the stored bytes.
 *
 * One pass over the wire bytes with a table per message type; no message is unpacked. The stored bytes are canonical
 * (message_encode()), which is what makes one pass enough. Immutable after make: usable from any thread. */
#ifndef TARN_JSON_RENDER_H
#define TARN_JSON_RENDER_H

#include "schema/base/buf.h"
#include "schema/base/err.h"
#include "schema/view/plan.h"

struct render_plan;

/* For a view: hidden fields are left out, limits kept. */
struct render_plan *render_plan_new(const struct view *view);
/* For any message type, everything shown (events, parked records, tests). */
struct render_plan *render_plan_new_message(const struct message_type *type);
void render_plan_free(struct render_plan **plan);

/* A part of a view, from `?fields=a,b.c` (field names, or JSON names). ERR_INPUT names a field that isn't there.
 * Made per request in the arena, dies with it; NULL stands for everything. */
struct field_selection;
MUST_CHECK int field_selection_parse(const struct render_plan *plan, struct span fields, struct arena *arena,
                                     const struct field_selection **ret_selection, struct err *err);

/* Appends. Fields without presence are always printed; names are lowerCamelCase JSON names; 64-bit integers, bytes
 * (base64), NaN and infinities as strings; enums by name, unknown numbers as numbers; map keys in the stored order.
 * ERR_BROKEN: the bytes aren't such a message. ERR_INPUT: a Timestamp or Duration out of JSON's range. */
MUST_CHECK int render_json(const struct render_plan *plan, const struct field_selection *selection, struct span stored,
                           struct buf *out, struct err *err);
MUST_CHECK int render_protobuf(const struct render_plan *plan, const struct field_selection *selection,
                               struct span stored, struct buf *out, struct err *err);

/* True when render_protobuf() without a selection would give the stored bytes themselves, whatever they are. */
bool render_is_identity(const struct render_plan *plan);
/* True when it would give these bytes: they can be served where they are. It may miss that, never the other way round;
 * of bytes that aren't such a message it says anything. */
bool render_leaves_as_stored(const struct render_plan *plan, const struct field_selection *selection,
                             struct span stored);

#endif
