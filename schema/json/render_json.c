/* The bytes are walked once, field by field in ascending order; between two fields that are there, those that are
 * always printed get their ready-made text. Most fields come in the order of the table, one byte of tag each, so that
 * the next one is tried before any is looked for.
 *
 * Room is asked for once per object, for all that is known in advance (keys, empties, numbers, enums), and again behind
 * each value whose length isn't: a text, a list, a message. */
#include <string.h>

#include "schema/json/json_text.h"
#include "schema/json/json_writer.h"

static ALWAYS_INLINE uint8_t *write_value(struct json_writer *writer, enum render_form form,
                                          const struct render_field *field, const struct field_selection *inside,
                                          const uint8_t *at, const uint8_t *end, uint8_t *to, size_t room);

/* --- the writer --------------------------------------------------------------------------------------------------- */

uint8_t *json_writer_resume(struct json_writer *writer, size_t room)
{
    uint8_t *to = buf_reserve(writer->out, room);

    writer->limit = writer->out->at + writer->out->capacity;
    return to;
}

uint8_t *json_writer_grow(struct json_writer *writer, uint8_t *to, size_t room)
{
    json_writer_out(writer, to);
    return json_writer_resume(writer, room);
}

uint8_t *json_writer_broken(struct json_writer *writer, const struct message_type *type, const char *what)
{
    (void)render_broken(writer->err, type, what);
    return NULL;
}

bool json_read_long_varint(struct json_writer *writer, const uint8_t *at, const uint8_t *end)
{
    writer->at = at;
    return wire_read_varint(&writer->at, end, &writer->bits);
}

int render_json(const struct render_plan *plan, const struct field_selection *selection, struct span stored,
                struct buf *out, struct err *err)
{
    size_t start = out->len;

    if (stored.len == 0)
        stored.at = "";
    struct json_writer writer = {.out = out, .stored_end = span_bytes(stored) + stored.len, .err = err};
    uint8_t *to = json_writer_resume(&writer, RENDER_ROOM);
    to = json_write_message(&writer, plan->root, selection, stored, to);
    out->len = to != NULL ? (size_t)(to - out->at) : start;
    return to != NULL ? 0 : err->kind;
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

uint8_t *json_write_message(struct json_writer *writer, const struct render_type *type,
                            const struct field_selection *selection, struct span bytes, uint8_t *to)
{
    switch (type->type->well_known) {
    case WELL_KNOWN_NONE:
    case WELL_KNOWN_EMPTY:
        return json_write_object(writer, type, selection, bytes, to);
    case WELL_KNOWN_WRAPPER:
    case WELL_KNOWN_STRUCT:
    case WELL_KNOWN_LIST_VALUE:
    case WELL_KNOWN_VALUE:
        return json_write_wrapped(writer, type, bytes, to);
    case WELL_KNOWN_TIMESTAMP:
    case WELL_KNOWN_DURATION:
    case WELL_KNOWN_FIELD_MASK:
    case WELL_KNOWN_ANY:
        break;
    }
    if (render_well_known(type->type, bytes, json_writer_out(writer, to), writer->err) < 0)
        return NULL;
    return json_writer_resume(writer, RENDER_ROOM);
}

/* The fields from `first` on and before `last`, which aren't there, as far as they are printed all the same. */
static ALWAYS_INLINE uint8_t *put_empties(const struct render_type *type, const struct field_selection *selection,
                                          const struct render_field *first, const struct render_field *last,
                                          uint8_t *to)
{
    if (selection == NULL && first->empties_at == last->empties_at)
        return to;
    if (selection == NULL)
        return put_prepared(to, type->empties + first->empties_at, last->empties_at - first->empties_at);
    for (; first < last; first++) {
        if (first->key_and_empty.len > 0 && is_shown(type, selection, (size_t)(first - type->fields)))
            to = put_prepared(to, first->key_and_empty.at, first->key_and_empty.len);
    }
    return to;
}

static NEVER_INLINE uint8_t *skip_field(struct json_writer *writer, const struct render_field *field,
                                        enum wire_type wire, const uint8_t *at, const uint8_t *end, uint8_t *to)
{
    do {
        if (!wire_skip(&at, end, field->type->number, wire, MESSAGE_DEPTH_MAX))
            return json_writer_broken(writer, field->type->parent, "a field that doesn't parse");
    } while (field->type->presence == PRESENCE_REPEATED && is_continued(&at, end, field->type->number, &wire));
    writer->at = at;
    return to;
}

/* The field whose tag stands at `at`, when the short way didn't find it: its tag is long, has another wire type, or isn't
 * known, in which case it is passed over and NULL returned. Also for what is broken, with NULL in writer->at. */
static NEVER_INLINE const struct render_field *find_field(struct json_writer *writer, const struct render_type *type,
                                                          const struct render_field *next, const uint8_t *at,
                                                          const uint8_t *end, enum wire_type *ret_wire)
{
    const struct render_field *field = NULL;
    const char *what = NULL;
    uint32_t number;

    if (!wire_read_tag(&at, end, &number, ret_wire)) {
        what = "bytes that don't parse";
    } else {
        field = render_field_of(type, number);
        if (field == NULL && !wire_skip(&at, end, number, *ret_wire, MESSAGE_DEPTH_MAX))
            what = "an unknown field that doesn't parse";
        else if (field != NULL && field < next)
            what = "fields that aren't in order";
        else if (field != NULL && field->type->presence != PRESENCE_REPEATED && *ret_wire != wire_of(field->type))
            what = "a field of another wire type";
    }
    writer->at = what == NULL ? at : NULL;
    if (what == NULL)
        return field;
    json_writer_broken(writer, type->type, what);
    return NULL;
}

/* A field that isn't a single value: to->at is behind its last one. */
static NEVER_INLINE uint8_t *write_field(struct json_writer *writer, const struct render_type *type,
                                         const struct render_field *field, const struct field_selection *inside,
                                         enum wire_type wire, const uint8_t *at, const uint8_t *end, uint8_t *to)
{
    to = put_prepared(to, field->key.at, field->key.len);
    to = json_write_items(writer, field, inside, wire, at, end, to);
    if (to == NULL)
        return NULL;
    *to++ = ',';
    return ensure_room(writer, to, type->room);
}

uint8_t *json_write_object(struct json_writer *writer, const struct render_type *type,
                           const struct field_selection *selection, struct span bytes, uint8_t *to)
{
    const struct render_field *next = type->fields; /* those before it are written */
    const uint8_t *at = bytes.at;
    const uint8_t *end = at + bytes.len;

    if (++writer->depth > MESSAGE_OWN_DEPTH_MAX + 1)
        return json_writer_broken(writer, type->type, "messages nested too deep");
    to = ensure_room(writer, to, type->room);
    *to++ = '{';
    while (at < end) {
        const struct render_field *field = next;
        enum wire_type wire;

        if (field->tag_byte != *at) {
            while (field->tag < *at)
                field++;
            if (field->tag_byte == *at) {
                wire = (enum wire_type)(field->tag & 7);
                at++;
            } else {
                field = find_field(writer, type, next, at, end, &wire);
                at = writer->at;
                if (at == NULL)
                    return NULL;
                if (field == NULL)
                    continue;
            }
            to = put_empties(type, selection, next, field, to);
        } else {
            wire = (enum wire_type)(field->tag & 7);
            at++;
        }
        next = field + 1;

        enum render_form form = field->form;
        const struct field_selection *inside = NULL;
        if (selection != NULL) {
            const struct selected_field *selected = &selection->fields[field - type->fields];
            form = selected->is_selected ? form : FORM_HIDDEN;
            inside = selected->inner;
        }
        if (form <= FORM_LIST) {
            to = form == FORM_HIDDEN ? skip_field(writer, field, wire, at, end, to)
                                     : write_field(writer, type, field, inside, wire, at, end, to);
            if (to == NULL)
                return NULL;
        } else {
            to = put_prepared(to, field->key.at, field->key.len);
            to = write_value(writer, form, field, inside, at, end, to, type->room);
            if (to == NULL)
                return NULL;
            *to++ = ',';
        }
        at = writer->at;
    }
    to = put_empties(type, selection, next, type->fields + type->type->field_count, to);
    writer->depth--;
    return close_with(to, '}');
}

/* --- values ------------------------------------------------------------------------------------------------------- */

static NEVER_INLINE uint8_t *put_quoted(uint8_t *to, bool is_signed, uint64_t value)
{
    *to++ = '"';
    to = is_signed ? decimal_put_signed(to, (int64_t)value) : decimal_put(to, value);
    *to++ = '"';
    return to;
}

/* Whatever isn't plain: to be escaped, not ASCII, or at the very end of the view. */
static NEVER_INLINE uint8_t *put_odd_string(struct json_writer *writer, const struct render_field *field, struct span text,
                                    uint8_t *to, size_t room)
{
    if (!json_add_string(json_writer_out(writer, to), text))
        return json_writer_broken(writer, field->type->parent, "a string that isn't UTF-8");
    return json_writer_resume(writer, room);
}

static COLD uint8_t *put_odd_enum(struct json_writer *writer, const struct render_field *field, int32_t number,
                                  uint8_t *to, size_t room)
{
    const char *name = enum_type_name(field->type->enumeration, number);

    if (name == NULL)
        return decimal_put_signed(to, number);
    struct buf *out = json_writer_out(writer, to);
    buf_add_byte(out, '"');
    buf_add_text(out, name);
    buf_add_byte(out, '"');
    return json_writer_resume(writer, room);
}

static NEVER_INLINE uint8_t *put_bytes(struct json_writer *writer, struct span bytes, uint8_t *to, size_t room)
{
    json_add_base64(json_writer_out(writer, to), bytes);
    return json_writer_resume(writer, room);
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

static ALWAYS_INLINE uint8_t *put_literal(uint8_t *to, const char *text, size_t len)
{
    memcpy(to, text, len);
    return to + len;
}

/* What stands on the wire as a varint. */
static ALWAYS_INLINE uint8_t *put_varint(struct json_writer *writer, enum render_form form,
                                         const struct render_field *field, uint64_t bits, uint8_t *to, size_t room)
{
    switch ((int)form) {
    case FORM_ENUM:
        if ((uint32_t)bits < field->enum_text_count) {
            struct span text = field->enum_texts[(uint32_t)bits];
            return put_prepared(to, text.at, text.len);
        }
        return put_odd_enum(writer, field, (int32_t)(uint32_t)bits, to, room);
    case FORM_NULL:
        return put_literal(to, "null", 4);
    case FORM_BOOL:
        return bits != 0 ? put_literal(to, "true", 4) : put_literal(to, "false", 5);
    case FORM_INT32:
        return decimal_put_signed(to, (int32_t)(uint32_t)bits);
    case FORM_SINT32:
        return decimal_put_signed(to, wire_unzigzag((uint32_t)bits));
    case FORM_UINT32:
        return decimal_put(to, (uint32_t)bits);
    case FORM_INT64:
        return put_quoted(to, true, bits);
    case FORM_SINT64:
        return put_quoted(to, true, (uint64_t)wire_unzigzag(bits));
    default:
        return put_quoted(to, false, bits); /* FORM_UINT64 */
    }
}

/* The value behind a tag. Leaves `room` behind those whose length isn't known in advance. */
static ALWAYS_INLINE uint8_t *write_value(struct json_writer *writer, enum render_form form,
                                          const struct render_field *field, const struct field_selection *inside,
                                          const uint8_t *at, const uint8_t *end, uint8_t *to, size_t room)
{
    struct span span;
    uint64_t bits;
    uint32_t four;
    uint8_t *behind;

    switch (form) {
    case FORM_STRING:
        if (!read_span(writer, &at, end, &span))
            break;
        writer->at = at;
        to = ensure_room(writer, to, span.len + JSON_TEXT_ROOM + room);
        behind = json_put_ascii(to, span, writer->stored_end);
        return behind != NULL ? behind : put_odd_string(writer, field, span, to, room);
    case FORM_BYTES:
        if (!read_span(writer, &at, end, &span))
            break;
        writer->at = at;
        return put_bytes(writer, span, to, room);
    case FORM_OBJECT:
    case FORM_WELL_KNOWN:
        if (!read_span(writer, &at, end, &span))
            break;
        to = form == FORM_OBJECT ? json_write_object(writer, field->inner, inside, span, to)
                                 : json_write_message(writer, field->inner, inside, span, to);
        writer->at = at;
        return to != NULL ? ensure_room(writer, to, room) : NULL;
    case FORM_ENUM:
    case FORM_NULL:
    case FORM_BOOL:
    case FORM_INT32:
    case FORM_UINT32:
    case FORM_SINT32:
    case FORM_INT64:
    case FORM_UINT64:
    case FORM_SINT64:
        if (!read_varint(writer, &at, end, &bits))
            break;
        writer->at = at;
        return put_varint(writer, form, field, bits, to, room);
    case FORM_DOUBLE:
    case FORM_FIXED64:
    case FORM_SFIXED64:
        if (!wire_read_fixed64(&at, end, &bits))
            break;
        writer->at = at;
        return form == FORM_DOUBLE ? put_double(to, bits) : put_quoted(to, form == FORM_SFIXED64, bits);
    case FORM_FLOAT:
    case FORM_FIXED32:
    case FORM_SFIXED32:
        if (!wire_read_fixed32(&at, end, &four))
            break;
        writer->at = at;
        if (form == FORM_FLOAT)
            return put_float(to, four);
        return form == FORM_FIXED32 ? decimal_put(to, four) : decimal_put_signed(to, (int32_t)four);
    case FORM_HIDDEN:
    case FORM_MAP:
    case FORM_LIST:
        break;
    }
    return json_writer_broken(writer, field->type->parent, "a value that doesn't parse");
}

uint8_t *json_write_item(struct json_writer *writer, const struct render_field *field,
                         const struct field_selection *inside, const uint8_t *at, const uint8_t *end, uint8_t *to)
{
    to = ensure_room(writer, to, field->item_room);
    return write_value(writer, field->item_form, field, inside, at, end, to, RENDER_ROOM);
}
