/* `parked`: looks into the store by itself; what changes something is asked of the projector that runs, or, when none
 * does, done here with DIR/lock held. */
#include <stdio.h>
#include <stdlib.h>

#include "projector/command.h"
#include "projector/parked_report.h"
#include "projector/parked_request.h"
#include "schema/store/control.h"
#include "schema/store/lock.h"

struct parked_settings {
    struct command_common common;
    const char *store;
    const char *topic;
    const char *key;
    bool is_all;
    bool is_json;
    bool with_values;
    int64_t wait_ms;
};

static const struct config_option options[] = {
    COMMAND_COMMON_OPTIONS(struct parked_settings),
    {.name = "store",
     .kind = CONFIG_TEXT,
     .offset = offsetof(struct parked_settings, store),
     .placeholder = "DIR",
     .is_required = true,
     .help = "The store's directory."},
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
    {.name = "all",
     .kind = CONFIG_FLAG,
     .offset = offsetof(struct parked_settings, is_all),
     .help = "All parked events, those of records without a key included; list shows them all anyway."},
    {.name = "json",
     .kind = CONFIG_FLAG,
     .offset = offsetof(struct parked_settings, is_json),
     .help = "Prints the answer as JSON."},
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

    int rc = opened_store_open(settings->store, NULL, STORE_READ_ONLY, &opened, err);
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

    int rc = opened_store_open(settings->store, NULL, STORE_READ_ONLY, &opened, err);
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

/* Here, with the lock held. */
static int decide_here(const struct parked_settings *settings, decide_fn *decide,
                       const struct parked_selection *selection, struct parked_outcome *ret_outcome, struct err *err)
{
    struct opened_store opened = {0};
    struct materializer *materializer = NULL;

    int rc = opened_store_open(settings->store, NULL, STORE_READ_WRITE, &opened, err);
    if (rc == 0) {
        struct materializer_options parts = {.store = opened.store,
                                             .views = opened.views,
                                             .settings = &opened.generation->settings,
                                             .directory = settings->store,
                                             .memory_bytes = (size_t)64 << 20,
                                             .park_limit = SIZE_MAX, /* nothing new is read here */
                                             .clock = &clock_system};
        rc = materializer_open(&parts, &materializer, err);
    }
    if (rc == 0)
        rc = decide(materializer, selection, ret_outcome, err);
    if (rc == 0)
        rc = materializer_flush(materializer, err);
    materializer_close(&materializer);
    opened_store_close(&opened);
    return rc;
}

/* By the projector that runs. ERR_AGAIN: it didn't take the request; it has been withdrawn. */
static int ask_projector(const struct parked_settings *settings, const char *kind,
                         const struct parked_selection *selection, const struct generation_settings *generation,
                         struct parked_outcome *ret_outcome, struct err *err)
{
    char id[CONTROL_ID_SIZE];
    json_t *arguments = parked_request_write(selection, generation);
    json_t *answer = NULL;

    int rc = control_submit(settings->store, kind, arguments, settings->wait_ms, id, err);
    json_decref(arguments);
    if (rc < 0)
        return rc;
    rc = control_wait(settings->store, id, settings->wait_ms, &answer, err);
    if (rc == ERR_AGAIN) {
        struct err ignored;
        if (control_withdraw(settings->store, id, &ignored) == ERR_ABSENT)
            return err_set(err, ERR_BROKEN,
                           "the projector has begun and not answered yet; look again with `parked list`");
        return ERR_AGAIN;
    }
    if (rc == 0)
        rc = parked_outcome_read(answer, ret_outcome, err);
    json_decref(answer);
    return rc;
}

static int carry_out(const struct parked_settings *settings, const char *kind, decide_fn *decide, struct err *err)
{
    struct opened_store opened = {0};
    struct parked_selection selection;
    struct parked_outcome outcome = {0};
    struct buf key = BUF_INIT;
    struct lock *lock = NULL;

    int rc = opened_store_open(settings->store, NULL, STORE_READ_ONLY, &opened, err);
    if (rc == 0)
        rc = select_events(settings, &opened, &key, &selection, err);
    if (rc == 0)
        rc = lock_take(settings->store, "tarn-projector parked", &lock, err);
    if (rc == 0) {
        opened_store_close(&opened); /* a process may have a store open once */
        rc = decide_here(settings, decide, &selection, &outcome, err);
    } else if (rc == ERR_AGAIN) {
        rc = ask_projector(settings, kind, &selection, &opened.generation->settings, &outcome, err);
    }
    if (rc == 0 && settings->is_json)
        printf("{\"applied\":%zu,\"dropped\":%zu,\"left\":%zu}\n", outcome.applied, outcome.dropped, outcome.left);
    else if (rc == 0)
        printf("applied %zu, dropped %zu, still parked %zu\n", outcome.applied, outcome.dropped, outcome.left);
    lock_release(&lock);
    buf_release(&key);
    opened_store_close(&opened);
    return rc;
}

static int retry(const struct parked_settings *settings, struct err *err)
{
    return carry_out(settings, REQUEST_PARKED_RETRY, materializer_retry, err);
}

static int drop(const struct parked_settings *settings, struct err *err)
{
    return carry_out(settings, REQUEST_PARKED_DROP, materializer_drop, err);
}

const struct command command_parked = {
    .config = {.program = "tarn-projector",
               .name = "parked",
               .arguments = "[list|show|retry|drop]",
               .summary = "events that could not be applied, and what waits behind them",
               .help =
                   "A bad event stops its key, not its partition: it is parked with its reason, and later records of "
                   "the same topic and key wait behind it. retry applies them in order until one fails; drop gives "
                   "up those that failed, for good, and goes on with what waited. Both ask the projector that runs, or "
                   "do it themselves when none does. A key of which nothing is parked is exit code 2.\n\n"
                   "  tarn-projector parked list --store /var/lib/tarn\n"
                   "  tarn-projector parked show --store /var/lib/tarn --topic users --key u1 --values\n"
                   "  tarn-projector parked drop --store /var/lib/tarn --topic users --key u1",
               .options = options,
               .option_count = ARRAY_COUNT(options)},
    .settings_size = sizeof(struct parked_settings),
    .run = run,
};
