/* The loop tells what it last did; metrics are read from atomics. */
#include "projector/relay_admin.h"

#include <stdlib.h>

#include "ops/runtime/admin_listener.h"
#include "ops/runtime/metrics.h"
#include "projector/progress.h"
#include "schema/base/mem.h"

enum { HUNG_AFTER_US = 120 * 1000 * 1000 }; /* a statement and a transaction may each take half a minute */

struct relay_admin {
    struct admin_listener *listener;
    struct relay *relay;
    struct progress progress; /* the loop's */
    _Atomic int64_t rows_per_s;
};

static void print_metrics(void *self, struct buf *out);

int relay_admin_open(const char *listen, struct relay *relay, struct relay_admin **ret_admin, struct err *err)
{
    struct relay_admin *admin = mem_zero(1, sizeof(*admin));
    const struct admin_listener_options options = {
        .listen = listen, .hung_after_us = HUNG_AFTER_US, .print_metrics = print_metrics, .self = admin};

    admin->relay = relay;
    int rc = admin_listener_open(&options, &admin->listener, err);
    if (rc < 0) {
        relay_admin_close(&admin);
        return rc;
    }
    admin_listener_tell(admin->listener, &(struct admin_news){.problem = "not connected yet",
                                                              .turned_at_us = clock_monotonic_us(&clock_system)});
    *ret_admin = admin;
    return 0;
}

void relay_admin_close(struct relay_admin **admin)
{
    if (*admin == NULL)
        return;
    admin_listener_close(&(*admin)->listener);
    free(*admin);
    *admin = NULL;
}

const char *relay_admin_address(const struct relay_admin *admin)
{
    return admin_listener_address(admin->listener);
}

void relay_admin_tell(struct relay_admin *admin, enum relay_outcome outcome, const char *problem)
{
    const struct admin_news news = {
        .is_ready = problem == NULL, .problem = problem, .turned_at_us = clock_monotonic_us(&clock_system)};

    progress_note(&admin->progress, news.turned_at_us, metric_get(&admin->relay->options.figures->rows_total), -1);
    metric_set(&admin->rows_per_s, progress_rate(&admin->progress));
    if (outcome == RELAY_WAITS) /* whether the problem is gone isn't known */
        admin_listener_turned(admin->listener, news.turned_at_us);
    else
        admin_listener_tell(admin->listener, &news);
}

#define BREAKER_STATE      "tarn_relay_breaker_state"
#define BREAKER_STATE_HELP "0 closed, 1 half-open: one call is tried, 2 open: nothing is asked of it."
#define FAILURES           "tarn_relay_failures_total"
#define FAILURES_HELP      "Calls that failed."

static void print_metrics(void *self, struct buf *out)
{
    struct relay_admin *admin = self;
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

    metrics_print(table, ARRAY_COUNT(table), out);
}
