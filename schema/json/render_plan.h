/* schema/json/render_plan.h - the tables that rendering follows. Internal to this folder. */
#ifndef TARN_JSON_RENDER_PLAN_H
#define TARN_JSON_RENDER_PLAN_H

#include "schema/json/render.h"
#include "schema/message/wire.h"

/* Texts that rendering copies stand in room that is a multiple of this, so that they go in steps of it. */
enum { RENDER_COPY_STEP = 16 };

struct render_field {
    uint32_t tag; /* of one value; the sentinel behind the last field has one above all others */
    uint32_t limit; /* of a list; 0: none */
    const struct field_type *type;
    const struct render_type *inner; /* of a message */
    struct span key;                 /* `"name":` */
    size_t empties_at;               /* in the type's `empties`: where those of the fields before this one end */
    const struct span *enum_texts;   /* `"NAME"` of the numbers 0 to enum_text_count - 1 */
    uint32_t enum_text_count;
    bool is_hidden;
    bool is_null;              /* google.protobuf.NullValue */
    struct span empty;         /* `0`: the default alone; what an implicit zero, or a map's missing value, reads as */
    struct span key_and_empty; /* `"name":0,` for a field that is printed when it isn't there; else empty */
};

/* A message type as one view shows it. */
struct render_type {
    const struct message_type *type;
    const struct message_rules *rules; /* NULL: everything is shown */
    struct render_field *fields;       /* beside type->fields, sentinel included */
    const uint8_t *empties;            /* key_and_empty of all fields that aren't hidden, one behind the other */
    struct render_type *next;          /* the same type under other rules */
};

struct render_plan {
    struct arena arena; /* everything below */
    const struct render_type *root;
    bool is_identity;
};

/* Beside the render_type's fields. */
struct field_selection {
    struct selected_field {
        bool is_selected;
        const struct field_selection *inner; /* NULL: the whole of it */
    } *fields;
};

static inline bool is_shown(const struct render_type *type, const struct field_selection *selection, size_t index)
{
    return !type->fields[index].is_hidden && (selection == NULL || selection->fields[index].is_selected);
}

static inline const struct field_selection *selection_inside(const struct field_selection *selection, size_t index)
{
    return selection != NULL ? selection->fields[index].inner : NULL;
}

/* The field that a tag's number belongs to. NULL for a number without a field. */
static inline const struct render_field *render_field_of(const struct render_type *type, uint32_t number)
{
    const struct field_type *field = message_type_field_number(type->type, number);

    return field != NULL ? &type->fields[field->index] : NULL;
}

/* True, with *at behind the tag, when another value of that field follows. */
static inline bool is_continued(const uint8_t **at, const uint8_t *end, uint32_t number, enum wire_type *ret_wire)
{
    const uint8_t *behind = *at;
    uint32_t tag;

    if (behind >= end || !wire_read_whole_tag(&behind, end, &tag) || tag >> 3 != number)
        return false;
    *ret_wire = (enum wire_type)(tag & 7);
    *at = behind;
    return true;
}

int render_broken(struct err *err, const struct message_type *type, const char *what);

/* The JSON of a well-known type's bytes (but for Struct, Value, ListValue and wrappers, which are rendered like other
 * messages). ERR_INPUT: JSON has no form for the value. */
MUST_CHECK int render_well_known(const struct message_type *type, struct span bytes, struct buf *out, struct err *err);

#endif
