/* One pass over the bytes checks them and fills the structs that protobuf-c would fill. protobuf_c_message_unpack()
 * serves these types too and gives the same on ordinary bytes, which a test compares, but isn't called on what comes
 * from outside: protobuf-c 1.4.1 recurses without a limit, takes 32 bytes and more of memory for every two of input,
 * refuses a known field of another wire type instead of taking it for an unknown one, and when a message stands there
 * twice loses implicit scalars or fails on an empty oneof.
 *
 * The input is copied once into the arena; strings and bytes point into that copy. */
#include "schema/message/list.h"
#include "schema/message/presence.h"
#include "schema/message/sealed.h"
#include "schema/message/utf8.h"
#include "schema/message/wire_number.h"

struct decoder {
    struct arena *arena;
    struct message_seals *seals; /* messages inside are sealed; NULL: they are decoded */
    bool is_own;
    bool met_unknown_enum; /* since it was last cleared: a closed enum's number without a name */
    unsigned depth_max;
    struct err *err;
};

static int decode_fields(struct decoder *decoder, ProtobufCMessage *message, struct span bytes, unsigned depth);
static int check_required(const ProtobufCMessage *message, struct err *err);

static int decode(struct decoder *decoder, const struct message_type *type, struct span bytes,
                  ProtobufCMessage **ret_message)
{
    int kind = decoder->is_own ? ERR_BROKEN : ERR_INPUT;

    if (bytes.len > INT32_MAX)
        return err_set(decoder->err, kind, "%s: %zu bytes: a message is smaller than 2 GiB", type->full_name,
                       bytes.len);
    ProtobufCMessage *message = message_new(type, decoder->arena);
    bytes.at = arena_copy(decoder->arena, bytes.at, bytes.len);
    if (decode_fields(decoder, message, bytes, 0) < 0)
        return decoder->err->kind = kind;
    *ret_message = message;
    return 0;
}

int message_decode(const struct message_type *type, struct span bytes, struct arena *arena,
                   ProtobufCMessage **ret_message, struct err *err)
{
    struct decoder decoder = {.arena = arena, .depth_max = MESSAGE_DEPTH_MAX, .err = err};
    ProtobufCMessage *message = NULL;

    int rc = decode(&decoder, type, bytes, &message);
    if (rc == 0 && type->needs_required)
        rc = check_required(message, err);
    if (rc == 0)
        *ret_message = message;
    return rc;
}

int message_decode_own(const struct message_type *type, struct span bytes, struct arena *arena,
                       ProtobufCMessage **ret_message, struct err *err)
{
    struct decoder decoder = {.arena = arena, .is_own = true, .depth_max = MESSAGE_OWN_DEPTH_MAX, .err = err};

    return decode(&decoder, type, bytes, ret_message);
}

/* --- sealed messages ---------------------------------------------------------------------------------------------- */

int message_decode_sealed(const struct message_type *type, struct span bytes, struct message_seals *seals,
                          ProtobufCMessage **ret_message, struct err *err)
{
    struct decoder decoder = {.arena = seals->arena, .seals = seals, .is_own = true, .depth_max = MESSAGE_OWN_DEPTH_MAX,
                              .err = err};
    ProtobufCMessage *message = message_new(type, seals->arena);

    if (decode_fields(&decoder, message, bytes, 0) < 0)
        return err->kind = ERR_BROKEN;
    *ret_message = message;
    return 0;
}

static ProtobufCMessage *seal(struct decoder *decoder, const struct message_type *type, struct span bytes,
                              unsigned depth)
{
    size_t size = type->pb.sizeof_message;
    struct sealed_message *sealed = arena_alloc(decoder->arena, size < sizeof(*sealed) ? sizeof(*sealed) : size);

    sealed->base.descriptor = &type->pb;
    sealed->base.n_unknown_fields = depth + 1;
    sealed->base.unknown_fields = (void *)decoder->seals;
    sealed->bytes = bytes;
    return &sealed->base;
}

static void complete_entry(ProtobufCMessage *entry, const struct message_type *type, struct arena *arena);

void message_break_seal(ProtobufCMessage *message)
{
    const struct message_type *type = message_type_of(message);
    struct message_seals *seals = (void *)message->unknown_fields;
    struct span bytes = message_sealed_bytes(message);
    unsigned depth = message->n_unknown_fields - 1;
    struct err ignored;
    struct decoder decoder = {.arena = seals->arena, .seals = seals, .is_own = true, .depth_max = MESSAGE_OWN_DEPTH_MAX,
                              .err = &ignored};

    memset(message, 0, type->pb.sizeof_message);
    message->descriptor = &type->pb;
    if (decode_fields(&decoder, message, bytes, depth) < 0) {
        seals->is_broken = true;
        memset(message, 0, type->pb.sizeof_message);
        message->descriptor = &type->pb;
    }
    if (type->is_map_entry)
        complete_entry(message, type, seals->arena);
}

static COLD int refuse(struct decoder *decoder, const struct message_type *type, const struct field_type *field,
                       const char *what)
{
    if (field == NULL)
        return err_set(decoder->err, ERR_INPUT, "%s: %s", type->full_name, what);
    return err_set(decoder->err, ERR_INPUT, "%s.%s: %s", type->full_name, field->name, what);
}

/* --- values ------------------------------------------------------------------------------------------------------- */

/* protobuf takes a closed enum's unknown number for an unknown field. */
static inline bool is_unknown_enum(struct decoder *decoder, const struct field_type *field, uint64_t bits)
{
    if (field->kind != KIND_ENUM || !field->enumeration->is_closed ||
        enum_type_name(field->enumeration, (int32_t)(uint32_t)bits) != NULL)
        return false;
    decoder->met_unknown_enum = true;
    return true;
}

static int decode_packed(struct decoder *decoder, ProtobufCMessage *message, const struct field_type *field,
                         struct span packed)
{
    const uint8_t *at = packed.at;
    const uint8_t *end = at + packed.len;
    size_t size = field->element_size;
    enum wire_type wire = wire_of(field);
    size_t more = 0;

    if (packed.len == 0)
        return 0;
    if (wire == WIRE_VARINT) {
        for (size_t i = 0; i < packed.len; i++)
            more += at[i] < 0x80;
    } else {
        more = packed.len / size;
    }
    if (more == 0)
        return refuse(decoder, field->parent, field, "a packed list that doesn't parse");
    uint8_t *to = list_reserve(message, field, more, decoder->arena);
    while (at < end) {
        uint64_t bits;
        if (!wire_read_number(field, &at, end, &bits))
            return refuse(decoder, field->parent, field, "a packed list that doesn't parse");
        if (is_unknown_enum(decoder, field, bits))
            continue;
        wire_put_number(field, bits, to);
        to += size;
        ++*message_list_count(message, field);
    }
    return 0;
}

/* Protobuf's default for what an entry leaves out, and a map's entry has both. */
static void complete_entry(ProtobufCMessage *entry, const struct message_type *type, struct arena *arena)
{
    const struct field_type *value = &type->fields[1];

    *(protobuf_c_boolean *)message_at(entry, type->fields[0].quantifier_offset) = 1;
    if (value->kind == KIND_MESSAGE) {
        message_make_message(entry, value, arena);
        return;
    }
    protobuf_c_boolean *has = message_at(entry, value->quantifier_offset);
    if (*has == 0 && value->kind == KIND_ENUM)
        *(int32_t *)message_at(entry, value->offset) = value->enumeration->values[0].number;
    *has = 1;
}

/* Where a value goes, with the field marked as set. */
static inline void *place_for(struct decoder *decoder, ProtobufCMessage *message, const struct field_type *field)
{
    if (field->presence == PRESENCE_IMPLICIT)
        return message_at(message, field->offset);
    if (field->presence == PRESENCE_REPEATED)
        return list_add(message, field, decoder->arena);
    if (field->presence == PRESENCE_ONEOF)
        *(uint32_t *)message_at(message, field->quantifier_offset) = field->number;
    else if (field->presence == PRESENCE_EXPLICIT && !is_pointer(field))
        *(protobuf_c_boolean *)message_at(message, field->quantifier_offset) = 1;
    return message_at(message, field->offset);
}

static int decode_message(struct decoder *decoder, ProtobufCMessage *message, const struct field_type *field,
                          struct span bytes, unsigned depth)
{
    if (depth >= decoder->depth_max)
        return refuse(decoder, field->parent, field, "messages nested too deep");
    if (decoder->seals != NULL && (field->presence == PRESENCE_REPEATED || !is_set(message, field))) {
        *(ProtobufCMessage **)place_for(decoder, message, field) = seal(decoder, field->message, bytes, depth + 1);
        return 0;
    }
    if (field->presence != PRESENCE_REPEATED)
        return decode_fields(decoder, message_make_message(message, field, decoder->arena), bytes, depth + 1);

    ProtobufCMessage *element = message_new(field->message, decoder->arena);
    decoder->met_unknown_enum = false;
    int rc = decode_fields(decoder, element, bytes, depth + 1);
    if (rc < 0)
        return rc;
    if (field->is_map) {
        /* An entry whose value is an unknown number is unknown as a whole. */
        if (decoder->met_unknown_enum && field->message->fields[1].kind == KIND_ENUM)
            return 0;
        complete_entry(element, field->message, decoder->arena);
    }
    *(ProtobufCMessage **)list_add(message, field, decoder->arena) = element;
    return 0;
}

static inline int decode_text(struct decoder *decoder, ProtobufCMessage *message, const struct field_type *field,
                              struct span text)
{
    if (field->kind == KIND_STRING && !decoder->is_own && !utf8_is_valid(text))
        return refuse(decoder, field->parent, field, "a string that isn't UTF-8");

    ProtobufCBinaryData *to = place_for(decoder, message, field);
    to->len = text.len;
    to->data = text.len > 0 ? (uint8_t *)(uintptr_t)text.at : NULL; /* into our own copy of the input */
    return 0;
}

static inline int decode_number(struct decoder *decoder, ProtobufCMessage *message, const struct field_type *field,
                                const uint8_t **at, const uint8_t *end)
{
    uint64_t bits;

    if (!wire_read_number(field, at, end, &bits))
        return refuse(decoder, field->parent, field, "a number that doesn't parse");
    if (!is_unknown_enum(decoder, field, bits))
        wire_put_number(field, bits, place_for(decoder, message, field));
    return 0;
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

/* A value that isn't announced by its field's own tag: a packed list, or an unknown field. field NULL: the type has none
 * of that number. */
static int decode_other(struct decoder *decoder, ProtobufCMessage *message, const struct field_type *field,
                        uint32_t tag, const uint8_t **at, const uint8_t *end, unsigned depth)
{
    const struct message_type *type = message_type_of(message);
    enum wire_type wire = (enum wire_type)(tag & 7);
    struct span packed;

    if (field != NULL && wire == WIRE_LENGTH && field->presence == PRESENCE_REPEATED && field->kind != KIND_GROUP) {
        if (!wire_read_span(at, end, &packed))
            return refuse(decoder, type, field, "longer than the message around it");
        return decode_packed(decoder, message, field, packed);
    }
    if (!wire_skip(at, end, tag >> 3, wire, decoder->depth_max - depth))
        return refuse(decoder, type, NULL, "an unknown field that doesn't parse");
    return 0;
}

/* Fields mostly come by number, each with a tag of one byte: `next` is the first that may be meant, and a look at its tag
 * settles it. type->fields has a sentinel behind its last. */
static int decode_fields(struct decoder *decoder, ProtobufCMessage *message, struct span bytes, unsigned depth)
{
    const struct message_type *type = message_type_of(message);
    const struct field_type *next = type->fields;
    const uint8_t *at = bytes.at;
    const uint8_t *end = at + bytes.len;

    while (at < end) {
        const struct field_type *field = next;
        struct span span;
        int rc;

        const uint32_t first = *at;
        while (field->tag < first)
            field++;
        if (field->tag == first && first < 0x80) {
            at++;
        } else {
            uint32_t tag;
            if (!wire_read_whole_tag(&at, end, &tag))
                return refuse(decoder, type, NULL, "bytes that don't parse");
            field = message_type_field_number(type, tag >> 3);
            if (field == NULL || field->tag != tag) {
                const uint8_t *behind = at; /* so that `at` stays in a register */
                rc = decode_other(decoder, message, field, tag, &behind, end, depth);
                if (rc < 0)
                    return rc;
                at = behind;
                continue;
            }
        }
        next = field;
        if (wire_of(field) == WIRE_LENGTH) {
            if (!wire_read_span(&at, end, &span))
                rc = refuse(decoder, type, field, "longer than the message around it");
            else if (field->kind == KIND_MESSAGE)
                rc = decode_message(decoder, message, field, span, depth);
            else
                rc = decode_text(decoder, message, field, span);
        } else if (field->kind == KIND_GROUP) {
            rc = refuse(decoder, type, field, "groups aren't supported");
        } else {
            rc = decode_number(decoder, message, field, &at, end);
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* As deep as decode_fields() let the message be. */
static int check_required(const ProtobufCMessage *message, struct err *err)
{
    const struct message_type *type = message_type_of(message);

    for (size_t i = 0; i < type->field_count; i++) {
        const struct field_type *field = &type->fields[i];
        int rc = 0;

        if (field->is_required && !message_has(message, field))
            return err_set(err, ERR_INPUT, "%s.%s: required, and missing", type->full_name, field->name);
        if (field->message == NULL || !field->message->needs_required || !message_has(message, field))
            continue;
        if (field->presence != PRESENCE_REPEATED) {
            rc = check_required(message_get_message(message, field), err);
        } else {
            ProtobufCMessage *const *items = *message_list_items(message, field);
            for (size_t k = 0; k < *message_list_count(message, field) && rc == 0; k++)
                rc = check_required(items[k], err);
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}
