/* A message is the struct that protobuf-c would unpack into: message_type.c lays it out, and here its fields are read
 * and written one at a time. Bytes of length 0 always have a NULL address, since to protobuf-c a string of implicit
 * presence is set when its address is. */
#include "schema/message/message.h"

#include <assert.h>

#include "schema/message/list.h"
#include "schema/message/presence.h"
#include "schema/message/sealed.h"

ProtobufCMessage *message_new(const struct message_type *type, struct arena *arena)
{
    ProtobufCMessage *message = arena_zero(arena, type->pb.sizeof_message);

    message->descriptor = &type->pb;
    return message;
}

/* --- presence ----------------------------------------------------------------------------------------------------- */

bool message_has(const ProtobufCMessage *message, const struct field_type *field)
{
    return is_set(message, field);
}

void message_clear(ProtobufCMessage *message, const struct field_type *field)
{
    if (field->presence == PRESENCE_REPEATED) {
        *message_list_count(message, field) = 0;
        *message_list_items(message, field) = NULL;
        return;
    }
    if (field->presence == PRESENCE_ONEOF) {
        if (*case_of(message, field) != field->number)
            return;
        *case_of(message, field) = 0;
    } else if (field->presence == PRESENCE_EXPLICIT && !is_pointer(field)) {
        *has_of(message, field) = 0;
    }
    memset(message_at(message, field->offset), 0, field->element_size);
}

static void set_presence(ProtobufCMessage *message, const struct field_type *field)
{
    if (field->presence == PRESENCE_ONEOF)
        *case_of(message, field) = field->number;
    else if (field->presence == PRESENCE_EXPLICIT && !is_pointer(field))
        *has_of(message, field) = 1;
}

/* --- messages and lists inside ------------------------------------------------------------------------------------ */

ProtobufCMessage *message_get_message(const ProtobufCMessage *message, const struct field_type *field)
{
    if (field->presence == PRESENCE_ONEOF && *case_of(message, field) != field->number)
        return NULL;
    ProtobufCMessage *inner = *(ProtobufCMessage **)message_at(message, field->offset);
    return inner != NULL ? message_unseal(inner) : NULL;
}

ProtobufCMessage *message_make_message(ProtobufCMessage *message, const struct field_type *field, struct arena *arena)
{
    ProtobufCMessage *inner = message_get_message(message, field);

    if (inner == NULL) {
        inner = message_new(field->message, arena);
        *(ProtobufCMessage **)message_at(message, field->offset) = inner;
        set_presence(message, field);
    }
    return inner;
}

void *list_reserve(ProtobufCMessage *message, const struct field_type *field, size_t more, struct arena *arena)
{
    size_t count = *message_list_count(message, field);
    void **items = message_list_items(message, field);

    if (list_capacity(count) - count < more) {
        void *larger = arena_alloc(arena, list_capacity(count + more) * field->element_size);
        if (count > 0)
            memcpy(larger, *items, count * field->element_size);
        *items = larger;
    }
    return (uint8_t *)*items + count * field->element_size;
}

void *message_list_append(ProtobufCMessage *message, const struct field_type *field, struct arena *arena)
{
    return memset(list_add(message, field, arena), 0, field->element_size);
}

/* --- values ------------------------------------------------------------------------------------------------------- */

enum value_kind value_kind_of(enum field_kind kind)
{
    static const uint8_t value_kinds[] = {
        [KIND_DOUBLE] = VALUE_DOUBLE,  [KIND_FLOAT] = VALUE_FLOAT,    [KIND_INT64] = VALUE_INT,
        [KIND_UINT64] = VALUE_UINT,    [KIND_INT32] = VALUE_INT,      [KIND_FIXED64] = VALUE_UINT,
        [KIND_FIXED32] = VALUE_UINT,   [KIND_BOOL] = VALUE_BOOL,      [KIND_STRING] = VALUE_STRING,
        [KIND_GROUP] = VALUE_ABSENT,   [KIND_MESSAGE] = VALUE_MESSAGE, [KIND_BYTES] = VALUE_BYTES,
        [KIND_UINT32] = VALUE_UINT,    [KIND_ENUM] = VALUE_ENUM,      [KIND_SFIXED32] = VALUE_INT,
        [KIND_SFIXED64] = VALUE_INT,   [KIND_SINT32] = VALUE_INT,     [KIND_SINT64] = VALUE_INT,
    };

    return (enum value_kind)value_kinds[kind];
}

struct value message_get(const ProtobufCMessage *message, const struct field_type *field)
{
    if (field->presence != PRESENCE_IMPLICIT && !message_has(message, field))
        return (struct value){.kind = VALUE_ABSENT};
    return message_get_item(field, message_at(message, field->offset));
}

struct value message_get_item(const struct field_type *field, const void *item)
{
    struct value value = {.kind = value_kind_of(field->kind)};
    const ProtobufCBinaryData *text = item;

    switch (value.kind) {
    case VALUE_ABSENT:
        break;
    case VALUE_BOOL:
        value.boolean = *(const protobuf_c_boolean *)item != 0;
        break;
    case VALUE_INT:
        value.integer = field->element_size == 4 ? *(const int32_t *)item : *(const int64_t *)item;
        break;
    case VALUE_UINT:
        value.natural = field->element_size == 4 ? *(const uint32_t *)item : *(const uint64_t *)item;
        break;
    case VALUE_FLOAT:
        value.number = (double)*(const float *)item;
        break;
    case VALUE_DOUBLE:
        value.number = *(const double *)item;
        break;
    case VALUE_ENUM:
        value.enumeration = field->enumeration;
        value.integer = *(const int32_t *)item;
        if (field->enumeration->is_closed && enum_type_name(field->enumeration, (int32_t)value.integer) == NULL)
            value = (struct value){.kind = VALUE_ABSENT};
        break;
    case VALUE_STRING:
    case VALUE_BYTES:
        value.text = span_of(text->data, text->len);
        break;
    case VALUE_MESSAGE:
        value.message = message_unseal(*(ProtobufCMessage *const *)item);
        break;
    }
    return value;
}

void message_set(ProtobufCMessage *message, const struct field_type *field, struct value value)
{
    if (value.kind == VALUE_ABSENT) {
        message_clear(message, field);
        return;
    }
    message_set_item(field, message_at(message, field->offset), value);
    set_presence(message, field);
}

void message_set_item(const struct field_type *field, void *item, struct value value)
{
    assert(value.kind == value_kind_of(field->kind));
    switch (value.kind) {
    case VALUE_ABSENT:
        break;
    case VALUE_BOOL:
        *(protobuf_c_boolean *)item = value.boolean;
        break;
    case VALUE_INT:
        if (field->element_size == 4)
            *(int32_t *)item = (int32_t)value.integer;
        else
            *(int64_t *)item = value.integer;
        break;
    case VALUE_UINT:
        if (field->element_size == 4)
            *(uint32_t *)item = (uint32_t)value.natural;
        else
            *(uint64_t *)item = value.natural;
        break;
    case VALUE_FLOAT:
        *(float *)item = (float)value.number;
        break;
    case VALUE_DOUBLE:
        *(double *)item = value.number;
        break;
    case VALUE_ENUM:
        *(int32_t *)item = (int32_t)value.integer;
        break;
    case VALUE_STRING:
    case VALUE_BYTES:
        /* protobuf-c's struct isn't const, but nothing here writes through it. */
        *(ProtobufCBinaryData *)item = (ProtobufCBinaryData){
            .len = value.text.len,
            .data = value.text.len > 0 ? (uint8_t *)(uintptr_t)value.text.at : NULL,
        };
        break;
    case VALUE_MESSAGE:
        *(ProtobufCMessage **)item = value.message;
        break;
    }
}
