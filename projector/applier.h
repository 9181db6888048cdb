/* projector/applier.h - what becomes of one event: applied, skipped, erased or parked. The rules of the language that
 * need more than a pure function: blocked units, erasures that overtake, erased owners, parked events that go with them.
 *
 * Everything it changes are rows of the cache; the caller moves the position, and both are committed together. */
#ifndef TARN_PROJECTOR_APPLIER_H
#define TARN_PROJECTOR_APPLIER_H

#include "projector/announcing.h"
#include "projector/dedupe.h"
#include "projector/erasures.h"
#include "projector/intake.h"
#include "projector/parked.h"

enum outcome {
    OUTCOME_APPLIED,
    OUTCOME_SKIPPED_TYPE, /* no handler names it */
    OUTCOME_SKIPPED_NULL,
    OUTCOME_DUPLICATE,      /* its id was handled already */
    OUTCOME_REUSED_ID,      /* likewise, but with another type or value */
    OUTCOME_ERASED,         /* for keys that are erased: dropped */
    OUTCOME_PARKED,         /* for a reason of its own */
    OUTCOME_WAITS,          /* parked behind another of its unit */
    OUTCOME_PARTITION_FULL, /* it would have to be parked, but its partition has as many as it may: not handled */
    OUTCOME_COUNT,
};

struct applier {
    const struct intake *intake;
    struct rows *rows;
    struct erasures *erasures;
    struct parked_units *parked;
    struct dedupe *dedupe;
    struct projection_limits limits;
    struct arena arena; /* of one event */
    struct buf key;     /* scratch */
    struct buf value;
    uint64_t erasure_count; /* records that erased something */
    bool is_retrying;       /* a unit's first event is being applied, and still parked */
};

void applier_init(struct applier *applier, const struct intake *intake, struct rows *rows, struct erasures *erasures,
                  struct parked_units *parked, struct dedupe *dedupe, struct projection_limits limits);
void applier_release(struct applier *applier);

/* A record. *ret_reason and reason_text say why when it was parked for a reason of its own.
 * Errors are the store's: nothing that a record holds makes one. */
MUST_CHECK int applier_take(struct applier *applier, const struct incoming *incoming, enum outcome *ret_outcome,
                            enum park_reason *ret_reason, struct err *reason_text, struct err *err);

/* A record that someone has decided to drop: it was parked, so its id counts as handled. */
void applier_pass_dropped(struct applier *applier, const struct incoming *incoming);

/* Applies the events of a unit in order until one fails or none is left; what is applied is parked no more.
 * *ret_applied counts them. */
MUST_CHECK int applier_retry_unit(struct applier *applier, uint64_t unit_hash, uint16_t topic, size_t *ret_applied,
                                  struct err *err);

#endif
