/* A first load tells states: a chunk may be told twice, after a kill, and a row may have had events before. So its event
 * must leave the same when it is applied again, which ADD and APPEND don't. */
#include "schema/view/first_load.h"

#include <string.h>

static const struct handler *handler_of(const struct view *view, const char *event)
{
    for (size_t i = 0; i < view->handler_count; i++)
        if (view->handlers[i].event != NULL && strcmp(view->handlers[i].event->full_name, event) == 0)
            return &view->handlers[i];
    return NULL;
}

static bool is_counted_again(const struct view *view, const struct message_type *event)
{
    for (size_t i = 0; i < view->handler_count; i++)
        if (view->handlers[i].event == event &&
            (view->handlers[i].effect == EFFECT_ADD || view->handlers[i].effect == EFFECT_APPEND))
            return true;
    return false;
}

/* False: a mistake. */
static bool has_texts(struct compiler *compiler, const Tarn__FirstLoad *options, const char *place)
{
    const struct {
        const char *name;
        const char *text;
        const char *what;
    } needed[] = {
        {"sql", options->sql, "the query on the write database"},
        {"event", options->event, "the event that a row is"},
        {"key_column", options->key_column, "the column that the query is cut into chunks by"},
    };
    bool is_whole = true;

    for (size_t i = 0; i < ARRAY_COUNT(needed); i++) {
        if (needed[i].text != NULL && needed[i].text[0] != '\0')
            continue;
        mistakes_add(compiler->mistakes, place, needed[i].name, "is missing: %s", needed[i].what);
        is_whole = false;
    }
    if (options->sql != NULL && strchr(options->sql, ';') != NULL) {
        mistakes_add(compiler->mistakes, place, "sql", "has a \";\": it is one query, that others are put around");
        is_whole = false;
    }
    return is_whole;
}

static void compile_one(struct compiler *compiler, const struct view_draft *draft, const Tarn__FirstLoad *options,
                        const char *place, struct first_load *ret_load)
{
    if (!has_texts(compiler, options, place))
        return;
    const struct handler *handler = handler_of(draft->view, options->event);
    if (handler == NULL) {
        mistakes_add(compiler->mistakes, place, "event", "no handler of this view takes \"%.*s\"",
                     QUOTE_ARGS(span_of_text(options->event)));
        return;
    }
    if (is_counted_again(draft->view, handler->event))
        mistakes_add(compiler->mistakes, place, "event",
                     "%s is applied with ADD or APPEND: a row that is loaded twice would count twice",
                     handler->event->full_name);
    if (handler->key_count > 0 && (handler->keys[0].source.kind != SOURCE_PATH || handler->keys[0].source.from_element))
        mistakes_add(compiler->mistakes, place, "event", "the owner is no field of %s: a row's record has no key",
                     handler->event->full_name);
    *ret_load = (struct first_load){
        .sql = arena_copy(compiler->arena, options->sql, strlen(options->sql) + 1),
        .key_column = arena_copy(compiler->arena, options->key_column, strlen(options->key_column) + 1),
        .handler = handler,
    };
}

void first_load_compile(struct compiler *compiler, struct view_draft *draft)
{
    size_t count = draft->options->n_first_load;
    struct first_load *loads = arena_zero(compiler->arena, count * sizeof(*loads));
    struct buf place = BUF_INIT;

    for (size_t i = 0; i < count; i++) {
        buf_clear(&place);
        buf_add_format(&place, "%s.first_load[%zu]", draft->place, i);
        compile_one(compiler, draft, draft->options->first_load[i], buf_text(&place), &loads[i]);
    }
    buf_release(&place);
    draft->view->first_loads = loads;
    draft->view->first_load_count = count;
}
