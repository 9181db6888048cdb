/* One table; /metrics prints it as it stands when there is an announcer. */
#include "projector/announcer_metrics.h"

#include "schema/base/compiler.h"

struct announcer_counters announcer_counters;

static const double bounds[] = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 60, 600};
static _Atomic uint64_t counts[ARRAY_COUNT(bounds) + 1];
struct metric_histogram announcer_seconds = {
    .bounds = bounds, .bound_count = ARRAY_COUNT(bounds), .counts = counts};

const struct metric announcer_metrics[] = {
    {.name = "tarn_projector_announcements_published_total", .kind = METRIC_COUNTER,
     .help = "Announcements that Kafka has acknowledged.", .value = &announcer_counters.published},
    {.name = "tarn_projector_announcements_given_up_total", .kind = METRIC_COUNTER,
     .help = "Announcements that were never published: more than --announce-backlog were pending, or the topic refuses "
             "them.",
     .value = &announcer_counters.given_up},
    {.name = "tarn_projector_announcements_erased_total", .kind = METRIC_COUNTER,
     .help = "Announcements left out because their key was erased before.", .value = &announcer_counters.erased},
    {.name = "tarn_projector_announcements_pending", .kind = METRIC_GAUGE,
     .help = "Announcements in the stores of what is served that aren't known to be published.",
     .value = &announcer_counters.pending},
    {.name = "tarn_projector_announcements_oldest_seconds", .kind = METRIC_GAUGE,
     .help = "How long the oldest that waits for Kafka has been visible; 0: none waits.",
     .value = &announcer_counters.oldest_ms, .scale = 0.001},
    {.name = "tarn_projector_announcement_seconds", .kind = METRIC_HISTOGRAM,
     .help = "From a change's visibility until Kafka has acknowledged its announcement.",
     .histogram = &announcer_seconds},
};

const size_t announcer_metric_count = ARRAY_COUNT(announcer_metrics);
