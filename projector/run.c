/* The set-up and the end of `run`; run_loop.c is what happens between. What is opened first is closed last: the lock is
 * held until the store is closed. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ops/runtime/log.h"
#include "ops/runtime/stop.h"
#include "projector/kafka_watch.h"
#include "projector/run_generation.h"
#include "projector/run_loop.h"
#include "schema/base/mem.h"
#include "schema/store/lock.h"

struct parts {
    struct lock *lock;
    struct generation *generation;
    struct view_set *views;
    struct store *store;
    struct kafka_source *source;
    struct kafka_watch *watch;
    struct materializer *materializer;
    struct requests *requests;
    struct run_admin *admin;
    char *group;
    struct record_source port;
};

static void close_parts(struct parts *parts)
{
    run_admin_close(&parts->admin);
    requests_free(&parts->requests);
    materializer_close(&parts->materializer);
    kafka_watch_close(&parts->watch);
    kafka_source_close(&parts->source);
    store_close(&parts->store);
    view_set_free(&parts->views);
    generation_close(&parts->generation);
    lock_release(&parts->lock);
    free(parts->group);
}

static void say_parked(void *self, const struct parked_key *key, enum park_reason reason, const char *message)
{
    const struct parts *parts = self;
    log_warn("parked %s/%" PRId32 "@%" PRId64 " (%s): %s", parts->generation->settings.topics[key->topic],
             key->partition, key->offset, park_reason_name(reason), message);
}

static struct kafka_settings kafka_settings_of(const struct run_settings *settings, const struct parts *parts)
{
    return (struct kafka_settings){
        .brokers = settings->brokers,
        .group = parts->group ? parts->group : "tarn",
        .extra = &settings->kafka,
        .memory_bytes = (uint64_t)settings->memory_bytes / 4,
    };
}

/* What can be a mistake of the set-up comes first: nothing is made or listened on before it was found right. */
static int prepare(const struct run_settings *settings, struct parts *parts, struct err *err)
{
    struct kafka_settings kafka = kafka_settings_of(settings, parts);
    struct store_options options = {.access = STORE_READ_WRITE};

    int rc = kafka_settings_check(&kafka, err);
    if (rc == 0)
        rc = store_directory_prepare(settings->store, err);
    if (rc == 0)
        rc = lock_take(settings->store, "tarn-projector run", &parts->lock, err);
    if (rc == 0)
        rc = run_generation_prepare(settings, &parts->generation, &parts->views, err);
    if (rc == 0)
        rc = run_loop_check_partitioners(&settings->partitioners, &parts->generation->settings, err);
    if (rc == 0)
        rc = store_open(parts->generation->folder, &options, &parts->store, err);
    return rc;
}

static int open_parts(const struct run_settings *settings, struct parts *parts, struct err *err)
{
    const struct generation_settings *shaping = &parts->generation->settings;

    parts->group = settings->group ? mem_text(settings->group) : mem_format("tarn-%s", parts->generation->name);
    struct kafka_settings kafka = kafka_settings_of(settings, parts);
    int rc = kafka_source_open(&kafka, shaping->topics, shaping->topic_count, &parts->source, err);
    if (rc == 0)
        rc = kafka_watch_open(&kafka, shaping->topics, shaping->topic_count, &parts->watch, err);
    if (rc < 0)
        return rc;

    parts->port = kafka_source_port(parts->source);
    struct materializer_options options = {
        .store = parts->store,
        .views = parts->views,
        .settings = shaping,
        .source = &parts->port,
        .directory = settings->store,
        .memory_bytes = (size_t)settings->memory_bytes / 4 * 3,
        .park_limit = (size_t)settings->park_limit,
        .clock = &clock_system,
        .listener = {.parked = say_parked, .self = parts},
    };
    rc = materializer_open(&options, &parts->materializer, err);
    if (rc == 0)
        rc = run_admin_open(settings->listen, &parts->admin, err);
    if (rc == 0)
        parts->requests =
            requests_new(settings->store, parts->generation->name, parts->materializer, shaping, &clock_system);
    return rc;
}

static int run(void *settings_at, const struct config_list *arguments, struct err *err)
{
    const struct run_settings *settings = settings_at;
    struct parts parts = {0};
    (void)arguments;

    int rc = prepare(settings, &parts, err);
    if (rc == 0)
        rc = open_parts(settings, &parts, err);
    if (rc == 0) {
        log_info("generation %s in %s; admin on %s", parts.generation->name, settings->store,
                 run_admin_address(parts.admin));
        struct run_parts loop = {
            .directory = settings->store,
            .generation = parts.generation,
            .partitioners = &settings->partitioners,
            .clock = &clock_system,
            .source = parts.source,
            .watch = kafka_watch_port(parts.watch),
            .materializer = parts.materializer,
            .requests = parts.requests,
            .admin = parts.admin,
        };
        rc = run_loop(&loop, err);
        log_info("stopping");
    }
    close_parts(&parts);
    if (rc == 0)
        *err = (struct err){0}; /* answers like "there is none yet" on the way are no faults */
    return rc < 0 ? command_exit_of(err) : EXIT_DONE;
}

const struct command command_run = {
    .config = {.program = "tarn-projector",
               .name = "run",
               .arguments = NULL,
               .summary = "follows Kafka and keeps the store up to date",
               .help = "Makes the first generation if there is none, then follows the topics until SIGTERM. Starts "
                       "without Kafka and keeps trying. A second start goes on where the store is.\n\n"
                       "  tarn-projector run --schema screens.binpb --store /var/lib/tarn --brokers kafka:9092 \\\n"
                       "      --topics genetics=genetics.events,identity=users",
               .options = run_options,
               .option_count = RUN_OPTION_COUNT},
    .settings_size = sizeof(struct run_settings),
    .run = run,
};
