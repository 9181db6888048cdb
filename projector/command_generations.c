/* `generations`: what there is, who is served, and what was served before. Reads files; asks nobody. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "projector/command.h"
#include "projector/generation_change.h"
#include "projector/shares_report.h"
#include "projector/table.h"
#include "schema/base/mem.h"
#include "schema/store/durable.h"

struct generations_settings {
    struct command_common common;
    const char *store;
    bool is_json;
};

static const struct config_option options[] = {
    COMMAND_COMMON_OPTIONS(struct generations_settings),
    COMMAND_STORE_OPTION(struct generations_settings),
    COMMAND_JSON_OPTION(struct generations_settings),
};

struct row {
    const char *name;
    unsigned percent;
    const struct serving_retained *retained;
    struct change_facts facts;
};

static const char *state_of(const struct row *row)
{
    if (row->percent > 0)
        return "served";
    if (!row->facts.is_caught_up || !row->facts.is_whole)
        return "building";
    return row->retained != NULL ? "retained" : "ready";
}

static void time_text(int64_t ms, struct buf *out)
{
    time_t seconds = ms / 1000;
    struct tm parts;
    char text[32];

    if (gmtime_r(&seconds, &parts) == NULL)
        return;
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
    buf_add_text(out, text);
}

static json_t *shares_json(const struct serving_shares *shares)
{
    json_t *list = json_array();

    for (size_t i = 0; i < shares->count; i++)
        json_array_append_new(list, json_pack("[s, i]", shares->shares[i].name, (int)shares->shares[i].percent));
    return json_pack("{s:I, s:o}", "since_ms", (json_int_t)shares->since_ms, "shares", list);
}

static void print_json(const struct row *rows, size_t count, const struct serving *serving)
{
    json_t *list = json_array(), *history = json_array();

    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:i, s:b, s:i, s:I, s:o}", "name", row->name, "state", state_of(row), "traffic",
                            (int)row->percent, "is_partial", row->facts.is_partial, "sample",
                            (int)row->facts.sample_percent, "dedupe_window", (json_int_t)row->facts.dedupe_window,
                            "retain_until", row->retained != NULL ? json_integer(row->retained->until_ms) : json_null()));
    }
    for (size_t i = 0; i < serving->past_count; i++) {
        json_t *past = shares_json(&serving->past[i].served);
        json_object_set_new(past, "undone", json_boolean(serving->past[i].is_undone));
        json_array_append_new(history, past);
    }
    json_t *answer = json_pack("{s:o, s:o, s:o}", "generations", list, "served",
                               serving->now.count > 0 ? shares_json(&serving->now) : json_null(), "history", history);
    char *text = json_dumps(answer, JSON_COMPACT);
    puts(text != NULL ? text : "{}");
    free(text);
    json_decref(answer);
}

static void print_history(const struct serving *serving)
{
    struct buf line = BUF_INIT;

    for (size_t i = 0; i <= serving->past_count && serving->now.count > 0; i++) {
        const struct serving_shares *shares = i == 0 ? &serving->now : &serving->past[i - 1].served;
        buf_clear(&line);
        time_text(shares->since_ms, &line);
        buf_add_literal(&line, "  ");
        shares_text(shares, &line);
        if (i > 0 && serving->past[i - 1].is_undone)
            buf_add_literal(&line, "  (undone)");
        puts(buf_text(&line));
    }
    buf_release(&line);
}

static void print_table(const struct row *rows, size_t count, const struct serving *serving)
{
    static const char *const headings[] = {"GENERATION", "STATE", ">TRAFFIC", ">DEDUPE WINDOW",
                                           "RETAINED UNTIL", "NOTE"};
    struct table table;

    table_init(&table, headings, ARRAY_COUNT(headings));
    for (size_t i = 0; i < count; i++) {
        struct buf until = BUF_INIT;
        table_add(&table, "%s", rows[i].name);
        table_add(&table, "%s", state_of(&rows[i]));
        table_add(&table, "%u%%", rows[i].percent);
        table_add(&table, "%" PRIu64, rows[i].facts.dedupe_window);
        if (rows[i].retained == NULL)
            buf_add_literal(&until, "-");
        else if (rows[i].retained->until_ms == 0)
            buf_add_literal(&until, "it is dropped");
        else
            time_text(rows[i].retained->until_ms, &until);
        table_add(&table, "%s", buf_text(&until));
        if (rows[i].facts.sample_percent > 0)
            table_add(&table, "a sample of %u%%", rows[i].facts.sample_percent);
        else
            table_add(&table, "%s", rows[i].facts.is_partial ? "partial" : "-");
        buf_release(&until);
    }
    table_print(&table, stdout);
    table_release(&table);
    print_history(serving);
}

/* One that is dropped meanwhile is left out. */
static int look(const char *directory, char **names, size_t count, const struct serving *serving, struct row *rows,
                size_t *ret_count, struct err *err)
{
    const struct changer changer = {directory, &clock_system, NULL, NULL};
    size_t found = 0;

    for (size_t i = 0; i < count; i++) {
        struct row *row = &rows[found];
        *row = (struct row){.name = names[i],
                            .percent = serving_percent(serving, names[i]),
                            .retained = serving_find_retained(serving, names[i])};
        int rc = change_look(&changer, names[i], &row->facts, err);
        if (rc < 0 && rc != ERR_ABSENT)
            return rc;
        found += rc == 0;
    }
    *ret_count = found;
    return 0;
}

static int run(void *settings_at, const struct config_list *arguments, struct err *err)
{
    const struct generations_settings *settings = settings_at;
    struct serving serving = {.now = {.count = 0}};
    struct row *rows = NULL;
    char **names = NULL;
    size_t count = 0, found = 0;

    int rc = arguments->count == 0 ? 0 : err_set(err, ERR_INPUT, "generations takes no arguments");
    if (rc == 0 && (rc = store_directory_check(settings->store, err)) == ERR_ABSENT)
        err_set(err, ERR_ABSENT, "%s is not a store, or an empty one", settings->store);
    if (rc == 0 && (rc = serving_read(settings->store, &serving, err)) == ERR_ABSENT)
        rc = 0;
    if (rc == 0)
        rc = generation_list(settings->store, &names, &count, err);
    if (rc == 0) {
        rows = mem_zero(count, sizeof(*rows));
        rc = look(settings->store, names, count, &serving, rows, &found, err);
    }
    if (rc == 0 && settings->is_json)
        print_json(rows, found, &serving);
    else if (rc == 0)
        print_table(rows, found, &serving);
    free(rows);
    durable_free_names(names, count);
    return rc < 0 ? command_exit_of(err) : EXIT_DONE;
}

const struct command command_generations = {
    .config = {.program = "tarn-projector",
               .name = "generations",
               .summary = "what there is, who is served, and what was served before",
               .help = "A line for each generation: building (being filled), ready (caught up, not served), served, or "
                       "retained (served before, kept up to date for `rollback`). Its dedupe window is the number of records of "
                       "a partition within which an id counts once; 0: ids don't count. Then what was served since "
                       "when, newest first. `status` tells positions and lag.\n\n"
                       "  tarn-projector generations --store /var/lib/tarn",
               .options = options,
               .option_count = ARRAY_COUNT(options)},
    .settings_size = sizeof(struct generations_settings),
    .run = run,
};
