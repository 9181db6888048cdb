/* Recursion follows the plan's children, so that only messages with a rule somewhere inside are visited; it is as deep
 * as the view is nested. Lists come before derived fields, because `first` and float sums go in list order. What a rule
 * computes depends on nothing but its message: so a message that no handler touched holds its rules still and is passed
 * over with all that is in it, and nothing has to be remembered between events. */
#include "projector/projection_rules.h"

#include "projector/projection_convert.h"
#include "projector/projection_sort.h"

static int apply_to_child(const struct message_rules *rules, const struct field_type *field, ProtobufCMessage *message,
                          const struct touched *touched, const struct source_scope *scope);
static int derive(const struct message_rules *rules, const struct derived_field *derived, ProtobufCMessage *message,
                  const struct source_scope *scope);

static bool derive_shortly(const struct derived_field *derived, ProtobufCMessage *message);

int rules_apply(const struct message_rules *rules, ProtobufCMessage *message, const struct touched *touched,
                const struct source_scope *scope)
{
    const struct field_type *list;

    if (!touched_find(touched, message, &list))
        return 0;
    for (size_t i = 0; i < rules->child_count; i++) {
        if (list != NULL && list != rules->children[i])
            continue;
        int rc = apply_to_child(rules->child_rules[i], rules->children[i], message, touched, scope);
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < rules->list_count; i++) {
        const struct list_rule *rule = &rules->lists[i];
        if (list != NULL && list != rule->list)
            continue;
        size_t *count = message_list_count(message, rule->list);
        if (rule->order_by != NULL)
            list_sort(rule, (ProtobufCMessage **)*message_list_items(message, rule->list), *count, scope->arena);
        if (rule->keep > 0 && *count > rule->keep)
            *count = rule->keep;
    }
    for (size_t i = 0; i < rules->derived_count; i++) {
        if (list != NULL && list != rules->derived[i].list)
            continue;
        if (derive_shortly(&rules->derived[i], message))
            continue;
        int rc = derive(rules, &rules->derived[i], message, scope);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int apply_to_child(const struct message_rules *rules, const struct field_type *field, ProtobufCMessage *message,
                          const struct touched *touched, const struct source_scope *scope)
{
    if (field->presence != PRESENCE_REPEATED) {
        ProtobufCMessage *child = message_get_message(message, field);
        return child ? rules_apply(rules, child, touched, scope) : 0;
    }
    ProtobufCMessage **items = (ProtobufCMessage **)*message_list_items(message, field);
    size_t count = *message_list_count(message, field);
    for (size_t i = 0; i < count; i++) {
        if (message_is_sealed(items[i]) && !touched->is_everything)
            continue;
        int rc = rules_apply(rules, message_unseal(items[i]), touched, scope);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- derived fields -------------------------------------------------------------------------------------------- */

/* Of a field of 4 bytes. */
static bool is_unsigned(const struct field_type *field)
{
    return field->kind == KIND_UINT32 || field->kind == KIND_FIXED32;
}

static int64_t plain_number(const ProtobufCMessage *message, const struct field_type *field)
{
    union message_item room;
    const void *item = message_peek_item(message, field, &room);

    return is_unsigned(field) ? (int64_t) *(const uint32_t *)item : *(const int32_t *)item;
}

/* False: it doesn't fit. */
static bool set_plain_number(ProtobufCMessage *message, const struct field_type *field, int64_t number)
{
    if (is_unsigned(field) ? number != (uint32_t)number : number != (int32_t)number)
        return false;
    *(uint32_t *)message_at(message, field->offset) = (uint32_t)number;
    return true;
}

/* False: there is no shortcut, or a number that doesn't fit. A sum of numbers of 4 bytes fits into 8, for a list has less
 * than 2^31 elements. */
static bool derive_shortly(const struct derived_field *derived, ProtobufCMessage *message)
{
    ProtobufCMessage *const *items = (ProtobufCMessage *const *)*message_list_items(message, derived->list);
    size_t count = *message_list_count(message, derived->list);
    union message_item none = {.text = {0, NULL}};
    union message_item room;
    int64_t number = 0;

    switch (derived->shortcut) {
    case DERIVED_SHORTCUT_NONE:
        return false;
    case DERIVED_SHORTCUT_COUNT:
        return set_plain_number(message, derived->target, (int64_t)count);
    case DERIVED_SHORTCUT_COUNT_WHERE:
        for (size_t i = 0; i < count; i++)
            number += condition_holds_plainly(&derived->where[0], items[i]);
        return set_plain_number(message, derived->target, number);
    case DERIVED_SHORTCUT_SUM:
        for (size_t i = 0; i < count; i++)
            number += plain_number(items[i], derived->value.fields[0]);
        return set_plain_number(message, derived->target, number);
    case DERIVED_SHORTCUT_FIRST_TEXT:
        memcpy(message_at(message, derived->target->offset),
               count > 0 ? message_peek_item(items[0], derived->value.fields[0], &room) : &none, sizeof(none.text));
        return true;
    }
    return false;
}

/* What the elements seen so far come to. */
struct derivation_state {
    uint64_t count;
    struct number sum;
    struct value value; /* min, max, first */
    bool is_done;       /* first: nothing more to see */
};

static int take_element(const struct derived_field *derived, struct value value, const struct source_scope *scope,
                        struct derivation_state *state)
{
    struct number number;

    switch (derived->derivation) {
    case DERIVE_COUNT:
        state->count++;
        return 0;
    case DERIVE_SUM:
        if (number_of_value(value, &number) && !number_add(state->sum, number, &state->sum))
            return projection_fault_set(scope->fault, PARK_OVERFLOW, "%s.%s: the sum overflows",
                                        derived->target->parent->name, derived->target->name);
        return 0;
    case DERIVE_MIN:
    case DERIVE_MAX:
        if (value.kind == VALUE_ABSENT)
            return 0;
        if (state->value.kind != VALUE_ABSENT) {
            int order = value_compare(value, state->value);
            if (derived->derivation == DERIVE_MIN ? order >= 0 : order <= 0)
                return 0;
        }
        state->value = value;
        return 0;
    case DERIVE_FIRST:
        state->value = value;
        state->is_done = true;
        return 0;
    }
    return 0;
}

static int walk_list(const struct derived_field *derived, const ProtobufCMessage *message,
                     const struct source_scope *scope, struct derivation_state *state)
{
    const struct field_type *list = derived->list;
    const uint8_t *items = *message_list_items(message, list);
    ProtobufCMessage **messages = (ProtobufCMessage **)*message_list_items(message, list);
    size_t count = *message_list_count(message, list);

    for (size_t i = 0; i < count && !state->is_done; i++) {
        struct value value = list->kind == KIND_MESSAGE
                                 ? (struct value){.kind = VALUE_MESSAGE, .message = messages[i]}
                                 : message_get_item(list, items + i * list->element_size);
        if (derived->where_count > 0 && value.kind == VALUE_MESSAGE) {
            struct source_scope inside = *scope;
            bool hold;
            inside.event = value.message;
            inside.element = value.message;
            int rc = conditions_hold(derived->where, derived->where_count, &inside, &hold);
            if (rc < 0)
                return err_prefix(scope->fault->err, "%s.%s: where", derived->target->parent->name,
                                  derived->target->name);
            if (!hold)
                continue;
        }
        if (derived->value.count > 0 && value.kind == VALUE_MESSAGE)
            value = path_value(&derived->value, value.message);
        int rc = take_element(derived, value, scope, state);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int derive(const struct message_rules *rules, const struct derived_field *derived, ProtobufCMessage *message,
                  const struct source_scope *scope)
{
    struct derivation_state state = {.value = {.kind = VALUE_ABSENT}};
    struct value result;

    int rc = walk_list(derived, message, scope, &state);
    if (rc < 0)
        return rc;

    bool is_count = derived->derivation == DERIVE_COUNT;
    if (is_count)
        state.sum = (struct number){false, (whole_number)state.count, 0};
    if (is_count || derived->derivation == DERIVE_SUM) {
        if (!number_fit(state.sum, derived->target->kind, &result))
            return projection_fault_set(scope->fault, PARK_OVERFLOW, "%s.%s: the %s doesn't fit",
                                        derived->target->parent->name, derived->target->name,
                                        is_count ? "count" : "sum");
        message_set(message, derived->target, result);
        return 0;
    }

    /* A message of the same type is shared, not copied: whoever changes the element has the rules applied again. */
    if (state.value.kind == VALUE_MESSAGE && message_type_of(state.value.message) == derived->target->message) {
        message_set(message, derived->target, state.value);
        return 0;
    }
    struct view_place place = {0, rules}; /* no deeper than the element is already */
    rc = convert_value(state.value, derived->target, place, scope, &result);
    if (rc < 0)
        return err_prefix(scope->fault->err, "%s", derived->target->parent->name);
    message_set(message, derived->target, result);
    return 0;
}
