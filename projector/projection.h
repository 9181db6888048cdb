/* projector/projection.h - the projection: (views, event, the record's time and key) -> changed views. Pure.
 *
 * No clock, no randomness, no input or output: the same views and the same event give the same bytes, on any machine.
 * What it needs to see of the store it asks of a view_port. */
#ifndef TARN_PROJECTOR_PROJECTION_H
#define TARN_PROJECTOR_PROJECTION_H

#include "schema/store/layout.h"
#include "schema/view/plan.h"

/* What a record tells beside its event. */
struct record_facts {
    int64_t time_ms;  /* the record's timestamp */
    struct span owner; /* the record's key */
    uint64_t owner_hash;
};

/* How the projection looks at views. */
struct view_port {
    /* The stored view of that key. ERR_ABSENT: there is none. *ret_is_erased: its key is erased; it is left out.
     * ret_view's bytes live until the projection returns.
     * It is asked about leading fields of a key, too, when an event doesn't give the whole: whether they are erased. */
    int (*find)(void *self, const struct view *view, struct span key, struct stored_view *ret_view,
                bool *ret_is_erased, struct err *err);
    void *self;
};

struct projection_limits {
    uint64_t max_view_bytes; /* of one stream's part of a view */
};

/* One view after the event. */
struct view_change {
    const struct view *view;
    struct span key;     /* encoded */
    bool is_gone;        /* nothing is left of it: no row */
    struct stored_view after;
};

/* An erasure: the key, or leading fields of it. */
struct view_erasure {
    const struct view *view;
    struct span key_prefix;
    bool is_whole_key;
};

/* What one event does; all of it lives in the arena that was given. */
struct projection_effects {
    struct view_change *changes; /* only those whose bytes differ from what was there */
    size_t change_count;
    struct view_erasure *erasures;
    size_t erasure_count;
    size_t touched_count; /* views that handlers asked for, erased ones aside */
    size_t erased_count;  /* views left out because their key is erased */
};

enum projection_part {
    PROJECT_ALL,
    PROJECT_ERASURES,        /* only what ERASE handlers do: it overtakes what waits */
    PROJECT_ALL_BUT_ERASURES,
};

/* Applies an event to all its views, or to none.
 * event NULL: a record with a null value, for handlers with `tombstone`.
 * ERR_INPUT: the event can't be applied; *ret_reason says why in one word, err in a sentence that names
 * View.on[N] (event) and the field - never a value. Other errors are the port's. */
MUST_CHECK int projection_apply(const struct event_plan *plan, const ProtobufCMessage *event,
                                const struct record_facts *facts, enum projection_part part,
                                const struct projection_limits *limits, const struct view_port *views,
                                struct arena *arena, struct projection_effects *ret_effects,
                                enum park_reason *ret_reason, struct err *err);

#endif
