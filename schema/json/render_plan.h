/* schema/json/render_plan.h - the tables that rendering follows. Internal to this folder. */
#ifndef TARN_JSON_RENDER_PLAN_H
#define TARN_JSON_RENDER_PLAN_H

#include "schema/json/json_number.h"
#include "schema/json/render.h"
#include "schema/message/wire.h"

/* Texts that rendering copies stand in room that is a multiple of this, so that they go in steps of it. */
enum { RENDER_COPY_STEP = 16 };

/* For any number or prepared text but an enum's, its quotes and comma; for what any value may be followed by. */
enum { RENDER_VALUE_ROOM = JSON_NUMBER_MAX + 4, RENDER_ROOM = RENDER_VALUE_ROOM + 2 * RENDER_COPY_STEP };

/* How a value is read off the wire and written: what presence, kind and well-known type come to, so that one switch
 * decides. */
enum render_form {
    FORM_HIDDEN, /* nothing is written */
    FORM_MAP,
    FORM_LIST, /* those above aren't single values, those below are */
    FORM_OBJECT,     /* a message that JSON shows as an object of its fields */
    FORM_WELL_KNOWN, /* a message that JSON shows in another way */
    FORM_STRING,
    FORM_BYTES,
    FORM_ENUM,
    FORM_NULL, /* google.protobuf.NullValue */
    FORM_BOOL,
    FORM_DOUBLE,
    FORM_FLOAT,
    FORM_INT32, /* of a varint, as the next three */
    FORM_UINT32,
    FORM_SINT32,
    FORM_INT64,
    FORM_UINT64,
    FORM_SINT64,
    FORM_FIXED32, /* of 4 or 8 bytes */
    FORM_SFIXED32,
    FORM_FIXED64,
    FORM_SFIXED64,
};

struct render_field {
    uint32_t tag; /* as the canonical bytes have it; the sentinel behind the last field has one above all others */
    uint32_t tag_byte; /* the tag if it is one byte, else none that a byte could equal */
    uint8_t form; /* enum render_form */
    uint8_t item_form; /* of one value of a list; of any other field the same as `form`, hidden or not */
    uint32_t limit;    /* of a list; 0: none */
    uint32_t enum_text_count;
    uint32_t item_room; /* for one value, if it is a number or an enum's text, and RENDER_ROOM */
    struct span key;               /* `"name":` */
    const struct span *enum_texts; /* `"NAME"` of the numbers 0 to enum_text_count - 1 */
    const struct render_type *inner; /* of a message */
    const struct field_type *type;
    size_t empties_at; /* in the type's `empties`: where those of the fields before this one end */
    struct span empty; /* `0`: the default alone; what an implicit zero, or a map's missing value, reads as */
    struct span key_and_empty; /* `"name":0,` for a field that is printed when it isn't there; else empty */
};

/* A message type as one view shows it. */
struct render_type {
    const struct message_type *type;
    const struct message_rules *rules; /* NULL: everything is shown */
    struct render_field *fields;       /* beside type->fields, sentinel included */
    const uint8_t *empties;            /* key_and_empty of all fields that aren't hidden, one behind the other */
    size_t room;                       /* for all that is known in advance: keys, empties, numbers, enums */
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
    return type->fields[index].form != FORM_HIDDEN && (selection == NULL || selection->fields[index].is_selected);
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
