/* projector/verify_scope.h - what a verification is about: which views, and whose. */
#ifndef TARN_PROJECTOR_VERIFY_SCOPE_H
#define TARN_PROJECTOR_VERIFY_SCOPE_H

#include "ops/runtime/config.h"
#include "schema/view/plan.h"

struct verify_scope {
    const struct view **views; /* those that are verified */
    size_t view_count;
    unsigned sample_per_10000; /* of owners, by their hash */
    uint64_t sample_salt;      /* another sample for another one */
};

/* names: of views; none: all that have a first_load. ERR_INPUT: a name, or nothing to compare with. Release it either way. */
MUST_CHECK int verify_scope_choose(struct verify_scope *scope, const struct view_set *set,
                                   const struct config_list *names, struct err *err);
void verify_scope_release(struct verify_scope *scope);

bool verify_scope_has_view(const struct verify_scope *scope, const struct view *view);
bool verify_scope_has_owner(const struct verify_scope *scope, uint64_t owner_hash);

/* Rows make its views, so a view without one is one too many. */
bool verify_is_made_by_rows(const struct view *view);

/* Views that rows told of, as hashes of (view, key): enough of them fit, and a collision only hides one extra view. */
struct views_seen {
    uint64_t *hashes;
    size_t count, capacity;
};
void views_seen_add(struct views_seen *seen, const struct view *view, struct span key);
void views_seen_sort(struct views_seen *seen); /* before the first question, and after the last addition */
bool views_seen_has(const struct views_seen *seen, const struct view *view, struct span key);
void views_seen_release(struct views_seen *seen);

#endif
