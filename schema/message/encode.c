/* The size is counted first, then the bytes are written from the last to the first, so that the length of a message
 * inside another is known when its turn comes and nothing is measured twice or moved. The result is what protobuf-c
 * packs, but for -0.0 in a field of implicit presence: protobuf writes it, protobuf-c leaves it out. */
#include <assert.h>

#include "schema/message/presence.h"
#include "schema/message/wire.h"

static size_t tag_size(const struct field_type *field)
{
    return wire_varint_size((uint64_t)field->number << 3);
}

/* What stands on the wire for a number of varint kind. */
static inline uint64_t varint_of(const struct field_type *field, const void *item)
{
    int64_t integer = field->element_size == 4 ? *(const int32_t *)item : *(const int64_t *)item;

    switch (field->kind) {
    case KIND_UINT32:
        return (uint32_t)integer;
    case KIND_BOOL:
        return integer != 0;
    case KIND_SINT32:
        return (uint32_t)wire_zigzag(integer);
    case KIND_SINT64:
        return wire_zigzag(integer);
    case KIND_DOUBLE:
    case KIND_FLOAT:
    case KIND_INT64:
    case KIND_UINT64:
    case KIND_INT32:
    case KIND_FIXED64:
    case KIND_FIXED32:
    case KIND_STRING:
    case KIND_GROUP:
    case KIND_MESSAGE:
    case KIND_BYTES:
    case KIND_ENUM:
    case KIND_SFIXED32:
    case KIND_SFIXED64:
        break;
    }
    return (uint64_t)integer;
}

/* Without the tag. */
static inline size_t item_size(const struct field_type *field, const void *item)
{
    size_t len = 0;

    switch (wire_of(field)) {
    case WIRE_VARINT:
        return wire_varint_size(varint_of(field, item));
    case WIRE_32BIT:
        return 4;
    case WIRE_64BIT:
        return 8;
    case WIRE_LENGTH:
        len = field->kind == KIND_MESSAGE ? message_encoded_size(*(ProtobufCMessage *const *)item)
                                          : ((const ProtobufCBinaryData *)item)->len;
        return wire_varint_size(len) + len;
    case WIRE_GROUP_START:
    case WIRE_GROUP_END:
        break;
    }
    return 0;
}

static size_t items_size(const ProtobufCMessage *message, const struct field_type *field)
{
    const uint8_t *items = *message_list_items(message, field);
    size_t count = *message_list_count(message, field);
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += item_size(field, items + i * field->element_size);
    return size;
}

static inline size_t field_size(const ProtobufCMessage *message, const struct field_type *field)
{
    if (!is_set(message, field) || field->kind == KIND_GROUP)
        return 0;
    if (field->presence != PRESENCE_REPEATED)
        return tag_size(field) + item_size(field, message_at(message, field->offset));
    if (!field->is_packed)
        return *message_list_count(message, field) * tag_size(field) + items_size(message, field);
    size_t size = items_size(message, field);
    return tag_size(field) + wire_varint_size(size) + size;
}

size_t message_field_encoded_size(const ProtobufCMessage *message, const struct field_type *field)
{
    return field_size(message, field);
}

size_t message_encoded_size(const ProtobufCMessage *message)
{
    const struct message_type *type = message_type_of(message);
    size_t size = 0;

    for (size_t i = 0; i < type->field_count; i++)
        size += field_size(message, &type->fields[i]);
    return size;
}

/* --- backwards: each of these writes before `end` and returns where it began ------------------------------------- */

static uint8_t *write_message(const ProtobufCMessage *message, uint8_t *end);

static inline uint8_t *write_varint(uint64_t value, uint8_t *end)
{
    if (value < 0x80) {
        *--end = (uint8_t)value;
        return end;
    }
    uint8_t *start = end - wire_varint_size(value);
    for (uint8_t *at = start; at < end; at++) {
        *at = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    end[-1] &= 0x7f;
    return start;
}

static inline uint8_t *write_tag(const struct field_type *field, enum wire_type wire, uint8_t *end)
{
    return write_varint((uint64_t)field->number << 3 | (uint64_t)wire, end);
}

static uint8_t *write_fixed(const void *item, size_t size, uint8_t *end)
{
    uint64_t value = 0;
    uint32_t four = 0;

    if (size == sizeof(four)) {
        memcpy(&four, item, sizeof(four));
        value = four;
    } else {
        memcpy(&value, item, sizeof(value));
    }
    end -= size;
    for (size_t i = 0; i < size; i++)
        end[i] = (uint8_t)(value >> (8 * i));
    return end;
}

static inline uint8_t *write_item(const struct field_type *field, const void *item, uint8_t *end)
{
    const ProtobufCBinaryData *text = item;
    uint8_t *start = end;

    switch (wire_of(field)) {
    case WIRE_VARINT:
        return write_varint(varint_of(field, item), end);
    case WIRE_32BIT:
    case WIRE_64BIT:
        return write_fixed(item, field->element_size, end);
    case WIRE_LENGTH:
        if (field->kind == KIND_MESSAGE) {
            start = write_message(*(ProtobufCMessage *const *)item, end);
        } else if (text->len > 0) {
            start -= text->len;
            memcpy(start, text->data, text->len);
        }
        return write_varint((uint64_t)(end - start), start);
    case WIRE_GROUP_START:
    case WIRE_GROUP_END:
        break;
    }
    return end;
}

static uint8_t *write_list(const ProtobufCMessage *message, const struct field_type *field, uint8_t *end)
{
    const uint8_t *items = *message_list_items(message, field);
    enum wire_type wire = wire_of(field);
    uint8_t *start = end;

    for (size_t i = *message_list_count(message, field); i-- > 0;) {
        start = write_item(field, items + i * field->element_size, start);
        if (!field->is_packed)
            start = write_tag(field, wire, start);
    }
    if (field->is_packed)
        start = write_tag(field, WIRE_LENGTH, write_varint((uint64_t)(end - start), start));
    return start;
}

static uint8_t *write_message(const ProtobufCMessage *message, uint8_t *end)
{
    const struct message_type *type = message_type_of(message);

    for (size_t i = type->field_count; i-- > 0;) {
        const struct field_type *field = &type->fields[i];
        if (!is_set(message, field) || field->kind == KIND_GROUP)
            continue;
        if (field->presence == PRESENCE_REPEATED)
            end = write_list(message, field, end);
        else
            end = write_tag(field, wire_of(field),
                            write_item(field, message_at(message, field->offset), end));
    }
    return end;
}

void message_encode(const ProtobufCMessage *message, struct buf *buf)
{
    size_t size = message_encoded_size(message);

    if (size == 0)
        return;
    uint8_t *start = buf_reserve(buf, size);

    uint8_t *written = write_message(message, start + size);
    assert(written == start);
    buf->len += size;
}
