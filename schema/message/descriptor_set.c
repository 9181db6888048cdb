/* protobuf-c recurses without a limit and takes 32 bytes of memory for every field that it meets. So the bytes are
 * walked first, guided by protobuf-c's own generated descriptors, and what nests or repeats beyond reason is refused
 * before protobuf-c sees it. Whatever else is wrong with the bytes protobuf-c notices itself. */
#include "schema/message/descriptor_set.h"

#include <string.h>

/* descriptor.proto needs 5 levels for a message without nested messages. */
enum { SET_BYTES_MAX = 16 << 20, SET_FIELDS_MAX = 2 << 20, SET_DEPTH_MAX = 40 };

enum { WIRE_VARINT = 0, WIRE_64BIT = 1, WIRE_LENGTH = 2, WIRE_32BIT = 5 };


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

/* False for a varint that ends too late. */
static bool read_varint(const uint8_t **at, const uint8_t *end, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (*at == end)
            return false;
        uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static const ProtobufCMessageDescriptor *submessage_type(const ProtobufCMessageDescriptor *type, uint64_t number)
{
    const ProtobufCFieldDescriptor *field =
        number <= INT32_MAX ? protobuf_c_message_descriptor_get_field(type, (unsigned)number) : NULL;

    return field != NULL && field->type == PROTOBUF_C_TYPE_MESSAGE ? field->descriptor : NULL;
}

static bool is_within_limits(const ProtobufCMessageDescriptor *type, const uint8_t *at, const uint8_t *end,
                             unsigned depth, size_t *fields)
{
    if (depth > SET_DEPTH_MAX)
        return false;
    while (at < end) {
        uint64_t tag = 0;
        uint64_t length = 0;

        if (++*fields > SET_FIELDS_MAX || !read_varint(&at, end, &tag))
            return false;
        if ((tag & 7) == WIRE_VARINT) {
            if (!read_varint(&at, end, &length))
                return false;
            continue;
        }
        if ((tag & 7) == WIRE_64BIT)
            length = 8;
        else if ((tag & 7) == WIRE_32BIT)
            length = 4;
        else if ((tag & 7) != WIRE_LENGTH || !read_varint(&at, end, &length))
            return false;
        if (length > (size_t)(end - at))
            return false;

        const ProtobufCMessageDescriptor *inner = (tag & 7) == WIRE_LENGTH ? submessage_type(type, tag >> 3) : NULL;
        if (inner != NULL && !is_within_limits(inner, at, at + length, depth + 1, fields))
            return false;
        at += length;
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
        !read_varint(&at, end, &length))
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
