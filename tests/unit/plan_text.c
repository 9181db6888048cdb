/* One line for each part, with nothing left out, so that a comparison notices whatever changes. */
#include "tests/unit/plan_text.h"

#include <inttypes.h>

#include "schema/view/expression.h"

static void add_path(const struct field_path *path, bool from_element, struct buf *text)
{
    if (from_element)
        buf_add_literal(text, "element.");
    for (size_t i = 0; i < path->count; i++)
        buf_add_format(text, "%s%s", i > 0 ? "." : "", path->fields[i]->name);
}

static void add_value(struct value value, struct buf *text)
{
    switch (value.kind) {
    case VALUE_BOOL:
        buf_add_text(text, value.boolean ? "true" : "false");
        break;
    case VALUE_INT:
        buf_add_format(text, "int %" PRId64, value.integer);
        break;
    case VALUE_UINT:
        buf_add_format(text, "uint %" PRIu64, value.natural);
        break;
    case VALUE_FLOAT:
        buf_add_format(text, "float %.9g", value.number);
        break;
    case VALUE_DOUBLE:
        buf_add_format(text, "double %.17g", value.number);
        break;
    case VALUE_ENUM:
        buf_add_format(text, "%s %" PRId64, value.enumeration->full_name, value.integer);
        break;
    case VALUE_STRING:
        buf_add_format(text, "'%.*s'", SPAN_ARGS(value.text));
        break;
    case VALUE_BYTES:
    case VALUE_ABSENT:
    case VALUE_MESSAGE:
        buf_add_literal(text, "no literal");
        break;
    }
}

static void add_source(const struct source *source, struct buf *text)
{
    static const char *const before[] = {
        [SOURCE_PATH] = "",  [SOURCE_NEGATED_PATH] = "-", [SOURCE_LITERAL] = "",
        [SOURCE_TIME] = "time()", [SOURCE_DAY] = "day(",      [SOURCE_MONTH] = "month(",
    };

    buf_add_text(text, before[source->kind]);
    if (source->kind == SOURCE_LITERAL)
        add_value(source->literal, text);
    else
        add_path(&source->path, source->from_element, text);
    if (source->kind == SOURCE_DAY || source->kind == SOURCE_MONTH)
        buf_add_byte(text, ')');
}

static void add_assignments(const struct assignment *list, size_t count, const char *separator, struct buf *text)
{
    for (size_t i = 0; i < count; i++) {
        buf_add_format(text, "%s%s=", i > 0 ? separator : "", list[i].target->name);
        add_source(&list[i].source, text);
    }
}

static void add_names(const char *title, const struct field_type *const *fields, size_t count, struct buf *text)
{
    for (size_t i = 0; i < count; i++)
        buf_add_format(text, "%s%s", i > 0 ? ", " : title, fields[i]->name);
}

void plan_text_condition(const struct condition *condition, struct buf *text)
{
    add_path(&condition->left, condition->left_from_element, text);
    buf_add_format(text, " %s ", comparison_name(condition->comparison));
    add_source(&condition->right, text);
}

void plan_text_handler(const struct handler *handler, struct buf *text)
{
    buf_add_format(text, "%s %s of %s%s%s", effect_name(handler->effect), handler->event->full_name,
                   handler->stream->name, handler->is_home ? ", home" : "", handler->is_tombstone ? ", tombstone" : "");
    if (handler->each != NULL)
        buf_add_format(text, "; each %s", handler->each->name);
    for (size_t i = 0; i < handler->into_count; i++) {
        const struct path_step *step = &handler->into[i];
        buf_add_format(text, "%s%s", i > 0 ? "." : "; into ", step->field->name);
        if (step->brackets != NULL) {
            buf_add_byte(text, '[');
            add_assignments(step->brackets, step->bracket_count, ",", text);
            buf_add_byte(text, ']');
        }
    }
    buf_add_literal(text, "; key ");
    add_assignments(handler->keys, handler->key_count, ",", text);
    if (handler->assignment_count > 0)
        buf_add_literal(text, "; ");
    add_assignments(handler->assignments, handler->assignment_count, ", ", text);
    add_names("; replaced ", handler->replaced, handler->replaced_count, text);
}

static void add_derived(const struct derived_field *derived, struct buf *text)
{
    static const char *const names[] = {
        [DERIVE_COUNT] = "count", [DERIVE_SUM] = "sum", [DERIVE_MIN] = "min", [DERIVE_MAX] = "max",
        [DERIVE_FIRST] = "first",
    };

    buf_add_format(text, "; %s=%s %s", derived->target->name, names[derived->derivation], derived->list->name);
    for (size_t i = 0; i < derived->value.count; i++)
        buf_add_format(text, ".%s", derived->value.fields[i]->name);
    for (size_t i = 0; i < derived->where_count; i++) {
        buf_add_literal(text, " where ");
        plan_text_condition(&derived->where[i], text);
    }
}

void plan_text_rules(const struct message_rules *rules, struct buf *text)
{
    buf_add_text(text, rules->type->name);
    for (size_t i = 0; i < rules->list_count; i++) {
        const struct list_rule *rule = &rules->lists[i];
        buf_add_format(text, "; list %s", rule->list->name);
        add_names("[", rule->brackets, rule->bracket_count, text);
        if (rule->bracket_count > 0)
            buf_add_byte(text, ']');
        if (rule->order_by != NULL)
            buf_add_format(text, " by %s%s", rule->is_descending ? "-" : "", rule->order_by->name);
        if (rule->limit > 0)
            buf_add_format(text, " limit %" PRIu32, rule->limit);
        if (rule->keep > 0)
            buf_add_format(text, " keep %" PRIu32, rule->keep);
    }
    for (size_t i = 0; i < rules->derived_count; i++)
        add_derived(&rules->derived[i], text);
    for (size_t i = 0; i < rules->child_count; i++)
        buf_add_format(text, "%s%s: %s", i > 0 ? ", " : "; inside ", rules->children[i]->name,
                       rules->child_rules[i]->type->name);
    add_names("; hidden ", rules->hidden, rules->hidden_count, text);
    if (rules->alters_serving)
        buf_add_literal(text, "; alters");
}
