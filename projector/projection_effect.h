/* projector/projection_effect.h - what a handler does to the message it is pointed at. */
#ifndef TARN_PROJECTOR_PROJECTION_EFFECT_H
#define TARN_PROJECTOR_PROJECTION_EFFECT_H

#include "projector/projection_source.h"
#include "projector/touched.h"
#include "schema/view/plan.h"

/* Applies the handler once - to the event, or to scope->element of its `each` - to the working copy of a view. Rules
 * are the caller's; what they are due for is added to touched. *ret_has_changed: the view may not be what it was. ERASE
 * is not for here: it needs no view. ERR_INPUT: the event can't be applied; the view is then half changed, to be thrown
 * away. */
MUST_CHECK int effect_apply(const struct handler *handler, const struct source_scope *scope, ProtobufCMessage *view,
                            struct touched *touched, bool *ret_has_changed);

/* Whether a home handler with this effect makes the view (DELETE unmakes it, REMOVE leaves it as it is). */
bool effect_makes_view(enum effect effect);

#endif
