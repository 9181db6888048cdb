/* Types are walked breadth first, so a mistake is named by the shortest way to it. Each type has one set of rules in a
 * view, in whatever place it stands: a list is its field, and one list has one set of brackets.
 *
 * "Has rules inside" and "alters what is served" go from a type to those that hold it, along circles too; they are
 * spread until nothing changes, from the innermost types outward, which needs one round where no type holds itself. */
#include "schema/view/rules.h"

#include "schema/view/field_rules.h"

enum { TYPES_OF_A_VIEW_MAX = 2000 };

/* The rules of one view, while they are put together: arrays beside draft->types. */
struct assembly {
    struct compiler *compiler;
    const struct view_draft *draft;
    struct pair_map places;       /* type -> its message_rules, in `rules` */
    struct pair_map brackets;     /* list field -> the struct bracket_use that came first */
    struct message_rules *rules;
    bool *has_inside;
};

struct bracket_use {
    const struct handler_draft *handler;
    const struct path_step *step;
};

static bool can_be_held(struct compiler *compiler, const struct field_type *field, const char *place)
{
    if (field->kind == KIND_GROUP)
        mistakes_add(compiler->mistakes, place, NULL, "a group can't stand in a view: make it a message");
    else if (field->kind == KIND_MESSAGE && field->message->well_known == WELL_KNOWN_ANY)
        mistakes_add(compiler->mistakes, place, NULL,
                     "google.protobuf.Any can't stand in a view, which says what it holds: name the message");
    else
        return true;
    return false;
}

void rules_walk(struct compiler *compiler, struct view_draft *draft)
{
    struct pair_map seen = PAIR_MAP_INIT;
    size_t all = type_set_count(compiler->types);
    size_t most = all < TYPES_OF_A_VIEW_MAX ? all : TYPES_OF_A_VIEW_MAX;
    const char **ways = arena_alloc(&compiler->scratch, most * sizeof(const char *));
    const struct message_type **types = arena_alloc(&compiler->scratch, most * sizeof(const struct message_type *));
    struct buf place = BUF_INIT;
    size_t count = 0;
    bool is_too_large = false;

    types[count] = draft->view->type;
    ways[count++] = draft->place;
    *pair_map_at(&seen, draft->view->type, NULL) = draft;
    for (size_t i = 0; i < count && !is_too_large; i++) {
        field_rules_compile(compiler, types[i], ways[i]);
        for (size_t k = 0; k < types[i]->field_count && !is_too_large; k++) {
            const struct field_type *field = &types[i]->fields[k];
            if (field->kind != KIND_MESSAGE && field->kind != KIND_GROUP)
                continue;
            buf_clear(&place);
            buf_add_format(&place, "%s.%s", ways[i], field->name);
            if (!can_be_held(compiler, field, buf_text(&place)) || *pair_map_at(&seen, field->message, NULL) != NULL)
                continue;
            *pair_map_at(&seen, field->message, NULL) = draft;
            is_too_large = count == most || ++compiler->view_type_count > VIEW_TYPES_MAX;
            if (is_too_large)
                break;
            types[count] = field->message;
            ways[count++] = arena_copy(&compiler->scratch, buf_text(&place), place.len + 1);
        }
    }
    if (is_too_large)
        mistakes_add(compiler->mistakes, draft->place, NULL,
                     "holds too many message types: %d at most, %d over all views", TYPES_OF_A_VIEW_MAX,
                     VIEW_TYPES_MAX);
    draft->types = types;
    draft->type_count = count;
    buf_release(&place);
    pair_map_release(&seen);
}

/* --- brackets ----------------------------------------------------------------------------------------------------- */

static bool same_brackets(const struct path_step *a, const struct path_step *b)
{
    if (a->bracket_count != b->bracket_count)
        return false;
    for (size_t i = 0; i < a->bracket_count; i++)
        if (a->brackets[i].target != b->brackets[i].target)
            return false;
    return true;
}

static void add_brackets(const struct path_step *step, struct buf *text)
{
    buf_add_format(text, "%s[", step->field->name);
    for (size_t i = 0; i < step->bracket_count; i++)
        buf_add_format(text, "%s%s", i > 0 ? "," : "", step->brackets[i].target->name);
    buf_add_byte(text, ']');
}

static void note_brackets(struct assembly *assembly, const struct handler_draft *handler, const struct path_step *step)
{
    struct compiler *compiler = assembly->compiler;
    void **slot = pair_map_at(&assembly->brackets, step->field, NULL);
    const struct bracket_use *first = *slot;
    struct buf text = BUF_INIT;

    if (first == NULL) {
        struct bracket_use *use = arena_alloc(&compiler->scratch, sizeof(*use));
        *use = (struct bracket_use){handler, step};
        *slot = use;
    } else if (!same_brackets(first->step, step)) {
        add_brackets(step, &text);
        buf_add_literal(&text, " here, ");
        add_brackets(first->step, &text);
        mistakes_add(compiler->mistakes, handler->place, "into",
                     "%s at %s: all who write into a list use the same brackets, in the same order", buf_text(&text),
                     first->handler->place);
    }
    buf_release(&text);
}

/* REMOVE may ask for less: what elements must match isn't what tells them apart. */
static void collect_brackets(struct assembly *assembly)
{
    for (size_t i = 0; i < assembly->draft->view->handler_count; i++) {
        const struct handler_draft *draft = &assembly->draft->handlers[i];
        const struct handler *handler = draft->handler;
        if (!draft->is_whole || handler->effect == EFFECT_REMOVE)
            continue;
        for (size_t k = 0; k < handler->into_count; k++)
            if (handler->into[k].bracket_count > 0)
                note_brackets(assembly, draft, &handler->into[k]);
    }
}

static void add_tie_breakers(struct assembly *assembly, struct list_rule *rule)
{
    const struct bracket_use *use = *pair_map_at(&assembly->brackets, rule->list, NULL);

    if (use == NULL)
        return;
    size_t count = use->step->bracket_count;
    const struct field_type **brackets =
        arena_alloc(assembly->compiler->arena, count * sizeof(const struct field_type *));
    for (size_t i = 0; i < count; i++)
        brackets[i] = use->step->brackets[i].target;
    rule->brackets = brackets;
    rule->bracket_count = count;
}

/* --- assembly ----------------------------------------------------------------------------------------------------- */

static struct message_rules *rules_of(struct assembly *assembly, const struct field_type *field)
{
    return field->kind == KIND_MESSAGE ? *pair_map_at(&assembly->places, field->message, NULL) : NULL;
}

static void add_own_rules(struct assembly *assembly, size_t at)
{
    const struct message_type *type = assembly->draft->types[at];
    const struct type_facts *facts = type_facts(assembly->compiler, type);
    struct message_rules *rules = &assembly->rules[at];
    struct list_rule *lists =
        arena_copy(assembly->compiler->arena, facts->lists, facts->list_count * sizeof(*facts->lists));

    for (size_t i = 0; i < facts->list_count; i++)
        add_tie_breakers(assembly, &lists[i]);
    *rules = (struct message_rules){
        .type = type,
        .lists = lists,
        .list_count = facts->list_count,
        .derived = facts->derived,
        .derived_count = facts->derived_count,
        .hidden = facts->hidden,
        .hidden_count = facts->hidden_count,
        .alters_serving = facts->alters_serving,
    };
    assembly->has_inside[at] = facts->list_count + facts->derived_count + facts->hidden_count > 0;
    *pair_map_at(&assembly->places, type, NULL) = rules;
}

/* Takes over from a type's fields what holds inside them; true when that changed something. */
static bool spread(struct assembly *assembly, size_t at)
{
    const struct message_type *type = assembly->draft->types[at];
    struct message_rules *rules = &assembly->rules[at];
    bool had_inside = assembly->has_inside[at];
    bool did_alter = rules->alters_serving;

    for (size_t i = 0; i < type->field_count; i++) {
        const struct message_rules *inner = rules_of(assembly, &type->fields[i]);
        if (inner == NULL)
            continue;
        rules->alters_serving = rules->alters_serving || inner->alters_serving;
        assembly->has_inside[at] = assembly->has_inside[at] || assembly->has_inside[inner - assembly->rules];
    }
    return had_inside != assembly->has_inside[at] || did_alter != rules->alters_serving;
}

static void add_children(struct assembly *assembly, size_t at)
{
    const struct message_type *type = assembly->draft->types[at];
    struct arena *arena = assembly->compiler->arena;
    size_t count = 0;

    for (size_t pass = 0; pass < 2; pass++) {
        const struct field_type **children = NULL;
        const struct message_rules **child_rules = NULL;
        if (pass == 1) {
            children = arena_alloc(arena, count * sizeof(const struct field_type *));
            child_rules = arena_alloc(arena, count * sizeof(const struct message_rules *));
            count = 0;
        }
        for (size_t i = 0; i < type->field_count; i++) {
            const struct message_rules *inner = rules_of(assembly, &type->fields[i]);
            if (inner == NULL || !assembly->has_inside[inner - assembly->rules])
                continue;
            if (pass == 1) {
                children[count] = &type->fields[i];
                child_rules[count] = inner;
            }
            count++;
        }
        assembly->rules[at].children = children;
        assembly->rules[at].child_rules = child_rules;
        assembly->rules[at].child_count = count;
    }
}

void rules_assemble(struct compiler *compiler, struct view_draft *draft)
{
    struct assembly assembly = {
        .compiler = compiler,
        .draft = draft,
        .rules = arena_zero(compiler->arena, draft->type_count * sizeof(*assembly.rules)),
        .has_inside = arena_zero(&compiler->scratch, draft->type_count * sizeof(bool)),
    };

    collect_brackets(&assembly);
    for (size_t i = 0; i < draft->type_count; i++)
        add_own_rules(&assembly, i);
    for (bool has_changed = true; has_changed;) {
        has_changed = false;
        for (size_t i = draft->type_count; i-- > 0;)
            has_changed = spread(&assembly, i) || has_changed;
    }
    for (size_t i = 0; i < draft->type_count; i++)
        add_children(&assembly, i);
    draft->view->rules = &assembly.rules[0];
    pair_map_release(&assembly.places);
    pair_map_release(&assembly.brackets);
}
