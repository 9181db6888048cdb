/* The bytes are walked once, field by field in ascending order; between two fields that are there, those that are always
 * printed get their ready-made text. Every value is followed by a comma, and whatever closes an object or a list takes
 * the place of the last one: no state says whether a comma is due. */
#include <string.h>

#include "schema/json/json_text.h"
#include "schema/json/render_plan.h"

struct json_writer {
    struct buf *out;
    struct err *err;
};

static int write_message(struct json_writer *writer, const struct render_type *type,
                         const struct field_selection *selection, struct span bytes, unsigned depth);
static int write_field(struct json_writer *writer, const struct render_type *type, const struct render_field *field,
                       const struct field_selection *selection, enum wire_type wire, const uint8_t **at,
                       const uint8_t *end, unsigned depth);
static int write_list(struct json_writer *writer, const struct render_type *type, const struct render_field *field,
                      const struct field_selection *inside, enum wire_type wire, const uint8_t **at,
                      const uint8_t *end, unsigned depth);
static int write_map(struct json_writer *writer, const struct render_type *type, const struct render_field *field,
                     enum wire_type wire, const uint8_t **at, const uint8_t *end, unsigned depth);
static int write_value(struct json_writer *writer, const struct render_field *field,
                       const struct field_selection *inside, const uint8_t **at, const uint8_t *end, unsigned depth);

int render_json(const struct render_plan *plan, const struct field_selection *selection, struct span stored,
                struct buf *out, struct err *err)
{
    struct json_writer writer = {out, err};
    size_t start = out->len;

    if (stored.len == 0)
        stored.at = "";
    int rc = write_message(&writer, plan->root, selection, stored, 0);
    if (rc < 0)
        out->len = start;
    return rc;
}

static inline void close_with(struct buf *out, uint8_t closing)
{
    if (out->at[out->len - 1] == ',')
        out->at[out->len - 1] = closing;
    else
        buf_add_byte(out, closing);
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

static int write_object(struct json_writer *writer, const struct render_type *type,
                        const struct field_selection *selection, struct span bytes, unsigned depth);
static int write_only_field(struct json_writer *writer, const struct render_type *type, struct span bytes,
                            unsigned depth);
static int write_any_value(struct json_writer *writer, const struct render_type *type, struct span bytes,
                           unsigned depth);

static int write_message(struct json_writer *writer, const struct render_type *type,
                         const struct field_selection *selection, struct span bytes, unsigned depth)
{
    if (depth > MESSAGE_OWN_DEPTH_MAX)
        return render_broken(writer->err, type->type, "messages nested too deep");
    switch (type->type->well_known) {
    case WELL_KNOWN_NONE:
    case WELL_KNOWN_EMPTY:
        return write_object(writer, type, selection, bytes, depth);
    case WELL_KNOWN_WRAPPER:
    case WELL_KNOWN_STRUCT:
    case WELL_KNOWN_LIST_VALUE:
        return write_only_field(writer, type, bytes, depth);
    case WELL_KNOWN_VALUE:
        return write_any_value(writer, type, bytes, depth);
    case WELL_KNOWN_TIMESTAMP:
    case WELL_KNOWN_DURATION:
    case WELL_KNOWN_FIELD_MASK:
    case WELL_KNOWN_ANY:
        break;
    }
    return render_well_known(type->type, bytes, writer->out, writer->err);
}

static int write_object(struct json_writer *writer, const struct render_type *type,
                        const struct field_selection *selection, struct span bytes, unsigned depth)
{
    const uint8_t *at = bytes.at;
    const uint8_t *end = at + bytes.len;
    size_t next = 0; /* of type->fields: those before are written or passed */

    buf_add_byte(writer->out, '{');
    while (at < end) {
        uint32_t number;
        enum wire_type wire;

        if (!wire_read_tag(&at, end, &number, &wire))
            return render_broken(writer->err, type->type, "bytes that don't parse");
        const struct render_field *field = render_field_of(type, number, next);
        if (field == NULL) {
            if (!wire_skip(&at, end, number, wire, MESSAGE_DEPTH_MAX))
                return render_broken(writer->err, type->type, "an unknown field that doesn't parse");
            continue;
        }
        size_t index = (size_t)(field - type->fields);
        if (index < next)
            return render_broken(writer->err, type->type, "fields that aren't in order");
        for (; next < index; next++) {
            if (is_shown(type, selection, next))
                buf_add_span(writer->out, type->fields[next].key_and_empty);
        }
        next = index + 1;
        int rc = write_field(writer, type, field, selection, wire, &at, end, depth);
        if (rc < 0)
            return rc;
    }
    for (; next < type->type->field_count; next++) {
        if (is_shown(type, selection, next))
            buf_add_span(writer->out, type->fields[next].key_and_empty);
    }
    close_with(writer->out, '}');
    return 0;
}

/* A wrapper's value, a Struct's map and a ListValue's list stand for the message itself. */
static int write_only_field(struct json_writer *writer, const struct render_type *type, struct span bytes,
                            unsigned depth)
{
    const struct render_field *field = &type->fields[0];
    const uint8_t *at = bytes.at;
    const uint8_t *end = at + bytes.len;
    uint32_t number;
    enum wire_type wire;
    int rc = 0;

    if (at == end) {
        buf_add_span(writer->out, field->empty);
        return 0;
    }
    if (!wire_read_tag(&at, end, &number, &wire) || number != field->type->number)
        return render_broken(writer->err, type->type, "bytes that don't parse");
    if (field->type->is_map)
        rc = write_map(writer, type, field, wire, &at, end, depth);
    else if (field->type->presence == PRESENCE_REPEATED)
        rc = write_list(writer, type, field, NULL, wire, &at, end, depth);
    else if (wire == wire_of(field->type))
        rc = write_value(writer, field, NULL, &at, end, depth);
    else
        rc = render_broken(writer->err, type->type, "a field of another wire type");
    if (rc == 0 && at != end)
        rc = render_broken(writer->err, type->type, "more than its field");
    return rc;
}

/* google.protobuf.Value: whichever of its kinds is set; none is null. */
static int write_any_value(struct json_writer *writer, const struct render_type *type, struct span bytes,
                           unsigned depth)
{
    const uint8_t *at = bytes.at;
    const uint8_t *end = at + bytes.len;
    uint32_t number;
    enum wire_type wire;

    if (at == end) {
        buf_add_literal(writer->out, "null");
        return 0;
    }
    const struct render_field *field =
        wire_read_tag(&at, end, &number, &wire) ? render_field_of(type, number, 0) : NULL;
    if (field == NULL || wire != wire_of(field->type))
        return render_broken(writer->err, type->type, "bytes that don't parse");

    size_t start = writer->out->len;
    int rc = write_value(writer, field, NULL, &at, end, depth);
    if (rc == 0 && at != end)
        rc = render_broken(writer->err, type->type, "more than one kind");
    if (rc == 0 && field->type->kind == KIND_DOUBLE && writer->out->at[start] == '"')
        rc = err_set(writer->err, ERR_INPUT, "%s: JSON has no NaN and no infinity", type->type->full_name);
    return rc;
}

/* --- fields ------------------------------------------------------------------------------------------------------- */

static int skip_field(struct json_writer *writer, const struct render_type *type, const struct render_field *field,
                      enum wire_type wire, const uint8_t **at, const uint8_t *end)
{
    do {
        if (!wire_skip(at, end, field->type->number, wire, MESSAGE_DEPTH_MAX))
            return render_broken(writer->err, type->type, "a field that doesn't parse");
    } while (field->type->presence == PRESENCE_REPEATED && is_continued(at, end, field->type->number, &wire));
    return 0;
}

/* All values of one field: key, value, comma. */
static int write_field(struct json_writer *writer, const struct render_type *type, const struct render_field *field,
                       const struct field_selection *selection, enum wire_type wire, const uint8_t **at,
                       const uint8_t *end, unsigned depth)
{
    size_t index = (size_t)(field - type->fields);
    const struct field_selection *inside = selection_inside(selection, index);
    int rc = 0;

    if (!is_shown(type, selection, index))
        return skip_field(writer, type, field, wire, at, end);
    buf_add_span(writer->out, field->key);
    if (field->type->is_map)
        rc = write_map(writer, type, field, wire, at, end, depth);
    else if (field->type->presence == PRESENCE_REPEATED)
        rc = write_list(writer, type, field, inside, wire, at, end, depth);
    else if (wire == wire_of(field->type))
        rc = write_value(writer, field, inside, at, end, depth);
    else
        rc = render_broken(writer->err, type->type, "a field of another wire type");
    buf_add_byte(writer->out, ',');
    return rc;
}

static int write_list(struct json_writer *writer, const struct render_type *type, const struct render_field *field,
                      const struct field_selection *inside, enum wire_type wire, const uint8_t **at,
                      const uint8_t *end, unsigned depth)
{
    enum wire_type item_wire = wire_of(field->type);
    uint32_t left = field->limit != 0 ? field->limit : UINT32_MAX;

    buf_add_byte(writer->out, '[');
    do {
        struct span packed;
        if (left == 0) {
            if (!wire_skip(at, end, field->type->number, wire, MESSAGE_DEPTH_MAX))
                return render_broken(writer->err, type->type, "a list that doesn't parse");
            continue;
        }
        if (wire == item_wire) {
            int rc = write_value(writer, field, inside, at, end, depth);
            if (rc < 0)
                return rc;
            buf_add_byte(writer->out, ',');
            left -= left != UINT32_MAX;
            continue;
        }
        if (wire != WIRE_LENGTH || !wire_read_span(at, end, &packed))
            return render_broken(writer->err, type->type, "a list that doesn't parse");
        const uint8_t *item = packed.at;
        const uint8_t *items_end = item + packed.len;
        while (item < items_end && left > 0) {
            int rc = write_value(writer, field, NULL, &item, items_end, depth);
            if (rc < 0)
                return rc;
            buf_add_byte(writer->out, ',');
            left -= left != UINT32_MAX;
        }
    } while (is_continued(at, end, field->type->number, &wire));
    close_with(writer->out, ']');
    return 0;
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
static int write_key(struct json_writer *writer, const struct render_field *key, const struct entry_parts *parts)
{
    struct buf *out = writer->out;
    const uint8_t *at = parts->key;
    size_t start = out->len;
    int rc = 0;

    if (at == NULL)
        buf_add_span(out, key->empty);
    else
        rc = write_value(writer, key, NULL, &at, parts->end, 0);
    if (rc < 0 || out->at[start] == '"')
        return rc;
    buf_add_byte(out, '"');
    memmove(out->at + start + 1, out->at + start, out->len - start - 1);
    out->at[start] = '"';
    buf_add_byte(out, '"');
    return 0;
}

static int write_map(struct json_writer *writer, const struct render_type *type, const struct render_field *field,
                     enum wire_type wire, const uint8_t **at, const uint8_t *end, unsigned depth)
{
    const struct render_type *entry = field->inner;
    struct buf *out = writer->out;
    uint32_t left = field->limit != 0 ? field->limit : UINT32_MAX;

    buf_add_byte(out, '{');
    do {
        struct span bytes;
        struct entry_parts parts;
        if (wire != WIRE_LENGTH || !wire_read_span(at, end, &bytes) || !split_entry(entry, bytes, &parts))
            return render_broken(writer->err, type->type, "a map that doesn't parse");
        if (left == 0)
            continue;
        left -= left != UINT32_MAX;
        int rc = write_key(writer, &entry->fields[0], &parts);
        buf_add_byte(out, ':');
        if (rc == 0 && parts.value != NULL)
            rc = write_value(writer, &entry->fields[1], NULL, &parts.value, parts.end, depth);
        else if (rc == 0 && entry->fields[1].inner != NULL)
            rc = write_message(writer, entry->fields[1].inner, NULL, SPAN_LITERAL(""), depth + 1);
        else if (rc == 0)
            buf_add_span(out, entry->fields[1].empty);
        if (rc < 0)
            return rc;
        buf_add_byte(out, ',');
    } while (is_continued(at, end, field->type->number, &wire));
    close_with(out, '}');
    return 0;
}

/* --- values ------------------------------------------------------------------------------------------------------- */

static void add_quoted_int(struct buf *out, bool is_signed, uint64_t value)
{
    uint8_t *to = buf_reserve(out, JSON_NUMBER_MAX);

    *to++ = '"';
    to = is_signed ? json_put_int(to, (int64_t)value) : json_put_uint(to, value);
    *to++ = '"';
    out->len = (size_t)(to - out->at);
}

static void add_int(struct buf *out, int64_t value)
{
    uint8_t *to = json_put_int(buf_reserve(out, JSON_NUMBER_MAX), value);

    out->len = (size_t)(to - out->at);
}

static void add_double(struct buf *out, uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof(value));
    uint8_t *to = json_put_double(buf_reserve(out, JSON_NUMBER_MAX), value);
    out->len = (size_t)(to - out->at);
}

static void add_float(struct buf *out, uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof(value));
    uint8_t *to = json_put_float(buf_reserve(out, JSON_NUMBER_MAX), value);
    out->len = (size_t)(to - out->at);
}

static void add_enum(struct buf *out, const struct render_field *field, int32_t number)
{
    const char *name = NULL;

    if ((uint32_t)number < field->enum_text_count) {
        buf_add_span(out, field->enum_texts[number]);
        return;
    }
    if (!field->is_null)
        name = enum_type_name(field->type->enumeration, number);
    if (field->is_null) {
        buf_add_literal(out, "null");
    } else if (name == NULL) {
        add_int(out, number);
    } else {
        size_t length = strlen(name);
        uint8_t *to = buf_reserve(out, length + 2);
        to[0] = '"';
        memcpy(to + 1, name, length);
        to[length + 1] = '"';
        out->len += length + 2;
    }
}

static int write_value(struct json_writer *writer, const struct render_field *field,
                       const struct field_selection *inside, const uint8_t **at, const uint8_t *end, unsigned depth)
{
    struct buf *out = writer->out;
    uint64_t varint = 0;
    uint32_t four = 0;
    struct span span = {NULL, 0};
    enum wire_type wire = wire_of(field->type);

    bool is_read = wire == WIRE_LENGTH   ? wire_read_span(at, end, &span)
                   : wire == WIRE_VARINT ? wire_read_varint(at, end, &varint)
                   : wire == WIRE_64BIT  ? wire_read_fixed64(at, end, &varint)
                                         : wire == WIRE_32BIT && wire_read_fixed32(at, end, &four);
    if (!is_read)
        return render_broken(writer->err, field->type->parent, "a value that doesn't parse");

    switch (field->type->kind) {
    case KIND_DOUBLE:
        add_double(out, varint);
        break;
    case KIND_FLOAT:
        add_float(out, four);
        break;
    case KIND_INT64:
    case KIND_SFIXED64:
        add_quoted_int(out, true, varint);
        break;
    case KIND_UINT64:
    case KIND_FIXED64:
        add_quoted_int(out, false, varint);
        break;
    case KIND_SINT64:
        add_quoted_int(out, true, (uint64_t)wire_unzigzag(varint));
        break;
    case KIND_INT32:
        add_int(out, (int32_t)(uint32_t)varint);
        break;
    case KIND_SINT32:
        add_int(out, wire_unzigzag((uint32_t)varint));
        break;
    case KIND_UINT32:
        add_int(out, (uint32_t)varint);
        break;
    case KIND_FIXED32:
        add_int(out, four);
        break;
    case KIND_SFIXED32:
        add_int(out, (int32_t)four);
        break;
    case KIND_BOOL:
        buf_add_text(out, varint != 0 ? "true" : "false");
        break;
    case KIND_ENUM:
        add_enum(out, field, (int32_t)(uint32_t)varint);
        break;
    case KIND_STRING:
        if (!json_add_string(out, span))
            return render_broken(writer->err, field->type->parent, "a string that isn't UTF-8");
        break;
    case KIND_BYTES:
        json_add_base64(out, span);
        break;
    case KIND_MESSAGE:
        return write_message(writer, field->inner, inside, span, depth + 1);
    case KIND_GROUP:
        break;
    }
    return 0;
}
