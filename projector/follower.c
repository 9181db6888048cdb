/* The thread opens, loops and closes by itself, so that several generations do so at once, and so that whatever it starts
 * (the flusher, librdkafka's threads) inherits its priority. Only the store is left to follower_close(), on the
 * supervisor's thread, as that one may be reading from it. A priority once lowered can't be raised again without
 * privileges: so a generation that is built isn't turned into a live one, but closed and opened anew. */
#include "projector/follower.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "ops/runtime/stop.h"
#include "ops/runtime/thread_priority.h"
#include "projector/follower_state.h"
#include "schema/base/condition.h"
#include "schema/base/mem.h"
#include "schema/store/generation.h"

static void *follower_thread(void *self);

int follower_open(const struct follower_options *options, struct follower **ret_follower, struct err *err)
{
    struct follower *follower = mem_zero(1, sizeof(*follower));

    follower->options = *options;
    snprintf(follower->name, sizeof(follower->name), "%s", options->name);
    follower->options.name = follower->name;
    follower->report.lag = follower->report.time_left_s = -1;
    pthread_mutex_init(&follower->lock, NULL);
    condition_init(&follower->changed);
    int code = pthread_create(&follower->thread, NULL, follower_thread, follower);
    if (code != 0) {
        follower_close(&follower, 0);
        return err_set_errno(err, ERR_BROKEN, code, "a thread for generation %s", options->name);
    }
    follower->has_thread = true;
    *ret_follower = follower;
    return 0;
}

void follower_stop(struct follower *follower)
{
    pthread_mutex_lock(&follower->lock);
    follower->is_stopping = true;
    pthread_cond_broadcast(&follower->changed);
    pthread_mutex_unlock(&follower->lock);
}

static bool join(struct follower *follower, int patience_ms)
{
    struct timespec until;

    if (patience_ms == 0)
        return pthread_join(follower->thread, NULL) == 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += patience_ms / 1000;
    until.tv_nsec += (long)(patience_ms % 1000) * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return pthread_timedjoin_np(follower->thread, NULL, &until) == 0;
}

bool follower_close(struct follower **follower, int patience_ms)
{
    struct follower *closed = *follower;

    if (closed == NULL)
        return true;
    *follower = NULL;
    if (closed->has_thread) {
        follower_stop(closed);
        if (!join(closed, patience_ms))
            return false;
    }
    store_close(&closed->store);
    generation_start_release(&closed->start);
    generation_close(&closed->generation);
    follower_report_release(&closed->report);
    follower_tasks_release(closed);
    pthread_cond_destroy(&closed->changed);
    pthread_mutex_destroy(&closed->lock);
    free(closed);
    return true;
}

bool follower_must_stop(const struct follower *follower)
{
    return follower->is_stopping || stop_requested();
}

void follower_say(const struct follower *follower, enum log_level level, const char *format, ...)
{
    struct err text;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text.text, sizeof(text.text), format, arguments);
    va_end(arguments);
    if (follower->options.is_incumbent)
        log_write(level, "%s", text.text);
    else
        log_write(level, "generation %s: %s", follower->name, text.text);
}

/* --- what the supervisor sees ------------------------------------------------------------------------------------- */

void follower_look(struct follower *follower, struct follower_report *ret_report)
{
    pthread_mutex_lock(&follower->lock);
    *ret_report = follower->report;
    ret_report->partitions =
        mem_copy(follower->report.partitions, follower->report.partition_count * sizeof(*ret_report->partitions));
    pthread_mutex_unlock(&follower->lock);
}

void follower_report_release(struct follower_report *report)
{
    free(report->partitions);
    report->partitions = NULL;
    report->partition_count = 0;
}

enum follower_phase follower_phase(struct follower *follower)
{
    pthread_mutex_lock(&follower->lock);
    enum follower_phase phase = follower->report.phase;
    pthread_mutex_unlock(&follower->lock);
    return phase;
}

const char *follower_name(const struct follower *follower)
{
    return follower->name;
}

struct store *follower_store(struct follower *follower)
{
    pthread_mutex_lock(&follower->lock);
    struct store *store = follower->shown_store;
    pthread_mutex_unlock(&follower->lock);
    return store;
}

static void set_phase(struct follower *follower, enum follower_phase phase, const struct err *err)
{
    pthread_mutex_lock(&follower->lock);
    follower->report.phase = phase;
    follower->report.is_building = follower->is_building;
    follower->report.rate = follower->building.rate;
    follower->shown_store = follower->store;
    if (err != NULL)
        follower->report.err = *err;
    pthread_mutex_unlock(&follower->lock);
}

/* --- the thread --------------------------------------------------------------------------------------------------- */

static int load_views(struct follower *follower, struct err *err)
{
    struct mistakes mistakes = {NULL, 0, 0};

    int rc = view_set_load(buf_span(&follower->generation->schema), &follower->views, &mistakes, err);
    for (size_t i = 0; rc < 0 && i < mistakes.count; i++)
        log_error("%s: %s", follower->name, mistakes.lines[i]);
    mistakes_release(&mistakes);
    return rc < 0 ? err_prefix(err, "%s", follower->name) : 0;
}

static int open_generation(struct follower *follower, struct err *err)
{
    const struct run_settings *settings = follower->options.settings;

    int rc = generation_open(settings->store, follower->name, &follower->generation, err);
    if (rc == 0)
        rc = generation_start_read(follower->generation->settings.start, &follower->start, err);
    if (rc == 0)
        rc = load_views(follower, err);
    if (rc == 0 && follower->options.is_incumbent)
        rc = follower_check_partitioners(&settings->partitioners, &follower->generation->settings, err);
    if (rc < 0)
        return rc;
    rc = building_read(follower->generation->folder, &follower->building, err);
    follower->is_building = rc == 0;
    return rc == ERR_ABSENT ? 0 : rc;
}

static void say_parked(void *self, const struct parked_key *key, enum park_reason reason, const char *message)
{
    const struct follower *follower = self;
    follower_say(follower, LOG_WARN, "parked %s/%" PRId32 "@%" PRId64 " (%s): %s",
                 follower->generation->settings.topics[key->topic], key->partition, key->offset,
                 park_reason_name(reason), message);
}

static void say_kept(void *self, enum log_level level, const char *sentence)
{
    follower_say(self, level, "%s", sentence);
}

static struct kafka_settings kafka_settings_of(const struct follower *follower)
{
    const struct run_settings *settings = follower->options.settings;
    return (struct kafka_settings){
        .brokers = settings->brokers,
        .group = follower->group,
        .extra = &settings->kafka,
        .memory_bytes = (uint64_t)follower->options.memory_bytes / 4,
    };
}

static int open_parts(struct follower *follower, struct err *err)
{
    const struct run_settings *settings = follower->options.settings;
    const struct generation_settings *shaping = &follower->generation->settings;

    follower->group = settings->group && follower->options.is_incumbent ? mem_text(settings->group)
                                                                         : mem_format("tarn-%s", follower->name);
    struct kafka_settings kafka = kafka_settings_of(follower);
    int rc = kafka_source_open(&kafka, shaping->topics, shaping->topic_count, &follower->kafka, err);
    if (rc == 0)
        rc = kafka_watch_open(&kafka, shaping->topics, shaping->topic_count, &follower->watch, err);
    if (rc < 0)
        return rc;
    if (follower->options.announcer != NULL)
        rc = announcer_join(follower->options.announcer, follower->name, follower->store, follower->views, shaping,
                            &follower->announcing, err);
    if (rc < 0)
        return rc;
    follower->source = kafka_source_port(follower->kafka);
    struct materializer_options options = {
        .store = follower->store,
        .views = follower->views,
        .settings = shaping,
        .source = &follower->source,
        .directory = settings->store,
        .announcing = follower->announcing,
        .dropped = follower->options.dropped,
        .is_building = follower->is_building,
        .memory_bytes = follower->options.memory_bytes / 4 * 3,
        .park_limit = (size_t)settings->park_limit,
        .fold_threads = (unsigned)settings->fold_threads,
        .clock = follower->options.clock,
        .listener = {.parked = say_parked, .self = follower},
    };
    rc = materializer_open(&options, &follower->materializer, err);
    if (rc < 0)
        return rc;
    follower->positions = materializer_positions(follower->materializer);
    struct keeper_options keeper = {
        .positions = follower->positions,
        .topics = shaping->topics,
        .topic_count = shaping->topic_count,
        .source = follower->source,
        .watch = kafka_watch_port(follower->watch),
        .clock = follower->options.clock,
        .start = &follower->start,
        .say = say_kept,
        .self = follower,
    };
    follower->keeper = keeper_new(&keeper);
    return 0;
}

static int open_all(struct follower *follower, struct err *err)
{
    int rc = open_generation(follower, err);
    if (rc < 0)
        return rc;
    if (follower->is_building)
        thread_priority_background();
    struct store_options options = {.access = STORE_READ_WRITE,
                                    .skips_syncs = follower->is_building && !follower->building.syncs};
    rc = store_open(follower->generation->folder, &options, &follower->store, err);
    if (rc < 0)
        return rc;
    follower->warm_up = warm_up_start(follower->store, (uint64_t)follower->options.settings->read_ahead_bytes);
    return open_parts(follower, err);
}

/* All but the store. */
static void close_parts(struct follower *follower)
{
    warm_up_end(&follower->warm_up);
    keeper_free(&follower->keeper);
    materializer_close(&follower->materializer);
    announcer_leave(follower->options.announcer, &follower->announcing);
    kafka_watch_close(&follower->watch);
    kafka_source_close(&follower->kafka);
    view_set_free(&follower->views);
    free(follower->guesses);
    free(follower->records);
    free(follower->group);
}

static void *follower_thread(void *self)
{
    struct follower *follower = self;
    enum follower_phase phase = FOLLOWER_FAILED;
    struct err err = {0};

    int rc = open_all(follower, &err);
    if (rc == 0) {
        set_phase(follower, FOLLOWER_FOLLOWING, NULL);
        if (follower->is_building)
            follower->options.pressure->building++;
        rc = follower_loop(follower, &phase, &err);
        if (follower->is_building)
            follower->options.pressure->building--;
    }
    /* Nobody waits for what isn't done any more, however long librdkafka takes to go, on a thread of low priority too. */
    set_phase(follower, FOLLOWER_CLOSING, NULL);
    follower_tasks_fail(follower, rc == 0 && phase == FOLLOWER_WHOLE);
    close_parts(follower);
    set_phase(follower, rc < 0 ? FOLLOWER_FAILED : phase, &err);
    return NULL;
}
