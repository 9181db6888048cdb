/* A switch over what the target holds; each case takes the kinds of values that the language lets through and refuses
 * the rest as a fault of the event, so that a value is never cut, wrapped or guessed. A message of another type is a
 * MERGE into an empty one, field by field: the same rules one level down. */
#include "projector/projection_convert.h"

#include <inttypes.h>
#include <stdio.h>

static int convert_to_number(struct value value, const struct field_type *target, const struct source_scope *scope,
                             struct value *ret_value);
static int convert_to_enum(struct value value, const struct field_type *target, const struct source_scope *scope,
                           struct value *ret_value);
static int convert_to_text(struct value value, const struct field_type *target, const struct source_scope *scope,
                           struct value *ret_value);
static int convert_to_message(struct value value, const struct field_type *target, struct view_place place,
                              const struct source_scope *scope, struct value *ret_value);
static int convert_time(const struct sourced *sourced, const struct field_type *target,
                        const struct source_scope *scope, struct value *ret_value);
static int convert_list(const struct sourced *sourced, ProtobufCMessage *message, const struct field_type *target,
                        struct view_place place, const struct source_scope *scope);

static int unfit(const struct field_type *target, const struct source_scope *scope)
{
    return projection_fault_set(scope->fault, PARK_OVERFLOW, "%s: the value doesn't fit", target->name);
}

static int unlike(const struct field_type *target, const struct source_scope *scope)
{
    return projection_fault_set(scope->fault, PARK_BAD_VALUE, "%s: a value of a type that doesn't convert",
                                target->name);
}

struct view_place view_place_inside(struct view_place place, const struct field_type *field)
{
    struct view_place inside = {place.depth + 1, NULL};

    for (size_t i = 0; place.rules != NULL && i < place.rules->child_count; i++)
        if (place.rules->children[i] == field)
            inside.rules = place.rules->child_rules[i];
    return inside;
}

int convert_sourced(const struct sourced *sourced, const struct field_type *target, struct view_place place,
                    const struct source_scope *scope, struct value *ret_value)
{
    switch (sourced->kind) {
    case SOURCED_NOTHING:
        *ret_value = (struct value){.kind = VALUE_ABSENT};
        return 0;
    case SOURCED_VALUE:
        return convert_value(sourced->value, target, place, scope, ret_value);
    case SOURCED_NUMBER:
        return number_fit(sourced->number, target->kind, ret_value) ? 0 : unfit(target, scope);
    case SOURCED_TIME:
        return convert_time(sourced, target, scope, ret_value);
    case SOURCED_LIST:
        break;
    }
    return unlike(target, scope);
}

int convert_into(const struct sourced *sourced, ProtobufCMessage *message, const struct field_type *target,
                 struct view_place place, const struct source_scope *scope)
{
    if (sourced->kind == SOURCED_NOTHING)
        return 0;
    if ((sourced->kind == SOURCED_LIST) != (target->presence == PRESENCE_REPEATED))
        return unlike(target, scope);
    if (sourced->kind == SOURCED_LIST)
        return convert_list(sourced, message, target, place, scope);

    struct value value;
    int rc = convert_sourced(sourced, target, place, scope, &value);
    if (rc == 0)
        message_set(message, target, value);
    return rc;
}

int convert_value(struct value value, const struct field_type *target, struct view_place place,
                  const struct source_scope *scope, struct value *ret_value)
{
    if (value.kind == VALUE_ABSENT) {
        *ret_value = value;
        return 0;
    }
    switch (value_kind_of(target->kind)) {
    case VALUE_INT:
    case VALUE_UINT:
    case VALUE_FLOAT:
    case VALUE_DOUBLE:
        return convert_to_number(value, target, scope, ret_value);
    case VALUE_ENUM:
        return convert_to_enum(value, target, scope, ret_value);
    case VALUE_STRING:
        return convert_to_text(value, target, scope, ret_value);
    case VALUE_MESSAGE:
        return convert_to_message(value, target, place, scope, ret_value);
    case VALUE_BOOL:
    case VALUE_BYTES:
        if (value.kind != value_kind_of(target->kind))
            return unlike(target, scope);
        *ret_value = value;
        return 0;
    case VALUE_ABSENT:
        break;
    }
    return unlike(target, scope);
}

static int convert_to_number(struct value value, const struct field_type *target, const struct source_scope *scope,
                             struct value *ret_value)
{
    struct number number;

    if (!number_of_value(value, &number))
        return unlike(target, scope);
    return number_fit(number, target->kind, ret_value) ? 0 : unfit(target, scope);
}

static int convert_to_enum(struct value value, const struct field_type *target, const struct source_scope *scope,
                           struct value *ret_value)
{
    struct number number;

    if (value.kind != VALUE_ENUM) {
        if (!number_of_value(value, &number))
            return unlike(target, scope);
        if (!number_fit(number, KIND_ENUM, ret_value))
            return unfit(target, scope);
    } else {
        *ret_value = value;
    }
    ret_value->enumeration = target->enumeration;
    if (value.kind == VALUE_ENUM && value.enumeration != target->enumeration) {
        const char *name = enum_type_name(value.enumeration, (int32_t)value.integer);
        const char *same = enum_type_name(target->enumeration, (int32_t)value.integer);
        int32_t renumbered;
        if (name != NULL && (same == NULL || strcmp(name, same) != 0) &&
            enum_type_number(target->enumeration, span_of_text(name), &renumbered))
            ret_value->integer = renumbered;
    }
    /* An unknown number of a closed enum counts as not set: taking it would lose it without a word. */
    if (target->enumeration->is_closed && enum_type_name(target->enumeration, (int32_t)ret_value->integer) == NULL)
        return unfit(target, scope);
    return 0;
}

static int convert_to_text(struct value value, const struct field_type *target, const struct source_scope *scope,
                           struct value *ret_value)
{
    char digits[24];
    int len;

    if (value.kind == VALUE_STRING) {
        *ret_value = value;
        return 0;
    }
    if (value.kind == VALUE_ENUM) {
        const char *name = enum_type_name(value.enumeration, (int32_t)value.integer);
        if (name != NULL) {
            *ret_value = (struct value){.kind = VALUE_STRING, .text = span_of_text(name)};
            return 0;
        }
    }
    if (value.kind == VALUE_ENUM || value.kind == VALUE_INT)
        len = snprintf(digits, sizeof(digits), "%" PRId64, value.integer);
    else if (value.kind == VALUE_UINT)
        len = snprintf(digits, sizeof(digits), "%" PRIu64, value.natural);
    else
        return unlike(target, scope);
    *ret_value = (struct value){.kind = VALUE_STRING,
                                .text = span_of(arena_copy(scope->arena, digits, (size_t)len), (size_t)len)};
    return 0;
}

/* --- messages -------------------------------------------------------------------------------------------------- */

/* How many messages stand one inside the other, this one included, and how many there are in all (added to *count). An
 * event is at most MESSAGE_DEPTH_MAX deep. */
static size_t measure(const ProtobufCMessage *message, uint64_t *count)
{
    const struct message_type *type = message_type_of(message);
    size_t deepest = 0;

    *count += 1;
    for (size_t i = 0; i < type->field_count; i++) {
        const struct field_type *field = &type->fields[i];
        if (field->kind != KIND_MESSAGE)
            continue;
        if (field->presence != PRESENCE_REPEATED) {
            const ProtobufCMessage *inner = message_get_message(message, field);
            size_t depth = inner ? measure(inner, count) : 0;
            deepest = depth > deepest ? depth : deepest;
            continue;
        }
        ProtobufCMessage **items = (ProtobufCMessage **)*message_list_items(message, field);
        for (size_t n = 0; n < *message_list_count(message, field); n++) {
            size_t depth = measure(items[n], count);
            deepest = depth > deepest ? depth : deepest;
        }
    }
    return deepest + 1;
}

static int too_deep(const struct field_type *target, const struct source_scope *scope)
{
    return projection_fault_set(scope->fault, PARK_UNPARSEABLE, "%s: nested deeper than %d messages in the view",
                                target->name, MESSAGE_DEPTH_MAX);
}

static bool is_derived(const struct message_rules *rules, const struct field_type *field)
{
    for (size_t i = 0; rules != NULL && i < rules->derived_count; i++)
        if (rules->derived[i].target == field)
            return true;
    return false;
}

static int convert_to_message(struct value value, const struct field_type *target, struct view_place place,
                              const struct source_scope *scope, struct value *ret_value)
{
    if (value.kind != VALUE_MESSAGE)
        return unlike(target, scope);

    const struct message_type *from = message_type_of(value.message);
    const struct message_type *to = target->message;
    if (from == to) {
        uint64_t count = 0;
        if (place.depth + measure(value.message, &count) > MESSAGE_DEPTH_MAX)
            return too_deep(target, scope);
        int rc = source_spend(scope, count * WORK_OF_MESSAGE);
        if (rc < 0)
            return rc;
        *ret_value = (struct value){.kind = VALUE_MESSAGE, .message = message_copy(value.message, scope->arena)};
        return 0;
    }

    struct view_place inside = view_place_inside(place, target);
    if (inside.depth > MESSAGE_DEPTH_MAX)
        return too_deep(target, scope);
    int rc = source_spend(scope, WORK_OF_MESSAGE);
    if (rc < 0)
        return rc;
    ProtobufCMessage *made = message_new(to, scope->arena);
    for (size_t i = 0; i < to->field_count; i++) {
        const struct field_type *field = message_type_field(from, span_of_text(to->fields[i].name));
        if (field == NULL || is_derived(inside.rules, &to->fields[i]))
            continue;
        struct sourced sourced = {.kind = SOURCED_LIST, .parent = value.message, .list = field};
        if (field->presence != PRESENCE_REPEATED) {
            sourced.value = message_get(value.message, field);
            sourced.kind = sourced.value.kind == VALUE_ABSENT ? SOURCED_NOTHING : SOURCED_VALUE;
        }
        rc = convert_into(&sourced, made, &to->fields[i], inside, scope);
        if (rc < 0)
            return err_prefix(scope->fault->err, "%s", target->name);
    }
    *ret_value = (struct value){.kind = VALUE_MESSAGE, .message = made};
    return 0;
}

static int convert_time(const struct sourced *sourced, const struct field_type *target,
                        const struct source_scope *scope, struct value *ret_value)
{
    if (target->kind != KIND_MESSAGE)
        return unlike(target, scope);
    const struct field_type *seconds = message_type_field(target->message, SPAN_LITERAL("seconds"));
    const struct field_type *nanos = message_type_field(target->message, SPAN_LITERAL("nanos"));
    if (seconds == NULL || value_kind_of(seconds->kind) != VALUE_INT || seconds->presence == PRESENCE_REPEATED ||
        nanos == NULL || value_kind_of(nanos->kind) != VALUE_INT || nanos->presence == PRESENCE_REPEATED)
        return unlike(target, scope);

    ProtobufCMessage *made = message_new(target->message, scope->arena);
    message_set(made, seconds, (struct value){.kind = VALUE_INT, .integer = sourced->seconds});
    message_set(made, nanos, (struct value){.kind = VALUE_INT, .integer = sourced->nanos});
    *ret_value = (struct value){.kind = VALUE_MESSAGE, .message = made};
    return 0;
}

/* --- lists ----------------------------------------------------------------------------------------------------- */

static struct value entry_key(const ProtobufCMessage *entry)
{
    const struct field_type *key = message_type_field_number(message_type_of(entry), 1);
    struct value value = message_get(entry, key);
    if (value.kind == VALUE_ABSENT)
        value = (struct value){.kind = value_kind_of(key->kind)}; /* the zero of its kind */
    return value;
}

/* A map as message_copy() would leave it: sorted by key, the last of equal keys. By merging, stable, in n log n: the
 * event decides how many entries there are. */
static void sort_map(ProtobufCMessage **entries, size_t *count, struct arena *arena)
{
    size_t n = *count;
    ProtobufCMessage **from = entries;
    ProtobufCMessage **to = arena_alloc(arena, n * sizeof(ProtobufCMessage *));

    for (size_t width = 1; width < n; width *= 2) {
        for (size_t start = 0; start < n; start += 2 * width) {
            size_t middle = start + width < n ? start + width : n;
            size_t end = middle + width < n ? middle + width : n;
            size_t a = start, b = middle;
            for (size_t i = start; i < end; i++) {
                bool take_right = a == middle || (b < end && value_compare(entry_key(from[b]), entry_key(from[a])) < 0);
                to[i] = take_right ? from[b++] : from[a++];
            }
        }
        ProtobufCMessage **sorted = to;
        to = from;
        from = sorted;
    }

    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (i + 1 < n && value_compare(entry_key(from[i]), entry_key(from[i + 1])) == 0)
            continue;
        entries[kept++] = from[i]; /* kept <= i: never ahead of what is read, if from is entries itself */
    }
    *count = kept;
}

static int convert_list(const struct sourced *sourced, ProtobufCMessage *message, const struct field_type *target,
                        struct view_place place, const struct source_scope *scope)
{
    const struct field_type *list = sourced->list;
    const uint8_t *items = *message_list_items(sourced->parent, list);
    size_t count = *message_list_count(sourced->parent, list);

    message_clear(message, target);
    int rc = source_spend(scope, count * WORK_OF_ITEM);
    for (size_t i = 0; i < count && rc == 0; i++) {
        struct value value;
        rc = convert_value(message_get_item(list, items + i * list->element_size), target, place, scope, &value);
        if (rc == 0 && value.kind != VALUE_ABSENT)
            message_set_item(target, message_list_append(message, target, scope->arena), value);
    }
    if (rc < 0)
        return rc;
    if (target->is_map && *message_list_count(message, target) > 1)
        sort_map((ProtobufCMessage **)*message_list_items(message, target), message_list_count(message, target),
                 scope->arena);
    return 0;
}
