/* projector/producer_hint.h - what a producer probably did, when a record of theirs can't be applied. Pure.
 *
 * For whoever reads why an event is parked: the usual mistakes of a first day, each with what to do about it. */
#ifndef TARN_PROJECTOR_PRODUCER_HINT_H
#define TARN_PROJECTOR_PRODUCER_HINT_H

#include "projector/intake.h"

/* Adds a clause to err's text when the record looks like one of them. No byte of the record gets into it. */
void producer_hint_add(enum framing framing, const struct incoming *incoming, enum park_reason reason,
                       struct err *err);

#endif
