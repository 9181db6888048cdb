/* protobuf-c recurses without a limit and takes 32 bytes of memory for every field that it meets. So the bytes are
 * walked first, guided by protobuf-c's own generated descriptors, and what nests or repeats beyond reason is refused
 * before protobuf-c sees it. Whatever else is wrong with the bytes protobuf-c notices itself. */
#include "schema/message/descriptor_set.h"

#include <string.h>

#include "schema/message/wire.h"

/* descriptor.proto needs 5 levels for a message without nested messages. */
enum { SET_BYTES_MAX = 16 << 20, SET_FIELDS_MAX = 2 << 20, SET_DEPTH_MAX = 40 };

static bool is_within_limits(const ProtobufCMessageDescriptor *type, const uint8_t *at, const uint8_t *end,
                             unsigned depth, size_t *fields);

int descriptor_set_unpack(struct span bytes, FileDescriptorSet **ret_set, struct err *err)
{
    const uint8_t *at = bytes.at;
    size_t fields = 0;

    if (bytes.len > SET_BYTES_MAX)
        return err_set(err, ERR_INPUT, "%zu bytes: a descriptor set has at most %d", bytes.len, SET_BYTES_MAX);
    if (bytes.len > 0 && !is_within_limits(&google__protobuf__file_descriptor_set__descriptor, at, at + bytes.len, 0,
                                           &fields))
        return err_set(err, ERR_INPUT, "not a descriptor set, or larger or nested deeper than one may be");

    FileDescriptorSet *set = google__protobuf__file_descriptor_set__unpack(NULL, bytes.len, at);
    if (set == NULL)
        return err_set(err, ERR_INPUT, "not a descriptor set");
    *ret_set = set;
    return 0;
}

void descriptor_set_free(FileDescriptorSet **set)
{
    google__protobuf__file_descriptor_set__free_unpacked(*set, NULL);
    *set = NULL;
}

static const ProtobufCMessageDescriptor *submessage_type(const ProtobufCMessageDescriptor *type, uint32_t number)
{
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(type, number);

    return field != NULL && field->type == PROTOBUF_C_TYPE_MESSAGE ? field->descriptor : NULL;
}

static bool is_within_limits(const ProtobufCMessageDescriptor *type, const uint8_t *at, const uint8_t *end,
                             unsigned depth, size_t *fields)
{
    if (depth > SET_DEPTH_MAX)
        return false;
    while (at < end) {
        uint32_t number;
        enum wire_type wire;
        struct span span;

        if (++*fields > SET_FIELDS_MAX || !wire_read_tag(&at, end, &number, &wire) || wire == WIRE_GROUP_START)
            return false;
        const ProtobufCMessageDescriptor *inner = wire == WIRE_LENGTH ? submessage_type(type, number) : NULL;
        if (inner == NULL) {
            if (!wire_skip(&at, end, number, wire, 0))
                return false;
        } else if (!wire_read_span(&at, end, &span) ||
                   !is_within_limits(inner, span_bytes(span), span_bytes(span) + span.len, depth + 1, fields)) {
            return false;
        }
    }
    return true;
}

/* The payload of one unknown field when it is a piece of that option. */
static bool is_piece(const ProtobufCMessageUnknownField *field, uint32_t number, struct span *ret_piece)
{
    const uint8_t *at = field->data;
    const uint8_t *end = at + field->len;
    uint64_t length = 0;

    if (field->tag != number || field->wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED ||
        !wire_read_varint(&at, end, &length))
        return false;
    *ret_piece = span_of(at, (size_t)(end - at));
    return true;
}

struct span descriptor_set_option(const ProtobufCMessage *options, uint32_t number, struct arena *arena)
{
    struct span piece;
    size_t pieces = 0;
    size_t len = 0;

    for (unsigned i = 0; options != NULL && i < options->n_unknown_fields; i++) {
        if (is_piece(&options->unknown_fields[i], number, &piece)) {
            len += piece.len;
            pieces++;
        }
    }
    if (pieces == 0)
        return span_of(NULL, 0);

    uint8_t *joined = arena_alloc(arena, len);
    uint8_t *to = joined;
    for (unsigned i = 0; i < options->n_unknown_fields; i++) {
        if (is_piece(&options->unknown_fields[i], number, &piece) && piece.len > 0) {
            memcpy(to, piece.at, piece.len);
            to += piece.len;
        }
    }
    return span_of(joined, len);
}
