/* projector/projection_rules.h - the rules of `tarn.field`: sorted lists, kept lengths, derived fields. */
#ifndef TARN_PROJECTOR_PROJECTION_RULES_H
#define TARN_PROJECTOR_PROJECTION_RULES_H

#include "projector/projection_source.h"
#include "projector/touched.h"
#include "schema/view/plan.h"

/* Brings what was touched of a message and the messages in it back under its rules, children first. Doing it twice
 * changes nothing more.
 * A derived message may share its memory with the element it is drawn from, until the rules are applied again.
 * Of the scope only arena, fault and utc_offset_s matter. ERR_INPUT: a count, sum or value doesn't fit its field. */
MUST_CHECK int rules_apply(const struct message_rules *rules, ProtobufCMessage *message,
                           const struct touched *touched, const struct source_scope *scope);

#endif
