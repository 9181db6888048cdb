/* The bytes are written from the last to the first, at the end of the buffer's room, so that the length of a message
 * inside another is known when its turn comes: nothing is measured beforehand, and the whole is moved once, to where it
 * belongs. The result is what protobuf-c packs, but for -0.0 in a field of implicit presence: protobuf writes it,
 * protobuf-c leaves it out. */
#include <string.h>

#include "schema/message/presence.h"
#include "schema/message/sealed.h"
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

    if (message_is_sealed(message))
        return message_sealed_bytes(message).len;

    for (size_t i = 0; i < type->field_count; i++)
        size += field_size(message, &type->fields[i]);
    return size;
}

/* --- backwards: each of these writes before `start` and returns where it began ------------------------------------ */

struct encoder {
    struct buf *buf;     /* where the bytes go, or NULL: */
    struct arena *arena; /* here */
    uint8_t *limit;      /* where the room begins: behind what the buffer held already */
    uint8_t *end;        /* of the room, where writing began */
};

/* A tag, and a number or a length. */
enum { FIRST_ROOM_BYTES = 1024, HEAD_BYTES_MAX = WIRE_SHORT_BYTES_MAX + WIRE_VARINT_BYTES_MAX };

static uint8_t *write_message(struct encoder *encoder, const ProtobufCMessage *message, uint8_t *start);

static COLD uint8_t *make_room(struct encoder *encoder, uint8_t *start, size_t bytes)
{
    struct buf *buf = encoder->buf;
    size_t written = (size_t)(encoder->end - start);

    if (buf == NULL) {
        size_t larger = 2 * (size_t)(encoder->end - encoder->limit) + bytes;
        encoder->limit = arena_alloc(encoder->arena, larger);
        encoder->end = encoder->limit + larger;
        return memcpy(encoder->end - written, start, written);
    }
    size_t old_capacity = buf->capacity;
    buf_grow(buf, old_capacity - buf->len + bytes);
    encoder->limit = buf->at + buf->len;
    encoder->end = buf->at + buf->capacity;
    return memmove(encoder->end - written, buf->at + old_capacity - written, written);
}

/* Sees to `bytes` of room before start, which may move. */
static inline uint8_t *ensure_room(struct encoder *encoder, uint8_t *start, size_t bytes)
{
    return (size_t)(start - encoder->limit) >= bytes ? start : make_room(encoder, start, bytes);
}

static inline uint8_t *write_varint(uint64_t value, uint8_t *start)
{
    if (value < 0x80) {
        *--start = (uint8_t)value;
        return start;
    }
    uint8_t *end = start;
    start -= wire_varint_size(value);
    for (uint8_t *at = start; at < end; at++) {
        *at = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    end[-1] &= 0x7f;
    return start;
}

static inline uint8_t *write_fixed(const void *item, size_t size, uint8_t *start)
{
    uint64_t value = 0;
    uint32_t four = 0;

    if (size == sizeof(four)) {
        memcpy(&four, item, sizeof(four));
        wire_put_fixed32(start - 4, four);
        return start - 4;
    }
    memcpy(&value, item, sizeof(value));
    wire_put_fixed64(start - 8, value);
    return start - 8;
}

/* Leaves room for a tag. */
static ALWAYS_INLINE uint8_t *write_item(struct encoder *encoder, const struct field_type *field, const void *item,
                                         uint8_t *start)
{
    const ProtobufCBinaryData *text = item;
    size_t behind;

    if (wire_of(field) != WIRE_LENGTH) {
        start = ensure_room(encoder, start, HEAD_BYTES_MAX);
        return wire_of(field) == WIRE_VARINT ? write_varint(varint_of(field, item), start)
                                             : write_fixed(item, field->element_size, start);
    }
    if (field->kind != KIND_MESSAGE) {
        start = ensure_room(encoder, start, text->len + HEAD_BYTES_MAX) - text->len;
        if (text->len > 0)
            memcpy(start, text->data, text->len);
        return write_varint(text->len, start);
    }
    behind = (size_t)(encoder->end - start);
    start = write_message(encoder, *(ProtobufCMessage *const *)item, start);
    start = ensure_room(encoder, start, HEAD_BYTES_MAX);
    return write_varint((size_t)(encoder->end - start) - behind, start);
}

static uint8_t *write_list(struct encoder *encoder, const ProtobufCMessage *message, const struct field_type *field,
                           uint8_t *start)
{
    const uint8_t *items = *message_list_items(message, field);
    size_t behind = (size_t)(encoder->end - start);

    for (size_t i = *message_list_count(message, field); i-- > 0;) {
        start = write_item(encoder, field, items + i * field->element_size, start);
        if (!field->is_packed)
            start = write_varint(field->tag, start);
    }
    if (!field->is_packed)
        return start;
    start = ensure_room(encoder, start, HEAD_BYTES_MAX);
    start = write_varint((size_t)(encoder->end - start) - behind, start);
    return write_varint((uint64_t)field->number << 3 | WIRE_LENGTH, start);
}

/* With its tag; not empty. */
static inline uint8_t *write_text(struct encoder *encoder, uint32_t tag, const ProtobufCBinaryData *text, uint8_t *start)
{
    start = ensure_room(encoder, start, text->len + HEAD_BYTES_MAX) - text->len;
    memcpy(start, text->data, text->len);
    if ((tag | text->len) < 0x80) {
        start -= 2;
        start[0] = (uint8_t)tag;
        start[1] = (uint8_t)text->len;
        return start;
    }
    return write_varint(tag, write_varint(text->len, start));
}

static uint8_t *write_message(struct encoder *encoder, const ProtobufCMessage *message, uint8_t *start)
{
    const struct message_type *type = message_type_of(message);

    if (message_is_sealed(message)) {
        struct span bytes = message_sealed_bytes(message);
        start = ensure_room(encoder, start, bytes.len + HEAD_BYTES_MAX) - bytes.len;
        return memcpy(start, bytes.at, bytes.len);
    }

    for (const struct field_type *field = type->fields + type->field_count; field-- > type->fields;) {
        if (field->presence == PRESENCE_IMPLICIT && wire_of(field) == WIRE_LENGTH) { /* as most fields are */
            const ProtobufCBinaryData *text = message_at(message, field->offset);
            if (text->len > 0)
                start = write_text(encoder, field->tag, text, start);
            continue;
        }
        if (!is_set(message, field))
            continue;
        if (field->presence == PRESENCE_REPEATED) {
            start = write_list(encoder, message, field, start);
        } else {
            start = write_item(encoder, field, message_at(message, field->offset), start);
            start = write_varint(field->tag, start);
        }
    }
    return start;
}

void message_encode(const ProtobufCMessage *message, struct buf *buf)
{
    struct encoder encoder = {.buf = buf};

    buf_reserve(buf, FIRST_ROOM_BYTES);
    encoder.limit = buf->at + buf->len;
    encoder.end = buf->at + buf->capacity;
    uint8_t *start = write_message(&encoder, message, encoder.end);
    size_t written = (size_t)(encoder.end - start);
    memmove(encoder.limit, start, written);
    buf->len += written;
}

struct span message_encode_in(const ProtobufCMessage *message, size_t room_bytes, struct arena *arena)
{
    struct encoder encoder = {.arena = arena};

    encoder.limit = arena_alloc(arena, room_bytes + HEAD_BYTES_MAX);
    encoder.end = encoder.limit + room_bytes + HEAD_BYTES_MAX;
    uint8_t *start = write_message(&encoder, message, encoder.end);
    return span_of(start, (size_t)(encoder.end - start));
}
