/* Values of one field stand one behind the other in the canonical bytes, each behind the same tag; numbers may be packed
 * behind one. A limit cuts what is shown, and the rest is still walked over. */
#include "schema/json/json_writer.h"

static NEVER_INLINE uint8_t *write_packed(struct json_writer *writer, const struct render_field *field,
                                          struct span packed, uint32_t *left, uint8_t *to)
{
    const uint8_t *at = packed.at;
    const uint8_t *end = at + packed.len;

    while (at < end && *left > 0) {
        to = json_write_item(writer, field, NULL, at, end, to);
        if (to == NULL)
            return NULL;
        *to++ = ',';
        at = writer->at;
        --*left;
    }
    return to;
}

static uint8_t *write_list(struct json_writer *writer, const struct render_field *field,
                           const struct field_selection *inside, enum wire_type wire, const uint8_t *at,
                           const uint8_t *end, uint8_t *to)
{
    enum wire_type item_wire = wire_of(field->type);
    uint32_t left = field->limit != 0 ? field->limit : UINT32_MAX; /* more than fit a view */
    struct span span;

    *to++ = '[';
    do {
        if (left == 0) {
            if (!wire_skip(&at, end, field->type->number, wire, MESSAGE_DEPTH_MAX))
                return json_writer_broken(writer, field->type->parent, "a list that doesn't parse");
            continue;
        }
        if (wire == item_wire) {
            to = json_write_item(writer, field, inside, at, end, to);
            if (to == NULL)
                return NULL;
            *to++ = ',';
            at = writer->at;
            left--;
            continue;
        }
        if (wire != WIRE_LENGTH || !wire_read_span(&at, end, &span))
            return json_writer_broken(writer, field->type->parent, "a list that doesn't parse");
        to = write_packed(writer, field, span, &left, to);
        if (to == NULL)
            return NULL;
    } while (is_continued(&at, end, field->type->number, &wire));
    writer->at = at;
    return close_with(to, ']');
}

/* The most frequent list: of objects, behind a short tag. */
static uint8_t *write_objects(struct json_writer *writer, const struct render_field *field,
                              const struct field_selection *inside, const uint8_t *at, const uint8_t *end, uint8_t *to)
{
    uint32_t left = field->limit != 0 ? field->limit : UINT32_MAX;
    struct span span;

    *to++ = '[';
    for (;;) {
        if (!read_span(writer, &at, end, &span))
            return json_writer_broken(writer, field->type->parent, "a value that doesn't parse");
        if (left > 0) {
            to = json_write_object(writer, field->inner, inside, span, to);
            if (to == NULL)
                return NULL;
            *to++ = ',';
            left--;
        }
        if (at == end || *at != field->tag_byte)
            break;
        at++;
    }
    writer->at = at;
    return close_with(to, ']');
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

/* A part that isn't there reads as its default. */
static uint8_t *write_part(struct json_writer *writer, const struct render_field *part, const uint8_t *at,
                           const uint8_t *end, uint8_t *to)
{
    if (at != NULL)
        return json_write_item(writer, part, NULL, at, end, to);
    if (part->inner != NULL)
        return json_write_message(writer, part->inner, NULL, SPAN_LITERAL(""), to);
    to = ensure_room(writer, to, part->empty.len + RENDER_COPY_STEP + RENDER_ROOM);
    return put_prepared(to, part->empty.at, part->empty.len);
}

/* JSON's keys are strings: whatever isn't one yet gets quotes. */
static uint8_t *write_key(struct json_writer *writer, const struct render_field *key, const struct entry_parts *parts,
                          uint8_t *to)
{
    size_t start = (size_t)(to - writer->out->at);

    to = write_part(writer, key, parts->key, parts->end, to);
    if (to == NULL || writer->out->at[start] == '"')
        return to;
    uint8_t *from = writer->out->at + start;
    memmove(from + 1, from, (size_t)(to - from));
    *from = '"';
    to[1] = '"';
    return to + 2;
}

static uint8_t *write_map(struct json_writer *writer, const struct render_field *field, enum wire_type wire,
                          const uint8_t *at, const uint8_t *end, uint8_t *to)
{
    const struct render_type *entry = field->inner;
    uint32_t left = field->limit != 0 ? field->limit : UINT32_MAX;

    *to++ = '{';
    do {
        struct span bytes;
        struct entry_parts parts;
        if (wire != WIRE_LENGTH || !wire_read_span(&at, end, &bytes) || !split_entry(entry, bytes, &parts))
            return json_writer_broken(writer, field->type->parent, "a map that doesn't parse");
        if (left == 0)
            continue;
        left--;
        to = write_key(writer, &entry->fields[0], &parts, ensure_room(writer, to, RENDER_ROOM));
        if (to == NULL)
            return NULL;
        *to++ = ':';
        to = write_part(writer, &entry->fields[1], parts.value, parts.end, ensure_room(writer, to, RENDER_ROOM));
        if (to == NULL)
            return NULL;
        *to++ = ',';
    } while (is_continued(&at, end, field->type->number, &wire));
    writer->at = at;
    return close_with(to, '}');
}

uint8_t *json_write_items(struct json_writer *writer, const struct render_field *field,
                          const struct field_selection *inside, enum wire_type wire, const uint8_t *at,
                          const uint8_t *end, uint8_t *to)
{
    if (field->type->is_map)
        return write_map(writer, field, wire, at, end, to);
    if (field->item_form == FORM_OBJECT && field->tag_byte != UINT32_MAX && wire == WIRE_LENGTH)
        return write_objects(writer, field, inside, at, end, to);
    return write_list(writer, field, inside, wire, at, end, to);
}
