/* The set-up and the end of `run`; supervisor.c is what happens between. What is opened first is closed last: the lock is
 * held until every store is closed. */
#include <malloc.h>
#include <stdlib.h>

#include "ops/runtime/log.h"
#include "ops/runtime/thread_priority.h"
#include "projector/generation_change.h"
#include "projector/kafka_client.h"
#include "projector/run_admin.h"
#include "projector/run_generation.h"
#include "projector/supervisor.h"
#include "schema/base/mem.h"
#include "schema/store/durable.h"
#include "schema/store/lock.h"

enum { ARENA_STEP_BYTES = 8 << 20, OWN_MAP_BYTES = 32 << 20 };

/* By itself a thread's arena grows 128 KiB at a time: each step is an mprotect(), for which all other threads' page faults
 * wait, those of live generations too, while the least important thread may be off its processor. Untouched memory costs
 * nothing. Whoever sets this must also set from which size on a piece is mapped by itself: malloc no longer learns it,
 * and would map and unmap each megabyte that librdkafka fetches, which the kernel has to clear.
 * Small pieces that are freed lie apart (fastbins) until some larger request joins all of them at once: after half of a
 * live cache of 1 GiB was given back, that held up live events for 0.3 s. Joined one by one, it costs nothing that is felt. */
static void set_up_malloc(void)
{
#ifdef M_TOP_PAD
    mallopt(M_TOP_PAD, ARENA_STEP_BYTES);
    mallopt(M_MMAP_THRESHOLD, OWN_MAP_BYTES);
    mallopt(M_MXFAST, 0);
#endif
}

static void say(void *self, const char *sentence)
{
    (void)self;
    log_warn("%s", sentence);
}

/* For `rebuild`, which asks Kafka whether it still has the beginning. A full disk is no reason not to start: what can't be
 * committed waits until there is room. */
static void note_brokers(const struct run_settings *settings)
{
    char *control = mem_format("%s/control", settings->store);
    struct err err;

    if (durable_write(control, "brokers", span_of_text(settings->brokers), &err) < 0)
        log_warn("%s; `rebuild` has to be told --brokers", err.text);
    free(control);
}

/* What can be a mistake of the set-up comes first: nothing is made or listened on before it was found right. */
static int prepare(const struct run_settings *settings, struct lock **ret_lock, struct err *err)
{
    const struct kafka_settings kafka = {.brokers = settings->brokers,
                                         .group = settings->group ? settings->group : "tarn",
                                         .extra = &settings->kafka,
                                         .memory_bytes = (uint64_t)settings->memory_bytes / 4};
    const struct changer changer = {.directory = settings->store, .clock = &clock_system};

    int rc = kafka_settings_check(&kafka, err);
    if (rc == 0)
        rc = store_directory_prepare(settings->store, err);
    if (rc == 0)
        rc = lock_take(settings->store, "tarn-projector run", ret_lock, err);
    if (rc == 0)
        rc = change_clean_up(&changer, say, NULL, err);
    if (rc == 0)
        rc = run_generation_prepare(settings, err);
    if (rc == 0)
        note_brokers(settings);
    return rc;
}

static int run(void *settings_at, const struct config_list *arguments, struct err *err)
{
    const struct run_settings *settings = settings_at;
    struct lock *lock = NULL;
    struct supervisor *supervisor = NULL;
    struct run_admin *admin = NULL;
    (void)arguments;

    set_up_malloc();
    thread_priority_prompt();
    int rc = prepare(settings, &lock, err);
    if (rc == 0)
        rc = supervisor_open(settings, &clock_system, &supervisor, err);
    if (rc == 0)
        rc = run_admin_open(settings->listen, &admin, err);
    if (rc == 0) {
        log_info("generation %s in %s; admin on %s", serving_incumbent(supervisor_serving(supervisor)), settings->store,
                 run_admin_address(admin));
        rc = supervisor_run(supervisor, admin, err);
        log_info("stopping");
    }
    run_admin_close(&admin);
    if (supervisor_close(&supervisor))
        lock_release(&lock);
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
