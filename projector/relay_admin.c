/* The loop tells what it last did; the listener's thread answers from that and from atomics. */
#include "projector/relay_admin.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "ops/runtime/http_server.h"
#include "ops/runtime/metrics.h"
#include "projector/progress.h"
#include "schema/base/mem.h"

enum {
    HUNG_AFTER_US = 120 * 1000 * 1000, /* a statement and a transaction may each take half a minute */
    GRACE_MS = 200,
};

struct relay_admin {
    struct http_server *server;
    struct http_counters counters;
    struct relay *relay;
    struct progress progress; /* the loop's */
    _Atomic int64_t rows_per_s;
    _Atomic int64_t told_at_us;
    pthread_mutex_t lock; /* of what follows */
    struct buf problem;
    bool is_ready;
};

static enum http_outcome answer(void *loop_state, const struct http_request *request, struct http_wait *wait,
                                struct http_answer *ret_answer);

static void *loop_start(void *self, struct http_loop *loop, unsigned thread)
{
    (void)loop;
    (void)thread;
    return self;
}

int relay_admin_open(const char *listen, struct relay *relay, struct relay_admin **ret_admin, struct err *err)
{
    struct relay_admin *admin = mem_zero(1, sizeof(*admin));
    struct http_server_options options = {
        .address = listen,
        .threads = 1,
        .limits = http_limits_default,
        .handler = answer,
        .loop_start = loop_start,
        .self = admin,
        .counters = &admin->counters,
    };
    options.limits.connections = 64;
    admin->relay = relay;
    buf_add_literal(&admin->problem, "not connected yet");
    pthread_mutex_init(&admin->lock, NULL);
    admin->told_at_us = clock_monotonic_us(&clock_system);
    int rc = http_server_start(&options, &admin->server, err);
    if (rc < 0) {
        relay_admin_close(&admin);
        return err_prefix(err, "--listen");
    }
    *ret_admin = admin;
    return 0;
}

void relay_admin_close(struct relay_admin **admin)
{
    if (*admin == NULL)
        return;
    if ((*admin)->server != NULL)
        http_server_stop(&(*admin)->server, GRACE_MS);
    pthread_mutex_destroy(&(*admin)->lock);
    buf_release(&(*admin)->problem);
    free(*admin);
    *admin = NULL;
}

const char *relay_admin_address(const struct relay_admin *admin)
{
    return http_server_address(admin->server);
}

void relay_admin_tell(struct relay_admin *admin, enum relay_outcome outcome, const char *problem)
{
    int64_t now_us = clock_monotonic_us(&clock_system);

    progress_note(&admin->progress, now_us, metric_get(&admin->relay->options.figures->rows_total), -1);
    metric_set(&admin->rows_per_s, progress_rate(&admin->progress));
    metric_set(&admin->told_at_us, now_us);
    pthread_mutex_lock(&admin->lock);
    if (outcome != RELAY_WAITS) {
        buf_clear(&admin->problem);
        buf_add_text(&admin->problem, problem != NULL ? problem : "");
        admin->is_ready = problem == NULL;
    }
    pthread_mutex_unlock(&admin->lock);
}

/* --- answers: the listener's thread ------------------------------------------------------------------------------- */

static void answer_text(struct http_answer *ret_answer, const char *text)
{
    http_answer_header(ret_answer, "Content-Type", "text/plain; charset=utf-8");
    buf_add_text(ret_answer->body, text);
}

static void answer_health(struct relay_admin *admin, struct http_answer *ret_answer)
{
    int64_t silent_us = clock_monotonic_us(&clock_system) - metric_get(&admin->told_at_us);

    if (silent_us > HUNG_AFTER_US)
        http_answer_problem(ret_answer, 503, "the loop hasn't turned for %" PRId64 " s", silent_us / 1000000);
    else
        answer_text(ret_answer, "ok\n");
}

static void answer_readiness(struct relay_admin *admin, struct http_answer *ret_answer)
{
    pthread_mutex_lock(&admin->lock);
    if (admin->is_ready)
        answer_text(ret_answer, "ready\n");
    else
        http_answer_problem(ret_answer, 503, "%s", buf_text(&admin->problem));
    pthread_mutex_unlock(&admin->lock);
}

#define BREAKER_STATE      "tarn_relay_breaker_state"
#define BREAKER_STATE_HELP "0 closed, 1 half-open: one call is tried, 2 open: nothing is asked of it."
#define FAILURES           "tarn_relay_failures_total"
#define FAILURES_HELP      "Calls that failed."

static void answer_metrics(struct relay_admin *admin, struct http_answer *ret_answer)
{
    struct relay *relay = admin->relay;
    struct relay_figures *figures = relay->options.figures;
    const struct metric table[] = {
        {.name = "tarn_relay_leader",
         .kind = METRIC_GAUGE,
         .value = &figures->is_leader,
         .help = "1 while this relay leads; 0 while it stands by."},
        {.name = "tarn_relay_rows_total",
         .kind = METRIC_COUNTER,
         .value = &figures->rows_total,
         .help = "Outbox rows published and acknowledged."},
        {.name = "tarn_relay_rounds_total",
         .kind = METRIC_COUNTER,
         .value = &figures->rounds_total,
         .help = "Rounds of reading, publishing, deleting."},
        {.name = "tarn_relay_rows_per_second",
         .kind = METRIC_GAUGE,
         .value = &admin->rows_per_s,
         .help = "Outbox rows published a second, over the last seconds."},
        {.name = "tarn_relay_backlog_rows",
         .kind = METRIC_GAUGE,
         .value = &figures->backlog_rows,
         .help = "Rows that wait in the outbox, counted every few seconds and up to a million; -1: not known."},
        {.name = "tarn_relay_oldest_row_age_seconds",
         .kind = METRIC_GAUGE,
         .value = &figures->oldest_age_ms,
         .scale = 0.001,
         .help = "Age of the first row that waits, by the database's clock; 0: none waits."},
        {.name = "tarn_relay_first_load_rows_total",
         .kind = METRIC_COUNTER,
         .value = &figures->first_load_rows_total,
         .help = "Rows of first loads published."},
        {.name = BREAKER_STATE,
         .labels = "of=\"database\"",
         .kind = METRIC_GAUGE,
         .value = &relay->database_breaker.shown_state,
         .help = BREAKER_STATE_HELP},
        {.name = BREAKER_STATE,
         .labels = "of=\"kafka\"",
         .kind = METRIC_GAUGE,
         .value = &relay->kafka_breaker.shown_state,
         .help = BREAKER_STATE_HELP},
        {.name = FAILURES,
         .labels = "of=\"database\"",
         .kind = METRIC_COUNTER,
         .value = &relay->database_breaker.failures_total,
         .help = FAILURES_HELP},
        {.name = FAILURES,
         .labels = "of=\"kafka\"",
         .kind = METRIC_COUNTER,
         .value = &relay->kafka_breaker.failures_total,
         .help = FAILURES_HELP},
    };
    http_answer_header(ret_answer, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    metrics_print(table, ARRAY_COUNT(table), ret_answer->body);
}

static const struct {
    const char *path;
    void (*answer)(struct relay_admin *admin, struct http_answer *ret_answer);
} routes[] = {
    {"/healthz", answer_health},
    {"/readyz", answer_readiness},
    {"/metrics", answer_metrics},
};

static enum http_outcome answer(void *loop_state, const struct http_request *request, struct http_wait *wait,
                                struct http_answer *ret_answer)
{
    (void)wait;
    for (size_t i = 0; i < ARRAY_COUNT(routes); i++) {
        if (!span_equal_text(request->path, routes[i].path))
            continue;
        if (request->method != HTTP_GET && request->method != HTTP_HEAD) {
            http_answer_header(ret_answer, "Allow", "GET, HEAD");
            http_answer_problem(ret_answer, 405, "%s is read with GET", routes[i].path);
        } else {
            routes[i].answer(loop_state, ret_answer);
        }
        return HTTP_ANSWERED;
    }
    http_answer_problem(ret_answer, 404, "there are /healthz, /readyz and /metrics");
    return HTTP_ANSWERED;
}
