/* projector/schema_change.h - what another schema changes for those who read the views, as `buf breaking` looks at it.
 *
 * Readers see JSON and protobuf: a field's number, name, JSON name, type, cardinality, presence and the values of its enum
 * are all promised. What isn't served (hidden fields, events, handlers) isn't theirs. Pure. */
#ifndef TARN_PROJECTOR_SCHEMA_CHANGE_H
#define TARN_PROJECTOR_SCHEMA_CHANGE_H

#include "schema/base/buf.h"
#include "schema/view/plan.h"

struct schema_change {
    bool is_breaking; /* somebody who reads the old views may not understand the new ones */
    char *view;       /* its URL name */
    char *field;      /* "categories.markers.score"; "" for the view itself */
    char *what;       /* "was a string, is an int32" */
};

struct schema_changes {
    struct schema_change *items; /* by view, in the order of the fields */
    size_t count;
    size_t capacity;
    size_t breaking_count;
};

/* Appends what readers of `before` find changed in `after`. */
void schema_changes_find(const struct view_set *before, const struct view_set *after, struct schema_changes *changes);
void schema_changes_release(struct schema_changes *changes);

/* {"breaking": 1, "changes": [{"breaking": true, "view", "field", "change"}]} */
void schema_changes_json(const struct schema_changes *changes, struct buf *out);
/* A table, breaking ones first, and a line that sums it up. */
void schema_changes_print(const struct schema_changes *changes);

#endif
