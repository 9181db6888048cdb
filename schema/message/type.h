/* schema/message/type.h - message types made at run time from a descriptor set (`protoc --descriptor_set_out`).
 *
 * Each message type carries a ProtobufCMessageDescriptor, so that protobuf_c_message_unpack() and its friends serve any
 * schema. Three things differ from what protoc-c would generate, on purpose:
 *   - string fields are PROTOBUF_C_TYPE_BYTES: lengths are kept, U+0000 survives, nothing calls strlen;
 *   - proto2 `required` is kept as optional with presence, and asked for by message_decode() alone, so that a view may
 *     hold a message that isn't whole yet;
 *   - key and value of a map's entry have explicit presence in proto3 too, because protobuf writes both, zeros included.
 * message_init is NULL in these descriptors: protobuf_c_message_init() must not be called; message_new() makes an
 * empty message.
 *
 * A type_set is immutable once loaded and may be read from any thread; everything points into it and dies with it. */
#ifndef TARN_MESSAGE_TYPE_H
#define TARN_MESSAGE_TYPE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "schema/base/arena.h"
#include "schema/base/err.h"
#include "schema/base/span.h"

struct type_set;
struct message_type;

/* Numbers as in google.protobuf.FieldDescriptorProto.Type. */
enum field_kind {
    KIND_DOUBLE = 1,
    KIND_FLOAT = 2,
    KIND_INT64 = 3,
    KIND_UINT64 = 4,
    KIND_INT32 = 5,
    KIND_FIXED64 = 6,
    KIND_FIXED32 = 7,
    KIND_BOOL = 8,
    KIND_STRING = 9,
    KIND_GROUP = 10, /* known so that it can be refused */
    KIND_MESSAGE = 11,
    KIND_BYTES = 12,
    KIND_UINT32 = 13,
    KIND_ENUM = 14,
    KIND_SFIXED32 = 15,
    KIND_SFIXED64 = 16,
    KIND_SINT32 = 17,
    KIND_SINT64 = 18,
};

enum field_presence {
    PRESENCE_IMPLICIT, /* proto3 scalar: zero is the same as not set */
    PRESENCE_EXPLICIT, /* optional, proto2 optional and required, messages */
    PRESENCE_ONEOF,    /* member of a oneof: set when the case field holds its number */
    PRESENCE_REPEATED, /* a list; a map is a list of its entry messages, is_map set */
};

struct enum_value {
    const char *name;
    int32_t number;
};

struct enum_type {
    const char *full_name;
    const struct enum_value *values; /* in declaration order; aliases included */
    size_t value_count;
    bool is_closed; /* proto2: a number without a name counts as not set */
    ProtobufCEnumDescriptor pb;
};

struct field_type {
    /* What encoding and decoding ask of every field stands together. */
    enum field_kind kind;
    enum field_presence presence;
    uint32_t tag;   /* number and wire type of one value; a packed list has another */
    uint8_t wire;   /* enum wire_type of one value (wire.h) */
    bool is_packed; /* how we write it */
    bool is_map;
    bool is_deep;   /* a copy needs more than its bytes: a list, a message, an enum, which may be closed */
    size_t offset;            /* of the value in the message struct */
    size_t quantifier_offset; /* of has (protobuf_c_boolean), the oneof's case (uint32_t), or the count (size_t) */
    size_t element_size;      /* of one value in memory */
    const struct message_type *message;  /* of KIND_MESSAGE, else NULL */
    const struct enum_type *enumeration; /* of KIND_ENUM, else NULL */

    const char *name;
    const char *json_name;
    uint32_t number;
    uint32_t index;   /* in parent->fields, and in parent->pb.fields */
    bool is_required; /* proto2 */
    const struct message_type *parent;
    struct span tarn_options; /* the bytes of (tarn.field); `at` is NULL when there are none */
};

/* The well-known types that JSON treats on their own. */
enum well_known {
    WELL_KNOWN_NONE = 0,
    WELL_KNOWN_TIMESTAMP,
    WELL_KNOWN_DURATION,
    WELL_KNOWN_WRAPPER, /* DoubleValue ... BytesValue: JSON of their field `value` */
    WELL_KNOWN_STRUCT,
    WELL_KNOWN_VALUE,
    WELL_KNOWN_LIST_VALUE,
    WELL_KNOWN_FIELD_MASK,
    WELL_KNOWN_EMPTY,
    WELL_KNOWN_ANY,
};

struct message_type {
    ProtobufCMessageDescriptor pb; /* first: a descriptor's address is its type's */
    const char *full_name;         /* "genetics.v1.AnalysisCompleted" */
    const char *name;              /* "AnalysisCompleted" */
    const char *package;
    const char *file;              /* "genetics/events.proto" */
    const struct field_type *fields; /* by number, ascending; behind the last a sentinel, its tag above all others */
    size_t field_count;
    const uint16_t *by_number; /* index + 1 of the field with a number < by_number_count; 0: there is none */
    uint32_t by_number_count;
    enum well_known well_known;
    bool is_map_entry;
    bool has_group;      /* itself or a message in it has one: refused when it is met */
    bool needs_required; /* itself or a message in it has a required field */
    struct span tarn_options; /* the bytes of (tarn.view); `at` is NULL when there are none */
    struct type_set *set;
};

/* Loads a FileDescriptorSet, which must hold its imports. ERR_INPUT: not a descriptor set, an import or a type is
 * missing, editions, more than the limits in type.c. The bytes are copied. */
MUST_CHECK int type_set_load(struct span descriptor_set, struct type_set **ret_set, struct err *err);
void type_set_free(struct type_set **set);

/* NULL when there is none. */
const struct message_type *type_set_find(const struct type_set *set, struct span full_name);

/* All message types in the order of the descriptor set, nested ones behind their parents. */
size_t type_set_count(const struct type_set *set);
const struct message_type *type_set_at(const struct type_set *set, size_t index);

/* NULL when there is none. */
const struct field_type *message_type_field(const struct message_type *type, struct span name);
/* For numbers beyond by_number: message_type_field_number() calls it. */
const struct field_type *message_type_field_far(const struct message_type *type, uint32_t number);

/* NULL when there is none. */
static inline const struct field_type *message_type_field_number(const struct message_type *type, uint32_t number)
{
    if (number >= type->by_number_count)
        return message_type_field_far(type, number);
    return type->by_number[number] != 0 ? &type->fields[type->by_number[number] - 1] : NULL;
}

/* The first declared name of a number, or NULL. */
const char *enum_type_name(const struct enum_type *type, int32_t number);
bool enum_type_number(const struct enum_type *type, struct span name, int32_t *ret_number);

static inline const struct message_type *message_type_of(const ProtobufCMessage *message)
{
    return (const struct message_type *)(const void *)message->descriptor;
}

#endif
