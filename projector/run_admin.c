#include "projector/run_admin.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "ops/runtime/http_server.h"
#include "ops/runtime/metrics.h"
#include "projector/core_metrics.h"
#include "schema/base/clock.h"
#include "schema/base/mem.h"

enum {
    HUNG_AFTER_US = 30 * 1000 * 1000, /* a commit to a slow disk takes seconds; this is a loop that is stuck */
    GRACE_MS = 200,
};

struct run_admin {
    struct http_server *server;
    struct http_counters counters;
    pthread_mutex_t lock;  /* of what follows */
    struct buf partitions; /* their metrics, as text */
    struct buf problem;
    bool is_ready;
    int64_t told_at_us;
};

static struct {
    _Atomic int64_t is_connected, kafka_errors, is_ready, events_per_s, lag;
} figures;

static const struct metric run_metrics[] = {
    {.name = "tarn_projector_kafka_connected",
     .kind = METRIC_GAUGE,
     .help = "1 while a broker answers.",
     .value = &figures.is_connected},
    {.name = "tarn_projector_kafka_errors_total",
     .kind = METRIC_COUNTER,
     .help = "Errors of the Kafka client.",
     .value = &figures.kafka_errors},
    {.name = "tarn_projector_ready",
     .kind = METRIC_GAUGE,
     .help = "1 once the store has been caught up.",
     .value = &figures.is_ready},
    {.name = "tarn_projector_records_per_second",
     .kind = METRIC_GAUGE,
     .help = "Records handled a second, over the last seconds.",
     .value = &figures.events_per_s},
    {.name = "tarn_projector_lag_records",
     .kind = METRIC_GAUGE,
     .help = "Records between positions and log ends, all partitions of what is served; -1: not known.",
     .value = &figures.lag},
};

static enum http_outcome answer(void *loop_state, const struct http_request *request, struct http_wait *wait,
                                struct http_answer *ret_answer);

/* The one loop's state is the admin itself. */
static void *loop_start(void *self, struct http_loop *loop, unsigned thread)
{
    (void)loop;
    (void)thread;
    return self;
}

int run_admin_open(const char *listen, struct run_admin **ret_admin, struct err *err)
{
    struct run_admin *admin = mem_zero(1, sizeof(*admin));
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
    pthread_mutex_init(&admin->lock, NULL);
    admin->told_at_us = clock_monotonic_us(&clock_system);
    int rc = http_server_start(&options, &admin->server, err);
    if (rc < 0) {
        run_admin_close(&admin);
        return err_prefix(err, "--listen");
    }
    *ret_admin = admin;
    return 0;
}

void run_admin_close(struct run_admin **admin)
{
    struct run_admin *self = *admin;
    if (!self)
        return;
    if (self->server)
        http_server_stop(&self->server, GRACE_MS);
    pthread_mutex_destroy(&self->lock);
    buf_release(&self->partitions);
    buf_release(&self->problem);
    free(self);
    *admin = NULL;
}

const char *run_admin_address(const struct run_admin *admin)
{
    return http_server_address(admin->server);
}

/* --- what the loop tells ------------------------------------------------------------------------------------------ */

struct partition_metric {
    const char *name;
    const char *help;
    int64_t (*value)(const struct follower_partition *partition);
};

static int64_t position_of(const struct follower_partition *partition)
{
    return partition->next_offset;
}

static int64_t end_of(const struct follower_partition *partition)
{
    return partition->end_offset;
}

static int64_t lag_of(const struct follower_partition *partition)
{
    int64_t lag = partition->end_offset - partition->next_offset;
    return partition->end_offset < 0 ? -1 : lag < 0 ? 0 : lag;
}

static int64_t is_stopped(const struct follower_partition *partition)
{
    return partition->state != PARTITION_FOLLOWING && partition->state != PARTITION_WAITING;
}

static int64_t parked_of(const struct follower_partition *partition)
{
    return (int64_t)partition->parked;
}

static const struct partition_metric partition_metrics[] = {
    {"tarn_projector_position", "The next offset to be handled.", position_of},
    {"tarn_projector_log_end", "The end of the partition's log, as last seen; -1: not yet.", end_of},
    {"tarn_projector_lag", "Records between position and log end; -1: not known.", lag_of},
    {"tarn_projector_partition_stopped", "1 when the partition was stopped: rewritten, lost or parked.", is_stopped},
    {"tarn_projector_partition_parked", "Parked events of the partition, waiting ones included.", parked_of},
};

static void print_partitions(const struct run_generation *generation, const struct partition_metric *metric,
                             struct buf *out)
{
    const struct follower_report *report = generation->report;
    struct buf topic = BUF_INIT;

    for (size_t i = 0; i < report->partition_count; i++) {
        const struct follower_partition *partition = &report->partitions[i];
        buf_clear(&topic);
        metrics_escape_label(span_of_text(partition->topic), &topic);
        buf_add_format(out, "%s{generation=\"%s\",topic=\"%s\",partition=\"%" PRId32 "\"} %" PRId64 "\n", metric->name,
                       generation->name, buf_text(&topic), partition->number, metric->value(partition));
    }
    buf_release(&topic);
}

static int64_t is_built(const struct run_generation *generation)
{
    return generation->report->is_building;
}

static int64_t rate_of(const struct run_generation *generation)
{
    return generation->report->events_per_s;
}

static int64_t is_failed(const struct run_generation *generation)
{
    return generation->report->phase == FOLLOWER_FAILED;
}

static const struct {
    const char *name;
    const char *help;
    int64_t (*value)(const struct run_generation *generation);
} generation_metrics[] = {
    {"tarn_projector_generation_building", "1 while the generation is under construction.", is_built},
    {"tarn_projector_generation_stopped", "1 while the generation isn't followed because of a fault.", is_failed},
    {"tarn_projector_generation_records_per_second", "Records handled a second, over the last seconds.", rate_of},
};

static void print_generations(const struct run_state *state, struct buf *out)
{
    for (size_t m = 0; m < ARRAY_COUNT(generation_metrics); m++) {
        buf_add_format(out, "# HELP %s %s\n# TYPE %s gauge\n", generation_metrics[m].name, generation_metrics[m].help,
                       generation_metrics[m].name);
        for (size_t i = 0; i < state->count; i++)
            buf_add_format(out, "%s{generation=\"%s\"} %" PRId64 "\n", generation_metrics[m].name,
                           state->generations[i].name, generation_metrics[m].value(&state->generations[i]));
    }
}

static void print_state(const struct run_state *state, struct buf *out)
{
    for (size_t m = 0; m < ARRAY_COUNT(partition_metrics); m++) {
        const struct partition_metric *metric = &partition_metrics[m];
        buf_add_format(out, "# HELP %s %s\n# TYPE %s gauge\n", metric->name, metric->help, metric->name);
        for (size_t i = 0; i < state->count; i++)
            print_partitions(&state->generations[i], metric, out);
    }
    print_generations(state, out);
}

void run_admin_tell(struct run_admin *admin, const struct run_state *state)
{
    metric_set(&figures.is_connected, state->is_connected);
    metric_set(&figures.kafka_errors, state->kafka_errors);
    metric_set(&figures.is_ready, state->is_ready);
    metric_set(&figures.events_per_s, state->events_per_s);
    metric_set(&figures.lag, state->lag);

    pthread_mutex_lock(&admin->lock);
    buf_clear(&admin->partitions);
    print_state(state, &admin->partitions);
    buf_clear(&admin->problem);
    buf_add_text(&admin->problem, state->problem ? state->problem : "");
    admin->is_ready = state->is_ready;
    admin->told_at_us = clock_monotonic_us(&clock_system);
    for (size_t i = 0; i < state->count; i++) {
        const struct run_generation *generation = &state->generations[i];
        if (generation->is_served && generation->report->told_at_us > 0 &&
            generation->report->told_at_us < admin->told_at_us)
            admin->told_at_us = generation->report->told_at_us;
    }
    pthread_mutex_unlock(&admin->lock);
}

/* --- answers: the listener's thread ------------------------------------------------------------------------------- */

static void answer_health(struct run_admin *admin, struct http_answer *answer)
{
    int64_t silent_us = clock_monotonic_us(&clock_system) - admin->told_at_us;
    if (silent_us > HUNG_AFTER_US) {
        http_answer_problem(answer, 503, "the main loop hasn't turned for %" PRId64 " s", silent_us / 1000000);
        return;
    }
    http_answer_header(answer, "Content-Type", "text/plain; charset=utf-8");
    buf_add_literal(answer->body, "ok\n");
}

static void answer_readiness(struct run_admin *admin, struct http_answer *answer)
{
    if (!admin->is_ready) {
        http_answer_problem(answer, 503, "%s",
                            admin->problem.len ? buf_text(&admin->problem) : "not caught up for the first time yet");
        return;
    }
    http_answer_header(answer, "Content-Type", "text/plain; charset=utf-8");
    buf_add_literal(answer->body, "ready\n");
    if (admin->problem.len > 0) {
        buf_add_span(answer->body, buf_span(&admin->problem));
        buf_add_byte(answer->body, '\n');
    }
}

static void answer_metrics(struct run_admin *admin, struct http_answer *answer)
{
    http_answer_header(answer, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    metrics_print(core_metrics, core_metric_count, answer->body);
    metrics_print(run_metrics, ARRAY_COUNT(run_metrics), answer->body);
    buf_add_span(answer->body, buf_span(&admin->partitions));
}

static const struct {
    const char *path;
    void (*answer)(struct run_admin *admin, struct http_answer *answer);
} routes[] = {
    {"/healthz", answer_health},
    {"/readyz", answer_readiness},
    {"/metrics", answer_metrics},
};

static enum http_outcome answer(void *loop_state, const struct http_request *request, struct http_wait *wait,
                                struct http_answer *ret_answer)
{
    struct run_admin *admin = loop_state;
    (void)wait;

    for (size_t i = 0; i < ARRAY_COUNT(routes); i++) {
        if (!span_equal_text(request->path, routes[i].path))
            continue;
        if (request->method != HTTP_GET && request->method != HTTP_HEAD) {
            http_answer_header(ret_answer, "Allow", "GET, HEAD");
            http_answer_problem(ret_answer, 405, "%s is read with GET", routes[i].path);
            return HTTP_ANSWERED;
        }
        pthread_mutex_lock(&admin->lock);
        routes[i].answer(admin, ret_answer);
        pthread_mutex_unlock(&admin->lock);
        return HTTP_ANSWERED;
    }
    http_answer_problem(ret_answer, 404, "here are /healthz, /readyz and /metrics");
    return HTTP_ANSWERED;
}
