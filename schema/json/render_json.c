/* The bytes are walked once, field by field in ascending order; between two fields that are there, those that are
 * always printed get their ready-made text. Every value is followed by a comma, and whatever closes an object or a list
 * takes the place of the last one: no state says whether a comma is due.
 *
 * `to` is where the next byte goes. Each function takes it and returns it, NULL for an error that is in the writer;
 * when it is given, and when it is returned behind an object, a list or a text, ROOM bytes are free there: enough for any
 * number, and for what closes it. */
#include <string.h>

#include "schema/json/json_text.h"
#include "schema/json/render_plan.h"

enum { ROOM = JSON_NUMBER_MAX + 24 };

struct json_writer {
    struct buf *out;
    const uint8_t *limit;      /* end of out's room */
    const uint8_t *stored_end; /* bytes before it may be read */
    struct err *err;
};

/* A value off the wire. */
struct wire_value {
    uint64_t bits;    /* a number */
    struct span span; /* or whatever has a length */
};

static uint8_t *write_message(struct json_writer *writer, const struct render_type *type,
                              const struct field_selection *selection, struct span bytes, uint8_t *to, unsigned depth);
static uint8_t *write_list(struct json_writer *writer, const struct render_type *type, const struct render_field *field,
                           const struct field_selection *inside, enum wire_type wire, const uint8_t **at,
                           const uint8_t *end, uint8_t *to, unsigned depth);
static uint8_t *write_map(struct json_writer *writer, const struct render_type *type, const struct render_field *field,
                          enum wire_type wire, const uint8_t **at, const uint8_t *end, uint8_t *to, unsigned depth);
static uint8_t *write_value(struct json_writer *writer, const struct render_field *field,
                            const struct field_selection *inside, const struct wire_value *value, uint8_t *to,
                            unsigned depth);

/* --- room --------------------------------------------------------------------------------------------------------- */

/* out's own functions append at its length. */
static struct buf *out_at(struct json_writer *writer, uint8_t *to)
{
    writer->out->len = (size_t)(to - writer->out->at);
    return writer->out;
}

static uint8_t *back_from_out(struct json_writer *writer)
{
    uint8_t *to = buf_reserve(writer->out, ROOM);

    writer->limit = writer->out->at + writer->out->capacity;
    return to;
}

static COLD uint8_t *make_room(struct json_writer *writer, uint8_t *to, size_t bytes)
{
    buf_reserve(out_at(writer, to), bytes);
    return back_from_out(writer);
}

/* Sees to `bytes` free ones, and ROOM behind them. */
static inline uint8_t *ensure_room(struct json_writer *writer, uint8_t *to, size_t bytes)
{
    return (size_t)(writer->limit - to) >= bytes + ROOM ? to : make_room(writer, to, bytes + ROOM);
}

/* Text with room to be read in steps; ROOM is left behind it. */
static inline uint8_t *put_text(struct json_writer *writer, uint8_t *to, struct span text)
{
    const uint8_t *from = text.at;

    to = ensure_room(writer, to, text.len + RENDER_COPY_STEP);
    for (size_t done = 0; done < text.len; done += RENDER_COPY_STEP)
        memcpy(to + done, from + done, RENDER_COPY_STEP);
    return to + text.len;
}

static inline uint8_t *close_with(struct json_writer *writer, uint8_t *to, uint8_t closing)
{
    if (to[-1] == ',')
        to[-1] = closing;
    else
        *to++ = closing;
    return ensure_room(writer, to, 0);
}

static COLD uint8_t *broken(struct json_writer *writer, const struct message_type *type, const char *what)
{
    (void)render_broken(writer->err, type, what);
    return NULL;
}

int render_json(const struct render_plan *plan, const struct field_selection *selection, struct span stored,
                struct buf *out, struct err *err)
{
    size_t start = out->len;

    if (stored.len == 0)
        stored.at = "";
    struct json_writer writer = {out, NULL, span_bytes(stored) + stored.len, err};
    uint8_t *to = write_message(&writer, plan->root, selection, stored, back_from_out(&writer), 0);
    out->len = to != NULL ? (size_t)(to - out->at) : start;
    return to != NULL ? 0 : err->kind;
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

static uint8_t *write_object(struct json_writer *writer, const struct render_type *type,
                             const struct field_selection *selection, struct span bytes, uint8_t *to, unsigned depth);
static uint8_t *write_only_field(struct json_writer *writer, const struct render_type *type, struct span bytes,
                                 uint8_t *to, unsigned depth);
static uint8_t *write_any_value(struct json_writer *writer, const struct render_type *type, struct span bytes,
                                uint8_t *to, unsigned depth);

static uint8_t *write_message(struct json_writer *writer, const struct render_type *type,
                              const struct field_selection *selection, struct span bytes, uint8_t *to, unsigned depth)
{
    if (depth > MESSAGE_OWN_DEPTH_MAX)
        return broken(writer, type->type, "messages nested too deep");
    switch (type->type->well_known) {
    case WELL_KNOWN_NONE:
    case WELL_KNOWN_EMPTY:
        return write_object(writer, type, selection, bytes, to, depth);
    case WELL_KNOWN_WRAPPER:
    case WELL_KNOWN_STRUCT:
    case WELL_KNOWN_LIST_VALUE:
        return write_only_field(writer, type, bytes, to, depth);
    case WELL_KNOWN_VALUE:
        return write_any_value(writer, type, bytes, to, depth);
    case WELL_KNOWN_TIMESTAMP:
    case WELL_KNOWN_DURATION:
    case WELL_KNOWN_FIELD_MASK:
    case WELL_KNOWN_ANY:
        break;
    }
    if (render_well_known(type->type, bytes, out_at(writer, to), writer->err) < 0)
        return NULL;
    return back_from_out(writer);
}

static uint8_t *skip_field(struct json_writer *writer, const struct render_type *type, const struct render_field *field,
                           enum wire_type wire, const uint8_t **at, const uint8_t *end, uint8_t *to)
{
    do {
        if (!wire_skip(at, end, field->type->number, wire, MESSAGE_DEPTH_MAX))
            return broken(writer, type->type, "a field that doesn't parse");
    } while (field->type->presence == PRESENCE_REPEATED && is_continued(at, end, field->type->number, &wire));
    return to;
}

/* The fields from `first` on and before `last`, which aren't there, as far as they are printed all the same. */
static inline uint8_t *put_empties(struct json_writer *writer, const struct render_type *type,
                                   const struct field_selection *selection, const struct render_field *first,
                                   const struct render_field *last, uint8_t *to)
{
    if (selection == NULL)
        return put_text(writer, to, span_of(type->empties + first->empties_at, last->empties_at - first->empties_at));
    for (; first < last; first++) {
        if (is_shown(type, selection, (size_t)(first - type->fields)))
            to = put_text(writer, to, first->key_and_empty);
    }
    return to;
}

static ALWAYS_INLINE bool read_value(const struct field_type *field, const uint8_t **at, const uint8_t *end,
                                     struct wire_value *ret_value)
{
    uint32_t four;

    switch (wire_of(field)) {
    case WIRE_LENGTH:
        return wire_read_span(at, end, &ret_value->span);
    case WIRE_VARINT:
        return wire_read_varint(at, end, &ret_value->bits);
    case WIRE_64BIT:
        return wire_read_fixed64(at, end, &ret_value->bits);
    case WIRE_32BIT:
        if (!wire_read_fixed32(at, end, &four))
            return false;
        ret_value->bits = four;
        return true;
    case WIRE_GROUP_START:
    case WIRE_GROUP_END:
        break;
    }
    return false;
}

/* All values of one field whose tag has been read: key, value, comma. */
static ALWAYS_INLINE uint8_t *write_field(struct json_writer *writer, const struct render_type *type,
                                          const struct render_field *field, const struct field_selection *selection,
                                          enum wire_type wire, const uint8_t **at, const uint8_t *end, uint8_t *to,
                                          unsigned depth)
{
    size_t index = (size_t)(field - type->fields);
    const struct field_selection *inside = selection_inside(selection, index);

    if (!is_shown(type, selection, index))
        return skip_field(writer, type, field, wire, at, end, to);
    to = put_text(writer, to, field->key);
    if (field->type->is_map) {
        to = write_map(writer, type, field, wire, at, end, to, depth);
    } else if (field->type->presence == PRESENCE_REPEATED) {
        to = write_list(writer, type, field, inside, wire, at, end, to, depth);
    } else {
        struct wire_value value;
        if (wire != wire_of(field->type))
            return broken(writer, type->type, "a field of another wire type");
        if (!read_value(field->type, at, end, &value))
            return broken(writer, type->type, "a value that doesn't parse");
        to = write_value(writer, field, inside, &value, to, depth);
    }
    if (to != NULL)
        *to++ = ',';
    return to;
}

static uint8_t *write_object(struct json_writer *writer, const struct render_type *type,
                             const struct field_selection *selection, struct span bytes, uint8_t *to, unsigned depth)
{
    const struct render_field *next = type->fields; /* those before are written or passed */
    const struct render_field *last = type->fields + type->type->field_count;
    const uint8_t *at = bytes.at;
    const uint8_t *end = at + bytes.len;

    *to++ = '{';
    while (at < end) {
        const struct render_field *field = next;
        enum wire_type wire;
        const uint8_t *behind;

        while (field->tag < *at)
            field++;
        if (field->tag == *at && *at < 0x80) {
            wire = (enum wire_type)(*at & 7);
            behind = at + 1;
        } else {
            uint32_t number;
            if (!wire_read_tag(&at, end, &number, &wire))
                return broken(writer, type->type, "bytes that don't parse");
            behind = at;
            field = render_field_of(type, number);
            if (field == NULL) {
                if (!wire_skip(&behind, end, number, wire, MESSAGE_DEPTH_MAX))
                    return broken(writer, type->type, "an unknown field that doesn't parse");
                at = behind;
                continue;
            }
            if (field < next)
                return broken(writer, type->type, "fields that aren't in order");
        }
        if (field != next)
            to = put_empties(writer, type, selection, next, field, to);
        next = field + 1;
        to = write_field(writer, type, field, selection, wire, &behind, end, to, depth);
        if (to == NULL)
            return NULL;
        at = behind;
    }
    if (next != last)
        to = put_empties(writer, type, selection, next, last, to);
    return close_with(writer, to, '}');
}

/* A wrapper's value, a Struct's map and a ListValue's list stand for the message itself. */
static uint8_t *write_only_field(struct json_writer *writer, const struct render_type *type, struct span bytes,
                                 uint8_t *to, unsigned depth)
{
    const struct render_field *field = &type->fields[0];
    const uint8_t *at = bytes.at;
    const uint8_t *end = at + bytes.len;
    struct wire_value value;
    uint32_t number;
    enum wire_type wire;

    if (at == end)
        return put_text(writer, to, field->empty);
    if (!wire_read_tag(&at, end, &number, &wire) || number != field->type->number)
        return broken(writer, type->type, "bytes that don't parse");
    if (field->type->is_map)
        to = write_map(writer, type, field, wire, &at, end, to, depth);
    else if (field->type->presence == PRESENCE_REPEATED)
        to = write_list(writer, type, field, NULL, wire, &at, end, to, depth);
    else if (wire == wire_of(field->type) && read_value(field->type, &at, end, &value))
        to = write_value(writer, field, NULL, &value, to, depth);
    else
        return broken(writer, type->type, "a value that doesn't parse");
    if (to != NULL && at != end)
        return broken(writer, type->type, "more than its field");
    return to;
}

/* google.protobuf.Value: whichever of its kinds is set; none is null. */
static uint8_t *write_any_value(struct json_writer *writer, const struct render_type *type, struct span bytes,
                                uint8_t *to, unsigned depth)
{
    const struct render_field *field = NULL;
    const uint8_t *at = bytes.at;
    const uint8_t *end = at + bytes.len;
    struct wire_value value;
    uint32_t number;
    enum wire_type wire;

    if (at == end) {
        memcpy(to, "null", 4);
        return to + 4;
    }
    if (wire_read_tag(&at, end, &number, &wire))
        field = render_field_of(type, number);
    if (field == NULL || wire != wire_of(field->type) || !read_value(field->type, &at, end, &value))
        return broken(writer, type->type, "bytes that don't parse");
    if (at != end)
        return broken(writer, type->type, "more than one kind");

    size_t start = (size_t)(to - writer->out->at);
    to = write_value(writer, field, NULL, &value, to, depth);
    if (to != NULL && field->type->kind == KIND_DOUBLE && writer->out->at[start] == '"') {
        err_set(writer->err, ERR_INPUT, "%s: JSON has no NaN and no infinity", type->type->full_name);
        return NULL;
    }
    return to;
}

/* --- lists and maps ----------------------------------------------------------------------------------------------- */

static uint8_t *write_item(struct json_writer *writer, const struct render_field *field,
                           const struct field_selection *inside, const uint8_t **at, const uint8_t *end, uint8_t *to,
                           unsigned depth)
{
    struct wire_value value;

    if (!read_value(field->type, at, end, &value))
        return broken(writer, field->type->parent, "a value that doesn't parse");
    to = write_value(writer, field, inside, &value, ensure_room(writer, to, 0), depth);
    if (to != NULL)
        *to++ = ',';
    return to;
}

static uint8_t *write_list(struct json_writer *writer, const struct render_type *type, const struct render_field *field,
                           const struct field_selection *inside, enum wire_type wire, const uint8_t **at,
                           const uint8_t *end, uint8_t *to, unsigned depth)
{
    enum wire_type item_wire = wire_of(field->type);
    uint32_t left = field->limit != 0 ? field->limit : UINT32_MAX;

    *to++ = '[';
    do {
        struct span packed;
        if (left == 0) {
            if (!wire_skip(at, end, field->type->number, wire, MESSAGE_DEPTH_MAX))
                return broken(writer, type->type, "a list that doesn't parse");
            continue;
        }
        if (wire == item_wire) {
            to = write_item(writer, field, inside, at, end, to, depth);
            if (to == NULL)
                return NULL;
            left -= left != UINT32_MAX;
            continue;
        }
        if (wire != WIRE_LENGTH || !wire_read_span(at, end, &packed))
            return broken(writer, type->type, "a list that doesn't parse");
        const uint8_t *item = packed.at;
        const uint8_t *items_end = item + packed.len;
        while (item < items_end && left > 0) {
            to = write_item(writer, field, NULL, &item, items_end, to, depth);
            if (to == NULL)
                return NULL;
            left -= left != UINT32_MAX;
        }
    } while (is_continued(at, end, field->type->number, &wire));
    return close_with(writer, to, ']');
}

/* Where key and value of an entry stand; both may be missing. */
struct entry_parts {
    const uint8_t *key;
    const uint8_t *value;
    const uint8_t *end;
};

static bool split_entry(const struct render_type *type, struct span bytes, struct entry_parts *parts)
{
    const uint8_t *at = bytes.at;

    *parts = (struct entry_parts){.end = at + bytes.len};
    while (at < parts->end) {
        uint32_t number;
        enum wire_type wire;
        if (!wire_read_tag(&at, parts->end, &number, &wire))
            return false;
        if (number == 1 || number == 2) {
            if (wire != wire_of(type->fields[number - 1].type))
                return false;
            *(number == 1 ? &parts->key : &parts->value) = at;
        }
        if (!wire_skip(&at, parts->end, number, wire, MESSAGE_DEPTH_MAX))
            return false;
    }
    return true;
}

/* JSON's keys are strings: whatever isn't one yet gets quotes. */
static uint8_t *write_key(struct json_writer *writer, const struct render_field *key, const struct entry_parts *parts,
                          uint8_t *to)
{
    const uint8_t *at = parts->key;
    size_t start = (size_t)(to - writer->out->at);
    struct wire_value value;

    if (at == NULL)
        to = put_text(writer, to, key->empty);
    else if (!read_value(key->type, &at, parts->end, &value))
        return broken(writer, key->type->parent, "a value that doesn't parse");
    else
        to = write_value(writer, key, NULL, &value, to, 0);
    if (to == NULL || writer->out->at[start] == '"')
        return to;
    uint8_t *from = writer->out->at + start;
    memmove(from + 1, from, (size_t)(to - from));
    *from = '"';
    to[1] = '"';
    return to + 2;
}

static uint8_t *write_map(struct json_writer *writer, const struct render_type *type, const struct render_field *field,
                          enum wire_type wire, const uint8_t **at, const uint8_t *end, uint8_t *to, unsigned depth)
{
    const struct render_type *entry = field->inner;
    const struct render_field *item = &entry->fields[1];
    uint32_t left = field->limit != 0 ? field->limit : UINT32_MAX;

    *to++ = '{';
    do {
        struct span bytes;
        struct entry_parts parts;
        if (wire != WIRE_LENGTH || !wire_read_span(at, end, &bytes) || !split_entry(entry, bytes, &parts))
            return broken(writer, type->type, "a map that doesn't parse");
        if (left == 0)
            continue;
        left -= left != UINT32_MAX;
        to = write_key(writer, &entry->fields[0], &parts, ensure_room(writer, to, 0));
        if (to == NULL)
            return NULL;
        *to++ = ':';
        if (parts.value != NULL)
            to = write_item(writer, item, NULL, &parts.value, parts.end, to, depth);
        else if (item->inner != NULL)
            to = write_message(writer, item->inner, NULL, SPAN_LITERAL(""), ensure_room(writer, to, 0), depth + 1);
        else
            to = put_text(writer, to, item->empty);
        if (to == NULL)
            return NULL;
        if (parts.value == NULL)
            *to++ = ',';
    } while (is_continued(at, end, field->type->number, &wire));
    return close_with(writer, to, '}');
}

/* --- values ------------------------------------------------------------------------------------------------------- */

static NEVER_INLINE uint8_t *put_quoted_int(uint8_t *to, bool is_signed, uint64_t value)
{
    *to++ = '"';
    to = is_signed ? json_put_int(to, (int64_t)value) : json_put_uint(to, value);
    *to++ = '"';
    return to;
}

static NEVER_INLINE uint8_t *put_double(uint8_t *to, uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof(value));
    return json_put_double(to, value);
}

static NEVER_INLINE uint8_t *put_float(uint8_t *to, uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof(value));
    return json_put_float(to, value);
}

static uint8_t *put_bool(uint8_t *to, bool value)
{
    memcpy(to, value ? "true " : "false", 5);
    return to + (value ? 4 : 5);
}

static NEVER_INLINE uint8_t *put_enum(struct json_writer *writer, const struct render_field *field, int32_t number,
                                      uint8_t *to)
{
    const char *name = NULL;

    if ((uint32_t)number < field->enum_text_count)
        return put_text(writer, to, field->enum_texts[number]);
    if (field->is_null) {
        memcpy(to, "null", 4);
        return to + 4;
    }
    name = enum_type_name(field->type->enumeration, number);
    if (name == NULL)
        return json_put_int(to, number);
    struct buf *out = out_at(writer, to);
    buf_add_byte(out, '"');
    buf_add_text(out, name);
    buf_add_byte(out, '"');
    return back_from_out(writer);
}

/* Whatever isn't plain: to be escaped, not ASCII, or at the very end of the view. */
static COLD uint8_t *put_any_string(struct json_writer *writer, const struct render_field *field, struct span text,
                                    uint8_t *to)
{
    if (!json_add_string(out_at(writer, to), text))
        return broken(writer, field->type->parent, "a string that isn't UTF-8");
    return back_from_out(writer);
}

static NEVER_INLINE uint8_t *put_string(struct json_writer *writer, const struct render_field *field, struct span text,
                                        uint8_t *to)
{
    to = ensure_room(writer, to, text.len + JSON_PLAIN_ROOM);
    uint8_t *behind = json_put_plain(to, text, writer->stored_end);
    return behind != NULL ? behind : put_any_string(writer, field, text, to);
}

static NEVER_INLINE uint8_t *put_bytes(struct json_writer *writer, struct span bytes, uint8_t *to)
{
    json_add_base64(out_at(writer, to), bytes);
    return back_from_out(writer);
}

/* Only jumps: whatever needs a stack frame has one of its own. */
static uint8_t *write_value(struct json_writer *writer, const struct render_field *field,
                            const struct field_selection *inside, const struct wire_value *value, uint8_t *to,
                            unsigned depth)
{
    uint64_t bits = value->bits;

    switch (field->type->kind) {
    case KIND_DOUBLE:
        return put_double(to, bits);
    case KIND_FLOAT:
        return put_float(to, (uint32_t)bits);
    case KIND_INT64:
    case KIND_SFIXED64:
        return put_quoted_int(to, true, bits);
    case KIND_UINT64:
    case KIND_FIXED64:
        return put_quoted_int(to, false, bits);
    case KIND_SINT64:
        return put_quoted_int(to, true, (uint64_t)wire_unzigzag(bits));
    case KIND_INT32:
    case KIND_SFIXED32:
        return json_put_int(to, (int32_t)(uint32_t)bits);
    case KIND_SINT32:
        return json_put_int(to, wire_unzigzag((uint32_t)bits));
    case KIND_UINT32:
    case KIND_FIXED32:
        return json_put_uint(to, (uint32_t)bits);
    case KIND_BOOL:
        return put_bool(to, bits != 0);
    case KIND_ENUM:
        return put_enum(writer, field, (int32_t)(uint32_t)bits, to);
    case KIND_STRING:
        return put_string(writer, field, value->span, to);
    case KIND_BYTES:
        return put_bytes(writer, value->span, to);
    case KIND_MESSAGE:
        return write_message(writer, field->inner, inside, value->span, to, depth + 1);
    case KIND_GROUP:
        break;
    }
    return to;
}
