/* A field at the view's top belongs, with all that lies in it, to the stream that writes it: so a view is a product of
 * independent folds. A oneof belongs to one stream as a whole, because setting one member clears the others. */
#include "schema/view/ownership.h"

#include "schema/view/effect.h"
#include "schema/view/field_rules.h"

/* The fields of one view's type while their owners are found. */
struct claims {
    struct compiler *compiler;
    const struct view_draft *draft;
    const struct handler_draft **first; /* beside type->fields: the first handler that writes it */
    bool *is_disputed;                  /* named already */
};

static bool are_alternatives(const struct field_type *a, const struct field_type *b)
{
    return a == b || (a->presence == PRESENCE_ONEOF && b->presence == PRESENCE_ONEOF &&
                      a->quantifier_offset == b->quantifier_offset);
}

static void dispute(struct claims *claims, const struct field_type *field, const struct field_type *other,
                    const struct handler_draft *first, const struct handler_draft *second)
{
    struct buf place = BUF_INIT;
    const char *prefix = claims->draft->place;

    buf_add_format(&place, "%s.%s", prefix, field->name);
    mistakes_add(claims->compiler->mistakes, buf_text(&place), NULL,
                 "written by two streams, by %s of \"%s\" and by %s of \"%s\"%s; a field belongs to one: leave it out "
                 "of a handler with from { key: \"%s\" value: \"\" }, or name one `stream` for both",
                 first->place + strlen(prefix) + 1, first->stream_name, second->place + strlen(prefix) + 1,
                 second->stream_name, field == other ? "" : ", which share a oneof", field->name);
    buf_release(&place);
    claims->is_disputed[field->index] = true;
}

static void claim(struct claims *claims, const struct field_type *field, const struct handler_draft *handler)
{
    const struct message_type *type = claims->draft->view->type;

    bool is_alone = field->presence != PRESENCE_ONEOF;
    for (size_t i = is_alone ? field->index : 0; i < (is_alone ? field->index + 1 : type->field_count); i++) {
        const struct handler_draft *first = claims->first[i];
        if (first == NULL || !are_alternatives(&type->fields[i], field) || claims->is_disputed[field->index])
            continue;
        if (first->handler->stream != handler->handler->stream)
            dispute(claims, field, &type->fields[i], first, handler);
    }
    if (claims->first[field->index] == NULL)
        claims->first[field->index] = handler;
}

static void claim_all(struct claims *claims)
{
    for (size_t i = 0; i < claims->draft->view->handler_count; i++) {
        const struct handler_draft *draft = &claims->draft->handlers[i];
        if (!draft->is_whole)
            continue;
        if (draft->handler->into_count > 0) {
            claim(claims, draft->handler->into[0].field, draft);
            continue;
        }
        for (size_t k = 0; k < draft->handler->assignment_count; k++)
            claim(claims, draft->handler->assignments[k].target, draft);
    }
}

/* A REPLACE of the view clears what its stream owns; one of a message inside owns all of it. */
static void settle_replaced(struct compiler *compiler, const struct view *view, struct handler *handler)
{
    const struct message_type *target = handler->target;
    const struct field_type **replaced =
        arena_alloc(compiler->arena, target->field_count * sizeof(const struct field_type *));
    size_t count = 0;

    for (size_t i = 0; i < target->field_count; i++) {
        const struct field_type *field = &target->fields[i];
        bool is_owned = handler->into_count > 0 || view->field_streams[i] == handler->stream;
        if (is_owned && !field_is_derived(compiler, field))
            replaced[count++] = field;
    }
    handler->replaced = replaced;
    handler->replaced_count = count;
}

static void check_home(struct compiler *compiler, const struct view_draft *draft)
{
    const struct view *view = draft->view;
    bool is_made = false;

    for (size_t i = 0; i < view->handler_count; i++) {
        const struct handler_draft *handler = &draft->handlers[i];
        if (!handler->is_whole)
            return;
        is_made = is_made || (handler->handler->is_home && effect_traits(handler->handler->effect)->makes_view);
        if (handler->handler->effect == EFFECT_DELETE && !handler->handler->is_home)
            mistakes_add(compiler->mistakes, handler->place, "apply",
                         "DELETE is for events of the home stream, \"%s\"; this one is of \"%s\"", view->home->name,
                         handler->stream_name);
        if (handler->handler->effect == EFFECT_MERGE && handler->handler->into_count == 0 &&
            handler->handler->assignment_count == 0 && !handler->handler->is_home)
            mistakes_add(compiler->mistakes, handler->place, NULL,
                         "changes nothing: the event has no field of the name of one in %s, and `from` names none",
                         view->type->full_name);
    }
    if (!is_made && view->handler_count > 0)
        mistakes_add(compiler->mistakes, draft->place, "on",
                     "nothing makes the view: of its home stream, \"%s\", there is neither MERGE nor REPLACE, UPSERT, "
                     "APPEND or ADD", view->home->name);
}

void ownership_settle(struct compiler *compiler, struct view_draft *draft)
{
    struct view *view = draft->view;
    size_t count = view->type->field_count;
    const struct stream **streams = arena_zero(compiler->arena, count * sizeof(const struct stream *));
    struct claims claims = {
        .compiler = compiler,
        .draft = draft,
        .first = arena_zero(&compiler->scratch, count * sizeof(const struct handler_draft *)),
        .is_disputed = arena_zero(&compiler->scratch, count * sizeof(bool)),
    };

    claim_all(&claims);
    for (size_t i = 0; i < count; i++)
        streams[i] = claims.first[i] != NULL ? claims.first[i]->handler->stream : NULL;
    view->field_streams = streams;
    for (size_t i = 0; i < view->handler_count; i++)
        if (draft->handlers[i].is_whole && draft->handlers[i].handler->effect == EFFECT_REPLACE)
            settle_replaced(compiler, view, draft->handlers[i].handler);
    check_home(compiler, draft);
}
