/* projector/verify_view.h - does a store say what a row of the write database says?
 *
 * A row is told as its event to the projection, on the views as they are stored: where it would change nothing, the store
 * says the same. Nothing is written. */
#ifndef TARN_PROJECTOR_VERIFY_VIEW_H
#define TARN_PROJECTOR_VERIFY_VIEW_H

#include "projector/comparison_plan.h"
#include "projector/projection.h"
#include "schema/store/store.h"

/* A view that the event was asked about, whether or not it differs. */
typedef void verify_touched_fn(void *self, const struct view *view, struct span key);

struct verify_view {
    struct store_reader *reader; /* has a snapshot */
    const struct view_set *views;
    const struct comparison_plan *plan; /* of the views with themselves */
    verify_touched_fn *touched;         /* NULL: not told */
    void *touched_self;
    struct arena arena; /* of one event */
    struct buf key;
    uint64_t number; /* of views compared, for the counting of fields */
};

void verify_view_release(struct verify_view *verify);

struct view_difference {
    const struct view *view;
    struct span key; /* until the next call */
    bool is_missing; /* the store has no such view, or one that isn't made */
};
typedef void verify_difference_fn(void *self, const struct view_difference *difference,
                                  const struct differing_fields *fields);

/* event: canonical bytes of handler->event; owner: the record's key. ERR_INPUT: the event can't be applied. */
MUST_CHECK int verify_view_event(struct verify_view *verify, const struct handler *handler, struct span event,
                                 struct span owner, verify_difference_fn *difference, void *difference_self,
                                 struct err *err);

#endif
