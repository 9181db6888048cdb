/* Step by step from the view's type inward. Which ends an effect allows is in the table of effects; what it says when
 * the end is another is here. */
#include "schema/view/into.h"

#include "schema/view/convert.h"
#include "schema/view/effect.h"
#include "schema/view/field_rules.h"

/* Where the walk stands. */
struct walk {
    struct compiler *compiler;
    struct from_table *from;
    const struct scope *scope;
    enum effect effect;
    const struct message_type *type;
    bool has_brackets; /* some step so far had them */
};

static bool resolve_step(struct walk *walk, const struct step_text *text, bool is_last, struct path_step *ret_step);
static bool ends_well(const struct walk *walk, const struct path_step *last);

static void complain(const struct walk *walk, const char *format, ...) PRINTF_LIKE(2, 3);
static void complain(const struct walk *walk, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    mistakes_add_list(walk->compiler->mistakes, walk->scope->place, "into", format, args);
    va_end(args);
}

bool into_resolve(struct compiler *compiler, const char *text, enum effect effect, const struct message_type *view,
                  struct from_table *from, const struct scope *scope, struct into *ret_into)
{
    struct walk walk = {compiler, from, scope, effect, view, false};
    struct into_text parsed = {NULL, 0};
    struct err err;

    if (text != NULL && text[0] != '\0' &&
        expression_parse_into(span_of_text(text), &compiler->scratch, &parsed, &err) < 0) {
        complain(&walk, "\"%.*s\": %s", QUOTE_ARGS(span_of_text(text)), err.text);
        return false;
    }
    struct path_step *steps = arena_zero(compiler->arena, parsed.count * sizeof(*steps));
    for (size_t i = 0; i < parsed.count; i++)
        if (!resolve_step(&walk, &parsed.steps[i], i + 1 == parsed.count, &steps[i]))
            return false;
    const struct path_step *last = parsed.count > 0 ? &steps[parsed.count - 1] : NULL;
    if (!ends_well(&walk, last))
        return false;
    *ret_into = (struct into){
        .steps = last != NULL ? steps : NULL,
        .count = parsed.count,
        .target = walk.type,
        .ends_in_element = last != NULL && !field_is_single(last->field),
    };
    return true;
}

/* A field that can tell an element from the others. */
static const struct field_type *bracket_field(struct walk *walk, const struct field_type *list, struct span name)
{
    const struct field_type *field =
        resolve_field(walk->compiler, list->message, name, walk->scope->place, "into");

    if (field == NULL)
        return NULL;
    if (!field_is_single(field) || field->kind == KIND_MESSAGE || field->kind == KIND_DOUBLE ||
        field->kind == KIND_FLOAT)
        complain(walk, "\"%s\" is %s: elements are identified by texts, bytes, integers, enums and bools", field->name,
                 field_kind_text(walk->compiler, field));
    else if (field->presence == PRESENCE_ONEOF)
        complain(walk, "\"%s\" is in a oneof, where another field may clear it: it can't identify an element",
                 field->name);
    else if (field_is_derived(walk->compiler, field))
        complain(walk, "\"%s\" follows a rule: it can't identify an element", field->name);
    else
        return field;
    return NULL;
}

static bool resolve_brackets(struct walk *walk, const struct step_text *text, const struct field_type *list,
                             struct path_step *step)
{
    struct assignment *brackets = arena_zero(walk->compiler->arena, text->bracket_count * sizeof(*brackets));
    bool is_good = true;

    for (size_t i = 0; i < text->bracket_count; i++) {
        const struct field_type *field = bracket_field(walk, list, text->brackets[i]);
        if (field == NULL) {
            is_good = false;
            continue;
        }
        for (size_t k = 0; k < i; k++) {
            if (brackets[k].target == field) {
                complain(walk, "\"%s\" stands twice in brackets", field->name);
                is_good = false;
            }
        }
        brackets[i].target = field;
        enum from_result result = from_bind(walk->from, walk->scope, field, false, &brackets[i].source);
        if (result == FROM_NONE)
            complain(walk,
                     "nothing gives \"%s\", which identifies an element of \"%s\"; name its source: "
                     "from { key: \"%s\" value: \"...\" }", field->name, list->name, field->name);
        is_good = is_good && result == FROM_BOUND;
    }
    step->brackets = brackets;
    step->bracket_count = text->bracket_count;
    walk->has_brackets = true;
    return is_good;
}

static bool resolve_step(struct walk *walk, const struct step_text *text, bool is_last, struct path_step *ret_step)
{
    const struct field_type *field =
        resolve_field(walk->compiler, walk->type, text->name, walk->scope->place, "into");
    bool is_list = field != NULL && !field_is_single(field);

    if (field == NULL)
        return false;
    ret_step->field = field;
    if (field->kind != KIND_MESSAGE || field->is_map)
        complain(walk, "\"%s\" is %s: the way goes through messages and lists of messages", field->name,
                 field_kind_text(walk->compiler, field));
    else if (field_is_derived(walk->compiler, field))
        complain(walk, "\"%s\" follows a rule: no handler writes it", field->name);
    else if (text->has_brackets && !is_list)
        complain(walk, "\"%s\" is a single message: brackets are for lists", field->name);
    else if (is_list && !text->has_brackets && !is_last)
        complain(walk, "\"%s\" is a list: say in brackets which field identifies the element, as in %s[id]",
                 field->name, field->name);
    else {
        walk->type = field->message;
        return !text->has_brackets || resolve_brackets(walk, text, field, ret_step);
    }
    return false;
}

static bool ends_well(const struct walk *walk, const struct path_step *last)
{
    const struct effect_traits *traits = effect_traits(walk->effect);
    bool is_list = last != NULL && !field_is_single(last->field);
    bool has_brackets = last != NULL && last->brackets != NULL;

    switch (traits->end) {
    case END_VIEW:
        if (last != NULL)
            complain(walk, "%s is for the whole view; part of it is taken away with REMOVE or REPLACE", traits->name);
        return last == NULL;
    case END_MESSAGE:
        if (is_list)
            complain(walk, "%s goes to a message, \"%s\" is a list: UPSERT, REMOVE and ADD go to an element by "
                           "brackets, APPEND to the list without", traits->name, last->field->name);
        return !is_list;
    case END_MESSAGE_ELEMENT:
        if (is_list && !has_brackets)
            complain(walk, "\"%s\" is a list: say in brackets which field identifies the element, as in %s[id]",
                     last->field->name, last->field->name);
        return !is_list || has_brackets;
    case END_LIST:
        if (!is_list || has_brackets)
            complain(walk, "APPEND goes to a list, and the list it ends in has no brackets");
        return is_list && !has_brackets;
    case END_ELEMENT:
        if (is_list ? !has_brackets : !walk->has_brackets)
            complain(walk, "UPSERT goes to a list, with the field that identifies the element in brackets, as in "
                           "offers[id]");
        return is_list ? has_brackets : walk->has_brackets;
    case END_MATCHES:
        if (!has_brackets)
            complain(walk, "REMOVE goes to a list, with the fields that elements must match in brackets, as in "
                           "offers[id]");
        return has_brackets;
    }
    return false;
}
