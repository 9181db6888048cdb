/* Types are compared pair by pair. Pairs of message types are remembered, before their fields are looked at: a pair met
 * again inside itself is taken to convert, which is right when nothing else in the circle stands against it, and when
 * something does, that is a mistake already. It also bounds the work by the number of pairs. */
#include "schema/view/convert.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "schema/base/mem.h"
#include "schema/view/field_rules.h"

enum { CONVERT_DEPTH_MAX = 100 };

static bool convert_at(struct compiler *compiler, const struct field_type *target, const struct field_type *source,
                       bool of_elements, unsigned depth, struct buf *why);
static bool convert_messages(struct compiler *compiler, const struct message_type *target,
                             const struct message_type *source, unsigned depth, struct buf *why);

/* What integers hold. */
static const struct integer_range {
    int64_t least;
    uint64_t most;
} ranges[] = {
    [KIND_INT32] = {INT32_MIN, INT32_MAX},   [KIND_SINT32] = {INT32_MIN, INT32_MAX},
    [KIND_SFIXED32] = {INT32_MIN, INT32_MAX}, [KIND_INT64] = {INT64_MIN, INT64_MAX},
    [KIND_SINT64] = {INT64_MIN, INT64_MAX},  [KIND_SFIXED64] = {INT64_MIN, INT64_MAX},
    [KIND_UINT32] = {0, UINT32_MAX},         [KIND_FIXED32] = {0, UINT32_MAX},
    [KIND_UINT64] = {0, UINT64_MAX},         [KIND_FIXED64] = {0, UINT64_MAX},
};

bool field_is_integer(const struct field_type *field)
{
    return (size_t)field->kind < ARRAY_COUNT(ranges) && ranges[field->kind].most != 0;
}

bool field_is_number(const struct field_type *field)
{
    return field_is_integer(field) || field->kind == KIND_DOUBLE || field->kind == KIND_FLOAT;
}

bool field_is_single(const struct field_type *field)
{
    return field->presence != PRESENCE_REPEATED;
}

bool field_is_timestamp(const struct field_type *field)
{
    return field->kind == KIND_MESSAGE && field->message->well_known == WELL_KNOWN_TIMESTAMP;
}

bool field_is_duration(const struct field_type *field)
{
    return field->kind == KIND_MESSAGE && field->message->well_known == WELL_KNOWN_DURATION;
}

static const char *const kind_names[] = {
    [KIND_DOUBLE] = "double",     [KIND_FLOAT] = "float",       [KIND_INT64] = "int64",   [KIND_UINT64] = "uint64",
    [KIND_INT32] = "int32",       [KIND_FIXED64] = "fixed64",   [KIND_FIXED32] = "fixed32", [KIND_BOOL] = "bool",
    [KIND_STRING] = "string",     [KIND_GROUP] = "group",       [KIND_MESSAGE] = "message", [KIND_BYTES] = "bytes",
    [KIND_UINT32] = "uint32",     [KIND_ENUM] = "enum",         [KIND_SFIXED32] = "sfixed32",
    [KIND_SFIXED64] = "sfixed64", [KIND_SINT32] = "sint32",     [KIND_SINT64] = "sint64",
};

static const char *element_kind_text(const struct field_type *field)
{
    if (field->kind == KIND_MESSAGE)
        return field->message->full_name;
    if (field->kind == KIND_ENUM)
        return field->enumeration->full_name;
    return kind_names[field->kind];
}

static const char *article_of(const char *word)
{
    static const char vowels[] = "aeio";

    return word[0] != '\0' && strchr(vowels, word[0]) != NULL ? "an" : "a";
}

const char *field_kind_text(struct compiler *compiler, const struct field_type *field)
{
    struct buf text = BUF_INIT;
    const char *kind = element_kind_text(field);

    if (field->is_map)
        buf_add_literal(&text, "a map");
    else if (!field_is_single(field))
        buf_add_format(&text, "a list of %s", kind);
    else if (field->kind == KIND_BYTES)
        buf_add_literal(&text, "bytes");
    else
        buf_add_format(&text, "%s %s", article_of(kind), kind);
    const char *copy = arena_copy(&compiler->scratch, buf_text(&text), text.len + 1);
    buf_release(&text);
    return copy;
}

/* The table of types, messages aside. */
static bool scalars_convert(const struct field_type *target, const struct field_type *source)
{
    if (field_is_number(target))
        return field_is_number(source);
    if (target->kind == KIND_STRING)
        return source->kind == KIND_STRING || source->kind == KIND_ENUM || field_is_integer(source);
    return target->kind == source->kind; /* bool, bytes, enum */
}

/* Key (1) or value (2): a map without them is refused when the types are made. */
static const struct field_type *entry_field(const struct field_type *map, uint32_t number)
{
    const struct field_type *field = message_type_field_number(map->message, number);

    assert(field != NULL);
    return field;
}

static bool maps_convert(struct compiler *compiler, const struct field_type *target, const struct field_type *source,
                         unsigned depth, struct buf *why)
{
    const struct field_type *target_key = entry_field(target, 1);
    const struct field_type *source_key = entry_field(source, 1);

    if (value_kind_of(target_key->kind) != value_kind_of(source_key->kind)) {
        buf_add_format(why, "the maps' keys differ: %s and %s", kind_names[target_key->kind],
                       kind_names[source_key->kind]);
        return false;
    }
    return convert_at(compiler, entry_field(target, 2), entry_field(source, 2), false, depth, why);
}

static bool convert_at(struct compiler *compiler, const struct field_type *target, const struct field_type *source,
                       bool of_elements, unsigned depth, struct buf *why)
{
    bool same_shape = of_elements || (target->presence == PRESENCE_REPEATED) == (source->presence == PRESENCE_REPEATED);

    if (same_shape && (of_elements || target->is_map == source->is_map)) {
        if (target->is_map)
            return maps_convert(compiler, target, source, depth, why);
        if (target->kind == KIND_MESSAGE && source->kind == KIND_MESSAGE)
            return convert_messages(compiler, target->message, source->message, depth, why);
        if (target->kind != KIND_MESSAGE && source->kind != KIND_MESSAGE && scalars_convert(target, source))
            return true;
    }
    buf_add_format(why, "%s can't become %s", field_kind_text(compiler, source), field_kind_text(compiler, target));
    if (source->kind == KIND_MESSAGE && source->message->well_known == WELL_KNOWN_WRAPPER && field_is_single(source))
        buf_add_format(why, " (its text or number is at \"%s.value\")", source->name);
    return false;
}

static bool convert_messages(struct compiler *compiler, const struct message_type *target,
                             const struct message_type *source, unsigned depth, struct buf *why)
{
    static const char innermost[] = " (field ";
    bool has_common = false;

    if (target == source)
        return true;
    if (depth == CONVERT_DEPTH_MAX) {
        buf_add_format(why, "%s nests too deep", source->full_name);
        return false;
    }
    void **seen = pair_map_at(&compiler->conversions, target, source);
    if (*seen != NULL)
        return true;
    *seen = compiler;
    for (size_t i = 0; i < target->field_count; i++) {
        const struct field_type *field = &target->fields[i];
        const struct field_type *same = message_type_field(source, span_of_text(field->name));
        if (same == NULL || field_is_derived(compiler, field))
            continue;
        has_common = true;
        if (!convert_at(compiler, field, same, false, depth + 1, why)) {
            if (strstr(buf_text(why), innermost) == NULL) /* said where it is already */
                buf_add_format(why, "%s\"%s\" of %s and %s)", innermost, field->name, source->full_name,
                               target->full_name);
            *pair_map_at(&compiler->conversions, target, source) = NULL;
            return false;
        }
    }
    if (!has_common) {
        buf_add_format(why, "%s and %s have no field of the same name", source->full_name, target->full_name);
        *pair_map_at(&compiler->conversions, target, source) = NULL;
    }
    return has_common;
}

bool convert_field(struct compiler *compiler, const struct field_type *target, const struct field_type *source,
                   struct buf *why)
{
    return convert_at(compiler, target, source, false, 0, why);
}

bool convert_element(struct compiler *compiler, const struct field_type *target, const struct field_type *source,
                     struct buf *why)
{
    return convert_at(compiler, target, source, true, 0, why);
}

/* --- literals ----------------------------------------------------------------------------------------------------- */

static bool is_whole_number(struct span digits)
{
    return digits.len > 0 && memchr(digits.at, '.', digits.len) == NULL && memchr(digits.at, 'e', digits.len) == NULL &&
           memchr(digits.at, 'E', digits.len) == NULL;
}

/* A whole number as sign and magnitude; false when the magnitude has more than 64 bits. */
static bool read_whole_number(struct span digits, bool *ret_negative, uint64_t *ret_magnitude)
{
    const char *at = digits.at;
    bool is_negative = at[0] == '-';
    uint64_t magnitude = 0;

    for (size_t i = is_negative; i < digits.len; i++) {
        if (__builtin_mul_overflow(magnitude, 10u, &magnitude) ||
            __builtin_add_overflow(magnitude, (uint64_t)(at[i] - '0'), &magnitude))
            return false;
    }
    *ret_negative = is_negative && magnitude != 0;
    *ret_magnitude = magnitude;
    return true;
}

/* Nearest double; infinite when it is out of range. The texts have been scanned, so strtod() takes all of them. */
static double read_number(struct span digits)
{
    char *text = mem_text_of(digits);
    double number = strtod(text, NULL);

    free(text);
    return number;
}

static bool integer_value(struct span digits, int64_t least, uint64_t most, bool is_signed, struct value *ret_value)
{
    bool is_negative;
    uint64_t magnitude;

    if (!read_whole_number(digits, &is_negative, &magnitude))
        return false;
    if (is_negative ? magnitude > (uint64_t)0 - (uint64_t)least : magnitude > most)
        return false;
    if (is_signed)
        *ret_value = (struct value){.kind = VALUE_INT,
                                    .integer = (int64_t)(is_negative ? (uint64_t)0 - magnitude : magnitude)};
    else
        *ret_value = (struct value){.kind = VALUE_UINT, .natural = magnitude};
    return true;
}

static bool number_value(const struct field_type *target, struct span digits, bool is_added, struct value *ret_value,
                         struct buf *why)
{
    if (!field_is_integer(target)) {
        double number = read_number(digits);
        if (target->kind == KIND_FLOAT)
            number = (double)(float)number;
        if (isinf(number)) {
            buf_add_format(why, "%.*s doesn't fit a %s", QUOTE_ARGS(digits), kind_names[target->kind]);
            return false;
        }
        *ret_value = (struct value){.kind = value_kind_of(target->kind), .number = number};
        return true;
    }
    if (!is_whole_number(digits)) {
        buf_add_format(why, "%.*s is not a whole number, as %s %s takes", QUOTE_ARGS(digits),
                       article_of(kind_names[target->kind]), kind_names[target->kind]);
        return false;
    }
    const struct integer_range *range = &ranges[target->kind];
    bool is_signed = value_kind_of(target->kind) == VALUE_INT;
    if (integer_value(digits, range->least, range->most, is_signed, ret_value))
        return true;
    if (is_added && !is_signed && integer_value(digits, INT64_MIN, 0, true, ret_value))
        return true;
    buf_add_format(why, "%.*s doesn't fit %s %s", QUOTE_ARGS(digits), article_of(kind_names[target->kind]),
                   kind_names[target->kind]);
    return false;
}

static bool text_value(struct compiler *compiler, const struct field_type *target, struct span text,
                       struct value *ret_value, struct buf *why)
{
    int32_t number;

    if (target->kind == KIND_STRING) {
        const void *copy = arena_copy(compiler->arena, text.at, text.len);
        *ret_value = (struct value){.kind = VALUE_STRING, .text = span_of(copy, text.len)};
        return true;
    }
    if (!enum_type_number(target->enumeration, text, &number)) {
        buf_add_format(why, "'%.*s' is not a value of %s", QUOTE_ARGS(text), target->enumeration->full_name);
        return false;
    }
    *ret_value = (struct value){.kind = VALUE_ENUM, .enumeration = target->enumeration, .integer = number};
    return true;
}

bool convert_literal(struct compiler *compiler, const struct field_type *target, const struct source_text *literal,
                     bool is_added, struct value *ret_value, struct buf *why)
{
    if (field_is_single(target)) {
        if (literal->kind == EXPRESSION_NUMBER && field_is_number(target))
            return number_value(target, literal->literal, is_added, ret_value, why);
        if (literal->kind == EXPRESSION_TEXT && (target->kind == KIND_STRING || target->kind == KIND_ENUM))
            return text_value(compiler, target, literal->literal, ret_value, why);
        if (literal->kind == EXPRESSION_BOOL && target->kind == KIND_BOOL) {
            *ret_value = (struct value){.kind = VALUE_BOOL, .boolean = literal->is_true};
            return true;
        }
    }
    if (literal->kind == EXPRESSION_TEXT)
        buf_add_literal(why, "a text");
    else if (literal->kind == EXPRESSION_NUMBER)
        buf_add_literal(why, "a number");
    else
        buf_add_literal(why, "true or false");
    buf_add_format(why, " can't become %s", field_kind_text(compiler, target));
    if (literal->kind == EXPRESSION_NUMBER && target->kind == KIND_STRING && field_is_single(target))
        buf_add_format(why, ": as a text it stands in single quotes");
    if (literal->kind == EXPRESSION_NUMBER && target->kind == KIND_ENUM && field_is_single(target))
        buf_add_format(why, ": an enum's value is written by its name, in single quotes");
    return false;
}

struct value convert_number_to_compare(const struct field_type *field, struct span digits)
{
    struct buf why = BUF_INIT;
    struct value value;

    bool fits = number_value(field, digits, false, &value, &why);
    buf_release(&why);
    if (fits)
        return value;
    if (is_whole_number(digits) && (integer_value(digits, INT64_MIN, INT64_MAX, true, &value) ||
                                    integer_value(digits, 0, UINT64_MAX, false, &value)))
        return value;
    return (struct value){.kind = VALUE_DOUBLE, .number = read_number(digits)};
}
