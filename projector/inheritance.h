/* projector/inheritance.h - what a new generation takes over from one that is there, while it is prepared in its hidden
 * folder. */
#ifndef TARN_PROJECTOR_INHERITANCE_H
#define TARN_PROJECTOR_INHERITANCE_H

#include "projector/generation_change.h"
#include "schema/view/plan.h"

/* Erased is erased: a generation made later must not bring back those whose erasure Kafka no longer tells. For each view of
 * `views` that has an equal name and keys of the same kinds. */
MUST_CHECK int inherit_marks(const struct changer *changer, const struct generation *from, const struct view_set *views,
                             const char *folder, struct err *err);

/* The whole store, with its positions. */
MUST_CHECK int inherit_store(const struct changer *changer, const struct generation *from, const char *folder,
                             struct err *err);

#endif
