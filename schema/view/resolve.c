/* Each function names its own mistakes and returns whether there was one: the compiler never stops at the first. */
#include "schema/view/resolve.h"

#include <stdio.h>

#include "schema/view/convert.h"
#include "schema/view/suggestion.h"
#include "schema/view/shortcut.h"

const struct field_type *resolve_field(struct compiler *compiler, const struct message_type *type, struct span name,
                                       const char *place, const char *option)
{
    const struct field_type *field = message_type_field(type, name);

    if (field == NULL)
        mistakes_add(compiler->mistakes, place, option, "\"%.*s\" is not a field of %s%s", QUOTE_ARGS(name),
                     type->full_name, suggestion_field(compiler, type, name));
    return field;
}

static const struct field_type *first_field(const struct scope *scope, struct span name, const char *option,
                                            bool *ret_from_element)
{
    const struct field_type *field = NULL;

    *ret_from_element = false;
    if (scope->element != NULL) {
        field = message_type_field(scope->element, name);
        *ret_from_element = field != NULL;
    }
    if (field == NULL && scope->message != NULL)
        field = message_type_field(scope->message, name);
    if (field != NULL)
        return field;
    if (scope->element != NULL && scope->message != NULL) {
        const char *suggestion = suggestion_field(scope->compiler, scope->element, name);
        if (suggestion[0] == '\0')
            suggestion = suggestion_field(scope->compiler, scope->message, name);
        mistakes_add(scope->compiler->mistakes, scope->place, option, "\"%.*s\" is neither a field of %s nor of %s%s",
                     QUOTE_ARGS(name), scope->element->full_name, scope->message->full_name, suggestion);
    } else {
        resolve_field(scope->compiler, scope->element != NULL ? scope->element : scope->message, name, scope->place,
                      option);
    }
    return NULL;
}

const struct field_type *resolve_path(const struct scope *scope, const struct path_text *text, const char *option,
                                      struct field_path *ret_path, bool *ret_from_element)
{
    struct compiler *compiler = scope->compiler;
    const struct field_type **fields = arena_alloc(compiler->arena, text->count * sizeof(const struct field_type *));
    const struct field_type *field = first_field(scope, text->names[0], option, ret_from_element);

    for (size_t i = 0; field != NULL; i++) {
        fields[i] = field;
        if (i + 1 == text->count) {
            *ret_path = (struct field_path){fields, text->count};
            return field;
        }
        if (field->kind != KIND_MESSAGE || !field_is_single(field)) {
            mistakes_add(compiler->mistakes, scope->place, option,
                         "\"%.*s\": \"%s\" is %s: a path goes through single messages", QUOTE_ARGS(text->text),
                         field->name, field_kind_text(compiler, field));
            return NULL;
        }
        field = resolve_field(compiler, field->message, text->names[i + 1], scope->place, option);
    }
    return NULL;
}

static void refuse(const struct scope *scope, const char *option, struct buf *why)
{
    mistakes_add(scope->compiler->mistakes, scope->place, option, "%s%s", buf_text(why),
                 scope->advice != NULL ? scope->advice : "");
}

static bool path_converts(const struct scope *scope, const struct source_text *text, const struct field_type *target,
                          bool is_added, const struct field_type *last, struct buf *why)
{
    struct compiler *compiler = scope->compiler;

    if (text->kind == EXPRESSION_DAY || text->kind == EXPRESSION_MONTH) {
        const char *name = text->kind == EXPRESSION_DAY ? "day" : "month";
        if (!field_is_timestamp(last) || !field_is_single(last))
            buf_add_format(why, "%s() takes a google.protobuf.Timestamp, \"%s\" is %s", name, last->name,
                           field_kind_text(compiler, last));
        else if (target->kind != KIND_STRING || !field_is_single(target))
            buf_add_format(why, "%s() gives a text, which can't become %s", name, field_kind_text(compiler, target));
        return why->len == 0;
    }
    if (text->kind == EXPRESSION_NEGATED_PATH &&
        (!field_is_number(last) || !field_is_single(last) || !field_is_number(target) || !field_is_single(target))) {
        const struct field_type *odd = field_is_number(last) && field_is_single(last) ? target : last;
        buf_add_format(why, "a minus sign is for numbers, \"%s\" is %s", odd->name, field_kind_text(compiler, odd));
        return false;
    }
    if (is_added && !(field_is_number(last) && field_is_single(last))) {
        buf_add_format(why, "ADD takes a number, \"%s\" is %s", last->name, field_kind_text(compiler, last));
        return false;
    }
    if (convert_field(compiler, target, last, why))
        return true;
    return false;
}

bool resolve_source(const struct scope *scope, const struct source_text *text, const struct field_type *target,
                    bool is_added, const char *option, struct source *ret_source)
{
    static const enum source_kind kinds[] = {
        [EXPRESSION_PATH] = SOURCE_PATH,     [EXPRESSION_NEGATED_PATH] = SOURCE_NEGATED_PATH,
        [EXPRESSION_TEXT] = SOURCE_LITERAL,  [EXPRESSION_NUMBER] = SOURCE_LITERAL,
        [EXPRESSION_BOOL] = SOURCE_LITERAL,  [EXPRESSION_TIME] = SOURCE_TIME,
        [EXPRESSION_DAY] = SOURCE_DAY,       [EXPRESSION_MONTH] = SOURCE_MONTH,
    };
    struct compiler *compiler = scope->compiler;
    struct source source = {.kind = kinds[text->kind]};
    struct buf why = BUF_INIT;

    if (source.kind == SOURCE_LITERAL) {
        convert_literal(compiler, target, text, is_added, &source.literal, &why);
    } else if (source.kind == SOURCE_TIME) {
        if (!scope->has_time)
            buf_add_literal(&why, "time() is a record's: a rule knows of no record");
        else if (!field_is_timestamp(target) || !field_is_single(target))
            buf_add_format(&why, "time() gives a google.protobuf.Timestamp, which can't become %s",
                           field_kind_text(compiler, target));
    } else {
        const struct field_type *last = resolve_path(scope, &text->path, option, &source.path, &source.from_element);
        if (last == NULL)
            return false;
        path_converts(scope, text, target, is_added, last, &why);
    }
    bool is_good = why.len == 0;
    if (is_good)
        *ret_source = source;
    else
        refuse(scope, option, &why);
    buf_release(&why);
    return is_good;
}

/* --- conditions --------------------------------------------------------------------------------------------------- */

/* What can be compared with what. */
enum comparable { COMPARABLE_NOT, COMPARABLE_NUMBER, COMPARABLE_STRING, COMPARABLE_BYTES, COMPARABLE_BOOL,
                  COMPARABLE_ENUM, COMPARABLE_TIMESTAMP, COMPARABLE_DURATION };

static enum comparable comparable_of(const struct field_type *field)
{
    if (!field_is_single(field))
        return COMPARABLE_NOT;
    if (field_is_number(field))
        return COMPARABLE_NUMBER;
    if (field_is_timestamp(field))
        return COMPARABLE_TIMESTAMP;
    if (field_is_duration(field))
        return COMPARABLE_DURATION;
    if (field->kind == KIND_STRING)
        return COMPARABLE_STRING;
    if (field->kind == KIND_BYTES)
        return COMPARABLE_BYTES;
    if (field->kind == KIND_BOOL)
        return COMPARABLE_BOOL;
    return field->kind == KIND_ENUM ? COMPARABLE_ENUM : COMPARABLE_NOT;
}

static bool is_ordered(enum comparable comparable)
{
    return comparable != COMPARABLE_BOOL && comparable != COMPARABLE_ENUM;
}

static bool compares_with_path(const struct scope *scope, const struct field_type *left,
                               const struct field_type *right, struct buf *why)
{
    if (comparable_of(left) == comparable_of(right) &&
        (left->kind != KIND_ENUM || left->enumeration == right->enumeration))
        return true;
    buf_add_format(why, "%s can't be compared with %s", field_kind_text(scope->compiler, left),
                   field_kind_text(scope->compiler, right));
    return false;
}

/* The right side as the left compares with it; false: *why, or a mistake that resolve_path() has named. */
static bool resolve_right(const struct scope *scope, const struct source_text *text, const struct field_type *left,
                          const char *option, struct source *source, struct buf *why)
{
    if (text->kind == EXPRESSION_NUMBER && comparable_of(left) == COMPARABLE_NUMBER) {
        *source = (struct source){.kind = SOURCE_LITERAL, .literal = convert_number_to_compare(left, text->literal)};
        return true;
    }
    if (text->kind != EXPRESSION_PATH && text->kind != EXPRESSION_NEGATED_PATH)
        return resolve_source(scope, text, left, false, option, source);

    bool is_negated = text->kind == EXPRESSION_NEGATED_PATH;
    *source = (struct source){.kind = is_negated ? SOURCE_NEGATED_PATH : SOURCE_PATH};
    const struct field_type *last = resolve_path(scope, &text->path, option, &source->path, &source->from_element);
    if (last == NULL)
        return false;
    if (is_negated && comparable_of(last) != COMPARABLE_NUMBER) {
        buf_add_format(why, "a minus sign is for numbers, \"%s\" is %s", last->name,
                       field_kind_text(scope->compiler, last));
        return false;
    }
    return compares_with_path(scope, left, last, why);
}

/* option names the condition itself: `when: "score > 0"`. */
static bool resolve_condition(const struct scope *scope, struct span text, const char *option,
                              struct condition *ret_condition)
{
    struct compiler *compiler = scope->compiler;
    struct condition_text parsed;
    struct condition condition = {.left_from_element = false};
    struct buf why = BUF_INIT;
    struct err err;

    if (expression_parse_condition(text, &compiler->scratch, &parsed, &err) < 0) {
        mistakes_add(compiler->mistakes, scope->place, option, "%s", err.text);
        return false;
    }
    condition.comparison = parsed.comparison;
    const struct field_type *left = resolve_path(scope, &parsed.left, option, &condition.left,
                                                 &condition.left_from_element);
    if (left == NULL)
        return false;
    bool is_good = false;
    if (comparable_of(left) == COMPARABLE_NOT)
        buf_add_format(&why, "\"%s\" is %s, which can't be compared", left->name, field_kind_text(compiler, left));
    else if (!is_ordered(comparable_of(left)) && parsed.comparison > COMPARE_NOT_EQUAL)
        buf_add_format(&why, "\"%s\" is %s, which only = and != compare", left->name, field_kind_text(compiler, left));
    else
        is_good = resolve_right(scope, &parsed.right, left, option, &condition.right, &why);
    if (why.len > 0)
        mistakes_add(compiler->mistakes, scope->place, option, "%s", buf_text(&why));
    buf_release(&why);
    if (is_good) {
        shortcut_of_condition(&condition);
        *ret_condition = condition;
    }
    return is_good;
}

const struct condition *resolve_conditions(const struct scope *scope, char *const *texts, size_t count,
                                           const char *option, size_t *ret_count)
{
    struct condition *conditions = arena_alloc(scope->compiler->arena, count * sizeof(*conditions));
    size_t good = 0;
    char place[QUOTE_BYTES_MAX + 20];

    for (size_t i = 0; i < count; i++) {
        struct span text = span_of_text(texts[i]);
        snprintf(place, sizeof(place), "%s: \"%.*s\"", option, QUOTE_ARGS(text));
        good += resolve_condition(scope, text, place, &conditions[good]);
    }
    *ret_count = good;
    return conditions;
}
