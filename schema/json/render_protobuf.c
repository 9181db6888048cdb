/* What is shown keeps its bytes, and mostly that is all of them: a walk over the messages that have rules tells. Otherwise
 * messages that hold something hidden, limited or not selected are taken apart, and their lengths written anew. A message never grows on the way, so the length that it had is room enough. */
#include "schema/json/render_plan.h"

static int write_message(const struct render_type *type, const struct field_selection *selection, struct span bytes,
                         struct buf *out, struct err *err, unsigned depth);
static int write_field(const struct render_type *type, const struct render_field *field,
                       const struct field_selection *selection, const uint8_t *tag_at, enum wire_type wire,
                       const uint8_t **at, const uint8_t *end, struct buf *out, struct err *err, unsigned depth);

int render_protobuf(const struct render_plan *plan, const struct field_selection *selection, struct span stored,
                    struct buf *out, struct err *err)
{
    size_t start = out->len;

    if (stored.len == 0)
        return 0;
    if (plan->is_identity && selection == NULL) {
        buf_add_span(out, stored);
        return 0;
    }
    int rc = write_message(plan->root, selection, stored, out, err, 0);
    if (rc < 0)
        out->len = start;
    return rc;
}

/* Rules are kept in a table only when they alter something. */
static bool is_taken_whole(const struct render_field *field, const struct field_selection *inside)
{
    return inside == NULL && (field->inner == NULL || field->inner->rules == NULL);
}

/* Is nothing in the message hidden, nor a list beyond its limit? Packed lists with a limit aren't looked into. */
static bool is_untouched(const struct render_type *type, struct span bytes, unsigned depth)
{
    const struct render_field *field = type->fields;
    const uint8_t *at = bytes.at;
    const uint8_t *end = at + bytes.len;
    uint32_t count = 0; /* values of the field so far */

    while (at < end) {
        const struct render_field *before = field;
        struct span span;
        if (field->tag_byte != *at) {
            while (field->tag < *at)
                field++;
            if (field->tag_byte != *at)
                return false; /* unknown, or a long tag: too rare for a way of its own */
        }
        count = field == before ? count + 1 : 1;
        enum wire_type wire = (enum wire_type)(*at++ & 7);
        if (field->form == FORM_HIDDEN || (field->limit != 0 && (count > field->limit || field->type->is_packed)))
            return false;
        if (wire != WIRE_LENGTH ? !wire_skip(&at, end, field->type->number, wire, 0) : !wire_read_span(&at, end, &span))
            return false;
        if (field->inner != NULL && field->inner->rules != NULL &&
            (depth == MESSAGE_OWN_DEPTH_MAX || !is_untouched(field->inner, span, depth + 1)))
            return false;
    }
    return true;
}

bool render_leaves_as_stored(const struct render_plan *plan, const struct field_selection *selection,
                             struct span stored)
{
    return selection == NULL && (plan->is_identity || is_untouched(plan->root, stored, 0));
}

static int write_message(const struct render_type *type, const struct field_selection *selection, struct span bytes,
                         struct buf *out, struct err *err, unsigned depth)
{
    const uint8_t *at = bytes.at;
    const uint8_t *end = at + bytes.len;

    if (depth > MESSAGE_OWN_DEPTH_MAX)
        return render_broken(err, type->type, "messages nested too deep");
    while (at < end) {
        const uint8_t *tag_at = at;
        uint32_t number;
        enum wire_type wire;

        if (!wire_read_tag(&at, end, &number, &wire))
            return render_broken(err, type->type, "bytes that don't parse");
        const struct render_field *field = render_field_of(type, number);
        if (field == NULL || !is_shown(type, selection, (size_t)(field - type->fields))) {
            if (!wire_skip(&at, end, number, wire, MESSAGE_DEPTH_MAX))
                return render_broken(err, type->type, "a field that doesn't parse");
            continue;
        }
        int rc = write_field(type, field, selection, tag_at, wire, &at, end, out, err, depth);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void add_varint(struct buf *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        buf_add_byte(out, (uint8_t)(value | 0x80));
    buf_add_byte(out, (uint8_t)value);
}

static int write_inside(const struct render_field *field, const struct field_selection *inside, struct span bytes,
                        struct buf *out, struct err *err, unsigned depth)
{
    size_t room = wire_varint_size(bytes.len);

    memset(buf_reserve(out, room), 0, room);
    size_t length_at = out->len;
    out->len += room;
    int rc = write_message(field->inner, inside, bytes, out, err, depth + 1);
    if (rc < 0)
        return rc;

    size_t written = out->len - length_at - room;
    size_t needed = wire_varint_size(written);
    memmove(out->at + length_at + needed, out->at + length_at + room, written);
    out->len = length_at;
    add_varint(out, written);
    out->len += written;
    return 0;
}

/* The first `count` items of a packed list. */
static bool first_items(const struct field_type *field, struct span packed, uint32_t count, struct span *ret_first,
                        uint32_t *ret_count)
{
    const uint8_t *at = packed.at;
    const uint8_t *end = at + packed.len;
    uint32_t found = 0;

    for (; at < end && found < count; found++) {
        if (!wire_skip(&at, end, field->number, wire_of(field), 0))
            return false;
    }
    *ret_first = span_of(packed.at, (size_t)(at - span_bytes(packed)));
    *ret_count = found;
    return true;
}

/* All values of one field; `tag_at` is where the first one's tag stands, *at is behind it. */
static int write_field(const struct render_type *type, const struct render_field *field,
                       const struct field_selection *selection, const uint8_t *tag_at, enum wire_type wire,
                       const uint8_t **at, const uint8_t *end, struct buf *out, struct err *err, unsigned depth)
{
    const struct field_selection *inside = selection_inside(selection, (size_t)(field - type->fields));
    bool is_packable = wire_of(field->type) != WIRE_LENGTH;
    uint32_t left = field->limit != 0 ? field->limit : UINT32_MAX;

    for (;;) {
        const uint8_t *value_at = *at;
        struct span span = {NULL, 0};
        uint32_t count = 1;

        if (wire == WIRE_LENGTH ? !wire_read_span(at, end, &span)
                                : !wire_skip(at, end, field->type->number, wire, MESSAGE_DEPTH_MAX))
            return render_broken(err, type->type, "a field that doesn't parse");
        if (left == 0) {
            count = 0;
        } else if (wire == WIRE_LENGTH && is_packable && field->limit != 0) {
            if (!first_items(field->type, span, left, &span, &count))
                return render_broken(err, type->type, "a list that doesn't parse");
            if (count > 0) {
                buf_add(out, tag_at, (size_t)(value_at - tag_at));
                add_varint(out, span.len);
                buf_add_span(out, span);
            }
        } else if (wire != WIRE_LENGTH || is_taken_whole(field, inside)) {
            buf_add(out, tag_at, (size_t)(*at - tag_at));
        } else {
            buf_add(out, tag_at, (size_t)(value_at - tag_at));
            int rc = write_inside(field, inside, span, out, err, depth);
            if (rc < 0)
                return rc;
        }
        left -= left == UINT32_MAX ? 0 : count;
        tag_at = *at;
        if (field->type->presence != PRESENCE_REPEATED || !is_continued(at, end, field->type->number, &wire))
            return 0;
    }
}
