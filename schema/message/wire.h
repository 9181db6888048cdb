/* schema/message/wire.h - the pieces of protobuf's wire format, read one by one.
 *
 * Each reader moves *at on and returns false, with *at anywhere up to `end`, for what protobuf's own parsers refuse. */
#ifndef TARN_MESSAGE_WIRE_H
#define TARN_MESSAGE_WIRE_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "schema/message/type.h"

enum wire_type { WIRE_VARINT = 0, WIRE_64BIT = 1, WIRE_LENGTH = 2, WIRE_GROUP_START = 3, WIRE_GROUP_END = 4,
                 WIRE_32BIT = 5 };

/* Of any varint, and of a tag or a length. */
enum { WIRE_VARINT_BYTES_MAX = 10, WIRE_SHORT_BYTES_MAX = 5 };

/* The wire type of one value of that kind; a packed list is WIRE_LENGTH. */
enum wire_type wire_type_of(enum field_kind kind);

static inline enum wire_type wire_of(const struct field_type *field)
{
    return (enum wire_type)field->wire;
}

/* Passes over the value of an unknown field, groups inside up to `depth_left` levels included. */
bool wire_skip(const uint8_t **at, const uint8_t *end, uint32_t number, enum wire_type wire, unsigned depth_left);

bool wire_read_long_varint(const uint8_t **at, const uint8_t *end, uint64_t *ret_value);

/* At most 10 bytes; bits beyond the 64th are dropped, as everywhere. The long way gets variables of its own, so that
 * those of the loops around this stay in registers. */
static inline bool wire_read_varint(const uint8_t **at, const uint8_t *end, uint64_t *ret_value)
{
    const uint8_t *from = *at;
    uint64_t value;

    if (from < end && *from < 0x80) {
        *ret_value = *from;
        *at = from + 1;
        return true;
    }
    if (!wire_read_long_varint(&from, end, &value))
        return false;
    *ret_value = value;
    *at = from;
    return true;
}

/* Number and wire type in one, as in field_type's tag. */
static inline bool wire_read_whole_tag(const uint8_t **at, const uint8_t *end, uint32_t *ret_tag)
{
    const uint8_t *from = *at;
    uint64_t tag;

    if (!wire_read_varint(at, end, &tag) || tag > UINT32_MAX || tag < 8 || (tag & 7) > WIRE_32BIT ||
        *at - from > WIRE_SHORT_BYTES_MAX)
        return false;
    *ret_tag = (uint32_t)tag;
    return true;
}

static inline bool wire_read_tag(const uint8_t **at, const uint8_t *end, uint32_t *ret_number, enum wire_type *ret_wire)
{
    uint32_t tag;

    if (!wire_read_whole_tag(at, end, &tag))
        return false;
    *ret_number = tag >> 3;
    *ret_wire = (enum wire_type)(tag & 7);
    return true;
}

/* A length and as many bytes. */
static inline bool wire_read_span(const uint8_t **at, const uint8_t *end, struct span *ret_span)
{
    const uint8_t *from = *at;
    uint64_t length;

    if (from < end && *from < 0x80) { /* as most are */
        if (*from >= end - from)
            return false;
        *ret_span = span_of(from + 1, *from);
        *at = from + 1 + *from;
        return true;
    }
    if (!wire_read_varint(at, end, &length) || length > (size_t)(end - *at) || *at - from > WIRE_SHORT_BYTES_MAX)
        return false;
    *ret_span = span_of(*at, (size_t)length);
    *at += length;
    return true;
}

static inline void wire_put_fixed32(uint8_t *to, uint32_t value)
{
    value = htole32(value);
    memcpy(to, &value, sizeof(value));
}

static inline void wire_put_fixed64(uint8_t *to, uint64_t value)
{
    value = htole64(value);
    memcpy(to, &value, sizeof(value));
}

static inline bool wire_read_fixed32(const uint8_t **at, const uint8_t *end, uint32_t *ret_value)
{
    uint32_t value;

    if ((size_t)(end - *at) < sizeof(value))
        return false;
    memcpy(&value, *at, sizeof(value));
    *ret_value = le32toh(value);
    *at += sizeof(value);
    return true;
}

static inline bool wire_read_fixed64(const uint8_t **at, const uint8_t *end, uint64_t *ret_value)
{
    uint64_t value;

    if ((size_t)(end - *at) < sizeof(value))
        return false;
    memcpy(&value, *at, sizeof(value));
    *ret_value = le64toh(value);
    *at += sizeof(value);
    return true;
}

static inline int64_t wire_unzigzag(uint64_t value)
{
    return (int64_t)((value >> 1) ^ (0 - (value & 1)));
}

static inline uint64_t wire_zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
}

/* Bytes of a varint, 1 to 10. */
static inline size_t wire_varint_size(uint64_t value)
{
    unsigned bits = 63 - (unsigned)__builtin_clzll(value | 1);

    return (bits * 9 + 73) / 64;
}

#endif
