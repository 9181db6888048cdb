/* projector/working_set.h - the views that one event touches: found again by key, kept in the order of touching. */
#ifndef TARN_PROJECTOR_WORKING_SET_H
#define TARN_PROJECTOR_WORKING_SET_H

#include "projector/touched.h"
#include "schema/store/layout.h"
#include "schema/view/plan.h"

/* A view while an event is applied to it. */
struct working_view {
    const struct view *view;
    struct span key; /* encoded */
    ProtobufCMessage *message;
    struct stored_view before;
    bool was_there;
    bool is_made;
    bool is_erased;  /* left out; message may be NULL */
    bool is_touched; /* by the running handler */
    bool has_changed;
    struct touched touched; /* whose rules are due */
    struct working_view *next_touched;
    /* the set's */
    struct working_view *next;
    struct working_view *next_in_bucket;
    uint64_t hash;
};

/* Lives in an arena and dies with it. */
struct working_set {
    struct arena *arena;
    struct working_view *first;
    struct working_view *last;
    size_t count;
    struct working_view **buckets;
    size_t bucket_count; /* a power of two */
};

void working_set_init(struct working_set *set, struct arena *arena);

/* NULL when the event hasn't touched that view yet. */
struct working_view *working_set_find(const struct working_set *set, const struct view *view, struct span key);

/* Adds a view that isn't in the set: the key and what is the set's are filled in, the rest is zero. The key is
 * borrowed. */
struct working_view *working_set_add(struct working_set *set, const struct view *view, struct span key);

#endif
