/* `verify`: the store against the write database. */
#include <stdio.h>
#include <stdlib.h>

#include "ops/runtime/log.h"
#include "projector/command.h"
#include "projector/database_settings.h"
#include "projector/verify.h"
#include "schema/base/clock.h"
#include "schema/base/mem.h"
#include "schema/json/json_text.h"

enum { DAY_MS = 24 * 3600 * 1000, MEMORY_BYTES = 16 << 20 };

struct verify_settings {
    struct command_common common;
    struct database_settings database;
    const char *store;
    const char *generation;
    const char *brokers;
    const char *outbox;
    const char *sample;
    bool is_repair;
    int64_t chunk_rows;
    int64_t settle_ms;
    int64_t wait_ms;
    int64_t suspects_max;
    bool is_json;
    struct config_list kafka;
};

#define AT(field) offsetof(struct verify_settings, field)

static const struct config_option options[] = {
    COMMAND_COMMON_OPTIONS(struct verify_settings),
    DATABASE_OPTIONS(struct verify_settings),
    {.name = "store",
     .kind = CONFIG_TEXT,
     .offset = AT(store),
     .placeholder = "DIR",
     .is_required = true,
     .help = "The store's directory; its projector runs."},
    {.name = "generation",
     .kind = CONFIG_TEXT,
     .offset = AT(generation),
     .placeholder = "G",
     .help = "Another generation than the served one."},
    {.name = "brokers",
     .kind = CONFIG_TEXT,
     .offset = AT(brokers),
     .placeholder = "HOST:PORT,...",
     .is_required = true,
     .help = "Kafka brokers: asked where the logs end."},
    {.name = "outbox",
     .kind = CONFIG_TEXT,
     .offset = AT(outbox),
     .placeholder = "TABLE",
     .fallback = "outbox",
     .help = "The outbox table: TABLE or DATABASE.TABLE."},
    {.name = "sample",
     .kind = CONFIG_TEXT,
     .offset = AT(sample),
     .placeholder = "PERCENT",
     .fallback = "100",
     .help = "Compares so many owners in a hundred (0.01 to 100), others each day."},
    {.name = "repair",
     .kind = CONFIG_FLAG,
     .offset = AT(is_repair),
     .help =
         "Publishes the rows of keys that have drifted again, through the outbox; the database is the writer then."},
    {.name = "chunk",
     .kind = CONFIG_INTEGER,
     .offset = AT(chunk_rows),
     .placeholder = "ROWS",
     .fallback = "20000",
     .min = 1,
     .max = 1000 * 1000,
     .help = "Rows that are read at once."},
    {.name = "settle",
     .kind = CONFIG_TIME_MS,
     .offset = AT(settle_ms),
     .placeholder = "TIME",
     .fallback = "2s",
     .max = 3600 * 1000,
     .help = "At least so long between the two looks at a row that differs; over the lag of a reader replica."},
    {.name = "wait",
     .kind = CONFIG_TIME_MS,
     .offset = AT(wait_ms),
     .placeholder = "TIME",
     .fallback = "30s",
     .min = 100,
     .max = 3600 * 1000,
     .help = "How long the store may take to pass the ends of the logs."},
    {.name = "max-suspects",
     .kind = CONFIG_INTEGER,
     .offset = AT(suspects_max),
     .placeholder = "N",
     .fallback = "100000",
     .min = 1,
     .max = 10 * 1000 * 1000,
     .help = "The walk ends when so many owners have to be looked at again."},
    COMMAND_JSON_OPTION(struct verify_settings),
    {.name = "kafka",
     .kind = CONFIG_PAIRS,
     .offset = AT(kafka),
     .placeholder = "NAME=VALUE",
     .is_secret = true,
     .help = "A setting of librdkafka: SASL, TLS, timeouts."},
};

static int parse_percent(const char *text, unsigned *ret_per_10000, struct err *err)
{
    char *end;
    double percent = strtod(text, &end);

    if (end == text || *end != '\0' || !(percent >= 0.01 && percent <= 100))
        return err_set(err, ERR_INPUT, "--sample %s: a percentage from 0.01 to 100", text);
    *ret_per_10000 = (unsigned)(percent * 100 + 0.5);
    return 0;
}

static const char *kind_of(const struct drift *drift)
{
    return drift->is_extra ? "extra" : drift->is_missing ? "missing" : "different";
}

static void print(const struct verify_result *result, const size_t *repaired, bool is_json)
{
    struct buf out = BUF_INIT;

    if (is_json) {
        buf_add_format(&out, "{\"rows\":%lld,\"suspects\":%lld,\"unsettled\":%lld,\"cut\":%s,\"drift\":[",
                       (long long)result->rows, (long long)result->suspects, (long long)result->unsettled,
                       result->is_cut ? "true" : "false");
        for (size_t i = 0; i < result->drift_count; i++) {
            const struct drift *drift = &result->drifts[i];
            buf_add_format(&out, "%s{\"view\":\"%s\",\"key\":", i > 0 ? "," : "", drift->view->name);
            if (!json_add_string(&out, span_of_text(drift->key)))
                buf_add_literal(&out, "null");
            buf_add_format(&out, ",\"kind\":\"%s\",\"fields\":\"%s\",\"repaired_rows\":%zu}", kind_of(drift),
                           drift->fields, repaired[i]);
        }
        buf_add_literal(&out, "]}\n");
    } else {
        for (size_t i = 0; i < result->drift_count; i++) {
            const struct drift *drift = &result->drifts[i];
            buf_add_format(&out, "%s %s: %s%s%s", drift->view->name, drift->key, kind_of(drift),
                           drift->fields[0] ? ": " : "", drift->fields);
            if (repaired[i] > 0)
                buf_add_format(&out, "; %zu rows published again", repaired[i]);
            buf_add_byte(&out, '\n');
        }
        buf_add_format(&out, "%lld rows, %zu views drifted, %lld couldn't be settled%s\n", (long long)result->rows,
                       result->drift_count, (long long)result->unsettled,
                       result->is_cut ? ", and the walk was ended: too many differ" : "");
    }
    fwrite(out.at, 1, out.len, stdout);
    buf_release(&out);
}

/* Several views of one owner are repaired by one telling of its rows. */
static int repair(struct verify *verify, const struct verify_result *result, size_t *repaired, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < result->drift_count; i++) {
        const struct drift *drift = &result->drifts[i];
        const struct drift *before = i > 0 ? &result->drifts[i - 1] : NULL;
        if (before != NULL && before->view == drift->view && span_equal(before->owner, drift->owner))
            repaired[i] = repaired[i - 1];
        else
            rc = verify_repair(verify, drift, &repaired[i], err);
        if (rc == 0 && repaired[i] == 0)
            log_warn("%s: a drifted view has no rows to publish again", drift->view->name);
    }
    return rc;
}

struct parts {
    struct mysql_session *session;
    struct database database;
    struct outbox *outbox;
    struct opened_store opened;
    struct kafka_ends *ends;
};

static int open_parts(const struct verify_settings *settings, struct parts *parts, struct err *err)
{
    struct kafka_settings kafka = {
        .brokers = settings->brokers, .extra = &settings->kafka, .memory_bytes = MEMORY_BYTES, .group = "tarn-verify"};

    int rc = opened_store_open(settings->store, settings->generation, STORE_READ_ONLY, &parts->opened, err);
    if (rc == 0)
        rc = database_settings_open(&settings->database, &parts->session, err);
    if (rc < 0)
        return rc;
    parts->database = mysql_session_port(parts->session);
    rc = parts->database.open(parts->database.self, err);
    if (rc == 0)
        rc = outbox_open(&parts->database, settings->outbox, &parts->outbox, err);
    if (rc == 0)
        rc = kafka_ends_open(&kafka, parts->opened.generation->settings.topics,
                             parts->opened.generation->settings.topic_count, &parts->ends, err);
    return rc;
}

static int run(void *settings_at, const struct config_list *arguments, struct err *err)
{
    const struct verify_settings *settings = settings_at;
    struct parts parts = {0};
    struct verify *verify = NULL;
    struct verify_result result = {0};
    unsigned per_10000 = 0;
    bool has_drift = false;

    int rc = parse_percent(settings->sample, &per_10000, err);
    if (rc == 0)
        rc = open_parts(settings, &parts, err);
    struct verify_options verify_options = {
        .database = &parts.database,
        .outbox = parts.outbox,
        .opened = &parts.opened,
        .ends = parts.ends,
        .names = arguments,
        .sample_per_10000 = per_10000,
        .sample_salt = (uint64_t)(clock_wall_ms(&clock_system) / DAY_MS),
        .chunk_rows = (size_t)settings->chunk_rows,
        .settle_ms = settings->settle_ms,
        .patience_ms = settings->wait_ms,
        .suspects_max = (size_t)settings->suspects_max,
    };
    if (rc == 0)
        rc = verify_run(&verify_options, &verify, &result, err);
    if (rc == 0) {
        size_t *repaired = mem_zero(result.drift_count + 1, sizeof(*repaired));
        has_drift = result.drift_count > 0 || result.is_cut;
        if (settings->is_repair)
            rc = repair(verify, &result, repaired, err);
        print(&result, repaired, settings->is_json);
        free(repaired);
    }
    verify_result_release(&result);
    verify_free(&verify);
    kafka_ends_close(&parts.ends);
    outbox_close(&parts.outbox);
    mysql_session_free(&parts.session);
    opened_store_close(&parts.opened);
    if (rc < 0)
        return command_exit_of(err);
    *err = (struct err){0};
    return has_drift ? EXIT_DIFFERENT : EXIT_DONE;
}

const struct command command_verify = {
    .config =
        {.program = "tarn-projector",
         .name = "verify",
         .arguments = "[VIEW...]",
         .summary = "compares views with the write database",
         .help = "Reads the first_load queries of the views (all that have one) and compares what they say with the "
                 "store, beside its running projector. A difference counts when it is there twice with the row "
                 "unchanged, the store past the ends of the logs, and no row of the key in the outbox. Exit code "
                 "3 when something has drifted. Fit for a nightly job on a reader replica (--settle over its lag).\n\n"
                 "  tarn-projector verify --database mysql://reader:secret@replica/bank --store /var/lib/tarn \\\n"
                 "      --brokers kafka:9092 --sample 5",
         .options = options,
         .option_count = ARRAY_COUNT(options)},
    .settings_size = sizeof(struct verify_settings),
    .run = run,
};
