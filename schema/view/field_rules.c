/* Two passes. type_facts() peeks which fields follow a rule, because conversions and handlers must know it of types
 * whose rules aren't compiled yet. field_rules_compile() does the rest: list rules and hidden fields need only the
 * field itself; a derived field is resolved from its list on. A derived field reads elements only, and lists are
 * never derived, so derived fields of one message don't depend on each other and any order will do. */
#include "schema/view/field_rules.h"

#include "schema/view/convert.h"
#include "schema/view/resolve.h"
#include "schema/view/shortcut.h"
#include "schema/view/suggestion.h"

/* One field with options, while it is compiled. */
struct rule_site {
    struct compiler *compiler;
    struct type_facts *facts;
    const struct field_type *field;
    const Tarn__Field *options;
    const char *place;
};

static void compile_list_rule(struct rule_site *site);
static void compile_derivations(struct rule_site *site);

struct type_facts *type_facts(struct compiler *compiler, const struct message_type *type)
{
    void **slot = pair_map_at(&compiler->facts, type, NULL);

    if (*slot != NULL)
        return *slot;
    struct type_facts *facts = arena_zero(&compiler->scratch, sizeof(*facts));
    facts->is_derived = arena_zero(&compiler->scratch, type->field_count * sizeof(bool));
    *slot = facts;
    for (size_t i = 0; i < type->field_count; i++) {
        if (type->fields[i].tarn_options.len == 0)
            continue;
        Tarn__Field *options = options_peek_field(type->fields[i].tarn_options);
        facts->is_derived[i] = options != NULL && (options->count || options->sum || options->min || options->max ||
                                                   options->first || options->lookup);
        if (options != NULL)
            tarn__field__free_unpacked(options, NULL);
    }
    return facts;
}

bool field_is_derived(struct compiler *compiler, const struct field_type *field)
{
    return type_facts(compiler, field->parent)->is_derived[field->index];
}

void field_rules_compile(struct compiler *compiler, const struct message_type *type, const char *place)
{
    struct type_facts *facts = type_facts(compiler, type);
    struct buf field_place = BUF_INIT;

    if (facts->is_compiled)
        return;
    facts->is_compiled = true;
    facts->lists = arena_zero(compiler->arena, type->field_count * sizeof(*facts->lists));
    facts->derived = arena_zero(compiler->arena, type->field_count * sizeof(*facts->derived));
    facts->hidden = arena_zero(compiler->arena, type->field_count * sizeof(*facts->hidden));
    for (size_t i = 0; i < type->field_count; i++) {
        const struct field_type *field = &type->fields[i];
        if (field->tarn_options.len == 0)
            continue;
        buf_clear(&field_place);
        buf_add_format(&field_place, "%s.%s", place, field->name);
        Tarn__Field *options = options_read_field(field->tarn_options, buf_text(&field_place), compiler->mistakes);
        if (options == NULL)
            continue;
        struct rule_site site = {compiler, facts, field, options, buf_text(&field_place)};
        compile_list_rule(&site);
        compile_derivations(&site);
        if (options->has_hidden && options->hidden) {
            facts->hidden[facts->hidden_count++] = field;
            facts->alters_serving = true;
        }
        tarn__field__free_unpacked(options, NULL);
    }
    buf_release(&field_place);
}

static void complain(const struct rule_site *site, const char *option, const char *format, ...) PRINTF_LIKE(3, 4);
static void complain(const struct rule_site *site, const char *option, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    mistakes_add_list(site->compiler->mistakes, site->place, option, format, args);
    va_end(args);
}

/* --- lists -------------------------------------------------------------------------------------------------------- */

static const struct field_type *resolve_order(struct rule_site *site, bool *ret_descending)
{
    struct span text = span_of_text(site->options->order_by);
    struct source_text order;
    struct err err;

    if (expression_parse_source(text, &site->compiler->scratch, &order, &err) < 0 ||
        (order.kind != EXPRESSION_PATH && order.kind != EXPRESSION_NEGATED_PATH) || order.path.count != 1) {
        complain(site, "order_by", "\"%.*s\" is not a field of an element, nor one with \"-\" before it",
                 QUOTE_ARGS(text));
        return NULL;
    }
    if (site->field->kind != KIND_MESSAGE) {
        complain(site, "order_by", "elements of %s have no fields", field_kind_text(site->compiler, site->field));
        return NULL;
    }
    const struct field_type *field =
        resolve_field(site->compiler, site->field->message, order.path.names[0], site->place, "order_by");
    if (field == NULL)
        return NULL;
    if (!field_is_single(field) ||
        (field->kind == KIND_MESSAGE && !field_is_timestamp(field) && !field_is_duration(field))) {
        complain(site, "order_by", "\"%s\" is %s, which has no order", field->name,
                 field_kind_text(site->compiler, field));
        return NULL;
    }
    *ret_descending = order.kind == EXPRESSION_NEGATED_PATH;
    return field;
}

static void compile_list_rule(struct rule_site *site)
{
    const Tarn__Field *options = site->options;
    const struct {
        const char *name;
        bool is_set;
    } rules[] = {
        {"order_by", options->order_by != NULL}, {"limit", options->has_limit}, {"keep", options->has_keep}};
    struct list_rule rule = {.list = site->field, .limit = options->limit, .keep = options->keep};
    bool is_list = !field_is_single(site->field) && !site->field->is_map;
    bool is_set = false;

    for (size_t i = 0; i < ARRAY_COUNT(rules); i++) {
        is_set = is_set || rules[i].is_set;
        if (rules[i].is_set && !is_list)
            complain(site, rules[i].name, "is for lists, this is %s", field_kind_text(site->compiler, site->field));
    }
    if (!is_set || !is_list)
        return;
    if (options->has_limit && options->limit == 0)
        complain(site, "limit", "must be at least 1");
    if (options->has_keep && options->keep == 0)
        complain(site, "keep", "must be at least 1");
    if (options->order_by != NULL)
        rule.order_by = resolve_order(site, &rule.is_descending);
    site->facts->lists[site->facts->list_count++] = rule;
    if (rule.limit > 0)
        site->facts->alters_serving = true;
}

/* --- derived fields ----------------------------------------------------------------------------------------------- */

struct derivation_option {
    const char *name;
    enum derivation derivation;
    const char *text; /* NULL: not given */
};

static bool fits_sum(const struct rule_site *site, const struct field_type *value, bool is_element, struct buf *why);
static bool fits_extreme(const struct rule_site *site, const struct field_type *value, bool is_element,
                         struct buf *why);
static bool fits_first(const struct rule_site *site, const struct field_type *value, bool is_element, struct buf *why);

/* The list, and the path inside its elements. NULL: a mistake. *ret_value is the list itself when the path is empty. */
static const struct field_type *resolve_list(const struct rule_site *site, const struct derivation_option *option,
                                             struct field_path *ret_path, const struct field_type **ret_value)
{
    struct compiler *compiler = site->compiler;
    const struct message_type *type = site->field->parent;
    struct path_text path;
    struct err err;

    if (expression_parse_path(span_of_text(option->text), &compiler->scratch, &path, &err) < 0) {
        complain(site, option->name, "\"%.*s\": %s", QUOTE_ARGS(span_of_text(option->text)), err.text);
        return NULL;
    }
    const struct field_type *list = message_type_field(type, path.names[0]);
    if (list == NULL || field_is_single(list) || list->is_map) {
        complain(site, option->name, "\"%.*s\" is not a list of this message%s", QUOTE_ARGS(path.names[0]),
                 list == NULL ? suggestion_field(compiler, type, path.names[0]) : "");
        return NULL;
    }
    *ret_value = list;
    *ret_path = (struct field_path){NULL, 0};
    if (path.count == 1)
        return list;
    if (list->kind != KIND_MESSAGE) {
        complain(site, option->name, "\"%s\" is %s, whose elements have no fields", list->name,
                 field_kind_text(compiler, list));
        return NULL;
    }
    struct scope scope = {.compiler = compiler, .element = list->message, .place = site->place};
    struct path_text inside = {path.names + 1, path.count - 1, path.text};
    bool from_element;
    *ret_value = resolve_path(&scope, &inside, option->name, ret_path, &from_element);
    return *ret_value != NULL ? list : NULL;
}

static bool fits(const struct rule_site *site, const struct derivation_option *option, const struct field_type *value,
                 size_t path_count, struct buf *why)
{
    struct compiler *compiler = site->compiler;

    switch (option->derivation) {
    case DERIVE_COUNT:
        if (path_count > 0)
            buf_add_literal(why, "counts elements: name the list alone, and choose among them with `where`");
        else if (!field_is_integer(site->field))
            buf_add_format(why, "a number of elements can't become %s", field_kind_text(compiler, site->field));
        return why->len == 0;
    case DERIVE_SUM:
        return fits_sum(site, value, path_count == 0, why);
    case DERIVE_MIN:
    case DERIVE_MAX:
        return fits_extreme(site, value, path_count == 0, why);
    case DERIVE_FIRST:
        return fits_first(site, value, path_count == 0, why);
    }
    return false;
}

static void compile_derivation(struct rule_site *site, const struct derivation_option *option)
{
    struct derived_field derived = {.target = site->field, .derivation = option->derivation};
    const struct field_type *value = NULL;
    struct buf why = BUF_INIT;

    derived.list = resolve_list(site, option, &derived.value, &value);
    if (derived.list == NULL || value == NULL)
        return;
    if (!fits(site, option, value, derived.value.count, &why))
        complain(site, option->name, "%s", buf_text(&why));
    buf_release(&why);
    if (site->options->n_where > 0 && derived.list->kind != KIND_MESSAGE) {
        complain(site, "where", "\"%s\" is %s, whose elements have no fields", derived.list->name,
                 field_kind_text(site->compiler, derived.list));
    } else {
        struct scope scope = {.compiler = site->compiler, .element = derived.list->message, .place = site->place};
        derived.where =
            resolve_conditions(&scope, site->options->where, site->options->n_where, "where", &derived.where_count);
    }
    shortcut_of_derived(&derived);
    site->facts->derived[site->facts->derived_count++] = derived;
}

static void compile_derivations(struct rule_site *site)
{
    const Tarn__Field *options = site->options;
    const struct derivation_option all[] = {
        {"count", DERIVE_COUNT, options->count}, {"sum", DERIVE_SUM, options->sum},
        {"min", DERIVE_MIN, options->min},       {"max", DERIVE_MAX, options->max},
        {"first", DERIVE_FIRST, options->first},
    };
    const struct derivation_option *given = NULL;

    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        if (all[i].text == NULL)
            continue;
        if (given != NULL) {
            complain(site, all[i].name, "stands beside `%s`: a field follows one rule", given->name);
            return;
        }
        given = &all[i];
    }
    if (given == NULL) {
        if (options->n_where > 0 && options->lookup == NULL)
            complain(site, "where", "chooses elements for count, sum, min, max or first, and none of them is here");
        return;
    }
    if (!field_is_single(site->field))
        complain(site, given->name, "gives one value, this is %s", field_kind_text(site->compiler, site->field));
    else if (site->field->presence == PRESENCE_ONEOF)
        complain(site, given->name, "can't stand in a oneof, where setting one field clears another");
    else
        compile_derivation(site, given);
}

static bool fits_sum(const struct rule_site *site, const struct field_type *value, bool is_element, struct buf *why)
{
    struct compiler *compiler = site->compiler;

    if (is_element && value->kind == KIND_MESSAGE)
        buf_add_format(why, "\"%s\" is a list of messages: name a field of theirs, as in \"%s.amount\"", value->name,
                       value->name);
    else if (!field_is_number(value) || (!is_element && !field_is_single(value)))
        buf_add_format(why, "adds numbers, \"%s\" is %s", value->name, field_kind_text(compiler, value));
    else if (!field_is_number(site->field) || (field_is_integer(site->field) && !field_is_integer(value)))
        buf_add_format(why, "a sum of %s can't become %s", field_is_integer(value) ? "integers" : "fractions",
                       field_kind_text(compiler, site->field));
    return why->len == 0;
}

static bool fits_extreme(const struct rule_site *site, const struct field_type *value, bool is_element,
                         struct buf *why)
{
    const struct field_type *target = site->field;
    bool has_order = field_is_number(value) || value->kind == KIND_STRING || value->kind == KIND_BYTES ||
                     field_is_timestamp(value) || field_is_duration(value);

    if (is_element && value->kind == KIND_MESSAGE && !has_order)
        buf_add_format(why, "\"%s\" is a list of messages: name a field of theirs, as in \"%s.amount\"", value->name,
                       value->name);
    else if (!has_order || (!is_element && !field_is_single(value)))
        buf_add_format(why, "compares numbers, texts, bytes and times, \"%s\" is %s", value->name,
                       field_kind_text(site->compiler, value));
    else if (field_is_number(value) ? !field_is_number(target)
                                    : value->kind != target->kind || value->message != target->message)
        buf_add_format(why, "%s can't become %s", field_kind_text(site->compiler, value),
                       field_kind_text(site->compiler, target));
    return why->len == 0;
}

/* Whether `inner` can stand somewhere inside `outer`, or is it. */
static bool contains(const struct message_type *outer, const struct message_type *inner)
{
    struct arena arena = ARENA_INIT;
    struct pair_map seen = PAIR_MAP_INIT;
    size_t most = type_set_count(outer->set) + 1;
    const struct message_type **open = arena_alloc(&arena, most * sizeof(const struct message_type *));
    size_t count = 0;
    bool found = false;

    open[count++] = outer;
    *pair_map_at(&seen, outer, NULL) = &seen;
    while (count > 0 && !found) {
        const struct message_type *type = open[--count];
        found = type == inner;
        for (size_t i = 0; i < type->field_count; i++) {
            const struct message_type *child = type->fields[i].message;
            if (child == NULL || *pair_map_at(&seen, child, NULL) != NULL)
                continue;
            *pair_map_at(&seen, child, NULL) = &seen;
            open[count++] = child;
        }
    }
    pair_map_release(&seen);
    arena_release(&arena);
    return found;
}

static bool fits_first(const struct rule_site *site, const struct field_type *value, bool is_element, struct buf *why)
{
    const struct field_type *target = site->field;

    if (value->kind == KIND_MESSAGE && target->kind == KIND_MESSAGE) {
        if (value->message != target->message || (!is_element && !field_is_single(value)))
            buf_add_format(why, "%s can't become %s", field_kind_text(site->compiler, value),
                           field_kind_text(site->compiler, target));
        else if (contains(target->message, target->parent))
            buf_add_format(why, "%s holds %s again, which would hold a first one again, without end",
                           target->message->full_name, target->parent->full_name);
        return why->len == 0;
    }
    return is_element ? convert_element(site->compiler, target, value, why)
                      : convert_field(site->compiler, target, value, why);
}
