/* An announcement's name is part of its id, so that a view can't have it twice. One that says neither what must change
 * nor what must hold would never be made: no condition ever begins to hold. */
#include "schema/view/announcement.h"

#include <string.h>

#include "schema/view/resolve.h"

static bool is_named_before(const Tarn__View *options, size_t ordinal)
{
    const char *name = options->announce[ordinal]->name;

    for (size_t i = 0; i < ordinal; i++)
        if (options->announce[i]->name != NULL && strcmp(options->announce[i]->name, name) == 0)
            return true;
    return false;
}

/* False: a mistake. */
static bool check_name(struct compiler *compiler, const Tarn__View *options, size_t ordinal, const char *place)
{
    const char *name = options->announce[ordinal]->name;

    if (name == NULL || name[0] == '\0')
        mistakes_add(compiler->mistakes, place, "name", "is missing: what the announcement is called");
    else if (strlen(name) > ANNOUNCEMENT_NAME_MAX)
        mistakes_add(compiler->mistakes, place, "name", "has more than %d bytes", ANNOUNCEMENT_NAME_MAX);
    else if (is_named_before(options, ordinal))
        mistakes_add(compiler->mistakes, place, "name", "\"%.*s\" is the name of another announcement of this view",
                     QUOTE_ARGS(span_of_text(name)));
    else
        return true;
    return false;
}

static const struct field_path *resolve_changed(const struct scope *scope, const Tarn__Announce *options,
                                                size_t *ret_count)
{
    struct compiler *compiler = scope->compiler;
    struct field_path *paths = arena_alloc(compiler->arena, options->n_changed * sizeof(*paths));
    size_t count = 0;

    for (size_t i = 0; i < options->n_changed; i++) {
        struct path_text text;
        struct err err;
        bool from_element;
        if (expression_parse_path(span_of_text(options->changed[i]), &compiler->scratch, &text, &err) < 0)
            mistakes_add(compiler->mistakes, scope->place, "changed", "%s", err.text);
        else if (resolve_path(scope, &text, "changed", &paths[count], &from_element) != NULL)
            count++;
    }
    *ret_count = count;
    return paths;
}

static void compile_one(struct compiler *compiler, const struct view_draft *draft, size_t ordinal, const char *place,
                        struct announcement *ret_announcement)
{
    const Tarn__Announce *options = draft->options->announce[ordinal];
    const struct scope scope = {.compiler = compiler, .message = draft->view->type, .place = place};

    if (!check_name(compiler, draft->options, ordinal, place))
        return;
    if (options->n_changed == 0 && options->n_when == 0)
        mistakes_add(compiler->mistakes, place, "changed",
                     "is missing, and so is `when`: nothing says when it is to be announced");
    struct announcement announcement = {.name = arena_copy(compiler->arena, options->name, strlen(options->name) + 1)};
    announcement.changed = resolve_changed(&scope, options, &announcement.changed_count);
    announcement.when = resolve_conditions(&scope, options->when, options->n_when, "when", &announcement.when_count);
    *ret_announcement = announcement;
}

void announcements_compile(struct compiler *compiler, struct view_draft *draft)
{
    size_t count = draft->options->n_announce;
    struct announcement *announcements;
    struct buf place = BUF_INIT;

    if (count > ANNOUNCEMENTS_MAX) {
        mistakes_add(compiler->mistakes, draft->place, "announce", "is there more than %d times", ANNOUNCEMENTS_MAX);
        return;
    }
    announcements = arena_zero(compiler->arena, count * sizeof(*announcements));
    for (size_t i = 0; i < count; i++) {
        buf_clear(&place);
        buf_add_format(&place, "%s.announce[%zu]", draft->place, i);
        compile_one(compiler, draft, i, buf_text(&place), &announcements[i]);
    }
    buf_release(&place);
    draft->view->announcements = announcements;
    draft->view->announcement_count = count;
}
