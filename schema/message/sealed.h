/* schema/message/sealed.h - messages that are read when somebody asks, for bytes that we wrote ourselves.
 *
 * An event changes one corner of a view, and decoding and encoding the rest would be most of its cost. So the
 * messages inside a view stay sealed: a sealed message has its type and its bytes, its fields are filled in by
 * message_unseal(), in place, with the messages inside it sealed again. Encoding copies the bytes of what is still
 * sealed, so they must be canonical: those of the store are.
 *
 * message_get_message(), message_make_message(), message_get() and message_copy() unseal what they return or read.
 * Elements taken out of a list's array may be sealed: message_unseal() or message_peek() them, touch no field before.
 * Only message_decode_sealed() makes sealed messages; whoever decodes otherwise needn't care. */
#ifndef TARN_MESSAGE_SEALED_H
#define TARN_MESSAGE_SEALED_H

#include "schema/message/message.h"

/* What the sealed messages of one decoding share; lives as long as they do. */
struct message_seals {
    struct arena *arena;
    bool is_broken; /* a message that was unsealed didn't parse, and is empty now: ERR_BROKEN for whoever looks last */
};

/* The fields of a sealed message aren't there yet; its memory has room for them all the same. */
struct sealed_message {
    ProtobufCMessage base; /* n_unknown_fields: its depth + 1, unknown_fields: the seals */
    struct span bytes;
};

/* As message_decode_own(), but the messages inside are sealed, and nothing is copied: the bytes must live as long as
 * the message. */
MUST_CHECK int message_decode_sealed(const struct message_type *type, struct span bytes, struct message_seals *seals,
                                     ProtobufCMessage **ret_message, struct err *err);

static inline bool message_is_sealed(const ProtobufCMessage *message)
{
    return message->n_unknown_fields != 0;
}

static inline struct span message_sealed_bytes(const ProtobufCMessage *message)
{
    return ((const struct sealed_message *)(const void *)message)->bytes;
}

void message_break_seal(ProtobufCMessage *message);

/* Returns the message, its fields filled in. */
static inline ProtobufCMessage *message_unseal(ProtobufCMessage *message)
{
    if (message_is_sealed(message))
        message_break_seal(message);
    return message;
}

/* Room for one value as it stands in a message. */
union message_item {
    uint64_t number;
    ProtobufCBinaryData text;
};

/* Where the value of a single field stands that is neither a message nor has presence: in the message, or, when that is
 * sealed and stays so, in *room. */
const void *message_peek_sealed(const ProtobufCMessage *message, const struct field_type *field,
                                union message_item *room);

static inline const void *message_peek_item(const ProtobufCMessage *message, const struct field_type *field,
                                            union message_item *room)
{
    return message_is_sealed(message) ? message_peek_sealed(message, field, room) : message_at(message, field->offset);
}

/* message_get() of a single field: a scalar is read without unsealing its message. */
struct value message_peek(const ProtobufCMessage *message, const struct field_type *field);

#endif
