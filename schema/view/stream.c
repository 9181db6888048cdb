/* A version is a package's last segment when it looks like v1, v2beta1 or v1p1alpha2, as protobuf's style guides have
 * it. */
#include "schema/view/stream.h"

#include <stdlib.h>
#include <string.h>

#include "schema/base/mem.h"

enum { STREAM_NAME_MAX = 100 };

static size_t skip_digits(const char *text, size_t at)
{
    while (text[at] >= '0' && text[at] <= '9')
        at++;
    return at;
}

/* v DIGITS [p DIGITS] [(alpha | beta) DIGITS?] */
static bool is_version(const char *segment)
{
    if (segment[0] != 'v')
        return false;
    size_t at = skip_digits(segment, 1);
    if (at == 1)
        return false;
    if (segment[at] == 'p' && skip_digits(segment, at + 1) > at + 1)
        at = skip_digits(segment, at + 1);
    if (strncmp(segment + at, "alpha", 5) == 0)
        at = skip_digits(segment, at + 5);
    else if (strncmp(segment + at, "beta", 4) == 0)
        at = skip_digits(segment, at + 4);
    return segment[at] == '\0';
}

struct span stream_default_name(const char *package)
{
    const char *dot = strrchr(package, '.');
    const char *last = dot != NULL ? dot + 1 : package;

    if (!is_version(last))
        return span_of_text(package);
    return span_of(package, dot != NULL ? (size_t)(dot - package) : 0);
}

/* What may stand before "=" in `--topics STREAM=TOPIC,...`. */
static bool is_good_name(struct span name)
{
    const char *text = name.at;

    if (name.len == 0 || name.len > STREAM_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = text[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
              c == '.'))
            return false;
    }
    return true;
}

void stream_name(struct compiler *compiler, struct handler_draft *draft)
{
    const struct message_type *event = draft->handler->event;
    bool is_given = draft->options->stream != NULL;
    struct span name = is_given ? span_of_text(draft->options->stream) : stream_default_name(event->package);

    if (is_good_name(name)) {
        char *text = arena_zero(compiler->arena, name.len + 1);
        memcpy(text, name.at, name.len);
        draft->stream_name = text;
    } else if (name.len == 0 && !is_given) {
        mistakes_add(compiler->mistakes, draft->place, "stream",
                     "%s has no package to name its stream after: say which one it is", event->full_name);
    } else {
        mistakes_add(compiler->mistakes, draft->place, "stream",
                     "\"%.*s\" is not a name: letters, digits, \".\", \"-\" and \"_\", %d at most", QUOTE_ARGS(name),
                     STREAM_NAME_MAX);
    }
    draft->is_whole = draft->is_whole && draft->stream_name != NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_stream_name(const void *name, const void *stream)
{
    return strcmp(name, ((const struct stream *)stream)->name);
}

/* All names, sorted, each once. */
static size_t collect_names(const struct view_draft *drafts, size_t count, const char **names)
{
    size_t name_count = 0;
    size_t kept = 0;

    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < drafts[i].view->handler_count; k++)
            if (drafts[i].handlers[k].stream_name != NULL)
                names[name_count++] = drafts[i].handlers[k].stream_name;
    qsort(names, name_count, sizeof(*names), by_name);
    for (size_t i = 0; i < name_count; i++)
        if (kept == 0 || strcmp(names[kept - 1], names[i]) != 0)
            names[kept++] = names[i];
    return kept;
}

void streams_make(struct compiler *compiler, struct view_draft *drafts, size_t count, struct view_set *set)
{
    size_t handler_count = 0;

    for (size_t i = 0; i < count; i++)
        handler_count += drafts[i].view->handler_count;
    const char **names = mem_zero(handler_count, sizeof(*names));
    size_t stream_count = collect_names(drafts, count, names);
    struct stream *streams = arena_alloc(compiler->arena, stream_count * sizeof(*streams));

    for (size_t i = 0; i < stream_count; i++)
        streams[i] = (struct stream){names[i], i};
    free(names);
    for (size_t i = 0; i < count; i++) {
        struct view *view = drafts[i].view;
        for (size_t k = 0; k < view->handler_count; k++)
            if (drafts[i].handlers[k].stream_name != NULL)
                drafts[i].handlers[k].handler->stream = bsearch(drafts[i].handlers[k].stream_name, streams,
                                                                stream_count, sizeof(*streams), by_stream_name);
        view->home = view->handler_count > 0 ? drafts[i].handlers[0].handler->stream : NULL;
        for (size_t k = 0; k < view->handler_count; k++) {
            struct handler *handler = drafts[i].handlers[k].handler;
            handler->is_home = handler->stream != NULL && handler->stream == view->home;
        }
    }
    set->streams = streams;
    set->stream_count = stream_count;
}
