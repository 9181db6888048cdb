/* schema/json/render_plan.h - the tables that rendering follows. Internal to this folder. */
#ifndef TARN_JSON_RENDER_PLAN_H
#define TARN_JSON_RENDER_PLAN_H

#include "schema/json/render.h"
#include "schema/message/wire.h"

struct render_field {
    const struct field_type *type;
    struct span key;           /* `"name":` */
    struct span key_and_empty; /* `"name":0,` for a field that is printed when it isn't there; else empty */
    struct span empty;         /* `0`: the default alone; what an implicit zero, or a map's missing value, reads as */
    const struct span *enum_texts; /* `"NAME"` of the numbers 0 to enum_text_count - 1 */
    uint32_t enum_text_count;
    const struct render_type *inner; /* of a message */
    uint32_t limit;                  /* 0: none */
    bool is_hidden;
    bool is_null; /* google.protobuf.NullValue */
};

/* A message type as one view shows it. */
struct render_type {
    const struct message_type *type;
    const struct message_rules *rules; /* NULL: everything is shown */
    struct render_field *fields;       /* beside type->fields */
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

/* The field of a message's bytes that comes next: where it stands in type->fields. Numbers ascend in canonical bytes, so
 * it is most often the one at `guess`. NULL for a number without a field. */
static inline const struct render_field *render_field_of(const struct render_type *type, uint32_t number, size_t guess)
{
    if (guess < type->type->field_count && type->fields[guess].type->number == number)
        return &type->fields[guess];
    const struct field_type *field = message_type_field_number(type->type, number);
    return field != NULL ? &type->fields[field->index] : NULL;
}

/* True, with *at behind the tag, when another value of that field follows. */
static inline bool is_continued(const uint8_t **at, const uint8_t *end, uint32_t number, enum wire_type *ret_wire)
{
    const uint8_t *from = *at;
    uint32_t next;

    if (from < end && wire_read_tag(at, end, &next, ret_wire) && next == number)
        return true;
    *at = from;
    return false;
}

int render_broken(struct err *err, const struct message_type *type, const char *what);

/* The JSON of a well-known type's bytes (but for Struct, Value, ListValue and wrappers, which are rendered like other
 * messages). ERR_INPUT: JSON has no form for the value. */
MUST_CHECK int render_well_known(const struct message_type *type, struct span bytes, struct buf *out, struct err *err);

#endif
