/* Text that names generations and partitions is made where they are known, on the supervisor's thread. */
#include "projector/run_admin.h"

#include <inttypes.h>
#include <stdlib.h>

#include "ops/runtime/admin_listener.h"
#include "ops/runtime/metrics.h"
#include "projector/announcer_metrics.h"
#include "projector/core_metrics.h"
#include "schema/base/clock.h"
#include "schema/base/mem.h"

enum { HUNG_AFTER_US = 30 * 1000 * 1000 }; /* a commit to a slow disk takes seconds; this is a loop that is stuck */

struct run_admin {
    struct admin_listener *listener;
    struct run_figures {
        _Atomic int64_t is_connected, kafka_errors, is_ready, events_per_s, lag;
    } figures;
    struct buf metrics; /* scratch of run_admin_tell() */
};

static void print_metrics(void *self, struct buf *out);

int run_admin_open(const char *listen, struct run_admin **ret_admin, struct err *err)
{
    struct run_admin *admin = mem_zero(1, sizeof(*admin));
    const struct admin_listener_options options = {
        .listen = listen, .hung_after_us = HUNG_AFTER_US, .print_metrics = print_metrics, .self = admin};

    int rc = admin_listener_open(&options, &admin->listener, err);
    if (rc < 0) {
        run_admin_close(&admin);
        return rc;
    }
    *ret_admin = admin;
    return 0;
}

void run_admin_close(struct run_admin **admin)
{
    if (*admin == NULL)
        return;
    admin_listener_close(&(*admin)->listener);
    buf_release(&(*admin)->metrics);
    free(*admin);
    *admin = NULL;
}

const char *run_admin_address(const struct run_admin *admin)
{
    return admin_listener_address(admin->listener);
}

static void print_metrics(void *self, struct buf *out)
{
    struct run_figures *figures = &((struct run_admin *)self)->figures;
    const struct metric table[] = {
        {.name = "tarn_projector_kafka_connected",
         .kind = METRIC_GAUGE,
         .help = "1 while a broker answers.",
         .value = &figures->is_connected},
        {.name = "tarn_projector_kafka_errors_total",
         .kind = METRIC_COUNTER,
         .help = "Errors of the Kafka client.",
         .value = &figures->kafka_errors},
        {.name = "tarn_projector_ready",
         .kind = METRIC_GAUGE,
         .help = "1 once the store has been caught up.",
         .value = &figures->is_ready},
        {.name = "tarn_projector_records_per_second",
         .kind = METRIC_GAUGE,
         .help = "Records handled a second, over the last seconds.",
         .value = &figures->events_per_s},
        {.name = "tarn_projector_lag_records",
         .kind = METRIC_GAUGE,
         .help = "Records between positions and log ends, all partitions of what is served; -1: not known.",
         .value = &figures->lag},
    };

    metrics_print(core_metrics, core_metric_count, out);
    metrics_print(table, ARRAY_COUNT(table), out);
    metrics_print(announcer_metrics, announcer_metric_count, out);
}

/* --- what the supervisor tells ------------------------------------------------------------------------------------ */

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

static int64_t share_of(const struct run_generation *generation)
{
    return generation->report->share_percent;
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
    {"tarn_projector_generation_share_percent",
     "Which part of its time it may work: less than 100 while it is under construction and commits of those that are "
     "live take longer than before.",
     share_of},
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

/* A loop that hangs is one of a generation that people read, or the supervisor's own. */
static int64_t turned_at_us(const struct run_state *state)
{
    int64_t oldest_us = clock_monotonic_us(&clock_system);

    for (size_t i = 0; i < state->count; i++) {
        const struct run_generation *generation = &state->generations[i];
        if (generation->is_served && generation->report->told_at_us > 0 && generation->report->told_at_us < oldest_us)
            oldest_us = generation->report->told_at_us;
    }
    return oldest_us;
}

void run_admin_tell(struct run_admin *admin, const struct run_state *state)
{
    struct run_figures *figures = &admin->figures;
    const char *problem = state->problem;

    metric_set(&figures->is_connected, state->is_connected);
    metric_set(&figures->kafka_errors, state->kafka_errors);
    metric_set(&figures->is_ready, state->is_ready);
    metric_set(&figures->events_per_s, state->events_per_s);
    metric_set(&figures->lag, state->lag);
    buf_clear(&admin->metrics);
    print_state(state, &admin->metrics);
    if (!state->is_ready && problem == NULL)
        problem = "not caught up for the first time yet";
    admin_listener_tell(admin->listener, &(struct admin_news){.is_ready = state->is_ready,
                                                              .problem = problem,
                                                              .turned_at_us = turned_at_us(state),
                                                              .metrics = &admin->metrics});
}
