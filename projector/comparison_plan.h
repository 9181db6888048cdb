/* projector/comparison_plan.h - what two view sets have in common, and whether two messages differ in that. Pure.
 *
 * Fields are shared when number, name, type, cardinality and presence are the same; views when they have the same name and
 * key. For equal schemas that is everything. */
#ifndef TARN_PROJECTOR_COMPARISON_PLAN_H
#define TARN_PROJECTOR_COMPARISON_PLAN_H

#include "schema/base/buf.h"
#include "schema/view/plan.h"

struct type_pair;

struct shared_field {
    const struct field_type *a, *b;
    const struct type_pair *inside; /* of messages, else NULL */
};

struct type_pair {
    const struct message_type *a, *b;
    struct shared_field *fields;
    size_t count;
};

struct view_pair {
    const struct view *a, *b;
    const struct type_pair *type;
};

struct comparison_plan {
    struct view_pair *views; /* by name */
    size_t view_count;
    char **notes; /* what isn't compared: "view rekeyed: its key differs" */
    size_t note_count, note_capacity;
    struct type_pair **types; /* of all views; each pair once */
    size_t type_count, type_capacity;
};

void comparison_plan_make(const struct view_set *a, const struct view_set *b, struct comparison_plan *ret_plan);
void comparison_plan_release(struct comparison_plan *plan);

/* Where messages differ, counted over many pairs of them: a tree of field paths. */
struct differing_field {
    size_t parent;                  /* SIZE_MAX: the view itself */
    const struct field_type *field; /* NULL: whether the view is made, so served, at all */
    uint64_t count;                 /* of views that differ there */
    uint64_t last;                  /* the last one that did */
};

struct differing_fields {
    struct differing_field *items;
    size_t count, capacity;
};

void differing_fields_release(struct differing_fields *fields);
/* "categories.markers.score" */
void differing_field_path(const struct differing_fields *fields, size_t at, struct buf *out);
/* Counts a place for the view that is the number-th one compared, once for each. */
size_t differing_fields_note(struct differing_fields *fields, size_t parent, const struct field_type *field,
                             uint64_t number);

/* True: they differ in what is shared; *fields says where. number: of the view, from 1, growing. */
bool comparison_differs(const struct type_pair *pair, const ProtobufCMessage *a, const ProtobufCMessage *b,
                        uint64_t number, struct differing_fields *fields);

#endif
