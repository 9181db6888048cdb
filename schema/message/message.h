/* schema/message/message.h - messages of run-time types: made, decoded, encoded, and their fields touched.
 *
 * A message lives in an arena; its strings, lists and sub-messages too. Nothing is freed on its own:
 * protobuf_c_message_free_unpacked() must not be called on them. */
#ifndef TARN_MESSAGE_MESSAGE_H
#define TARN_MESSAGE_MESSAGE_H

#include "schema/base/buf.h"
#include "schema/message/type.h"

/* Messages nested deeper than this are refused, as protobuf's own parsers do. What we wrote ourselves may be deeper: it
 * holds an event's message inside a view's own. */
enum { MESSAGE_DEPTH_MAX = 100, MESSAGE_OWN_DEPTH_MAX = 400 };

/* An empty message. */
ProtobufCMessage *message_new(const struct message_type *type, struct arena *arena);

/* Checks and unpacks. ERR_INPUT, with the reason and the field: bytes that don't parse, nesting over MESSAGE_DEPTH_MAX,
 * a string that isn't UTF-8, a group, a required field that is missing. Unknown fields are dropped. */
MUST_CHECK int message_decode(const struct message_type *type, struct span bytes, struct arena *arena,
                              ProtobufCMessage **ret_message, struct err *err);

/* The same without the checks, for bytes that we wrote ourselves (the store's). ERR_BROKEN when they don't parse. */
MUST_CHECK int message_decode_own(const struct message_type *type, struct span bytes, struct arena *arena,
                                  ProtobufCMessage **ret_message, struct err *err);

/* Appends the canonical bytes: fields by number, implicit zeros left out, lists as they stand. Equal messages give
 * equal bytes. */
void message_encode(const ProtobufCMessage *message, struct buf *buf);
/* The same bytes in the arena. room_bytes: what they are thought to need; a wrong guess costs a copy. */
struct span message_encode_in(const ProtobufCMessage *message, size_t room_bytes, struct arena *arena);
size_t message_encoded_size(const ProtobufCMessage *message);

/* Encoded size of one field with its tags: what it adds to message_encoded_size(). */
size_t message_field_encoded_size(const ProtobufCMessage *message, const struct field_type *field);

/* --- fields ------------------------------------------------------------------------------------------------- */

static inline void *message_at(const ProtobufCMessage *message, size_t offset)
{
    return (void *)((uintptr_t)message + offset);
}

/* Presence as protobuf sees it: explicit and oneof when set; implicit when not zero; a list when not empty. */
bool message_has(const ProtobufCMessage *message, const struct field_type *field);
void message_clear(ProtobufCMessage *message, const struct field_type *field);

/* The sub-message, or NULL when it isn't set. */
ProtobufCMessage *message_get_message(const ProtobufCMessage *message, const struct field_type *field);
/* The sub-message, made when it isn't set. */
ProtobufCMessage *message_make_message(ProtobufCMessage *message, const struct field_type *field, struct arena *arena);

static inline size_t *message_list_count(const ProtobufCMessage *message, const struct field_type *field)
{
    return message_at(message, field->quantifier_offset);
}

/* The elements' array: ProtobufCMessage*[], int32_t[], ProtobufCBinaryData[], ... Its room follows from the count, as
 * message_list_append() relies on: whoever makes an array by other means gives it room for the next power of two of
 * elements, at least 4. Elements may be moved and the count lowered at will. */
static inline void **message_list_items(const ProtobufCMessage *message, const struct field_type *field)
{
    return message_at(message, field->offset);
}

/* Adds one zeroed element and returns where it stands. */
void *message_list_append(ProtobufCMessage *message, const struct field_type *field, struct arena *arena);

/* A scalar's value, apart from how its field is encoded. */
enum value_kind { VALUE_ABSENT, VALUE_BOOL, VALUE_INT, VALUE_UINT, VALUE_FLOAT, VALUE_DOUBLE, VALUE_ENUM, VALUE_STRING,
                  VALUE_BYTES, VALUE_MESSAGE };

struct value {
    enum value_kind kind;
    const struct enum_type *enumeration; /* of VALUE_ENUM */
    union {
        bool boolean;
        int64_t integer;   /* VALUE_INT, VALUE_ENUM */
        uint64_t natural;  /* VALUE_UINT */
        double number;     /* VALUE_FLOAT (a float's exact value), VALUE_DOUBLE */
        struct span text;  /* VALUE_STRING, VALUE_BYTES: borrowed from the message */
        ProtobufCMessage *message;
    };
};

/* The value kind that a field of this kind holds. */
enum value_kind value_kind_of(enum field_kind kind);

/* The value of a singular field; VALUE_ABSENT when a field with presence isn't set (or a closed enum has an unknown
 * number). An implicit zero is a value. */
struct value message_get(const ProtobufCMessage *message, const struct field_type *field);

/* The value at `item`, one element of a list of that field. */
struct value message_get_item(const struct field_type *field, const void *item);

/* Sets a singular field to a value of exactly its kind (value_kind_of); spans are borrowed, not copied: they must live
 * as long as the message. Sets presence, and clears the other members of a oneof. VALUE_ABSENT clears. */
void message_set(ProtobufCMessage *message, const struct field_type *field, struct value value);
void message_set_item(const struct field_type *field, void *item, struct value value);

/* A deep copy of a message of the same type without its unknown fields and without unknown numbers of closed enums;
 * maps are sorted by key, the last of equal keys wins. Strings are shared with the source, which must live as long. */
ProtobufCMessage *message_copy(const ProtobufCMessage *message, struct arena *arena);

#endif
