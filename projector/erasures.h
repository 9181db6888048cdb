/* projector/erasures.h - erasure marks: which keys are gone for good, and making them so.
 *
 * A mark stands for a view and a whole key, or leading fields of one. It is never removed. */
#ifndef TARN_PROJECTOR_ERASURES_H
#define TARN_PROJECTOR_ERASURES_H

#include "projector/owner_set.h"
#include "projector/projection.h"
#include "projector/rows.h"

struct erasures {
    struct rows *rows;
    struct owner_set owners; /* who has a mark */
    struct buf key;          /* scratch */
    struct buf value;
    struct arena arena;
};

void erasures_init(struct erasures *erasures, struct rows *rows);
void erasures_release(struct erasures *erasures);

/* Reads which owners of these ranges (a bit each) have marks. */
MUST_CHECK int erasures_load(struct erasures *erasures, uint32_t ranges, struct err *err);

/* One probe: false for nearly everybody, and then the functions below needn't be asked. */
static inline bool erasures_know(const struct erasures *erasures, uint64_t owner_hash)
{
    return owner_set_has(&erasures->owners, owner_hash);
}

/* Whether a mark stands for this key or for leading fields of it. */
MUST_CHECK int erasures_find(struct erasures *erasures, const struct view *view, uint64_t owner_hash, struct span key,
                             bool *ret_is_erased, struct err *err);

/* Whether all views of that type are erased for the owner, whatever the rest of the key. */
MUST_CHECK int erasures_find_owner(struct erasures *erasures, const struct view *view, uint64_t owner_hash,
                                   struct span owner, bool *ret_is_erased, struct err *err);

/* Sets marks and deletes the views. *ret_is_new: some mark wasn't there before. */
MUST_CHECK int erasures_apply(struct erasures *erasures, uint64_t owner_hash, int64_t time_ms,
                              const struct view_erasure *list, size_t count, bool *ret_is_new, struct err *err);

#endif
