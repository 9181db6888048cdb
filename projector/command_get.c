/* `get`: one view as tarn-query would serve it, straight from the store, with the positions that it is as of. */
#include <inttypes.h>
#include <stdlib.h>

#include "projector/command.h"
#include "projector/opened_store.h"
#include "schema/base/mem.h"
#include "schema/json/json_text.h"
#include "schema/json/render.h"
#include "schema/store/layout.h"
#include "schema/view/key.h"

struct get_settings {
    struct command_common common;
    const char *store;
    const char *generation;
    bool is_json;
};

static const struct config_option options[] = {
    COMMAND_COMMON_OPTIONS(struct get_settings),
    COMMAND_STORE_OPTION(struct get_settings),
    {.name = "generation",
     .kind = CONFIG_TEXT,
     .offset = offsetof(struct get_settings, generation),
     .placeholder = "G",
     .help = "Another generation than the served one."},
    {.name = "json",
     .kind = CONFIG_FLAG,
     .offset = offsetof(struct get_settings, is_json),
     .help = "Prints view and positions as one JSON object."},
};

/* What get found, ready to be printed. */
struct found {
    const struct view *view;
    struct stored_view stored;
    struct buf json;
    struct shown_position *positions;
    size_t position_count;
    bool is_incomplete; /* events of the key are parked */
};

static int find(const struct opened_store *opened, const struct view *view, const struct config_list *arguments,
                struct found *found, struct err *err);
static int has_parked(const struct opened_store *opened, uint64_t owner_hash, bool *ret_has_parked, struct err *err);
static void keep_own_topics(const struct generation_settings *settings, struct found *found);
static void print(const struct opened_store *opened, const struct found *found, bool is_json);

static int run(void *settings_at, const struct config_list *arguments, struct err *err)
{
    const struct get_settings *settings = settings_at;
    struct opened_store opened = {0};
    struct found found = {.json = BUF_INIT};
    const struct view *view = NULL;

    int rc = arguments->count >= 2 ? 0 : err_set(err, ERR_INPUT, "get takes a view and its key: get genetic-result u1");
    if (rc == 0)
        rc = opened_store_open(settings->store, settings->generation, STORE_READ_ONLY, &opened, err);
    if (rc == 0 && (view = view_set_find(opened.views, span_of_text(arguments->items[0]))) == NULL)
        rc = err_set(err, ERR_INPUT, "there is no view %s", arguments->items[0]);
    if (rc == 0 && arguments->count - 1 != view->key_count)
        rc = err_set(err, ERR_INPUT, "the key of %s has %zu fields, not %zu", view->name, view->key_count,
                     arguments->count - 1);
    if (rc == 0)
        rc = find(&opened, view, arguments, &found, err);
    if (rc == 0)
        print(&opened, &found, settings->is_json);
    free(found.positions);
    buf_release(&found.json);
    opened_store_close(&opened);
    return rc < 0 ? command_exit_of(err) : EXIT_DONE;
}

static int find(const struct opened_store *opened, const struct view *view, const struct config_list *arguments,
                struct found *found, struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct buf key = BUF_INIT, owner = BUF_INIT, row_key = BUF_INIT;
    struct span *segments = mem_alloc(view->key_count * sizeof(*segments));
    struct render_plan *plan = NULL;
    struct span value;

    found->view = view;
    for (size_t i = 0; i < view->key_count; i++)
        segments[i] = span_of_text(arguments->items[i + 1]);
    int rc = key_parse(view, segments, view->key_count, &arena, &key, &owner, err);
    if (rc == 0) {
        layout_view_key(hash64(buf_span(&owner)), view->number, buf_span(&key), &row_key);
        rc = store_find(opened->reader, TABLE_VIEWS, buf_span(&row_key), &value, err);
        if (rc == ERR_ABSENT)
            err_set(err, ERR_ABSENT, "there is no such %s", view->name);
    }
    if (rc == 0)
        rc = layout_parse_view_value(value, &found->stored, err);
    if (rc == 0) {
        plan = render_plan_new(view);
        rc = render_json(plan, NULL, found->stored.bytes, &found->json, err);
    }
    if (rc == 0)
        rc = opened_store_positions(opened, buf_span(&owner), &found->positions, &found->position_count, err);
    if (rc == 0)
        keep_own_topics(&opened->generation->settings, found);
    if (rc == 0)
        rc = has_parked(opened, hash64(buf_span(&owner)), &found->is_incomplete, err);
    render_plan_free(&plan);
    free(segments);
    buf_release(&key);
    buf_release(&owner);
    buf_release(&row_key);
    arena_release(&arena);
    return rc;
}

static bool is_fed_by(const struct view *view, const struct generation_settings *settings, uint16_t topic)
{
    for (size_t i = 0; i < view->handler_count; i++)
        for (size_t k = 0; k < settings->stream_count; k++)
            if (strcmp(view->handlers[i].stream->name, settings->streams[k].stream) == 0 &&
                strcmp(settings->topics[topic], settings->streams[k].topic) == 0)
                return true;
    return false;
}

/* As tarn-query tells it: the positions of the topics that feed the view. */
static void keep_own_topics(const struct generation_settings *settings, struct found *found)
{
    size_t kept = 0;

    for (size_t i = 0; i < found->position_count; i++)
        if (is_fed_by(found->view, settings, found->positions[i].topic))
            found->positions[kept++] = found->positions[i];
    found->position_count = kept;
}

static int has_parked(const struct opened_store *opened, uint64_t owner_hash, bool *ret_has_parked, struct err *err)
{
    struct store_cursor *cursor = NULL;
    struct span key, value;
    uint8_t prefix[8];

    for (unsigned i = 0; i < sizeof(prefix); i++)
        prefix[i] = (uint8_t)(owner_hash >> (56 - 8 * i));
    int rc = store_cursor_open(opened->reader, TABLE_PARKED, span_of(prefix, sizeof(prefix)), span_of(NULL, 0), &cursor,
                               err);
    if (rc == 0)
        rc = store_cursor_next(cursor, &key, &value, err);
    store_cursor_close(&cursor);
    if (rc == 0 || rc == ERR_ABSENT)
        *ret_has_parked = rc == 0;
    return rc == ERR_ABSENT ? 0 : rc;
}

static void print(const struct opened_store *opened, const struct found *found, bool is_json)
{
    char *const *topics = opened->generation->settings.topics;
    struct buf out = BUF_INIT;

    if (is_json) {
        buf_add_literal(&out, "{\"view\":");
        buf_add_span(&out, buf_span(&found->json));
        buf_add_format(&out, ",\"generation\":\"%s\",\"made\":%s,\"incomplete\":%s,\"positions\":[",
                       opened->generation->name, found->stored.is_made ? "true" : "false",
                       found->is_incomplete ? "true" : "false");
        for (size_t i = 0; i < found->position_count; i++) {
            const struct shown_position *position = &found->positions[i];
            buf_add_text(&out, i > 0 ? ",{\"topic\":" : "{\"topic\":");
            if (!json_add_string(&out, span_of_text(topics[position->topic])))
                buf_add_literal(&out, "null");
            buf_add_format(&out, ",\"partition\":%" PRId32 ",\"position\":%" PRId64 "}", position->partition,
                           position->offset);
        }
        buf_add_literal(&out, "]}\n");
    } else {
        buf_add_span(&out, buf_span(&found->json));
        buf_add_byte(&out, '\n');
        for (size_t i = 0; i < found->position_count; i++)
            buf_add_format(&out, "%s%s/%" PRId32 "@%" PRId64, i > 0 ? ", " : "as of ",
                           topics[found->positions[i].topic], found->positions[i].partition,
                           found->positions[i].offset);
        buf_add_text(&out, found->position_count > 0 ? "\n" : "");
        if (!found->stored.is_made)
            buf_add_literal(&out, "not served: no event of its home stream has made it\n");
        if (found->is_incomplete)
            buf_add_literal(&out, "incomplete: events of this key are parked\n");
    }
    fwrite(out.at, 1, out.len, stdout);
    buf_release(&out);
}

const struct command command_get = {
    .config = {.program = "tarn-projector",
               .name = "get",
               .arguments = "VIEW KEY...",
               .summary = "one view from the store, without a server",
               .help =
                   "Prints the view as JSON and the positions it is as of. Key fields as in URLs: bytes as base64url, "
                   "enums by name or number. Works beside a running projector. A key without a view is told on stderr "
                   "and is exit code 2, like a name or key that is mistyped.\n\n"
                   "  tarn-projector get --store /var/lib/tarn genetic-result u1\n"
                   "  tarn-projector get --store /var/lib/tarn loan-comparison u1 app-7 --json",
               .options = options,
               .option_count = ARRAY_COUNT(options)},
    .settings_size = sizeof(struct get_settings),
    .run = run,
};
