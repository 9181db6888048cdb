/* schema/message/presence.h - is a field set? In a header of its own because encoding asks it of every field, twice.
 * Internal to this folder. */
#ifndef TARN_MESSAGE_PRESENCE_H
#define TARN_MESSAGE_PRESENCE_H

#include "schema/message/message.h"

static inline protobuf_c_boolean *has_of(const ProtobufCMessage *message, const struct field_type *field)
{
    return message_at(message, field->quantifier_offset);
}

static inline uint32_t *case_of(const ProtobufCMessage *message, const struct field_type *field)
{
    return message_at(message, field->quantifier_offset);
}

static inline bool is_pointer(const struct field_type *field)
{
    return field->kind == KIND_MESSAGE || field->kind == KIND_GROUP;
}

/* By bits: -0.0 isn't zero, as protobuf has it. Of a string or bytes the first eight bytes are the length. */
static inline bool is_zero(const struct field_type *field, const void *at)
{
    _Static_assert(offsetof(ProtobufCBinaryData, len) == 0 && sizeof(size_t) == 8, "a length is read as eight bytes");
    uint32_t four;
    uint64_t eight;

    if (field->element_size == sizeof(four)) {
        memcpy(&four, at, sizeof(four));
        return four == 0;
    }
    memcpy(&eight, at, sizeof(eight));
    return eight == 0;
}

static inline bool is_set(const ProtobufCMessage *message, const struct field_type *field)
{
    if (field->presence == PRESENCE_IMPLICIT)
        return !is_zero(field, message_at(message, field->offset));
    if (field->presence == PRESENCE_REPEATED)
        return *message_list_count(message, field) > 0;
    if (field->presence == PRESENCE_ONEOF)
        return *case_of(message, field) == field->number;
    return is_pointer(field) ? *(void **)message_at(message, field->offset) != NULL : *has_of(message, field) != 0;
}

#endif
