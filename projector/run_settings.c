#include "projector/run_settings.h"

#include "projector/materializer.h"
#include "schema/base/compiler.h"

#define AT(field) offsetof(struct run_settings, field)

/* Known to a later version; until then nobody may think that it is obeyed. */
#define LATER(option, what)                                                                                            \
    {.name = option, .kind = CONFIG_TEXT, .offset = AT(refused), .placeholder = "...", .help = what,                   \
     .refused = "this version doesn't support it yet"}

static const char *const framings[] = {"none", "confluent", NULL};

const struct config_option run_options[] = {
    COMMAND_COMMON_OPTIONS(struct run_settings),
    {.name = "schema", .kind = CONFIG_TEXT, .offset = AT(schema), .placeholder = "FILE", .is_required = true,
     .help = "The descriptor set with views and events, from protoc --include_imports --descriptor_set_out."},
    {.name = "store", .kind = CONFIG_TEXT, .offset = AT(store), .placeholder = "DIR", .is_required = true,
     .help = "The store's directory; made when it isn't there."},
    {.name = "brokers", .kind = CONFIG_TEXT, .offset = AT(brokers), .placeholder = "HOST:PORT,...",
     .is_required = true, .help = "Kafka brokers to begin with; the others are learned from them."},
    {.name = "topics", .kind = CONFIG_LIST, .offset = AT(topics), .placeholder = "TOPIC|STREAM=TOPIC,...",
     .is_required = true,
     .help = "Which topic brings which stream of the schema: one topic for all, or a topic for each stream."},
    {.name = "listen", .kind = CONFIG_TEXT, .offset = AT(listen), .placeholder = "ADDR:PORT",
     .fallback = "127.0.0.1:9464", .help = "Where /healthz, /readyz and /metrics are answered. Port 0 takes a free one."},
    {.name = "memory", .kind = CONFIG_BYTES, .offset = AT(memory_bytes), .placeholder = "BYTES", .fallback = "1GiB",
     .min = (int64_t)64 << 20, .max = (int64_t)1 << 42,
     .help = "What cache and fetched records may take together, at any lag."},
    {.name = "type-header", .kind = CONFIG_LIST, .offset = AT(type_headers), .placeholder = "NAME",
     .fallback = "type,ce_type,eventType",
     .help = "Record headers that hold an event's type: the first one that is there. Fixed when the store is made."},
    {.name = "topic-type", .kind = CONFIG_PAIRS, .offset = AT(topic_types), .placeholder = "TOPIC=FULL.NAME",
     .help = "The type of a topic's records that have no such header. Fixed when the store is made."},
    {.name = "framing", .kind = CONFIG_CHOICE, .offset = AT(framing), .placeholder = "FRAMING", .fallback = "none",
     .choices = framings,
     .help = "confluent: values begin with the Schema Registry's framing. Fixed when the store is made."},
    {.name = "max-view-bytes", .kind = CONFIG_BYTES, .offset = AT(max_view_bytes), .placeholder = "BYTES",
     .fallback = "1MiB", .min = 1024, .max = (int64_t)512 << 20,
     .help = "The largest that one stream's part of a view may grow to; an event that would pass it is parked. Fixed "
             "when the store is made."},
    {.name = "park-limit", .kind = CONFIG_INTEGER, .offset = AT(park_limit), .placeholder = "EVENTS",
     .fallback = "1000", .min = 1, .max = 100 * 1000 * 1000,
     .help = "A partition with more parked events than this, those that wait behind them included, is stopped."},
    {.name = "partitioner", .kind = CONFIG_PAIRS, .offset = AT(partitioners),
     .placeholder = "TOPIC=murmur2|crc32|fnv1a|mixed",
     .help = "How a topic's producers choose partitions, where it can't be left to be found out from the records."},
    {.name = "kafka", .kind = CONFIG_PAIRS, .offset = AT(kafka), .placeholder = "NAME=VALUE", .is_secret = true,
     .help = "A setting of librdkafka: SASL, TLS, timeouts. Those that exactness rests on are refused."},
    {.name = "group", .kind = CONFIG_TEXT, .offset = AT(group), .placeholder = "NAME",
     .help = "The consumer group whose committed offsets show the lag to Kafka's own tools; no group is joined. "
             "Default: tarn-GENERATION."},
    LATER("shard", "I/N: the partitions of one of N projectors."),
    LATER("announce-topic", "The topic of announcements."),
    LATER("dedupe", "How long the ids of events are remembered."),
};
_Static_assert(ARRAY_COUNT(run_options) == RUN_OPTION_COUNT, "as many rows as the table is said to have");
