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

/* By bits: -0.0 isn't zero, as protobuf has it. */
static inline bool is_zero(const struct field_type *field, const void *at)
{
    uint32_t four = 0;
    uint64_t eight = 0;

    if (field->kind == KIND_STRING || field->kind == KIND_BYTES)
        return ((const ProtobufCBinaryData *)at)->len == 0;
    if (field->element_size == sizeof(four)) {
        memcpy(&four, at, sizeof(four));
        return four == 0;
    }
    memcpy(&eight, at, sizeof(eight));
    return eight == 0;
}

static inline bool is_set(const ProtobufCMessage *message, const struct field_type *field)
{
    switch (field->presence) {
    case PRESENCE_REPEATED:
        return *message_list_count(message, field) > 0;
    case PRESENCE_ONEOF:
        return *case_of(message, field) == field->number;
    case PRESENCE_IMPLICIT:
        return !is_zero(field, message_at(message, field->offset));
    case PRESENCE_EXPLICIT:
        break;
    }
    return is_pointer(field) ? *(void **)message_at(message, field->offset) != NULL : *has_of(message, field) != 0;
}

#endif
