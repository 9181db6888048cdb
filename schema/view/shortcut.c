/* Everything here follows from the rest of the plan, and a plan without it would give the same views: what isn't sure
 * to be the same has no shortcut. Enums go by name, so the bytes are the value only where each name of the source has
 * its number in the target too; floats go by double, which may change a NaN. */
#include "schema/view/shortcut.h"

#include <string.h>

/* What convert.h's table does to each number of `from`, known and unknown, is nothing. */
static bool is_same_by_name(const struct enum_type *from, const struct enum_type *to)
{
    if (from->is_closed || to->is_closed)
        return false;
    for (size_t i = 0; from != to && i < from->value_count; i++) {
        const char *name = enum_type_name(from, from->values[i].number);
        const char *same = enum_type_name(to, from->values[i].number);
        int32_t number;
        if ((same == NULL || strcmp(name, same) != 0) && enum_type_number(to, span_of_text(name), &number) &&
            number != from->values[i].number)
            return false;
    }
    return true;
}

static bool is_plain_presence(enum field_presence presence)
{
    return presence == PRESENCE_IMPLICIT || presence == PRESENCE_EXPLICIT;
}

static struct shortcut shortcut_between(const struct source *source, const struct field_type *to)
{
    struct shortcut none = {.bytes = 0};

    if (source->kind != SOURCE_PATH || source->path.count == 0)
        return none;
    const struct field_type *from = source->path.fields[0];
    if (from->kind == KIND_MESSAGE && from->presence == PRESENCE_EXPLICIT)
        return (struct shortcut){.is_behind = true, .from = (uint32_t)from->offset};
    if (source->path.count != 1 || from->kind != to->kind || !is_plain_presence(from->presence) || !is_plain_presence(to->presence) ||
        to->kind == KIND_FLOAT || to->kind == KIND_MESSAGE || to->kind == KIND_GROUP ||
        (to->kind == KIND_ENUM && !is_same_by_name(from->enumeration, to->enumeration)))
        return none;
    return (struct shortcut){.bytes = (uint8_t)to->element_size,
                             .is_asked = from->presence == PRESENCE_EXPLICIT,
                             .is_marked = to->presence == PRESENCE_EXPLICIT,
                             .from = (uint32_t)from->offset,
                             .from_has = (uint32_t)from->quantifier_offset,
                             .to = (uint32_t)to->offset,
                             .to_has = (uint32_t)to->quantifier_offset};
}

static const struct message_rules *rules_inside(const struct message_rules *rules, const struct field_type *field)
{
    for (size_t i = 0; rules != NULL && i < rules->child_count; i++)
        if (rules->children[i] == field)
            return rules->child_rules[i];
    return NULL;
}

static void find_of_assignments(const struct assignment *assignments, size_t count)
{
    struct assignment *own = (struct assignment *)(uintptr_t)assignments; /* the plan is still being made */

    for (size_t i = 0; i < count; i++)
        own[i].shortcut = shortcut_between(&own[i].source, own[i].target);
}

static void find_of_handler(struct handler *handler)
{
    const struct message_rules *rules = handler->view->rules;

    find_of_assignments(handler->keys, handler->key_count);
    for (size_t i = 0; i < handler->into_count; i++) {
        struct path_step *step = (struct path_step *)(uintptr_t)&handler->into[i];
        find_of_assignments(step->brackets, step->bracket_count);
        step->rules = rules = rules_inside(rules, step->field);
    }
    find_of_assignments(handler->assignments, handler->assignment_count);
    handler->target_rules = rules;
    if (rules == NULL)
        return;
    handler->makes_target_due = handler->effect == EFFECT_REPLACE;
    for (size_t i = 0; i < handler->assignment_count; i++) {
        const struct field_type *field = handler->assignments[i].target;
        handler->makes_all_due |= field->kind == KIND_MESSAGE && rules_inside(rules, field) != NULL;
        handler->makes_target_due |= field->presence == PRESENCE_REPEATED;
    }
}

void shortcuts_find(struct view_set *set)
{
    for (size_t i = 0; i < set->view_count; i++)
        for (size_t k = 0; k < set->views[i].handler_count; k++)
            find_of_handler((struct handler *)(uintptr_t)&set->views[i].handlers[k]);
}

void shortcut_of_condition(struct condition *condition)
{
    const struct field_type *field = condition->left.fields[0];
    const struct value *literal = &condition->right.literal;

    if (condition->right.kind != SOURCE_LITERAL || condition->left.count != 1 ||
        field->presence != PRESENCE_IMPLICIT)
        return;
    enum value_kind kind = value_kind_of(field->kind);
    condition->is_plain_unsigned = kind == VALUE_UINT;
    if (kind == literal->kind && field->element_size == 4 &&
        (kind == VALUE_INT || kind == VALUE_UINT || (kind == VALUE_ENUM && !field->enumeration->is_closed))) {
        condition->is_plain = true;
        condition->plain = kind == VALUE_UINT ? (int64_t)literal->natural : literal->integer;
    }
}

/* --- derived fields --- */

/* One field of 4 bytes that holds a whole number and is always there. */
static bool is_plain_number(const struct field_type *field)
{
    enum value_kind kind = value_kind_of(field->kind);

    return field->presence == PRESENCE_IMPLICIT && field->element_size == 4 && (kind == VALUE_INT || kind == VALUE_UINT);
}

static bool is_plain_text(const struct field_type *field)
{
    return field->presence == PRESENCE_IMPLICIT && field->kind == KIND_STRING;
}

void shortcut_of_derived(struct derived_field *derived)
{
    const struct field_type *value = derived->value.count == 1 ? derived->value.fields[0] : NULL;

    derived->shortcut = DERIVED_SHORTCUT_NONE;
    if (derived->derivation == DERIVE_COUNT && is_plain_number(derived->target)) {
        if (derived->where_count == 0)
            derived->shortcut = DERIVED_SHORTCUT_COUNT;
        else if (derived->where_count == 1 && derived->where[0].is_plain)
            derived->shortcut = DERIVED_SHORTCUT_COUNT_WHERE;
    } else if (derived->where_count == 0 && value != NULL) {
        if (derived->derivation == DERIVE_SUM && is_plain_number(derived->target) && is_plain_number(value))
            derived->shortcut = DERIVED_SHORTCUT_SUM;
        else if (derived->derivation == DERIVE_FIRST && is_plain_text(derived->target) && is_plain_text(value))
            derived->shortcut = DERIVED_SHORTCUT_FIRST_TEXT;
    }
}
