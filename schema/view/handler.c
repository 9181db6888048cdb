/* In the order in which a reader of the mistakes would look: the event, the effect, `each`, the key, `into`, the
 * assignments, what is left over in `from`, the conditions. An event that isn't there ends it, for everything else
 * would be a mistake too. */
#include "schema/view/handler.h"

#include <stdlib.h>

#include "schema/base/mem.h"
#include "schema/view/convert.h"
#include "schema/view/effect.h"
#include "schema/view/field_rules.h"
#include "schema/view/from.h"
#include "schema/view/into.h"
#include "schema/view/suggestion.h"

/* One handler while it is compiled. */
struct handler_site {
    struct compiler *compiler;
    const struct view *view;
    struct handler_draft *draft;
    struct handler *handler;
    const Tarn__Handler *options;
    struct from_table from;
    struct scope scope;
};

static bool resolve_event(struct handler_site *site);
static bool resolve_effect(struct handler_site *site);
static bool resolve_each(struct handler_site *site);
static void check_tombstone(struct handler_site *site);
static void bind_keys(struct handler_site *site);
static void bind_target(struct handler_site *site);
static void check_left_over(struct handler_site *site);

static void complain(struct handler_site *site, const char *option, const char *format, ...) PRINTF_LIKE(3, 4);
static void complain(struct handler_site *site, const char *option, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    mistakes_add_list(site->compiler->mistakes, site->draft->place, option, format, args);
    va_end(args);
}

void handler_compile(struct compiler *compiler, const struct view *view, bool has_keys, struct handler_draft *draft)
{
    struct handler_site site = {.compiler = compiler, .view = view, .draft = draft, .handler = draft->handler,
                                .options = draft->options};
    struct handler *handler = draft->handler;
    struct into into;
    size_t mistakes_before = compiler->mistakes->count;

    handler->view = view;
    if (!resolve_event(&site) || !resolve_effect(&site))
        return;
    site.scope = (struct scope){.compiler = compiler, .message = handler->event, .has_time = true,
                                .place = draft->place};
    if (!resolve_each(&site))
        return;
    from_read(compiler, draft->options, draft->place, &site.from);
    check_tombstone(&site);
    if (has_keys)
        bind_keys(&site);
    if (into_resolve(compiler, draft->options->into, handler->effect, view->type, &site.from, &site.scope, &into)) {
        handler->into = into.steps;
        handler->into_count = into.count;
        handler->target = into.target;
        /* Behind the brackets' element UPSERT has nothing left to find: from there on it is a MERGE. */
        if (handler->effect == EFFECT_UPSERT && !into.ends_in_element)
            handler->effect = EFFECT_MERGE;
        if (effect_traits(handler->effect)->assigns)
            bind_target(&site);
        if (has_keys)
            check_left_over(&site);
    }
    handler->when = resolve_conditions(&site.scope, draft->options->when, draft->options->n_when, "when",
                                       &handler->when_count);
    draft->is_whole = has_keys && compiler->mistakes->count == mistakes_before;
}

static bool resolve_event(struct handler_site *site)
{
    struct span name = span_of_text(site->options->event != NULL ? site->options->event : "");
    const struct message_type *event = type_set_find(site->compiler->types, name);

    if (name.len == 0)
        complain(site, "event", "is missing: the full name of a message, as in \"genetics.v1.AnalysisCompleted\"");
    else if (event == NULL)
        complain(site, "event", "\"%.*s\" is not a message of this descriptor set%s", QUOTE_ARGS(name),
                 suggestion_type(site->compiler, name));
    else if (event->is_map_entry)
        complain(site, "event", "\"%.*s\" is the entry of a map, not a message of its own", QUOTE_ARGS(name));
    else if (event->has_group)
        complain(site, "event", "\"%.*s\" holds a group, which can't be read: make it a message", QUOTE_ARGS(name));
    else {
        site->handler->event = event;
        return true;
    }
    return false;
}

static bool resolve_effect(struct handler_site *site)
{
    int apply = site->options->has_apply ? (int)site->options->apply : EFFECT_MERGE;

    if (apply < EFFECT_MERGE || apply > EFFECT_ERASE) {
        complain(site, "apply", "%d is not known to this version: the schema was made with a newer tarn/view.proto",
                 apply);
        return false;
    }
    site->handler->effect = (enum effect)apply;
    if (site->handler->ordinal == 0 && effect_traits(site->handler->effect)->is_removal)
        complain(site, "apply", "%s can't be the first handler, which says what makes the view",
                 effect_name(site->handler->effect));
    return true;
}

static bool resolve_each(struct handler_site *site)
{
    const char *name = site->options->each;

    if (name == NULL || name[0] == '\0')
        return true;
    const struct field_type *field =
        resolve_field(site->compiler, site->handler->event, span_of_text(name), site->draft->place, "each");
    if (field == NULL)
        return false;
    if (field_is_single(field) || field->is_map || field->kind != KIND_MESSAGE) {
        complain(site, "each", "\"%s\" is %s, not a list of messages", field->name,
                 field_kind_text(site->compiler, field));
        return false;
    }
    site->handler->each = field;
    site->scope.element = field->message;
    return true;
}

/* A null value has no fields: nothing that looks at fields can go with it. */
static void check_tombstone(struct handler_site *site)
{
    struct handler *handler = site->handler;

    if (!site->options->has_tombstone || !site->options->tombstone)
        return;
    handler->is_tombstone = true;
    if (!effect_traits(handler->effect)->is_removal)
        complain(site, "tombstone", "is for DELETE and ERASE, not for %s", effect_name(handler->effect));
    else if (handler->each != NULL)
        complain(site, "tombstone", "a null value has no \"%s\" to apply `each` to", handler->each->name);
    else if (site->options->n_when > 0)
        complain(site, "tombstone", "a null value has no fields for `when` to ask");
    else if (handler->effect == EFFECT_DELETE && site->view->key_count > 1)
        complain(site, "tombstone", "a null value gives \"%s\" alone, and DELETE needs the whole key",
                 site->view->keys[0]->name);
}

static void bind_keys(struct handler_site *site)
{
    const struct view *view = site->view;
    struct assignment *keys = arena_zero(site->compiler->arena, view->key_count * sizeof(*keys));
    const struct field_type *missing = NULL;

    for (size_t i = 0; i < view->key_count; i++) {
        const struct field_type *field = view->keys[i];
        keys[i].target = field;
        enum from_result result = from_bind(&site->from, &site->scope, field, false, &keys[i].source);
        if (result == FROM_BOUND && missing == NULL)
            site->handler->key_count = i + 1;
        if (result == FROM_BOUND && keys[i].source.kind == SOURCE_LITERAL &&
            keys[i].source.literal.kind == VALUE_STRING && keys[i].source.literal.text.len == 0)
            complain(site, "key", "\"%s\": an empty text is no key", field->name);
        if (result == FROM_BOUND && missing != NULL)
            complain(site, "key", "\"%s\" is given, but \"%s\" before it is not", field->name, missing->name);
        if (result == FROM_NONE && missing == NULL && (site->handler->effect != EFFECT_ERASE || i == 0))
            complain(site, "key", "nothing gives \"%s\"; name its source: from { key: \"%s\" value: \"...\" }",
                     field->name, field->name);
        if (result == FROM_NONE)
            missing = field;
    }
    site->handler->keys = keys;
}

/* Key fields of the view and bracket fields of the element aren't assigned: they are what they were found by. */
static bool is_fixed(const struct handler_site *site, const struct field_type *field)
{
    const struct handler *handler = site->handler;

    if (handler->into_count == 0) {
        for (size_t i = 0; i < site->view->key_count; i++)
            if (site->view->keys[i] == field)
                return true;
        return false;
    }
    const struct path_step *last = &handler->into[handler->into_count - 1];
    for (size_t i = 0; i < last->bracket_count; i++)
        if (last->brackets[i].target == field)
            return true;
    return false;
}

static bool is_assignable(const struct handler_site *site, const struct field_type *field)
{
    if (site->handler->effect == EFFECT_ADD && !(field_is_number(field) && field_is_single(field)))
        return false;
    return !is_fixed(site, field) && !field_is_derived(site->compiler, field);
}

static void bind_target(struct handler_site *site)
{
    struct handler *handler = site->handler;
    const struct message_type *target = handler->target;
    struct assignment *assignments = mem_zero(target->field_count, sizeof(*assignments));
    bool is_added = handler->effect == EFFECT_ADD;
    size_t mistakes_before = site->compiler->mistakes->count;
    size_t count = 0;

    for (size_t i = 0; i < target->field_count; i++) {
        const struct field_type *field = &target->fields[i];
        if (!is_assignable(site, field))
            continue;
        assignments[count].target = field;
        count += from_bind(&site->from, &site->scope, field, is_added, &assignments[count].source) == FROM_BOUND;
    }
    site->compiler->assignment_count += count;
    if (site->compiler->assignment_count > ASSIGNMENTS_MAX)
        complain(site, NULL, "the handlers copy more than %d fields altogether", ASSIGNMENTS_MAX);
    else
        handler->assignments = arena_copy(site->compiler->arena, assignments, count * sizeof(*assignments));
    handler->assignment_count = handler->assignments != NULL ? count : 0;
    free(assignments);
    if (count == 0 && is_added && site->compiler->mistakes->count == mistakes_before)
        complain(site, NULL, "ADD adds nothing: no source goes to a number of %s", target->full_name);
}

/* What stands in `from` and was not asked for is a typo, or asks for what can't be. */
static void check_left_over(struct handler_site *site)
{
    const struct handler *handler = site->handler;

    for (size_t i = 0; i < site->from.count; i++) {
        struct span name = site->from.entries[i].name;
        const struct field_type *field = message_type_field(handler->target, name);
        if (site->from.entries[i].is_used)
            continue;
        if (field == NULL || (field_is_single(field) && is_fixed(site, field)))
            complain(site, "from", "\"%.*s\" is not a field of %s, nor of the key or in brackets%s", QUOTE_ARGS(name),
                     handler->target->full_name, suggestion_field(site->compiler, handler->target, name));
        else if (!effect_traits(handler->effect)->assigns)
            complain(site, "from", "\"%s\" is neither of the key nor in brackets, and %s writes no field", field->name,
                     effect_name(handler->effect));
        else if (field_is_derived(site->compiler, field))
            complain(site, "from", "\"%s\" follows a rule: no handler writes it", field->name);
        else
            complain(site, "from", "\"%s\" is %s: ADD is for numbers", field->name,
                     field_kind_text(site->compiler, field));
    }
}
