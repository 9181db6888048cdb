/* `check`: what view_set_load() finds, a line a mistake; of a set without any, what it will do; against a generation, what
 * it changes for readers. */
#include <stdlib.h>

#include "projector/command.h"
#include "projector/read_input.h"
#include "projector/schema_change.h"
#include "projector/table.h"
#include "schema/json/json_text.h"
#include "schema/store/generation.h"
#include "schema/view/plan.h"

enum { SCHEMA_BYTES_MAX = 64 << 20 };

struct check_settings {
    struct command_common common;
    bool is_json;
    const char *against;
    const char *store;
};

static const struct config_option options[] = {
    COMMAND_COMMON_OPTIONS(struct check_settings),
    COMMAND_JSON_OPTION(struct check_settings),
    {.name = "against",
     .kind = CONFIG_TEXT,
     .offset = offsetof(struct check_settings, against),
     .placeholder = "G",
     .help = "Compares with a generation of --store, or with the served one: `served`. Says what changes for readers; "
             "exit code 3 when something would break them."},
    {.name = "store",
     .kind = CONFIG_TEXT,
     .offset = offsetof(struct check_settings, store),
     .placeholder = "DIR",
     .help = "With --against: the store's directory."},
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

/* --- against a generation --- */

static int load_generation(const struct check_settings *settings, struct view_set **ret_views, struct err *err)
{
    struct mistakes mistakes = {NULL, 0, 0};
    struct generation *generation = NULL;
    struct serving serving;
    const char *name = settings->against;

    int rc = store_directory_check(settings->store, err);
    if (rc == ERR_ABSENT)
        err_set(err, ERR_ABSENT, "%s is not a store, or an empty one", settings->store);
    if (rc == 0 && strcmp(name, "served") == 0) {
        rc = serving_read(settings->store, &serving, err);
        if (rc == ERR_ABSENT)
            err_set(err, ERR_ABSENT, "%s holds no generation yet", settings->store);
        name = serving_incumbent(&serving);
    } else if (rc == 0 && !generation_is_name(name)) {
        rc = err_set(err, ERR_INPUT, "--against: %s is not a generation's name", name);
    }
    if (rc == 0 && (rc = generation_open(settings->store, name, &generation, err)) == ERR_ABSENT)
        err_set(err, ERR_ABSENT, "%s holds no generation %s", settings->store, name);
    if (rc == 0)
        rc = view_set_load(buf_span(&generation->schema), ret_views, &mistakes, err);
    mistakes_release(&mistakes);
    generation_close(&generation);
    return rc;
}

static int compare(const struct check_settings *settings, const struct view_set *views, bool *ret_breaks,
                   struct err *err)
{
    struct schema_changes changes = {NULL, 0, 0, 0};
    struct view_set *before = NULL;
    struct buf out = BUF_INIT;

    int rc = load_generation(settings, &before, err);
    if (rc < 0)
        return rc;
    schema_changes_find(before, views, &changes);
    if (settings->is_json) {
        schema_changes_json(&changes, &out);
        puts(buf_text(&out));
    } else {
        schema_changes_print(&changes);
    }
    *ret_breaks = changes.breaking_count > 0;
    buf_release(&out);
    schema_changes_release(&changes);
    view_set_free(&before);
    return 0;
}

static int check_arguments(const struct check_settings *settings, const struct config_list *arguments, struct err *err)
{
    if (arguments->count != 1)
        return err_set(err, ERR_INPUT, "check takes one file: check screens.binpb");
    if (settings->against != NULL && settings->store == NULL)
        return err_set(err, ERR_INPUT, "--against takes a generation of a store: --store DIR is missing");
    return 0;
}

static int run(void *settings_at, const struct config_list *arguments, struct err *err)
{
    const struct check_settings *settings = settings_at;
    struct mistakes mistakes = {NULL, 0, 0};
    struct view_set *views = NULL;
    struct buf bytes = BUF_INIT;
    bool is_of_file = false; /* the mistake is the file's */
    bool breaks = false;

    int rc = check_arguments(settings, arguments, err);
    is_of_file = rc == 0;
    if (rc == 0)
        rc = read_input(arguments->items[0], SCHEMA_BYTES_MAX, &bytes, err);
    if (rc == 0)
        rc = view_set_load(buf_span(&bytes), &views, &mistakes, err);
    if (rc < 0 && mistakes.count > 0)
        print_mistakes(&mistakes, settings->is_json);
    if (rc == 0 && settings->against != NULL) {
        is_of_file = false;
        rc = compare(settings, views, &breaks, err);
    } else if (rc == 0 && settings->is_json) {
        print_json(views);
    } else if (rc == 0) {
        print_table(views);
    }
    mistakes_release(&mistakes);
    view_set_free(&views);
    buf_release(&bytes);
    if (rc < 0 && is_of_file)
        err_prefix(err, "%s", arguments->items[0]);
    if (rc < 0)
        return command_exit_of(err);
    return breaks ? EXIT_DIFFERENT : EXIT_DONE;
}

const struct command command_check = {
    .config = {.program = "tarn-projector",
               .name = "check",
               .arguments = "SCHEMA",
               .summary = "names every mistake of a descriptor set; what it would change for readers",
               .help = "Reads a descriptor set and prints every mistake on a line of its own, or, when there is none, "
                       "its views with their keys, streams and events. A set with a mistake is never run.\n\n"
                       "  protoc -I schema -I . --include_imports --descriptor_set_out=screens.binpb screens.proto\n"
                       "  tarn-projector check screens.binpb\n\n"
                       "With --against it says instead what readers of a generation would find changed. What they may "
                       "rely on is a field's number, name, name in JSON, type, cardinality, presence and the values of "
                       "its enum; a view, a field or an enum's value that is added is fine.\n\n"
                       "  tarn-projector check screens.binpb --store /var/lib/tarn --against served",
               .options = options,
               .option_count = ARRAY_COUNT(options)},
    .settings_size = sizeof(struct check_settings),
    .run = run,
};
