/* One value of a sealed message, found by passing over the fields before it. Whole messages are unsealed by the decoder
 * (decode.c), which also makes the seals. */
#include "schema/message/sealed.h"

#include "schema/message/wire_number.h"

/* Fields stand by number in what we wrote, each single one once: the first look ends the search. False: it isn't there. */
static bool find_value(const struct field_type *field, struct span bytes, bool *ret_parses, const uint8_t **ret_at,
                       const uint8_t **ret_end)
{
    const uint8_t *at = bytes.at;
    const uint8_t *end = at + bytes.len;
    uint32_t tag;

    *ret_parses = false;
    while (at < end) {
        if (!wire_read_whole_tag(&at, end, &tag))
            return false;
        if (tag >= field->tag) {
            *ret_parses = true;
            *ret_at = at;
            *ret_end = end;
            return tag == field->tag;
        }
        struct span passed;
        enum wire_type wire = (enum wire_type)(tag & 7);
        if (wire == WIRE_LENGTH ? !wire_read_span(&at, end, &passed) : !wire_skip(&at, end, tag >> 3, wire, 0))
            return false;
    }
    *ret_parses = true;
    return false;
}

/* False: not set, *room is all zeros. */
static bool peek(const ProtobufCMessage *message, const struct field_type *field, union message_item *room)
{
    const uint8_t *at, *end;
    bool parses;
    bool is_there = find_value(field, message_sealed_bytes(message), &parses, &at, &end);

    room->text = (ProtobufCBinaryData){0, NULL};
    if (is_there && wire_of(field) == WIRE_LENGTH) {
        struct span text = {NULL, 0};
        parses = wire_read_span(&at, end, &text);
        if (text.len > 0)
            room->text = (ProtobufCBinaryData){text.len, (uint8_t *)(uintptr_t)text.at};
    } else if (is_there) {
        uint64_t bits = 0;
        parses = wire_read_number(field, &at, end, &bits);
        wire_put_number(field, bits, room);
    }
    if (!parses)
        ((struct message_seals *)(void *)message->unknown_fields)->is_broken = true;
    return is_there;
}

const void *message_peek_sealed(const ProtobufCMessage *message, const struct field_type *field,
                                union message_item *room)
{
    peek(message, field, room);
    return room;
}

struct value message_peek(const ProtobufCMessage *message, const struct field_type *field)
{
    union message_item room;

    if (!message_is_sealed(message) || field->kind == KIND_MESSAGE || field->presence == PRESENCE_REPEATED)
        return message_get(message_unseal((ProtobufCMessage *)(uintptr_t)message), field);
    if (!peek(message, field, &room) && field->presence != PRESENCE_IMPLICIT)
        return (struct value){.kind = VALUE_ABSENT};
    return message_get_item(field, &room);
}
