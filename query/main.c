/* tarn-query: opens what DIR/serving names, listens, and answers until SIGTERM. Everything that the threads share is in
 * struct query. The admin listener is there before the public one and goes after it, so that it tells of both ends. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ops/runtime/config.h"
#include "ops/runtime/http_server.h"
#include "ops/runtime/log.h"
#include "ops/runtime/stop.h"
#include "ops/runtime/thread_priority.h"
#include "query/exposure_kafka.h"
#include "query/routes.h"
#include "query/view_answer.h"

enum { EXIT_FAULT = 1, EXIT_USAGE = 2, WAIT_POLL_MS = 1 };

struct settings {
    const char *store;
    const char *listen;
    const char *admin_listen;
    int64_t threads;
    int64_t max_connections;
    int64_t header_timeout_ms;
    int64_t idle_timeout_ms;
    int64_t send_timeout_ms;
    int64_t stop_grace_ms;
    int64_t unready_after_ms;
    int64_t read_ahead_bytes;
    const char *exposure_topic;
    int64_t exposure_memory_bytes;
    const char *brokers;
    struct config_list kafka;
    const char *log_format;
    const char *log_level;
};

#define AT(field) offsetof(struct settings, field)
#define SECOND    ((int64_t)1000)
#define LATER(flag, what)                                                                                              \
    {                                                                                                                  \
        .name = flag, .kind = CONFIG_TEXT, .refused = what " is not supported by this version"                         \
    }

static const char *const log_formats[] = {"text", "json", NULL};
static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL}; /* as enum log_level */

static const struct config_option options[] = {
    {.name = "store",
     .kind = CONFIG_TEXT,
     .offset = AT(store),
     .placeholder = "DIR",
     .is_required = true,
     .help = "The directory that tarn-projector writes. It may be empty or missing yet."},
    {.name = "listen",
     .kind = CONFIG_TEXT,
     .offset = AT(listen),
     .placeholder = "ADDR:PORT",
     .fallback = "127.0.0.1:8080",
     .help = "Where views are answered: ADDR:PORT, [V6ADDR]:PORT, :PORT (all addresses) or unix:PATH; port 0 leaves "
             "the choice to the kernel, and the log names it."},
    {.name = "admin-listen",
     .kind = CONFIG_TEXT,
     .offset = AT(admin_listen),
     .placeholder = "ADDR:PORT",
     .fallback = "127.0.0.1:9465",
     .help = "Where /healthz, /readyz, /metrics and /openapi.json are answered."},
    {.name = "threads",
     .kind = CONFIG_INTEGER,
     .offset = AT(threads),
     .placeholder = "N",
     .min = 0,
     .max = 1024,
     .fallback = "0",
     .help = "Event loops that answer; 0 stands for one for each processor."},
    {.name = "max-connections",
     .kind = CONFIG_INTEGER,
     .offset = AT(max_connections),
     .placeholder = "N",
     .min = 1,
     .max = 1000000,
     .fallback = "10000",
     .help = "One more is answered 503."},
    {.name = "header-timeout",
     .kind = CONFIG_TIME_MS,
     .offset = AT(header_timeout_ms),
     .min = 1,
     .max = 3600 * SECOND,
     .fallback = "10s",
     .help = "From the first byte of a request to the last of its header, however it drips."},
    {.name = "idle-timeout",
     .kind = CONFIG_TIME_MS,
     .offset = AT(idle_timeout_ms),
     .min = 1,
     .max = 86400 * SECOND,
     .fallback = "60s",
     .help = "A connection on which nothing is asked is closed after this long."},
    {.name = "send-timeout",
     .kind = CONFIG_TIME_MS,
     .offset = AT(send_timeout_ms),
     .min = 1,
     .max = 3600 * SECOND,
     .fallback = "10s",
     .help = "A client that doesn't take its answer is cut off after this long."},
    {.name = "stop-grace",
     .kind = CONFIG_TIME_MS,
     .offset = AT(stop_grace_ms),
     .min = 0,
     .max = 3600 * SECOND,
     .fallback = "5s",
     .help = "At SIGTERM, what has begun may end within this time."},
    {.name = "unready-after",
     .kind = CONFIG_TIME_MS,
     .offset = AT(unready_after_ms),
     .placeholder = "SECONDS",
     .min = 0,
     .max = 365 * 86400 * SECOND,
     .fallback = "0",
     .help = "/readyz says 503 when the store hasn't been caught up for this long; 0: it never does, because stale "
             "screens beat no screens."},
    {.name = "read-ahead",
     .kind = CONFIG_BYTES,
     .offset = AT(read_ahead_bytes),
     .fallback = "4GiB",
     .min = 0,
     .max = (int64_t)1 << 50,
     .help = "Reads this much of the store into the page cache at the start, in the background; 0: nothing. A cold "
             "store otherwise reads one page at a time, for those who ask first."},
    {.name = "exposure-topic",
     .kind = CONFIG_TEXT,
     .offset = AT(exposure_topic),
     .placeholder = "TOPIC",
     .help = "Publishes there which generation a person saw: owner, view, generation, time; at least once for each "
             "owner, generation and day. The owner is personal data."},
    {.name = "exposure-memory",
     .kind = CONFIG_BYTES,
     .offset = AT(exposure_memory_bytes),
     .fallback = "32MiB",
     .min = 4096,
     .max = (int64_t)1 << 40,
     .help = "For whom has been published already, 8 bytes each; when it is used up, some are published again."},
    {.name = "brokers",
     .kind = CONFIG_TEXT,
     .offset = AT(brokers),
     .placeholder = "LIST",
     .help = "Kafka's bootstrap servers; needed by --exposure-topic and by nothing else."},
    {.name = "kafka",
     .kind = CONFIG_PAIRS,
     .offset = AT(kafka),
     .placeholder = "NAME=VALUE",
     .is_secret = true,
     .help = "A setting of librdkafka's producer: SASL, TLS, timeouts."},
    {.name = "log-format",
     .kind = CONFIG_CHOICE,
     .offset = AT(log_format),
     .choices = log_formats,
     .fallback = "text",
     .help = "How the log on stderr looks."},
    {.name = "log-level",
     .kind = CONFIG_CHOICE,
     .offset = AT(log_level),
     .choices = log_levels,
     .fallback = "info",
     .help = "The least important lines that are logged."},
    LATER("tls-cert", "TLS"),
    LATER("tls-key", "TLS"),
    LATER("auth-jwks", "authorization"),
    LATER("peers", "forwarding to other shards"),
    LATER("shard", "sharding"),
    LATER("replica", "reading from a replica"),
    LATER("hot-cache", "a cache of hot views"),
};

static const struct config_command command = {
    .program = "tarn-query",
    .summary = "Answers result screens from the store that tarn-projector keeps, over HTTP.",
    .help = "It only reads: it answers while Kafka, the projector or the write database is down, and every answer says "
            "how old it is. Without a store it waits for one.\n"
            "\n"
            "  tarn-query --store /var/lib/tarn --listen 127.0.0.1:8080\n"
            "  curl http://127.0.0.1:8080/v1/genetic-result/u-1001\n",
    .options = options,
    .option_count = ARRAY_COUNT(options),
};

static void init_log(const struct settings *settings)
{
    enum log_level level = LOG_DEBUG;

    while (level < LOG_ERROR && strcmp(log_levels[level], settings->log_level) != 0)
        level++;
    log_init("tarn-query", strcmp(settings->log_format, "json") == 0, level);
}

/* Each connection is a descriptor; the soft limit is mostly 1024. */
static void raise_descriptor_limit(int64_t connections)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)connections + 256;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted)
        log_warn("--max-connections %lld needs %llu file descriptors, and this process may have %llu (ulimit -n)",
                 (long long)connections, (unsigned long long)wanted, (unsigned long long)limit.rlim_cur);
}

static void *start_public_loop(void *self, struct http_loop *loop, unsigned thread)
{
    struct query *query = self;
    struct query_loop *state = query_loop_new(query, LISTENER_PUBLIC);

    (void)loop;
    if (query->exposures != NULL)
        state->exposures = exposures_queue(query->exposures, thread);
    return state;
}

static void *start_admin_loop(void *self, struct http_loop *loop, unsigned thread)
{
    (void)loop;
    (void)thread;
    return query_loop_new(self, LISTENER_ADMIN);
}

static void stop_loop(void *self, void *loop_state)
{
    struct query_loop *loop = loop_state;

    (void)self;
    query_loop_free(&loop);
}

static void rest(void *loop_state)
{
    query_loop_rest(loop_state);
}

static bool still_waits(void *loop_state, const struct http_wait *wait)
{
    return view_answer_still_waits(loop_state, wait);
}

struct servers {
    struct http_server *public, *admin;
};

static unsigned thread_count(const struct settings *settings)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    return settings->threads > 0 ? (unsigned)settings->threads : processors > 0 ? (unsigned)processors : 1;
}

static int start_servers(struct query *query, const struct settings *settings, struct servers *servers, struct err *err)
{
    struct http_server_options public = {
        .address = settings->listen,
        .threads = thread_count(settings),
        .limits = http_limits_default,
        .handler = routes_answer,
        .loop_start = start_public_loop,
        .loop_stop = stop_loop,
        .before_wait = rest,
        .still_waits = still_waits,
        .wait_poll_ms = WAIT_POLL_MS,
        .self = query,
        .counters = &query->http,
    };
    public.limits.connections = (size_t)settings->max_connections;
    public.limits.header_timeout_ms = settings->header_timeout_ms;
    public.limits.idle_timeout_ms = settings->idle_timeout_ms;
    public.limits.send_timeout_ms = settings->send_timeout_ms;

    struct http_server_options admin = public;
    admin.address = settings->admin_listen;
    admin.threads = 1;
    admin.limits.connections = 256;
    admin.loop_start = start_admin_loop;
    admin.counters = NULL;

    int rc = http_server_start(&admin, &servers->admin, err);
    if (rc < 0)
        return err_prefix(err, "--admin-listen");
    rc = http_server_start(&public, &servers->public, err);
    return rc < 0 ? err_prefix(err, "--listen") : 0;
}

static int start_exposures(struct query *query, const struct settings *settings, struct exposure_kafka **ret_kafka,
                           struct exposure_port *ret_port, struct err *err)
{
    struct exposure_kafka_settings kafka = {settings->exposure_topic, settings->brokers, &settings->kafka};

    if (settings->brokers == NULL)
        return err_set(err, ERR_INPUT, "--exposure-topic needs --brokers");
    query->exposures = exposures_new(thread_count(settings), (uint64_t)settings->exposure_memory_bytes);
    int rc = exposure_kafka_open(&kafka, exposures_told, query->exposures, ret_kafka, err);
    if (rc < 0)
        return rc;
    *ret_port = exposure_kafka_port(*ret_kafka);
    return exposures_start(query->exposures, ret_port, err);
}

/* A loop without work lets go of what is served no longer only when it turns. */
static void wake_servers(void *self)
{
    struct servers *servers = self;

    http_server_wake(servers->public);
    http_server_wake(servers->admin);
}

static int serve(struct query *query, const struct settings *settings, struct err *err)
{
    struct servers servers = {NULL, NULL};
    struct exposure_kafka *kafka = NULL;
    struct exposure_port port;
    struct served_follow_options follow = {(uint64_t)settings->read_ahead_bytes, wake_servers, &servers};

    /* Looked for before anybody can ask, so that the first answer isn't a 503 without need. What isn't there yet is
     * waited for; what is there and can't be used is told at once. */
    int rc = served_refresh(query->served, err);
    if (rc < 0 && served_has_changed(query->served, NULL)) {
        log_error("%s", err->text); /* of the candidate: the incumbent answers everybody */
        rc = 0;
    } else if (rc == ERR_ABSENT || rc == ERR_AGAIN) {
        log_info("%s has no store yet; waiting for it", settings->store);
        rc = 0;
    }
    if (rc == 0 && settings->exposure_topic != NULL)
        rc = start_exposures(query, settings, &kafka, &port, err);
    if (rc == 0)
        rc = start_servers(query, settings, &servers, err);
    if (rc == 0)
        rc = served_follow(query->served, &follow, err);
    if (rc == 0) {
        log_info("answering on %s, administration on %s", http_server_address(servers.public),
                 http_server_address(servers.admin));
        struct pollfd stop = {.fd = stop_fd(), .events = POLLIN};
        while (poll(&stop, 1, -1) < 0 && errno == EINTR)
            continue;
        log_info("stopping");
    }
    atomic_store(&query->is_draining, true);
    served_unfollow(query->served);
    http_server_stop(&servers.public, settings->stop_grace_ms);
    exposures_stop(query->exposures, settings->stop_grace_ms);
    http_server_stop(&servers.admin, 0);
    exposure_kafka_close(&kafka);
    return rc;
}

int main(int argc, char **argv)
{
    struct settings settings = {0};
    struct query query = {.clock = &clock_system};
    struct err err;

    if (config_wants_help(argc - 1, argv + 1)) {
        config_print_help(&command, stdout);
        return 0;
    }
    if (config_parse(&command, argc - 1, argv + 1, &settings, NULL, &err) < 0) {
        fprintf(stderr, "tarn-query: %s\n", err.text);
        return EXIT_USAGE;
    }
    init_log(&settings);
    thread_priority_prompt();
    int rc = stop_init(&err);
    if (rc == 0) {
        raise_descriptor_limit(settings.max_connections);
        query.unready_after_s = (settings.unready_after_ms + SECOND - 1) / SECOND;
        query.figures = figures_table_new();
        query.served = served_new(settings.store, query.figures);
        rc = serve(&query, &settings, &err);
    }
    if (rc < 0)
        log_error("%s", err.text);
    served_free(&query.served);
    figures_table_free(&query.figures);
    exposures_free(&query.exposures);
    config_release(&command, &settings);
    return rc == 0 ? 0 : rc == ERR_INPUT ? EXIT_USAGE : EXIT_FAULT;
}
