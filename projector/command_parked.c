/* `parked`: looks into the store by itself; what changes something is asked of the projector that runs, or, when none
 * does, done here with DIR/lock held, in every generation. */
#include <stdio.h>
#include <stdlib.h>

#include "projector/carry_out.h"
#include "projector/command.h"
#include "projector/parked_report.h"
#include "projector/parked_request.h"
#include "schema/store/durable.h"
#include "schema/store/unsynced.h"

struct parked_settings {
    struct command_common common;
    const char *store;
    const char *topic;
    const char *key;
    const char *generation;
    bool is_all;
    bool is_json;
    bool with_values;
    int64_t wait_ms;
};

static const struct config_option options[] = {
    COMMAND_COMMON_OPTIONS(struct parked_settings),
    COMMAND_STORE_OPTION(struct parked_settings),
    {.name = "topic",
     .kind = CONFIG_TEXT,
     .offset = offsetof(struct parked_settings, topic),
     .placeholder = "TOPIC",
     .help = "With --key: the events of one key of one topic."},
    {.name = "key",
     .kind = CONFIG_TEXT,
     .offset = offsetof(struct parked_settings, key),
     .placeholder = "KEY",
     .help = "The record key, or, of a key that isn't text, the base64 that `parked list` prints."},
    {.name = "generation",
     .kind = CONFIG_TEXT,
     .offset = offsetof(struct parked_settings, generation),
     .placeholder = "G",
     .help = "Where to look, and where retry and drop find the events that they are named by; both then hold for every "
             "generation. Without it: the served one."},
    {.name = "all",
     .kind = CONFIG_FLAG,
     .offset = offsetof(struct parked_settings, is_all),
     .help = "All parked events, those of records without a key included; list shows them all anyway."},
    COMMAND_JSON_OPTION(struct parked_settings),
    {.name = "values",
     .kind = CONFIG_FLAG,
     .offset = offsetof(struct parked_settings, with_values),
     .help = "show: prints the events themselves (personal data)."},
    {.name = "wait",
     .kind = CONFIG_TIME_MS,
     .offset = offsetof(struct parked_settings, wait_ms),
     .placeholder = "TIME",
     .fallback = "30s",
     .min = 100,
     .max = 3600 * 1000,
     .help = "retry, drop: how long a running projector may take."},
};

typedef int action_fn(const struct parked_settings *settings, struct err *err);
typedef int decide_fn(struct materializer *materializer, const struct parked_selection *selection,
                      struct parked_outcome *ret_outcome, struct err *err);

static action_fn list, show, retry, drop;

static const struct {
    const char *name;
    action_fn *run;
} actions[] = {{"list", list}, {"show", show}, {"retry", retry}, {"drop", drop}};

static int run(void *settings_at, const struct config_list *arguments, struct err *err)
{
    const struct parked_settings *settings = settings_at;
    const char *name = arguments->count > 0 ? arguments->items[0] : "list";

    action_fn *action = NULL;

    for (size_t i = 0; i < ARRAY_COUNT(actions) && arguments->count <= 1; i++)
        if (strcmp(actions[i].name, name) == 0)
            action = actions[i].run;
    int rc = 0;
    if (action == NULL)
        rc = err_set(err, ERR_INPUT, "parked takes one of list, show, retry, drop");
    else if (settings->with_values && action != show)
        rc = err_set(err, ERR_INPUT, "--values is for `parked show`");
    if (rc == 0)
        rc = action(settings, err);
    return rc < 0 ? command_exit_of(err) : EXIT_DONE;
}

/* --- which events --- */

static bool read_base64(const char *text, struct buf *bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    unsigned count = 0;

    for (; *text != '\0' && *text != '='; text++) {
        const char *digit = strchr(digits, *text);
        if (digit == NULL)
            return false;
        bits = bits << 6 | (uint32_t)(digit - digits);
        count += 6;
        if (count >= 8) {
            count -= 8;
            buf_add_byte(bytes, (uint8_t)(bits >> count));
        }
    }
    return *text == '\0' || strspn(text, "=") == strlen(text);
}

/* The key as it was given, or what it is the base64 of when only that is parked. key_bytes keeps it. */
static int select_events(const struct parked_settings *settings, const struct opened_store *opened,
                         struct buf *key_bytes, struct parked_selection *ret_selection, struct err *err)
{
    struct parked_selection selection = {.is_all = settings->is_all};
    struct parked_report_row *rows = NULL;
    size_t count = 0;

    if (settings->is_all != (settings->topic == NULL && settings->key == NULL) ||
        (settings->topic == NULL) != (settings->key == NULL))
        return err_set(err, ERR_INPUT, "name the events with --topic and --key, or with --all");
    if (!settings->is_all) {
        int topic = generation_topic_number(&opened->generation->settings, span_of_text(settings->topic));
        if (topic < 0)
            return err_set(err, ERR_INPUT, "topic %s isn't one of the store's", settings->topic);
        selection.topic = (uint16_t)topic;
        selection.key = span_of_text(settings->key);
    }
    int rc = parked_report(opened, &selection, false, &rows, &count, err);
    free(rows);
    if (rc == 0 && count == 0 && !settings->is_all && read_base64(settings->key, key_bytes)) {
        selection.key = buf_span(key_bytes);
        rows = NULL;
        rc = parked_report(opened, &selection, false, &rows, &count, err);
        free(rows);
    }
    if (rc == 0 && count == 0 && !settings->is_all)
        rc = err_set(err, ERR_ABSENT, "no event of that topic and key is parked");
    if (rc == 0)
        *ret_selection = selection;
    return rc;
}

/* --- looking --- */

/* All of them, unless a key was named. */
static int list(const struct parked_settings *settings, struct err *err)
{
    struct opened_store opened = {0};
    struct parked_selection selection = {.is_all = true};
    struct parked_report_row *rows = NULL;
    struct buf key = BUF_INIT;
    size_t count = 0;

    int rc = opened_store_open(settings->store, settings->generation, STORE_READ_ONLY, &opened, err);
    if (rc == 0 && (settings->topic != NULL || settings->key != NULL))
        rc = select_events(settings, &opened, &key, &selection, err);
    if (rc == 0)
        rc = parked_report(&opened, &selection, false, &rows, &count, err);
    if (rc == 0 && settings->is_json) {
        struct buf out = BUF_INIT;
        parked_report_json(&opened, rows, count, false, false, &out);
        puts(buf_text(&out));
        buf_release(&out);
    } else if (rc == 0) {
        parked_report_print(&opened, rows, count);
    }
    free(rows);
    buf_release(&key);
    opened_store_close(&opened);
    return rc;
}

static int show(const struct parked_settings *settings, struct err *err)
{
    struct opened_store opened = {0};
    struct parked_selection selection;
    struct parked_report_row *rows = NULL;
    struct buf key = BUF_INIT;
    size_t count = 0;

    int rc = opened_store_open(settings->store, settings->generation, STORE_READ_ONLY, &opened, err);
    if (rc == 0)
        rc = select_events(settings, &opened, &key, &selection, err);
    if (rc == 0)
        rc = parked_report(&opened, &selection, true, &rows, &count, err);
    if (rc == 0 && settings->is_json) {
        struct buf out = BUF_INIT;
        parked_report_json(&opened, rows, count, true, settings->with_values, &out);
        puts(buf_text(&out));
        buf_release(&out);
    } else if (rc == 0) {
        parked_report_print_unit(&opened, rows, count, settings->with_values);
    }
    free(rows);
    buf_release(&key);
    opened_store_close(&opened);
    return rc;
}

/* --- deciding --- */

/* What is decided, and whom it is decided for. */
struct deciding {
    const struct parked_settings *settings;
    decide_fn *decide;
};

/* In one generation. ERR_ABSENT, ERR_INPUT: it holds nothing yet, or has no such topic. */
static int decide_in(const struct deciding *deciding, const char *name, const json_t *arguments,
                     struct parked_outcome *ret_outcome, struct err *err)
{
    struct opened_store opened = {0};
    struct materializer *materializer = NULL;
    struct parked_selection selection;
    struct arena arena = ARENA_INIT;

    int rc = opened_store_open(deciding->settings->store, name, STORE_READ_WRITE, &opened, err);
    if (rc == 0)
        rc = parked_request_read(arguments, &opened.generation->settings, &arena, &selection, err);
    if (rc == 0) {
        struct materializer_options parts = {.store = opened.store,
                                             .views = opened.views,
                                             .settings = &opened.generation->settings,
                                             .directory = deciding->settings->store,
                                             .memory_bytes = (size_t)64 << 20,
                                             .park_limit = SIZE_MAX, /* nothing new is read here */
                                             .fold_threads = 1,
                                             .clock = &clock_system};
        rc = materializer_open(&parts, &materializer, err);
    }
    if (rc == 0)
        rc = deciding->decide(materializer, &selection, ret_outcome, err);
    if (rc == 0)
        rc = materializer_flush(materializer, err);
    materializer_close(&materializer);
    opened_store_close(&opened);
    arena_release(&arena);
    return rc;
}

/* In every generation, one after the other, with the lock held. One that lies unsynced after a reboot is for the
 * projector to throw away, not for us to open. */
static int decide_here(void *self, json_t *arguments, json_t **ret_outcome, struct err *err)
{
    const struct deciding *deciding = self;
    struct parked_outcome sum = {0};
    char **names = NULL;
    size_t count = 0;

    int rc = generation_list(deciding->settings->store, &names, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        char *folder = generation_folder(deciding->settings->store, names[i]);
        struct parked_outcome outcome = {0};
        bool is_ours = !unsynced_is_marked(folder);
        free(folder);
        if (is_ours)
            rc = decide_in(deciding, names[i], arguments, &outcome, err);
        if (rc == ERR_ABSENT || rc == ERR_INPUT)
            rc = 0;
        sum.applied += outcome.applied;
        sum.dropped += outcome.dropped;
        sum.left += outcome.left;
    }
    if (rc == 0)
        *ret_outcome = parked_outcome_write(&sum);
    durable_free_names(names, count);
    return rc;
}

static int decide(const struct parked_settings *settings, const char *kind, decide_fn *decide_one, struct err *err)
{
    struct deciding deciding = {settings, decide_one};
    const struct carry_out what = {settings->store, "tarn-projector parked", kind, settings->wait_ms, decide_here,
                                   &deciding};
    struct opened_store opened = {0};
    struct parked_selection selection;
    struct parked_outcome outcome = {0};
    struct buf key = BUF_INIT;
    json_t *request = NULL, *answer = NULL;

    int rc = opened_store_open(settings->store, settings->generation, STORE_READ_ONLY, &opened, err);
    if (rc == 0)
        rc = select_events(settings, &opened, &key, &selection, err);
    if (rc == 0)
        request = parked_request_write(&selection, &opened.generation->settings);
    opened_store_close(&opened); /* a process may have a store open once */
    if (rc == 0)
        rc = carry_out(&what, request, &answer, err);
    if (rc == 0)
        rc = parked_outcome_read(answer, &outcome, err);
    if (rc == 0 && settings->is_json)
        printf("{\"applied\":%zu,\"dropped\":%zu,\"left\":%zu}\n", outcome.applied, outcome.dropped, outcome.left);
    else if (rc == 0)
        printf("applied %zu, dropped %zu, still parked %zu\n", outcome.applied, outcome.dropped, outcome.left);
    json_decref(answer);
    json_decref(request);
    buf_release(&key);
    return rc;
}

static int retry(const struct parked_settings *settings, struct err *err)
{
    return decide(settings, REQUEST_PARKED_RETRY, materializer_retry, err);
}

static int drop(const struct parked_settings *settings, struct err *err)
{
    return decide(settings, REQUEST_PARKED_DROP, materializer_drop, err);
}

const struct command command_parked = {
    .config = {.program = "tarn-projector",
               .name = "parked",
               .arguments = "[list|show|retry|drop]",
               .summary = "events that could not be applied, and what waits behind them",
               .help =
                   "A bad event stops its key, not its partition: it is parked with its reason, and later records of "
                   "the same topic and key wait behind it. retry applies them in order until one fails; drop gives "
                   "up those that failed, for good, and goes on with what waited. Both hold for every generation, and "
                   "their figures are sums over them; they ask the projector that runs, or do it themselves when none "
                   "does. A key of which nothing is parked is exit code 2.\n\n"
                   "  tarn-projector parked list --store /var/lib/tarn\n"
                   "  tarn-projector parked show --store /var/lib/tarn --topic users --key u1 --values\n"
                   "  tarn-projector parked drop --store /var/lib/tarn --topic users --key u1",
               .options = options,
               .option_count = ARRAY_COUNT(options)},
    .settings_size = sizeof(struct parked_settings),
    .run = run,
};
