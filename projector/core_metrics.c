/* One table; /metrics prints it as it stands. */
#include "projector/core_metrics.h"

#include "schema/base/compiler.h"

struct core_counters core_counters;

static const double commit_bounds[] = {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10};
static _Atomic uint64_t commit_counts[ARRAY_COUNT(commit_bounds) + 1];
struct metric_histogram core_commit_seconds = {
    .bounds = commit_bounds, .bound_count = ARRAY_COUNT(commit_bounds), .counts = commit_counts};

#define EVENTS "tarn_projector_events_total"
#define EVENTS_HELP "Events by what became of them."

const struct metric core_metrics[] = {
    {.name = "tarn_projector_records_total", .kind = METRIC_COUNTER, .help = "Records taken from Kafka.",
     .value = &core_counters.records},
    {.name = EVENTS, .labels = "outcome=\"applied\"", .kind = METRIC_COUNTER, .help = EVENTS_HELP,
     .value = &core_counters.applied},
    {.name = EVENTS, .labels = "outcome=\"replayed\"", .kind = METRIC_COUNTER, .help = EVENTS_HELP,
     .value = &core_counters.replayed},
    {.name = EVENTS, .labels = "outcome=\"unhandled_type\"", .kind = METRIC_COUNTER, .help = EVENTS_HELP,
     .value = &core_counters.skipped_type},
    {.name = EVENTS, .labels = "outcome=\"null_value\"", .kind = METRIC_COUNTER, .help = EVENTS_HELP,
     .value = &core_counters.skipped_null},
    {.name = EVENTS, .labels = "outcome=\"duplicate\"", .kind = METRIC_COUNTER, .help = EVENTS_HELP,
     .value = &core_counters.skipped_duplicate},
    {.name = EVENTS, .labels = "outcome=\"reused_id\"", .kind = METRIC_COUNTER, .help = EVENTS_HELP,
     .value = &core_counters.skipped_reused},
    {.name = EVENTS, .labels = "outcome=\"dropped\"", .kind = METRIC_COUNTER, .help = EVENTS_HELP,
     .value = &core_counters.skipped_dropped},
    {.name = EVENTS, .labels = "outcome=\"erased_key\"", .kind = METRIC_COUNTER, .help = EVENTS_HELP,
     .value = &core_counters.erased},
    {.name = EVENTS, .labels = "outcome=\"parked\"", .kind = METRIC_COUNTER, .help = EVENTS_HELP,
     .value = &core_counters.parked},
    {.name = "tarn_projector_erasures_total", .kind = METRIC_COUNTER, .help = "Events that erased a key.",
     .value = &core_counters.erasures},
    {.name = "tarn_projector_parked_events", .kind = METRIC_GAUGE,
     .help = "Events that are parked now, those that wait behind them included.", .value = &core_counters.parked_now},
    {.name = "tarn_projector_commits_total", .kind = METRIC_COUNTER, .help = "Commits to the store.",
     .value = &core_counters.commits},
    {.name = "tarn_projector_commit_failures_total", .kind = METRIC_COUNTER,
     .help = "Commits that failed for want of disk space and are tried again.", .value = &core_counters.commit_failures},
    {.name = "tarn_projector_commit_seconds", .kind = METRIC_HISTOGRAM, .help = "How long commits take.",
     .histogram = &core_commit_seconds},
    {.name = "tarn_projector_rows_written_total", .kind = METRIC_COUNTER, .help = "Rows that commits wrote.",
     .value = &core_counters.rows_written},
    {.name = "tarn_projector_stalled", .kind = METRIC_GAUGE, .help = "1 while the disk is full and nothing is committed.",
     .value = &core_counters.is_stalled},
    {.name = "tarn_projector_catching_up", .kind = METRIC_GAUGE, .help = "1 while far behind the ends of the logs.",
     .value = &core_counters.is_catching_up},
    {.name = "tarn_projector_cache_bytes", .kind = METRIC_GAUGE, .help = "Memory of the write-back cache.",
     .value = &core_counters.cache_bytes},
    {.name = "tarn_projector_cache_dirty_bytes", .kind = METRIC_GAUGE,
     .help = "Of it, changes that no commit has begun to write.", .value = &core_counters.cache_dirty_bytes},
    {.name = "tarn_projector_cache_rows", .kind = METRIC_GAUGE, .help = "Rows in the write-back cache.",
     .value = &core_counters.cache_rows},
    {.name = "tarn_projector_cache_evictions_total", .kind = METRIC_COUNTER, .help = "Rows that left the cache.",
     .value = &core_counters.cache_evictions},
    {.name = "tarn_projector_known_ids", .kind = METRIC_GAUGE, .help = "Ids of events by which duplicates are known.",
     .value = &core_counters.known_ids},
    {.name = "tarn_projector_known_ids_bytes", .kind = METRIC_GAUGE, .help = "Memory that they take.",
     .value = &core_counters.known_ids_bytes},
    {.name = "tarn_projector_store_reads_total", .kind = METRIC_COUNTER,
     .help = "Rows that weren't in the cache and were looked for in the store.", .value = &core_counters.store_reads},
};

const size_t core_metric_count = ARRAY_COUNT(core_metrics);
