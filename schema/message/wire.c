#include "schema/message/wire.h"

enum wire_type wire_type_of(enum field_kind kind)
{
    static const uint8_t wire_types[] = {
        [KIND_DOUBLE] = WIRE_64BIT,    [KIND_FLOAT] = WIRE_32BIT,    [KIND_INT64] = WIRE_VARINT,
        [KIND_UINT64] = WIRE_VARINT,   [KIND_INT32] = WIRE_VARINT,   [KIND_FIXED64] = WIRE_64BIT,
        [KIND_FIXED32] = WIRE_32BIT,   [KIND_BOOL] = WIRE_VARINT,    [KIND_STRING] = WIRE_LENGTH,
        [KIND_GROUP] = WIRE_GROUP_START, [KIND_MESSAGE] = WIRE_LENGTH, [KIND_BYTES] = WIRE_LENGTH,
        [KIND_UINT32] = WIRE_VARINT,   [KIND_ENUM] = WIRE_VARINT,    [KIND_SFIXED32] = WIRE_32BIT,
        [KIND_SFIXED64] = WIRE_64BIT,  [KIND_SINT32] = WIRE_VARINT,  [KIND_SINT64] = WIRE_VARINT,
    };

    return (enum wire_type)wire_types[kind];
}

bool wire_read_long_varint(const uint8_t **at, const uint8_t *end, uint64_t *ret_value)
{
    const uint8_t *from = *at;
    size_t count = (size_t)(end - from) < WIRE_VARINT_BYTES_MAX ? (size_t)(end - from) : WIRE_VARINT_BYTES_MAX;
    uint64_t value = 0;

    for (size_t i = 0; i < count; i++) {
        value |= (uint64_t)(from[i] & 0x7f) << (7 * i);
        if (from[i] < 0x80) {
            *at = from + i + 1;
            *ret_value = value;
            return true;
        }
    }
    return false;
}

bool wire_skip(const uint8_t **at, const uint8_t *end, uint32_t number, enum wire_type wire, unsigned depth_left)
{
    uint64_t varint;
    struct span span;

    switch (wire) {
    case WIRE_VARINT:
        return wire_read_varint(at, end, &varint);
    case WIRE_LENGTH:
        return wire_read_span(at, end, &span);
    case WIRE_64BIT:
    case WIRE_32BIT:
        if (end - *at < (wire == WIRE_64BIT ? 8 : 4))
            return false;
        *at += wire == WIRE_64BIT ? 8 : 4;
        return true;
    case WIRE_GROUP_START:
        while (depth_left > 0) {
            uint32_t inner;
            enum wire_type inner_wire;
            if (!wire_read_tag(at, end, &inner, &inner_wire))
                return false;
            if (inner_wire == WIRE_GROUP_END)
                return inner == number;
            if (!wire_skip(at, end, inner, inner_wire, depth_left - 1))
                return false;
        }
        return false;
    case WIRE_GROUP_END:
        break;
    }
    return false;
}
