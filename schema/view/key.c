/* Two encodings of the same values. The stored one compares as bytes like the values do: integers big-endian with the
 * sign bit flipped, texts with 00 escaped and ended by 00 01, which is less than what any longer text goes on with. The
 * readable one is canonical (one text for one value), because an owner's text is hashed and a URL is an ETag's name:
 * so "+1", "007" and "-0" are refused, and a bytes' last base64 character has no stray bits. */
#include "schema/view/key.h"

#include <inttypes.h>

#include "schema/message/utf8.h"

static const char base64url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int complain(const struct field_type *field, struct err *err, int kind, const char *what)
{
    return err_set(err, kind, "key field \"%s\": %s", field->name, what);
}

/* How wide an integer or enum is, and how it is signed; 0 bytes for texts. */
struct integer_shape {
    uint8_t bytes;
    bool is_signed;
};

static struct integer_shape shape_of(enum field_kind kind)
{
    static const struct integer_shape shapes[] = {
        [KIND_INT32] = {4, true},     [KIND_SINT32] = {4, true},   [KIND_SFIXED32] = {4, true},
        [KIND_ENUM] = {4, true},      [KIND_UINT32] = {4, false},  [KIND_FIXED32] = {4, false},
        [KIND_INT64] = {8, true},     [KIND_SINT64] = {8, true},   [KIND_SFIXED64] = {8, true},
        [KIND_UINT64] = {8, false},   [KIND_FIXED64] = {8, false},
    };

    return (size_t)kind < ARRAY_COUNT(shapes) ? shapes[kind] : (struct integer_shape){0, false};
}

/* --- stored ------------------------------------------------------------------------------------------------------- */

static void encode_text(struct span text, struct buf *key)
{
    const uint8_t *at = text.at;
    const uint8_t *end = text.len ? at + text.len : at;

    while (at < end) {
        const uint8_t *zero = memchr(at, 0, (size_t)(end - at));
        const uint8_t *stop = zero != NULL ? zero + 1 : end;
        buf_add(key, at, (size_t)(stop - at));
        if (zero != NULL)
            buf_add_byte(key, 0xff);
        at = stop;
    }
    buf_add_literal(key, "\x00\x01");
}

int key_encode_value(const struct field_type *field, struct value value, struct buf *key, struct err *err)
{
    struct integer_shape shape = shape_of(field->kind);
    size_t begin = key->len;

    if (shape.bytes == 0) {
        if (value.text.len == 0)
            return complain(field, err, ERR_INPUT, "an empty text is no key");
        if (value.text.len > KEY_BYTES_MAX)
            return complain(field, err, ERR_INPUT, "the key is longer than 255 bytes");
        encode_text(value.text, key);
    } else {
        uint64_t bits = value.kind == VALUE_UINT ? value.natural : (uint64_t)value.integer;
        if (shape.is_signed)
            bits ^= UINT64_C(1) << (shape.bytes * 8 - 1);
        for (size_t i = shape.bytes; i-- > 0;)
            buf_add_byte(key, (uint8_t)(bits >> (i * 8)));
    }
    if (key->len > KEY_BYTES_MAX) {
        key->len = begin;
        return complain(field, err, ERR_INPUT, "the key is longer than 255 bytes");
    }
    return 0;
}

static int decode_text(const struct field_type *field, struct span *at, struct arena *arena, struct value *ret_value,
                       struct err *err)
{
    const uint8_t *bytes = at->at;
    uint8_t *text = arena_alloc(arena, at->len);
    size_t length = 0;

    for (size_t i = 0; i < at->len; i++) {
        if (bytes[i] != 0) {
            text[length++] = bytes[i];
            continue;
        }
        if (i + 1 == at->len || (bytes[i + 1] != 0xff && bytes[i + 1] != 0x01))
            break;
        i++;
        if (bytes[i] == 0xff) {
            text[length++] = 0;
            continue;
        }
        *ret_value = (struct value){.kind = value_kind_of(field->kind), .text = span_of(text, length)};
        *at = span_of(bytes + i + 1, at->len - i - 1);
        return 0;
    }
    return complain(field, err, ERR_BROKEN, "the stored key doesn't end");
}

int key_decode_value(const struct field_type *field, struct span *at, struct arena *arena, struct value *ret_value,
                     struct err *err)
{
    struct integer_shape shape = shape_of(field->kind);
    const uint8_t *bytes = at->at;
    uint64_t bits = 0;

    if (shape.bytes == 0)
        return decode_text(field, at, arena, ret_value, err);
    if (at->len < shape.bytes)
        return complain(field, err, ERR_BROKEN, "the stored key is cut short");
    for (size_t i = 0; i < shape.bytes; i++)
        bits = bits << 8 | bytes[i];
    if (shape.is_signed)
        bits ^= UINT64_C(1) << (shape.bytes * 8 - 1);
    struct value value = {.kind = value_kind_of(field->kind), .enumeration = field->enumeration};
    if (!shape.is_signed)
        value.natural = bits;
    else
        value.integer = shape.bytes == 4 ? (int64_t)(int32_t)(uint32_t)bits : (int64_t)bits;
    *ret_value = value;
    *at = span_of(bytes + shape.bytes, at->len - shape.bytes);
    return 0;
}

/* --- readable ----------------------------------------------------------------------------------------------------- */

/* Canonical decimal within the field's range. */
static bool parse_integer(const struct field_type *field, struct span text, struct value *ret_value)
{
    struct integer_shape shape = shape_of(field->kind);
    const char *at = text.at;
    bool is_negative = text.len > 0 && at[0] == '-';
    size_t first = is_negative ? 1 : 0;
    uint64_t most = shape.bytes == 4 ? UINT32_MAX : UINT64_MAX;
    uint64_t magnitude = 0;

    if (text.len == first || (at[first] == '0' && text.len > 1))
        return false;
    for (size_t i = first; i < text.len; i++) {
        if (at[i] < '0' || at[i] > '9' || __builtin_mul_overflow(magnitude, 10u, &magnitude) ||
            __builtin_add_overflow(magnitude, (uint64_t)(at[i] - '0'), &magnitude))
            return false;
    }
    if (shape.is_signed)
        most = most / 2 + is_negative;
    if (magnitude > most || (is_negative && !shape.is_signed))
        return false;
    *ret_value = (struct value){.kind = value_kind_of(field->kind), .enumeration = field->enumeration};
    if (shape.is_signed)
        ret_value->integer = (int64_t)(is_negative ? (uint64_t)0 - magnitude : magnitude);
    else
        ret_value->natural = magnitude;
    return true;
}

/* A name, or a number that the enum may hold. */
static bool parse_enum(const struct field_type *field, struct span text, struct value *ret_value)
{
    int32_t number;

    if (enum_type_number(field->enumeration, text, &number)) {
        *ret_value = (struct value){.kind = VALUE_ENUM, .enumeration = field->enumeration, .integer = number};
        return true;
    }
    return parse_integer(field, text, ret_value) &&
           (!field->enumeration->is_closed || enum_type_name(field->enumeration, (int32_t)ret_value->integer) != NULL);
}

static void add_integer(struct value value, struct buf *text)
{
    if (value.kind == VALUE_UINT)
        buf_add_format(text, "%" PRIu64, value.natural);
    else
        buf_add_format(text, "%" PRId64, value.integer);
}

static void add_enum(const struct field_type *field, struct value value, struct buf *text)
{
    const char *name = enum_type_name(field->enumeration, (int32_t)value.integer);

    if (name != NULL)
        buf_add_text(text, name);
    else
        add_integer(value, text);
}

void key_owner_text(const struct field_type *field, struct value value, struct buf *text)
{
    if (shape_of(field->kind).bytes == 0)
        buf_add_span(text, value.text);
    else if (field->kind == KIND_ENUM)
        add_enum(field, value, text);
    else
        add_integer(value, text);
}

static int parse_text(const struct field_type *field, struct span text, struct value *ret_value, struct err *err)
{
    if (text.len == 0)
        return complain(field, err, ERR_INPUT, "an empty text is no key");
    if (field->kind == KIND_STRING && !utf8_is_valid(text))
        return complain(field, err, ERR_INPUT, "not UTF-8");
    *ret_value = (struct value){.kind = value_kind_of(field->kind), .text = text};
    return 0;
}

int key_parse_owner(const struct field_type *field, struct span text, struct value *ret_value, struct err *err)
{
    struct value value;

    if (shape_of(field->kind).bytes == 0)
        return parse_text(field, text, ret_value, err);
    if (field->kind != KIND_ENUM) {
        if (!parse_integer(field, text, &value))
            return complain(field, err, ERR_INPUT, "not an integer in canonical decimal, or out of its range");
    } else {
        if (!parse_enum(field, text, &value))
            return complain(field, err, ERR_INPUT, "not a value of the enum");
        const char *name = enum_type_name(field->enumeration, (int32_t)value.integer);
        if (name != NULL && !span_equal_text(text, name))
            return complain(field, err, ERR_INPUT, "an enum's owner is written by its first name");
    }
    *ret_value = value;
    return 0;
}

static int base64url_digit(char c)
{
    const char *at = c != '\0' ? strchr(base64url, c) : NULL;

    return at != NULL ? (int)(at - base64url) : -1;
}

static bool decode_base64url(struct span text, uint8_t *bytes, size_t *ret_length)
{
    const char *at = text.at;
    uint32_t bits = 0;
    unsigned bit_count = 0;
    size_t length = 0;

    if (text.len % 4 == 1)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        int digit = base64url_digit(at[i]);
        if (digit < 0)
            return false;
        bits = (bits << 6 | (uint32_t)digit) & 0xffff;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            bytes[length++] = (uint8_t)(bits >> bit_count);
        }
    }
    *ret_length = length;
    return (bits & ((1u << bit_count) - 1)) == 0;
}

static void encode_base64url(struct span bytes, struct buf *text)
{
    const uint8_t *at = bytes.at;
    uint32_t bits = 0;
    unsigned bit_count = 0;

    for (size_t i = 0; i < bytes.len; i++) {
        bits = (bits << 8 | at[i]) & 0xffff;
        for (bit_count += 8; bit_count >= 6; bit_count -= 6)
            buf_add_byte(text, (uint8_t)base64url[bits >> (bit_count - 6) & 63]);
    }
    if (bit_count > 0)
        buf_add_byte(text, (uint8_t)base64url[bits << (6 - bit_count) & 63]);
}

int key_parse_segment(const struct field_type *field, struct span segment, struct arena *arena, struct value *ret_value,
                      struct err *err)
{
    struct value value;

    if (field->kind == KIND_STRING)
        return parse_text(field, segment, ret_value, err);
    if (field->kind == KIND_BYTES) {
        uint8_t *bytes = arena_alloc(arena, segment.len);
        size_t length;
        if (!decode_base64url(segment, bytes, &length))
            return complain(field, err, ERR_INPUT, "not unpadded base64url");
        return parse_text(field, span_of(bytes, length), ret_value, err);
    }
    if (field->kind == KIND_ENUM ? !parse_enum(field, segment, &value) : !parse_integer(field, segment, &value))
        return complain(field, err, ERR_INPUT,
                        field->kind == KIND_ENUM ? "not a value of the enum, by name or number"
                                                 : "not an integer in canonical decimal, or out of its range");
    *ret_value = value;
    return 0;
}

void key_segment_text(const struct field_type *field, struct value value, struct buf *text)
{
    if (field->kind == KIND_BYTES)
        encode_base64url(value.text, text);
    else
        key_owner_text(field, value, text);
}

int key_parse(const struct view *view, const struct span *segments, size_t count, struct arena *arena, struct buf *key,
              struct buf *owner, struct err *err)
{
    size_t key_begin = key->len;
    size_t owner_begin = owner->len;
    int rc = 0;

    if (count == 0 || count > view->key_count)
        return err_set(err, ERR_INPUT, "the key of %s has %zu field%s, not %zu", view->name, view->key_count,
                       view->key_count == 1 ? "" : "s", count);
    for (size_t i = 0; i < count && rc == 0; i++) {
        struct value value;
        rc = key_parse_segment(view->keys[i], segments[i], arena, &value, err);
        if (rc == 0)
            rc = key_encode_value(view->keys[i], value, key, err);
        if (rc == 0 && i == 0)
            key_owner_text(view->keys[i], value, owner);
    }
    if (rc < 0) {
        key->len = key_begin;
        owner->len = owner_begin;
    }
    return rc;
}

static void percent_encode(struct span segment, struct buf *text)
{
    static const char hex[] = "0123456789ABCDEF";
    const uint8_t *at = segment.at;

    for (size_t i = 0; i < segment.len; i++) {
        bool is_plain = (at[i] >= 'a' && at[i] <= 'z') || (at[i] >= 'A' && at[i] <= 'Z') ||
                        (at[i] >= '0' && at[i] <= '9') || (at[i] != 0 && strchr("-._~@:,=", at[i]) != NULL);
        if (is_plain) {
            buf_add_byte(text, at[i]);
        } else {
            buf_add_byte(text, '%');
            buf_add_byte(text, (uint8_t)hex[at[i] >> 4]);
            buf_add_byte(text, (uint8_t)hex[at[i] & 15]);
        }
    }
}

int key_text(const struct view *view, struct span key, struct buf *text, struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct buf segment = BUF_INIT;
    size_t begin = text->len;
    int rc = 0;

    for (size_t i = 0; i < view->key_count && key.len > 0 && rc == 0; i++) {
        struct value value;
        rc = key_decode_value(view->keys[i], &key, &arena, &value, err);
        if (rc < 0)
            break;
        buf_clear(&segment);
        key_segment_text(view->keys[i], value, &segment);
        if (i > 0)
            buf_add_byte(text, '/');
        percent_encode(buf_span(&segment), text);
    }
    if (rc == 0 && key.len > 0)
        rc = err_set(err, ERR_BROKEN, "a stored key of %s goes on behind its last field", view->name);
    if (rc < 0)
        text->len = begin;
    buf_release(&segment);
    arena_release(&arena);
    return rc;
}
