/* `check`: what view_set_load() finds, a line a mistake; of a set without any, what it will do. */
#include <stdlib.h>

#include "projector/command.h"
#include "projector/read_input.h"
#include "projector/table.h"
#include "schema/json/json_text.h"
#include "schema/view/plan.h"

enum { SCHEMA_BYTES_MAX = 64 << 20 };

struct check_settings {
    struct command_common common;
    bool is_json;
    const char *against;
};

static const struct config_option options[] = {
    COMMAND_COMMON_OPTIONS(struct check_settings),
    {.name = "json",
     .kind = CONFIG_FLAG,
     .offset = offsetof(struct check_settings, is_json),
     .help = "Prints the answer as JSON."},
    {.name = "against",
     .kind = CONFIG_TEXT,
     .offset = offsetof(struct check_settings, against),
     .placeholder = "G",
     .help = "Compares with a generation: what changes for readers.",
     .refused = "comparing with a generation is not supported by this version yet"},
};

/* Calls add for each stream and event of a view once. */
static bool is_first_event(const struct view *view, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (view->handlers[i].event == view->handlers[at].event)
            return false;
    return true;
}

static bool is_first_stream(const struct view *view, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (view->handlers[i].stream == view->handlers[at].stream)
            return false;
    return true;
}

static void add_word(struct buf *text, const char *word)
{
    if (text->len > 0)
        buf_add_literal(text, ", ");
    buf_add_text(text, word);
}

static void print_table(const struct view_set *views)
{
    static const char *const headings[] = {"VIEW", "KEY", "STREAMS", "EVENTS"};
    struct table table;

    table_init(&table, headings, ARRAY_COUNT(headings));
    for (size_t i = 0; i < views->view_count; i++) {
        const struct view *view = &views->views[i];
        struct buf keys = BUF_INIT, streams = BUF_INIT, events = BUF_INIT;
        for (size_t k = 0; k < view->key_count; k++)
            add_word(&keys, view->keys[k]->name);
        for (size_t k = 0; k < view->handler_count; k++) {
            if (is_first_stream(view, k))
                add_word(&streams, view->handlers[k].stream->name);
            if (is_first_event(view, k))
                add_word(&events, view->handlers[k].event->full_name);
        }
        table_add(&table, "%s", view->name);
        table_add(&table, "%s", buf_text(&keys));
        table_add(&table, "%s", buf_text(&streams));
        table_add(&table, "%s", buf_text(&events));
        buf_release(&keys);
        buf_release(&streams);
        buf_release(&events);
    }
    table_print(&table, stdout);
    table_release(&table);
}

/* Names in a descriptor set are UTF-8, or it wouldn't have loaded; a mistake may quote what isn't. */
static void add_json(struct buf *out, bool *is_first, const char *text)
{
    if (!*is_first)
        buf_add_byte(out, ',');
    *is_first = false;
    if (!json_add_string(out, span_of_text(text)))
        json_add_base64(out, span_of_text(text));
}

static void print_json(const struct view_set *views)
{
    struct buf out = BUF_INIT;

    buf_add_literal(&out, "{\"views\":[");
    for (size_t i = 0; i < views->view_count; i++) {
        const struct view *view = &views->views[i];
        bool is_first = true;
        buf_add_text(&out, i > 0 ? ",{\"name\":" : "{\"name\":");
        add_json(&out, &is_first, view->name);
        buf_add_literal(&out, ",\"message\":");
        is_first = true;
        add_json(&out, &is_first, view->type->full_name);
        buf_add_literal(&out, ",\"key\":[");
        is_first = true;
        for (size_t k = 0; k < view->key_count; k++)
            add_json(&out, &is_first, view->keys[k]->name);
        buf_add_literal(&out, "],\"home\":");
        is_first = true;
        add_json(&out, &is_first, view->home->name);
        buf_add_literal(&out, ",\"streams\":[");
        is_first = true;
        for (size_t k = 0; k < view->handler_count; k++)
            if (is_first_stream(view, k))
                add_json(&out, &is_first, view->handlers[k].stream->name);
        buf_add_literal(&out, "],\"events\":[");
        is_first = true;
        for (size_t k = 0; k < view->handler_count; k++)
            if (is_first_event(view, k))
                add_json(&out, &is_first, view->handlers[k].event->full_name);
        buf_add_literal(&out, "]}");
    }
    buf_add_literal(&out, "]}");
    puts(buf_text(&out));
    buf_release(&out);
}

static void print_mistakes(const struct mistakes *mistakes, bool is_json)
{
    struct buf out = BUF_INIT;
    bool is_first = true;

    buf_add_literal(&out, "{\"mistakes\":[");
    for (size_t i = 0; i < mistakes->count; i++) {
        add_json(&out, &is_first, mistakes->lines[i]);
        if (!is_json)
            puts(mistakes->lines[i]);
    }
    buf_add_literal(&out, "]}");
    if (is_json)
        puts(buf_text(&out));
    buf_release(&out);
}

static int run(void *settings_at, const struct config_list *arguments, struct err *err)
{
    const struct check_settings *settings = settings_at;
    struct mistakes mistakes = {NULL, 0, 0};
    struct view_set *views = NULL;
    struct buf bytes = BUF_INIT;

    int rc = arguments->count == 1 ? 0 : err_set(err, ERR_INPUT, "check takes one file: check screens.binpb");
    if (rc == 0)
        rc = read_input(arguments->items[0], SCHEMA_BYTES_MAX, &bytes, err);
    if (rc == 0)
        rc = view_set_load(buf_span(&bytes), &views, &mistakes, err);
    if (rc == 0 && settings->is_json)
        print_json(views);
    else if (rc == 0)
        print_table(views);
    else if (mistakes.count > 0)
        print_mistakes(&mistakes, settings->is_json);
    mistakes_release(&mistakes);
    view_set_free(&views);
    buf_release(&bytes);
    if (rc < 0 && arguments->count == 1)
        err_prefix(err, "%s", arguments->items[0]);
    return rc < 0 ? command_exit_of(err) : EXIT_DONE;
}

const struct command command_check = {
    .config = {.program = "tarn-projector",
               .name = "check",
               .arguments = "SCHEMA",
               .summary = "names every mistake of a descriptor set",
               .help = "Reads a descriptor set and prints every mistake on a line of its own, or, when there is none, "
                       "its views with their keys, streams and events. A set with a mistake is never run.\n\n"
                       "  protoc -I schema -I . --include_imports --descriptor_set_out=screens.binpb screens.proto\n"
                       "  tarn-projector check screens.binpb",
               .options = options,
               .option_count = ARRAY_COUNT(options)},
    .settings_size = sizeof(struct check_settings),
    .run = run,
};
