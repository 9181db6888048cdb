/* `relay`: the outbox table to Kafka, and first loads through the same way. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "ops/runtime/log.h"
#include "ops/runtime/stop.h"
#include "projector/command.h"
#include "projector/database_settings.h"
#include "projector/first_load.h"
#include "projector/kafka_producer.h"
#include "projector/relay.h"
#include "projector/relay_admin.h"
#include "projector/schema_input.h"
#include "schema/base/hash.h"
#include "schema/base/mem.h"

enum {
    LOCK_WAIT_S = 1,
    LOCK_NAME_MAX = 64, /* MySQL's */
    BREAKER_LOOK_MS = 50,
    FIRST_LOAD_RETRY_US = 10 * 1000 * 1000, /* of a chunk that has a wrong row: somebody may put it right */
    LINE_EVERY_US = 10 * 1000 * 1000,
};

struct relay_settings {
    struct command_common common;
    struct database_settings database;
    bool is_init;
    const char *brokers;
    struct config_list topics;
    const char *schema;
    const char *outbox;
    const char *transactional_id;
    const char *listen;
    int64_t poll_ms;
    int64_t batch_rows;
    int64_t batch_bytes;
    struct config_list first_load;
    bool is_first_load_again;
    int64_t chunk_rows;
    int64_t rows_per_s;
    struct config_list kafka;
};

#define AT(field) offsetof(struct relay_settings, field)

static const struct config_option options[] = {
    COMMAND_COMMON_OPTIONS(struct relay_settings),
    DATABASE_OPTIONS(struct relay_settings),
    {.name = "init",
     .kind = CONFIG_FLAG,
     .offset = AT(is_init),
     .help = "Makes the outbox table where there is none, and that in which first loads note how far they are; ends."},
    {.name = "brokers",
     .kind = CONFIG_TEXT,
     .offset = AT(brokers),
     .placeholder = "HOST:PORT,...",
     .help = "Kafka brokers to begin with; the others are learned from them."},
    {.name = "topics",
     .kind = CONFIG_LIST,
     .offset = AT(topics),
     .placeholder = "TOPIC|STREAM=TOPIC,...",
     .help =
         "As for run: one topic for all events, or a topic for each stream. A stream is the package of a row's type "
         "without its version."},
    {.name = "schema",
     .kind = CONFIG_TEXT,
     .offset = AT(schema),
     .placeholder = "FILE",
     .help =
         "The descriptor set, needed for --first-load. Without it streams are told by the packages of types alone."},
    {.name = "outbox",
     .kind = CONFIG_TEXT,
     .offset = AT(outbox),
     .placeholder = "TABLE",
     .fallback = "outbox",
     .help = "The outbox table: TABLE or DATABASE.TABLE."},
    {.name = "transactional-id",
     .kind = CONFIG_TEXT,
     .offset = AT(transactional_id),
     .placeholder = "ID",
     .help =
         "The Kafka transactional id that fences relays off that were deposed; the same for all relays of an outbox, "
         "another for each outbox. Default: tarn-relay-DATABASE.TABLE."},
    {.name = "listen",
     .kind = CONFIG_TEXT,
     .offset = AT(listen),
     .placeholder = "ADDR:PORT",
     .fallback = "127.0.0.1:9466",
     .help = "Where /healthz, /readyz and /metrics are answered. Port 0 takes a free one."},
    {.name = "poll",
     .kind = CONFIG_TIME_MS,
     .offset = AT(poll_ms),
     .placeholder = "TIME",
     .fallback = "50ms",
     .min = 1,
     .max = 10 * 1000,
     .help = "How long to wait before the next look at an outbox that was empty."},
    {.name = "batch-rows",
     .kind = CONFIG_INTEGER,
     .offset = AT(batch_rows),
     .placeholder = "ROWS",
     .fallback = "20000",
     .min = 1,
     .max = 1000 * 1000,
     .help = "Rows of a round, which is one Kafka transaction."},
    {.name = "batch-bytes",
     .kind = CONFIG_BYTES,
     .offset = AT(batch_bytes),
     .placeholder = "BYTES",
     .fallback = "32MiB",
     .min = 1024,
     .max = (int64_t)1 << 30,
     .help = "Payload bytes of a round; one row may have more."},
    {.name = "first-load",
     .kind = CONFIG_LIST,
     .offset = AT(first_load),
     .placeholder = "VIEW,...",
     .help =
         "Views whose first_load queries are published, once, beside the outbox. A load that was cut short goes on."},
    {.name = "first-load-again",
     .kind = CONFIG_FLAG,
     .offset = AT(is_first_load_again),
     .help = "Loads from the beginning also what was loaded before."},
    {.name = "first-load-chunk",
     .kind = CONFIG_INTEGER,
     .offset = AT(chunk_rows),
     .placeholder = "ROWS",
     .fallback = "20000",
     .min = 1,
     .max = 1000 * 1000,
     .help = "Rows of one snapshot and one Kafka transaction; all rows of a key stay together."},
    {.name = "first-load-rate",
     .kind = CONFIG_INTEGER,
     .offset = AT(rows_per_s),
     .placeholder = "ROWS/S",
     .fallback = "0",
     .max = 100 * 1000 * 1000,
     .help = "The most that is read a second; 0: no limit."},
    {.name = "kafka",
     .kind = CONFIG_PAIRS,
     .offset = AT(kafka),
     .placeholder = "NAME=VALUE",
     .is_secret = true,
     .help = "A setting of librdkafka: SASL, TLS, timeouts. Those that exactness rests on are refused."},
};

struct parts {
    struct mysql_session *session;
    struct database database;
    struct kafka_producer *producer;
    struct record_sink sink;
    struct view_set *views;
    struct relay_routes *routes;
    struct relay relay;
    struct relay_figures figures;
    struct relay_admin *admin;
    struct first_load_run *first_load; /* NULL: none is asked for */
    int64_t first_load_due_us;
    int64_t line_us;
    struct err load_fault; /* of the row that the load waits at; kind 0: none */
    char *lock_name;
    char *transactional_id;
    bool has_relay;
};

static void close_parts(struct parts *parts)
{
    relay_admin_close(&parts->admin);
    first_load_free(&parts->first_load);
    if (parts->has_relay)
        relay_release(&parts->relay);
    kafka_producer_free(&parts->producer);
    mysql_session_free(&parts->session);
    relay_routes_free(&parts->routes);
    view_set_free(&parts->views);
    free(parts->lock_name);
    free(parts->transactional_id);
}

static int init_table(const struct relay_settings *settings, struct parts *parts, struct err *err)
{
    struct buf sql = BUF_INIT;
    struct outbox *outbox = NULL;

    outbox_ddl(settings->outbox, &sql);
    int rc = parts->database.open(parts->database.self, err);
    if (rc == 0)
        rc = database_do(&parts->database, buf_text(&sql), err);
    buf_clear(&sql);
    first_load_ddl(settings->outbox, &sql);
    if (rc == 0)
        rc = database_do(&parts->database, buf_text(&sql), err);
    if (rc == 0)
        rc = outbox_open(&parts->database, settings->outbox, &outbox, err);
    if (rc == 0)
        printf("table %s is there\n", settings->outbox);
    outbox_close(&outbox);
    buf_release(&sql);
    return rc;
}

/* Names that both, all relays of an outbox and nobody else, come to by themselves. */
static void name_things(const struct relay_settings *settings, struct parts *parts)
{
    const char *database = mysql_session_database(parts->session);
    bool is_qualified = strchr(settings->outbox, '.') != NULL;
    char *table = is_qualified ? mem_text(settings->outbox) : mem_format("%s.%s", database, settings->outbox);

    parts->lock_name = mem_format("tarn-relay:%s", table);
    if (strlen(parts->lock_name) > LOCK_NAME_MAX) {
        free(parts->lock_name);
        parts->lock_name = mem_format("tarn-relay:%016llx", (unsigned long long)hash64(span_of_text(table)));
    }
    parts->transactional_id =
        settings->transactional_id ? mem_text(settings->transactional_id) : mem_format("tarn-relay-%s", table);
    free(table);
}

static int open_parts(const struct relay_settings *settings, struct parts *parts, struct err *err)
{
    int rc = 0;

    if (settings->brokers == NULL || settings->topics.count == 0)
        return err_set(err, ERR_INPUT, "--%s is missing", settings->brokers == NULL ? "brokers" : "topics");
    if (settings->first_load.count > 0 && settings->schema == NULL)
        return err_set(err, ERR_INPUT, "--first-load needs the --schema that has the views");
    if (settings->schema != NULL)
        rc = schema_input_load(settings->schema, &parts->views, err);
    if (rc == 0)
        rc = relay_routes_new(&settings->topics, parts->views, &parts->routes, err);
    name_things(settings, parts);
    struct kafka_producer_settings kafka = {settings->brokers, parts->transactional_id, &settings->kafka};
    if (rc == 0)
        rc = kafka_producer_new(&kafka, &parts->producer, err);
    if (rc < 0)
        return rc;
    parts->sink = kafka_producer_port(parts->producer);
    struct relay_options relay = {
        .table = settings->outbox,
        .lock_name = parts->lock_name,
        .lock_wait_s = LOCK_WAIT_S,
        .rows_max = (size_t)settings->batch_rows,
        .bytes_max = (size_t)settings->batch_bytes,
        .database = &parts->database,
        .sink = &parts->sink,
        .routes = parts->routes,
        .clock = &clock_system,
        .figures = &parts->figures,
    };
    relay_init(&parts->relay, &relay);
    parts->has_relay = true;
    struct first_load_options load = {
        .relay = &parts->relay,
        .views = parts->views,
        .names = &settings->first_load,
        .chunk_rows = (size_t)settings->chunk_rows,
        .rows_per_s = settings->rows_per_s,
        .is_again = settings->is_first_load_again,
    };
    if (settings->first_load.count > 0)
        rc = first_load_new(&load, &parts->first_load, err);
    if (rc < 0)
        return rc;
    return relay_admin_open(settings->listen, &parts->relay, &parts->admin, err);
}

static void rest(int64_t ms)
{
    struct pollfd stop = {.fd = stop_fd(), .events = POLLIN};

    poll(&stop, 1, (int)ms);
}

static void tell_first_load(struct parts *parts, int64_t now_us)
{
    struct buf line = BUF_INIT;

    first_load_line(parts->first_load, &line);
    log_progress(line.len > 0 ? buf_text(&line) : NULL);
    if (line.len > 0 && now_us - parts->line_us >= LINE_EVERY_US) {
        parts->line_us = now_us;
        if (!log_has_terminal())
            log_info("%s", buf_text(&line));
    }
    buf_release(&line);
}

/* The outbox goes first: a chunk is loaded when it has been drained. A row that can't be an event stops the load where it
 * is, and nothing else. */
static int load_some(struct parts *parts, bool *ret_worked, struct err *err)
{
    int64_t now_us = clock_monotonic_us(&clock_system);

    if (now_us < parts->first_load_due_us)
        return 0;
    int rc = first_load_turn(parts->first_load, ret_worked, err);
    parts->load_fault = rc == ERR_INPUT ? *err : (struct err){0};
    if (rc == ERR_INPUT)
        parts->first_load_due_us = now_us + FIRST_LOAD_RETRY_US;
    tell_first_load(parts, now_us);
    return rc;
}

/* One fault, one line in the log, until another or none takes its place. */
static void tell(struct parts *parts, enum relay_outcome outcome, const struct err *problem, struct err *last_problem)
{
    relay_admin_tell(parts->admin, outcome, problem != NULL ? problem->text : NULL);
    if (outcome == RELAY_WAITS && problem == NULL)
        return;
    if (problem != NULL && strcmp(last_problem->text, problem->text) != 0)
        log_error("%s", problem->text);
    else if (problem == NULL && last_problem->kind < 0)
        log_info("the relay works again");
    *last_problem = problem != NULL ? *problem : (struct err){0};
}

/* Until SIGTERM, or until it turns out that the set-up was wrong from the start. */
static int follow(const struct relay_settings *settings, struct parts *parts, struct err *err)
{
    struct err last_problem = {0};

    while (!stop_requested()) {
        enum relay_outcome outcome = RELAY_GOES_ON;
        *err = (struct err){0};
        int rc = relay_turn(&parts->relay, &outcome, err);
        if (rc == ERR_INPUT && !parts->relay.has_worked)
            return rc;
        bool has_loaded = false;
        if (rc == 0 && outcome == RELAY_DRAINED && parts->first_load != NULL &&
            first_load_is_pending(parts->first_load)) {
            rc = load_some(parts, &has_loaded, err);
            if (rc == ERR_INPUT && !first_load_has_begun(parts->first_load))
                return rc;
        }
        if (has_loaded)
            outcome = RELAY_GOES_ON;
        tell(parts, outcome, rc < 0 ? err : parts->load_fault.kind < 0 ? &parts->load_fault : NULL, &last_problem);
        if (rc < 0 || outcome == RELAY_WAITS)
            rest(BREAKER_LOOK_MS);
        else if (outcome == RELAY_DRAINED)
            rest(settings->poll_ms);
    }
    *err = (struct err){0};
    return 0;
}

static int run(void *settings_at, const struct config_list *arguments, struct err *err)
{
    const struct relay_settings *settings = settings_at;
    struct parts parts = {0};
    (void)arguments;

    int rc = database_settings_open(&settings->database, &parts.session, err);
    if (rc == 0) {
        parts.database = mysql_session_port(parts.session);
        if (settings->is_init) {
            rc = init_table(settings, &parts, err);
        } else {
            rc = open_parts(settings, &parts, err);
            if (rc == 0) {
                log_info("relay of %s, table %s; admin on %s", mysql_session_place(parts.session), settings->outbox,
                         relay_admin_address(parts.admin));
                rc = follow(settings, &parts, err);
                log_info("stopping");
            }
        }
    }
    close_parts(&parts);
    return rc < 0 ? command_exit_of(err) : EXIT_DONE;
}

const struct command command_relay = {
    .config = {.program = "tarn-projector",
               .name = "relay",
               .arguments = NULL,
               .summary = "publishes the rows of an outbox table to Kafka",
               .help =
                   "Reads what is in the outbox table, publishes it, waits until Kafka has acknowledged it, deletes "
                   "exactly those rows; until SIGTERM. Any number may be started: one leads, the others stand by. "
                   "A writer locks the row of the aggregate before it inserts into the outbox: then an aggregate's "
                   "events are on Kafka in the order of its commits.\n\n"
                   "  tarn-projector relay --database mysql://relay:secret@db/bank --init\n"
                   "  tarn-projector relay --database mysql://relay:secret@db/bank --brokers kafka:9092 \\\n"
                   "      --topics card=card.events,identity=users\n\n"
                   "The password is better in the environment: TARN_DATABASE.",
               .options = options,
               .option_count = ARRAY_COUNT(options)},
    .settings_size = sizeof(struct relay_settings),
    .run = run,
};
