/* The table points at the counters of the one struct query of the process, so it is filled in for each scrape. */
#include "query/query_metrics.h"

#include "ops/runtime/metrics.h"

static void note_ages(struct query_loop *loop)
{
    int64_t age_s;
    struct err err;

    if (!query_loop_has_generation(loop))
        return;
    for (size_t i = 0; i < loop->set->shares.count; i++) {
        query_loop_choose(loop, i);
        if (query_loop_snapshot(loop, &err) == 0 &&
            freshness_whole_age_s(loop->freshness, query_loop_now_ms(loop), &age_s, &err) == 0)
            metric_set(&loop->generation->figures->age_s, age_s);
    }
}

static void print_exposures(struct exposure_counters *counters, struct buf *out)
{
    const struct metric metrics[] = {
        {.name = "tarn_query_exposures_published_total",
         .kind = METRIC_COUNTER,
         .help = "Exposures that Kafka has acknowledged.",
         .value = &counters->published},
        {.name = "tarn_query_exposures_dropped_total",
         .kind = METRIC_COUNTER,
         .help =
             "Exposures for which there was no room or that Kafka didn't take; the owner's next answer tries again.",
         .value = &counters->dropped},
        {.name = "tarn_query_exposures_waiting",
         .kind = METRIC_GAUGE,
         .help = "Exposures that are neither yet.",
         .value = &counters->waiting},
    };
    metrics_print(metrics, ARRAY_COUNT(metrics), out);
}

void query_metrics_print(struct query_loop *loop, struct buf *out)
{
    struct query_counters *counters = &loop->query->counters;
    struct http_counters *http = &loop->query->http;
    note_ages(loop);
    bool has_generation = query_loop_has_generation(loop);
    bool is_filled = has_generation && atomic_load_explicit(&loop->generation->is_filled, memory_order_relaxed);
    bool is_draining = atomic_load_explicit(&loop->query->is_draining, memory_order_relaxed);
    _Atomic int64_t is_ready = is_filled && !is_draining;
    _Atomic int64_t age_s = 0, version = 0;
    int64_t age = 0;
    struct err err;

    if (is_filled && query_loop_snapshot(loop, &err) == 0 &&
        freshness_whole_age_s(loop->freshness, query_loop_now_ms(loop), &age, &err) == 0) {
        metric_set(&age_s, age);
        metric_set(&version, (int64_t)store_read_version(loop->reader));
    }
    const struct metric metrics[] = {
        {.name = "tarn_query_ready",
         .kind = METRIC_GAUGE,
         .help = "1 while /readyz would say 200.",
         .value = &is_ready},
        {.name = "tarn_query_store_age_seconds",
         .kind = METRIC_GAUGE,
         .help = "Since the incumbent last knew itself caught up with all that it follows.",
         .value = &age_s},
        {.name = "tarn_query_store_commits_total",
         .kind = METRIC_COUNTER,
         .help = "Number of the newest commit of the incumbent.",
         .value = &version},
        {.name = "tarn_query_requests_total",
         .kind = METRIC_COUNTER,
         .help = "Requests on --listen.",
         .value = &http->requests_total},
        {.name = "tarn_query_answers_total",
         .labels = "class=\"2xx\"",
         .kind = METRIC_COUNTER,
         .help = "Answers on --listen by class of status.",
         .value = &http->answers_2xx},
        {.name = "tarn_query_answers_total",
         .labels = "class=\"3xx\"",
         .kind = METRIC_COUNTER,
         .help = "",
         .value = &http->answers_3xx},
        {.name = "tarn_query_answers_total",
         .labels = "class=\"4xx\"",
         .kind = METRIC_COUNTER,
         .help = "",
         .value = &http->answers_4xx},
        {.name = "tarn_query_answers_total",
         .labels = "class=\"5xx\"",
         .kind = METRIC_COUNTER,
         .help = "",
         .value = &http->answers_5xx},
        {.name = "tarn_query_views_total", .kind = METRIC_COUNTER, .help = "Views found.", .value = &counters->views},
        {.name = "tarn_query_views_not_modified_total",
         .kind = METRIC_COUNTER,
         .help = "Of them, those that the client had already.",
         .value = &counters->views_not_modified},
        {.name = "tarn_query_views_absent_total",
         .kind = METRIC_COUNTER,
         .help = "Keys without a view.",
         .value = &counters->views_absent},
        {.name = "tarn_query_views_incomplete_total",
         .kind = METRIC_COUNTER,
         .help = "Answers about keys with parked events.",
         .value = &counters->views_incomplete},
        {.name = "tarn_query_position_waits_total",
         .kind = METRIC_COUNTER,
         .help = "Requests that had to wait for their Tarn-At-Least.",
         .value = &counters->waits},
        {.name = "tarn_query_position_waits_in_vain_total",
         .kind = METRIC_COUNTER,
         .help = "Of them, those answered 409.",
         .value = &counters->waits_in_vain},
        {.name = "tarn_query_faults_total",
         .kind = METRIC_COUNTER,
         .help = "Answers that our own fault spoiled.",
         .value = &counters->faults},
        {.name = "tarn_query_connections",
         .kind = METRIC_GAUGE,
         .help = "Open connections on --listen.",
         .value = &http->connections_open},
        {.name = "tarn_query_connections_total",
         .kind = METRIC_COUNTER,
         .help = "Connections accepted on --listen.",
         .value = &http->connections_total},
        {.name = "tarn_query_connections_refused_total",
         .kind = METRIC_COUNTER,
         .help = "Connections over --max-connections.",
         .value = &http->connections_refused},
        {.name = "tarn_query_timeouts_total",
         .kind = METRIC_COUNTER,
         .help = "Clients that were too slow with a request or with taking an answer.",
         .value = &http->timeouts_total},
    };
    metrics_print(metrics, ARRAY_COUNT(metrics), out);
    figures_print(loop->query->figures, out);
    if (loop->query->exposures != NULL)
        print_exposures(exposures_counters(loop->query->exposures), out);
}
