/* Handlers of all views are put in one array, sorted by event, then by view, then as written; each stretch of one event
 * is its plan. */
#include "schema/view/event_plan.h"

#include <stdlib.h>
#include <string.h>

#include "schema/base/mem.h"
#include "schema/view/convert.h"

/* What the owner's text in a record's key is: all views that one record feeds must read it alike. */
static bool same_owner(const struct field_type *a, const struct field_type *b)
{
    if (field_is_integer(a) || field_is_integer(b))
        return field_is_integer(a) && field_is_integer(b);
    return a->kind == b->kind && a->enumeration == b->enumeration;
}

static void check_owner(struct compiler *compiler, const struct handler_draft *first,
                        const struct handler_draft *second, const char *what)
{
    const struct field_type *owner = second->handler->view->keys[0];
    const struct field_type *other = first->handler->view->keys[0];

    if (!same_owner(owner, other))
        mistakes_add(compiler->mistakes, second->place, "key",
                     "\"%s\" is %s here, while at %s the owner \"%s\" is %s: %s has one key, read in one way",
                     owner->name, field_kind_text(compiler, owner), first->place, other->name,
                     field_kind_text(compiler, other), what);
}

static void check_stream(struct compiler *compiler, const struct handler_draft *first,
                         const struct handler_draft *second)
{
    if (first->handler->stream != second->handler->stream)
        mistakes_add(compiler->mistakes, second->place, "stream",
                     "the event is of \"%s\" here and of \"%s\" at %s: an event belongs to one stream",
                     second->stream_name, first->stream_name, first->place);
}

/* Each event and each stream's null values, with the handler that came first. */
static void check_handler(struct compiler *compiler, struct pair_map *firsts, const struct handler_draft *draft)
{
    const struct handler *handler = draft->handler;

    if (handler->event == NULL || handler->stream == NULL)
        return;
    void **slot = pair_map_at(firsts, handler->event, NULL);
    const struct handler_draft *first = *slot;
    if (first == NULL) {
        *slot = (void *)(uintptr_t)draft;
    } else {
        check_stream(compiler, first, draft);
        if (handler->view->key_count > 0 && first->handler->view->key_count > 0)
            check_owner(compiler, first, draft, "a record");
    }
}

static void check_tombstones(struct compiler *compiler, const struct view_draft *drafts, size_t count,
                             const struct view_set *set)
{
    const struct handler_draft **firsts = mem_zero(set->stream_count, sizeof(*firsts));

    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < drafts[i].view->handler_count; k++) {
            const struct handler_draft *draft = &drafts[i].handlers[k];
            if (!draft->is_whole || !draft->handler->is_tombstone)
                continue;
            const struct handler_draft **first = &firsts[draft->handler->stream->number];
            if (*first == NULL)
                *first = draft;
            else if ((*first)->handler->event != draft->handler->event)
                check_owner(compiler, *first, draft, "a null value");
        }
    }
    free(firsts);
}

static int by_event(const void *a, const void *b)
{
    const struct handler *left = *(struct handler *const *)a;
    const struct handler *right = *(struct handler *const *)b;
    int order = strcmp(left->event->full_name, right->event->full_name);

    if (order != 0)
        return order;
    if (left->view->number != right->view->number)
        return left->view->number < right->view->number ? -1 : 1;
    return (left->ordinal > right->ordinal) - (left->ordinal < right->ordinal);
}

static void fill_plans(struct compiler *compiler, struct view_set *set, const struct handler **handlers, size_t count)
{
    struct event_plan *events = arena_zero(compiler->arena, count * sizeof(*events));
    size_t event_count = 0;

    for (size_t i = 0; i < count; i++) {
        bool is_new = i == 0 || handlers[i]->event != handlers[i - 1]->event;
        if (is_new)
            events[event_count++] = (struct event_plan){.event = handlers[i]->event, .stream = handlers[i]->stream,
                                                        .handlers = &handlers[i], .only_erases = true};
        struct event_plan *event = &events[event_count - 1];
        event->handler_count++;
        event->has_erase = event->has_erase || handlers[i]->effect == EFFECT_ERASE;
        event->only_erases = event->only_erases && handlers[i]->effect == EFFECT_ERASE;
    }
    set->events = events;
    set->event_count = event_count;
}

void event_plans_make(struct compiler *compiler, const struct view_draft *drafts, size_t count, struct view_set *set)
{
    struct pair_map firsts = PAIR_MAP_INIT;
    size_t handler_count = 0;
    size_t most = 0;

    for (size_t i = 0; i < count; i++)
        most += drafts[i].view->handler_count;
    const struct handler **handlers = arena_alloc(compiler->arena, most * sizeof(const struct handler *));
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < drafts[i].view->handler_count; k++) {
            check_handler(compiler, &firsts, &drafts[i].handlers[k]);
            if (drafts[i].handlers[k].is_whole)
                handlers[handler_count++] = drafts[i].handlers[k].handler;
        }
    }
    pair_map_release(&firsts);
    check_tombstones(compiler, drafts, count, set);
    qsort(handlers, handler_count, sizeof(*handlers), by_event);
    fill_plans(compiler, set, handlers, handler_count);
}
