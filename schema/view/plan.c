/* From a descriptor set to a plan, in stages that each go over all views: names (a view's number is its place by name),
 * then view by view its options, its field rules and its handlers, then what views and handlers have in common
 * (streams, ownership, events), at last the rules of whole views. Every stage goes on after a mistake, with what it is
 * sure of; a set with one is thrown away at the end.
 *
 * The plan lives in one arena; what only the compiler needs in another. */
#include "schema/view/plan.h"

#include <stdlib.h>
#include <string.h>

#include "schema/base/mem.h"
#include "schema/view/announcement.h"
#include "schema/view/compiler.h"
#include "schema/view/event_plan.h"
#include "schema/view/first_load.h"
#include "schema/view/handler.h"
#include "schema/view/ownership.h"
#include "schema/view/rules.h"
#include "schema/view/stream.h"
#include "schema/view/view_options.h"
#include "schema/view/shortcut.h"

/* All drafts of a set, in the order of the descriptor set. */
struct draft_list {
    struct view_draft *drafts;
    size_t count;
};

static void read_views(struct compiler *compiler, struct draft_list *list, struct view_set *set);
static void number_views(struct compiler *compiler, struct draft_list *list, struct view_set *set);
static void compile_view(struct compiler *compiler, struct view_draft *draft, size_t *handler_total);

static void compile(struct compiler *compiler, struct view_set *set)
{
    struct draft_list list = {NULL, 0};
    size_t handler_total = 0;

    read_views(compiler, &list, set);
    number_views(compiler, &list, set);
    for (size_t i = 0; i < list.count; i++)
        compile_view(compiler, &list.drafts[i], &handler_total);
    streams_make(compiler, list.drafts, list.count, set);
    event_plans_make(compiler, list.drafts, list.count, set);
    for (size_t i = 0; i < list.count; i++)
        ownership_settle(compiler, &list.drafts[i]);
    for (size_t i = 0; i < list.count; i++) {
        rules_assemble(compiler, &list.drafts[i]);
        if (list.drafts[i].options != NULL) {
            Tarn__View *options = (Tarn__View *)(uintptr_t)list.drafts[i].options;
            tarn__view__free_unpacked(options, NULL);
        }
    }
}

int view_set_load(struct span descriptor_set, struct view_set **ret_set, struct mistakes *mistakes, struct err *err)
{
    struct view_set *set = mem_zero(1, sizeof(*set));

    set->arena = mem_zero(1, sizeof(*set->arena));
    *set->arena = ARENA_INIT;
    int rc = type_set_load(descriptor_set, &set->types, err);
    if (rc == 0) {
        struct compiler compiler = {.types = set->types, .arena = set->arena, .scratch = ARENA_INIT,
                                    .mistakes = mistakes, .facts = PAIR_MAP_INIT, .conversions = PAIR_MAP_INIT};
        compile(&compiler, set);
        pair_map_release(&compiler.facts);
        pair_map_release(&compiler.conversions);
        arena_release(&compiler.scratch);
        if (mistakes->count == 1)
            rc = err_set(err, ERR_INPUT, "%s", mistakes->lines[0]);
        else if (mistakes->count > 0)
            rc = err_set(err, ERR_INPUT, "%zu mistakes, the first: %s", mistakes->count, mistakes->lines[0]);
        else
            shortcuts_find(set);
    }
    if (rc < 0)
        view_set_free(&set);
    else
        *ret_set = set;
    return rc;
}

void view_set_free(struct view_set **set)
{
    if (*set == NULL)
        return;
    type_set_free(&(*set)->types);
    arena_release((*set)->arena);
    free((*set)->arena);
    free(*set);
    *set = NULL;
}

/* --- look-ups ----------------------------------------------------------------------------------------------------- */

const struct view *view_set_find(const struct view_set *set, struct span url_name)
{
    size_t from = 0;
    size_t to = set->view_count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = span_compare(url_name, span_of_text(set->views[middle].name));
        if (order == 0)
            return &set->views[middle];
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return NULL;
}

const struct event_plan *view_set_event(const struct view_set *set, struct span full_name)
{
    size_t from = 0;
    size_t to = set->event_count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = span_compare(full_name, span_of_text(set->events[middle].event->full_name));
        if (order == 0)
            return &set->events[middle];
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return NULL;
}

const struct stream *view_set_stream(const struct view_set *set, struct span name)
{
    for (size_t i = 0; i < set->stream_count; i++)
        if (span_equal_text(name, set->streams[i].name))
            return &set->streams[i];
    return NULL;
}

/* --- stages ------------------------------------------------------------------------------------------------------- */

/* A view's short name, unless another view has it too. */
static const char *place_of(const struct draft_list *list, const struct message_type *type)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->drafts[i].view->type != type && strcmp(list->drafts[i].view->type->name, type->name) == 0)
            return type->full_name;
    return type->name;
}

/* Finds the views, with their options and names. They stand in scratch memory until number_views() puts them in
 * order. */
static void read_views(struct compiler *compiler, struct draft_list *list, struct view_set *set)
{
    size_t type_count = type_set_count(compiler->types);

    list->drafts = arena_zero(&compiler->scratch, VIEWS_MAX * sizeof(*list->drafts));
    for (size_t i = 0; i < type_count; i++) {
        const struct message_type *type = type_set_at(compiler->types, i);
        if (type->tarn_options.at == NULL)
            continue;
        if (list->count == VIEWS_MAX) {
            mistakes_add(compiler->mistakes, type->full_name, NULL, "one view too many: at most %d are allowed",
                         VIEWS_MAX);
            break;
        }
        struct view *view = arena_zero(&compiler->scratch, sizeof(*view));
        *view = (struct view){.type = type, .set = set};
        list->drafts[list->count++] = (struct view_draft){.view = view};
    }
    if (list->count == 0)
        mistakes_add(compiler->mistakes, "schema", NULL, "no message has the option (tarn.view): it has no views");
    for (size_t i = 0; i < list->count; i++) {
        struct view_draft *draft = &list->drafts[i];
        draft->place = place_of(list, draft->view->type);
        draft->options = options_read_view(draft->view->type->tarn_options, draft->place, compiler->mistakes);
        view_options_name(compiler, draft);
    }
}

static int by_view_name(const void *a, const void *b)
{
    const struct view_draft *left = *(struct view_draft *const *)a;
    const struct view_draft *right = *(struct view_draft *const *)b;
    int order = strcmp(left->view->name, right->view->name);

    return order != 0 ? order : (left > right) - (left < right);
}

static void number_views(struct compiler *compiler, struct draft_list *list, struct view_set *set)
{
    struct view_draft **sorted = arena_alloc(&compiler->scratch, list->count * sizeof(*sorted));
    struct view *views = arena_alloc(compiler->arena, list->count * sizeof(*views));

    for (size_t i = 0; i < list->count; i++)
        sorted[i] = &list->drafts[i];
    qsort(sorted, list->count, sizeof(*sorted), by_view_name);
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0 && strcmp(sorted[i]->view->name, sorted[i - 1]->view->name) == 0)
            mistakes_add(compiler->mistakes, sorted[i]->place, "name", "\"%s\" is the name of %s already",
                         sorted[i]->view->name, sorted[i - 1]->place);
        views[i] = *sorted[i]->view;
        views[i].number = (uint16_t)i;
        sorted[i]->view = &views[i];
    }
    set->views = views;
    set->view_count = list->count;
}

static const char *handler_place(struct compiler *compiler, const struct view_draft *draft, size_t ordinal)
{
    const char *event = draft->options->on[ordinal]->event;
    struct span name = span_of_text(event != NULL ? event : "no event");
    struct buf place = BUF_INIT;

    buf_add_format(&place, "%s.on[%zu] (%.*s)", draft->place, ordinal, QUOTE_ARGS(name));
    const char *copy = arena_copy(&compiler->scratch, buf_text(&place), place.len + 1);
    buf_release(&place);
    return copy;
}

static void compile_handlers(struct compiler *compiler, struct view_draft *draft, bool has_keys)
{
    size_t count = draft->options->n_on;
    struct handler *handlers = arena_zero(compiler->arena, count * sizeof(*handlers));

    draft->handlers = arena_zero(&compiler->scratch, count * sizeof(*draft->handlers));
    draft->view->handlers = handlers;
    draft->view->handler_count = count;
    for (size_t i = 0; i < count; i++) {
        struct handler_draft *handler = &draft->handlers[i];
        handlers[i].ordinal = i;
        *handler = (struct handler_draft){.handler = &handlers[i], .options = draft->options->on[i],
                                          .place = handler_place(compiler, draft, i)};
        handler_compile(compiler, draft->view, has_keys, handler);
        if (handlers[i].event != NULL)
            stream_name(compiler, handler);
    }
}

static void compile_view(struct compiler *compiler, struct view_draft *draft, size_t *handler_total)
{
    rules_walk(compiler, draft);
    if (draft->options == NULL)
        return;
    bool has_keys = view_options_keys(compiler, draft);
    view_options_time_zone(compiler, draft);
    if (draft->options->n_on == 0)
        mistakes_add(compiler->mistakes, draft->place, "on", "is missing: no event makes or changes the view");
    *handler_total += draft->options->n_on;
    if (*handler_total > HANDLERS_MAX)
        mistakes_add(compiler->mistakes, draft->place, "on", "more than %d handlers in all views", HANDLERS_MAX);
    else
        compile_handlers(compiler, draft, has_keys);
    first_load_compile(compiler, draft);
    announcements_compile(compiler, draft);
}
