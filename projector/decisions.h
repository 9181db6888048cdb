/* projector/decisions.h - what people decide about parked events: try again, or drop. */
#ifndef TARN_PROJECTOR_DECISIONS_H
#define TARN_PROJECTOR_DECISIONS_H

#include "projector/fold.h"
#include "schema/store/dropped.h"

struct decisions {
    struct fold *fold;
    struct dropped *dropped; /* NULL: none are kept (tests) */
    const struct generation_settings *settings;
};

/* Whether somebody decided to drop that record; by any thread. dropped NULL: nobody did. */
bool decisions_have_dropped(struct dropped *dropped, const struct generation_settings *settings, uint16_t topic,
                            int32_t partition, int64_t offset);

MUST_CHECK int decisions_retry(const struct decisions *decisions, const struct parked_selection *selection,
                               struct parked_outcome *ret_outcome, struct err *err);
MUST_CHECK int decisions_drop(const struct decisions *decisions, const struct parked_selection *selection,
                              struct parked_outcome *ret_outcome, struct err *err);

/* After a start: parked events whose dropping was decided but didn't reach the store. */
MUST_CHECK int decisions_catch_up(const struct decisions *decisions, struct err *err);

#endif
