/* Messages that stand for what is in them: a wrapper's value, a Struct's map and a ListValue's list, and Value, which is
 * whichever of its kinds is set. */
#include "schema/json/json_writer.h"

static uint8_t *write_only_field(struct json_writer *writer, const struct render_type *type, struct span bytes,
                                 uint8_t *to)
{
    const struct render_field *field = &type->fields[0];
    const uint8_t *at = bytes.at;
    const uint8_t *end = at + bytes.len;
    uint32_t number;
    enum wire_type wire;

    if (at == end)
        return put_prepared(to, field->empty.at, field->empty.len);
    if (!wire_read_tag(&at, end, &number, &wire) || number != field->type->number)
        return json_writer_broken(writer, type->type, "bytes that don't parse");
    if (field->type->presence == PRESENCE_REPEATED)
        to = json_write_items(writer, field, NULL, wire, at, end, to);
    else if (wire == wire_of(field->type))
        to = json_write_item(writer, field, NULL, at, end, to);
    else
        return json_writer_broken(writer, type->type, "a value that doesn't parse");
    if (to != NULL && writer->at != end)
        return json_writer_broken(writer, type->type, "more than its field");
    return to;
}

static uint8_t *write_any_kind(struct json_writer *writer, const struct render_type *type, struct span bytes,
                               uint8_t *to)
{
    const struct render_field *field = NULL;
    const uint8_t *at = bytes.at;
    const uint8_t *end = at + bytes.len;
    size_t start = (size_t)(to - writer->out->at);
    uint32_t number;
    enum wire_type wire;

    if (at == end) {
        memcpy(to, "null", 4);
        return to + 4;
    }
    if (wire_read_tag(&at, end, &number, &wire))
        field = render_field_of(type, number);
    if (field == NULL || wire != wire_of(field->type))
        return json_writer_broken(writer, type->type, "bytes that don't parse");
    to = json_write_item(writer, field, NULL, at, end, to);
    if (to != NULL && writer->at != end)
        return json_writer_broken(writer, type->type, "more than one kind");
    if (to != NULL && field->item_form == FORM_DOUBLE && writer->out->at[start] == '"') {
        err_set(writer->err, ERR_INPUT, "%s: JSON has no NaN and no infinity", type->type->full_name);
        return NULL;
    }
    return to;
}

uint8_t *json_write_wrapped(struct json_writer *writer, const struct render_type *type, struct span bytes, uint8_t *to)
{
    if (++writer->depth > MESSAGE_OWN_DEPTH_MAX + 1)
        return json_writer_broken(writer, type->type, "messages nested too deep");
    if (type->type->well_known == WELL_KNOWN_VALUE)
        to = write_any_kind(writer, type, bytes, to);
    else
        to = write_only_field(writer, type, bytes, to);
    writer->depth--;
    return to != NULL ? ensure_room(writer, to, RENDER_ROOM) : NULL;
}
