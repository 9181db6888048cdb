/* One turn: tasks are begun and finished; the keeper decides what is read; the source gives what is there; the
 * materializer takes it and commits when it is time. Then, a few times a second, people are told: the log, and the report
 * that the supervisor makes everything else of.
 *
 * Nothing in a turn waits for Kafka, so that the store is committed, tasks are done and a stop is obeyed while it is
 * away. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "projector/follower_state.h"
#include "schema/base/condition.h"
#include "schema/base/mem.h"
#include "schema/store/building.h"

enum {
    TURN_MS = 100,              /* a turn at least this often, */
    ASKING_MS = 5,              /* or this often, while an answer about logs, or a task, is awaited */
    PAUSE_MS = 20,              /* or this often, while no record may be handled */
    TELL_EVERY_US = 250 * 1000, /* the report */
    LINE_EVERY_US = 10 * 1000 * 1000,
    COMMIT_EVERY_US = 5 * 1000 * 1000,
    CONNECT_PATIENCE_US = 2 * 1000 * 1000,
    BEHIND = 1000, /* records: less isn't worth a word */
};

/* --- partitioners ------------------------------------------------------------------------------------------------- */

static bool find_partitioner(const char *name, enum partitioner *ret_partitioner)
{
    for (unsigned i = PARTITIONER_MURMUR2; i <= PARTITIONER_MIXED; i++) {
        if (strcmp(name, partitioner_name((enum partitioner)i)) == 0) {
            *ret_partitioner = (enum partitioner)i;
            return true;
        }
    }
    return false;
}

int follower_check_partitioners(const struct config_list *partitioners, const struct generation_settings *settings,
                                struct err *err)
{
    for (size_t i = 0; i < partitioners->count; i++) {
        const char *item = partitioners->items[i];
        const char *equals = strchr(item, '=');
        enum partitioner partitioner;
        if (!equals || generation_topic_number(settings, span_of(item, (size_t)(equals - item))) < 0)
            return err_set(err, ERR_INPUT, "--partitioner %s: not TOPIC=NAME with a topic of the generation", item);
        if (!find_partitioner(equals + 1, &partitioner))
            return err_set(err, ERR_INPUT, "--partitioner %s: murmur2, crc32, fnv1a or mixed", item);
    }
    return 0;
}

static enum partitioner known_partitioner(const struct follower *follower, uint16_t topic)
{
    for (size_t i = 0; i < follower->positions->by_topic_count[topic]; i++) {
        const struct partition *partition = follower->positions->by_topic[topic][i];
        if (partition && partition->row.partition_count > 1)
            return (enum partitioner)partition->row.partitioner;
    }
    return PARTITIONER_UNKNOWN;
}

static void start_guesses(struct follower *follower)
{
    const struct generation_settings *shaping = &follower->generation->settings;
    const struct config_list *given = &follower->options.settings->partitioners;

    follower->guesses = mem_zero(shaping->topic_count, sizeof(*follower->guesses));
    for (size_t i = 0; i < shaping->topic_count; i++)
        partitioner_guess_init(&follower->guesses[i], known_partitioner(follower, (uint16_t)i));
    for (size_t i = 0; i < given->count; i++) {
        const char *equals = strchr(given->items[i], '=');
        struct span topic = span_of(given->items[i], (size_t)(equals - given->items[i]));
        int number = generation_topic_number(shaping, topic);
        enum partitioner partitioner;
        if (number >= 0 && find_partitioner(equals + 1, &partitioner))
            partitioner_guess_fix(&follower->guesses[number], partitioner);
    }
}

static void guess_partitioners(struct follower *follower)
{
    for (size_t i = 0; i < follower->record_count; i++) {
        const struct record *record = &follower->records[i];
        if (!record->has_key || record->is_partition_end)
            continue;
        const struct partition *partition = positions_find(follower->positions, record->topic, record->partition);
        if (partition && partition->row.partition_count > 0)
            partitioner_guess_see(&follower->guesses[record->topic], record->key, record->partition,
                                  (int32_t)partition->row.partition_count);
    }
}

static void note_partitioners(struct follower *follower)
{
    for (size_t i = 0; i < follower->positions->count; i++) {
        struct partition *partition = follower->positions->partitions[i];
        struct partition_row row = partition->row;
        row.partitioner = follower->guesses[partition->topic].answer;
        if (row.partitioner != partition->row.partitioner)
            positions_set_row(follower->positions, partition, &row);
    }
}

/* --- Kafka's state ------------------------------------------------------------------------------------------------ */

static void watch_link(struct follower *follower)
{
    const struct kafka_link *link = kafka_source_link(follower->kafka);
    struct partition_trouble trouble;

    if (link->losses != follower->losses) {
        follower->losses = link->losses;
        keeper_doubt_all(follower->keeper);
    }
    while (kafka_source_take_trouble(follower->kafka, &trouble)) {
        keeper_complain(follower->keeper, trouble.topic, trouble.partition,
                        trouble.kind == TROUBLE_OTHER ? COMPLAINT_OTHER : COMPLAINT_LOG, trouble.text);
    }
    bool is_patience_over = follower_now_us(follower) - follower->started_us > CONNECT_PATIENCE_US;
    if (link->is_up && (!follower->is_connected || follower->said_disconnected)) {
        follower_say(follower, LOG_INFO, "%s",
                     follower->said_disconnected ? "Kafka answers again" : "connected to Kafka");
        follower->said_disconnected = false;
    } else if (!link->is_up && !follower->said_disconnected && (follower->is_connected || is_patience_over)) {
        follower_say(follower, LOG_WARN, "Kafka doesn't answer (%s); trying again until it does", link->reason);
        follower->said_disconnected = true;
    }
    follower->is_connected = link->is_up;
}

static int64_t resume_offset(const struct partition *partition)
{
    int64_t oldest = partition->stored[0].next_offset;
    for (unsigned range = 1; range < RANGE_COUNT; range++) {
        if (partition->stored[range].next_offset < oldest)
            oldest = partition->stored[range].next_offset;
    }
    return oldest;
}

static void commit_offsets(struct follower *follower)
{
    const struct positions *positions = follower->positions;
    size_t count = 0;
    struct kafka_offset *offsets = mem_zero(positions->count + 1, sizeof(*offsets));
    for (size_t i = 0; i < positions->count; i++) {
        const struct partition *partition = positions->partitions[i];
        if (partition->row.state == PARTITION_FOLLOWING)
            offsets[count++] = (struct kafka_offset){partition->topic, partition->number, resume_offset(partition)};
    }
    if (count > 0 && follower->is_connected)
        kafka_source_commit(follower->kafka, offsets, count);
    free(offsets);
}

/* The log's end while records are still behind the position; at the end the source tells it as a record. */
static void note_ends(struct follower *follower)
{
    int64_t now_ms = clock_wall_ms(follower->options.clock);
    for (size_t i = 0; i < follower->positions->count; i++) {
        struct partition *partition = follower->positions->partitions[i];
        int64_t end = follower->source.end_offset(follower->source.self, partition->topic, partition->number);
        if (end > partition->row.end_offset && end > partition->cursor.next_offset)
            positions_end_seen(follower->positions, partition, end, now_ms);
    }
}

/* --- telling people ----------------------------------------------------------------------------------------------- */

/* The store has all of the partition as it was at some time, this run's or an earlier one's. */
static bool has_been_stored(const struct partition *partition)
{
    for (unsigned range = 0; range < RANGE_COUNT; range++)
        if (!layout_has_caught_up(&partition->stored[range], &partition->stored_row))
            return false;
    return true;
}

static bool has_been_caught_up(const struct follower *follower)
{
    if (follower->positions->count == 0 || !keeper_is_settled(follower->keeper))
        return false;
    for (size_t i = 0; i < follower->positions->count; i++) {
        const struct partition *partition = follower->positions->partitions[i];
        if (partition->row.state == PARTITION_FOLLOWING && !has_been_stored(partition))
            return false;
    }
    return true;
}

static const char *problem_of(const struct follower *follower)
{
    const char *stalled = materializer_stalled(follower->materializer);
    if (stalled)
        return stalled;
    if (follower->is_short_of_disk)
        return "paused: less is free on the disk than --disk-reserve keeps for the generations that are served";
    if (follower->said_disconnected)
        return "Kafka doesn't answer";
    return keeper_problem(follower->keeper);
}

static void tell_report(struct follower *follower)
{
    const struct positions *positions = follower->positions;
    struct follower_partition *partitions = mem_zero(positions->count + 1, sizeof(*partitions));
    const char *problem = problem_of(follower);

    for (size_t i = 0; i < positions->count; i++) {
        const struct partition *partition = positions->partitions[i];
        partitions[i] = (struct follower_partition){
            .topic = follower->generation->settings.topics[partition->topic],
            .number = partition->number,
            .state = partition->row.state,
            .next_offset = partition->cursor.next_offset,
            .end_offset = partition->row.end_offset,
            .parked = partition->parked,
        };
    }
    pthread_mutex_lock(&follower->lock);
    struct follower_report *report = &follower->report;
    free(report->partitions);
    report->partitions = partitions;
    report->partition_count = positions->count;
    report->told_at_us = follower_now_us(follower);
    report->is_ready = follower->is_ready;
    report->is_connected = follower->is_connected;
    report->kafka_errors = kafka_source_link(follower->kafka)->errors;
    report->records = materializer_records(follower->materializer);
    report->events_per_s = progress_rate(&follower->progress);
    report->time_left_s = progress_time_left_s(&follower->progress);
    report->lag = follower->progress.lag;
    report->share_percent = follower->is_building ? follower->throttle.share_permille / 10 : 100;
    snprintf(report->problem, sizeof(report->problem), "%s", problem ? problem : "");
    pthread_mutex_unlock(&follower->lock);
}

static void tell_progress(struct follower *follower, int64_t now)
{
    const struct progress *progress = &follower->progress;
    bool may_draw = follower->options.is_incumbent && log_has_terminal();
    bool is_behind = progress->lag > BEHIND || (!follower->is_ready && progress->lag != 0 && progress->handled);

    if (is_behind) {
        struct buf line = BUF_INIT;
        progress_line(progress, &line);
        if (may_draw)
            log_progress(buf_text(&line));
        else if (now - follower->line_us >= LINE_EVERY_US)
            follower_say(follower, LOG_INFO, "%s", buf_text(&line));
        if (now - follower->line_us >= LINE_EVERY_US)
            follower->line_us = now;
        buf_release(&line);
    } else if (follower->is_behind && progress->lag == 0) {
        if (may_draw)
            log_progress(NULL);
        struct buf handled = BUF_INIT;
        progress_number(progress->handled, &handled);
        follower_say(follower, LOG_INFO, "caught up; %s records handled since the start", buf_text(&handled));
        buf_release(&handled);
    }
    follower->is_behind = is_behind || (follower->is_behind && progress->lag != 0);
}

static void tell_stall(struct follower *follower)
{
    const char *stalled = materializer_stalled(follower->materializer);
    if (stalled && !follower->said_stalled)
        follower_say(follower, LOG_ERROR, "nothing can be committed: %s; trying again until it can", stalled);
    if (!stalled && follower->said_stalled)
        follower_say(follower, LOG_INFO, "commits go on");
    follower->said_stalled = stalled != NULL;
}

static void tell(struct follower *follower)
{
    int64_t now = follower_now_us(follower);
    if (now - follower->told_us < TELL_EVERY_US)
        return;
    follower->told_us = now;

    note_ends(follower);
    note_partitioners(follower);
    progress_note(&follower->progress, now, materializer_records(follower->materializer),
                  positions_lag(follower->positions));
    if (!follower->is_ready && has_been_caught_up(follower)) {
        follower->is_ready = true;
        announcing_look(follower->announcing, follower->positions, true); /* what comes once people know is announced */
        follower_say(follower, LOG_INFO, "ready: caught up with every partition");
    }
    tell_stall(follower);
    tell_progress(follower, now);
    tell_report(follower);
    if (now - follower->committed_us >= COMMIT_EVERY_US) {
        follower->committed_us = now;
        commit_offsets(follower);
    }
}

void follower_wait_ms(struct follower *follower, int64_t ms)
{
    struct timespec until = condition_deadline(ms);

    pthread_mutex_lock(&follower->lock);
    if (follower->tasks.given_count == 0 && !follower->is_stopping)
        pthread_cond_timedwait(&follower->changed, &follower->lock, &until);
    pthread_mutex_unlock(&follower->lock);
}

/* --- turns -------------------------------------------------------------------------------------------------------- */

static void note_pressure(struct follower *follower)
{
    int64_t took_us;
    uint64_t commits = materializer_commits(follower->materializer, &took_us);

    if (commits != follower->commits && !follower->is_building)
        pressure_note(follower->options.pressure, follower_now_us(follower), took_us);
    follower->commits = commits;
}

static int handle(struct follower *follower, bool is_drained, struct err *err)
{
    struct materializer_turn turn = {.is_drained = is_drained, .lag = positions_lag(follower->positions)};
    size_t count = follower->record_count;
    size_t taken = 0;

    for (;;) {
        size_t handled = 0;
        int rc = materializer_handle(follower->materializer, follower->records + taken, count - taken, &handled, err);
        taken += handled;
        turn.is_drained = turn.is_drained && taken == count;
        if (taken == count)
            follower_hold_reach(follower);
        if (rc == 0)
            rc = materializer_turn(follower->materializer, &turn, err);
        note_pressure(follower);
        if (rc < 0 || taken == count || follower_must_stop(follower))
            return rc;
        turn.is_drained = is_drained;
        materializer_wait(follower->materializer, 50);
        tell(follower);
    }
}

/* How many records this turn may take. */
static size_t room_for(struct follower *follower)
{
    if (!follower_hold_admits(follower))
        return 0;
    return follower->is_building ? follower_building_room(follower) : FOLLOWER_BATCH;
}

/* Until there are records, a commit has ended, or it is time to begin one; to the microsecond, as a commit takes less
 * than the millisecond that librdkafka's own waiting counts in. */
static void wait_for_news(struct follower *follower)
{
    bool is_awaited = keeper_is_asking(follower->keeper) || follower->tasks.begun_count > 0 || follower->hold.is_on;
    int64_t turn_us = (is_awaited ? ASKING_MS : TURN_MS) * 1000;
    int64_t wait_us = materializer_wait_us(follower->materializer);
    struct pollfd events[] = {
        {.fd = kafka_source_event_fd(follower->kafka), .events = POLLIN},
        {.fd = materializer_event_fd(follower->materializer), .events = POLLIN},
    };

    if (wait_us > turn_us)
        wait_us = turn_us;
    if (follower->write_back.is_on)
        wait_us = 0;
    if (wait_us > 0)
        ppoll(events, ARRAY_COUNT(events), &(struct timespec){.tv_nsec = (long)wait_us * 1000}, NULL);
}

static int take_turn(struct follower *follower, struct err *err)
{
    size_t count = 0;

    int rc = follower_tasks_serve(follower, err);
    if (rc == 0)
        rc = keeper_turn(follower->keeper, err);
    if (rc < 0)
        return rc;
    announcing_look(follower->announcing, follower->positions, follower->is_ready);
    size_t room = room_for(follower);
    if (room == 0)
        follower_wait_ms(follower, follower->hold.is_on ? 1 : PAUSE_MS);
    else
        wait_for_news(follower);
    rc = follower->source.poll(follower->source.self, follower->records, room, 0, &count, err);
    if (rc < 0 && rc != ERR_AGAIN)
        return rc;
    int64_t began_us = follower_now_us(follower);
    follower->record_count = count;
    follower_hold_cut(follower);
    guess_partitioners(follower);
    /* Short of disk: what is dirty stays in the cache until there is room again. */
    rc = follower->is_short_of_disk && materializer_is_idle(follower->materializer)
             ? 0
             : handle(follower, count < room || follower->hold.is_on, err);
    watch_link(follower);
    tell(follower);
    if (rc == 0 && follower->is_building)
        rc = follower_building_turn(follower, room - count, began_us, err);
    return rc;
}

int follower_loop(struct follower *follower, enum follower_phase *ret_phase, struct err *err)
{
    bool is_whole = false;
    int rc = 0;

    follower->records = mem_zero(FOLLOWER_BATCH, sizeof(*follower->records));
    follower->started_us = follower->line_us = follower->committed_us = follower_now_us(follower);
    if (follower->is_building)
        follower_building_begin(follower);
    start_guesses(follower);
    while (rc == 0 && !is_whole && !follower_must_stop(follower)) {
        rc = take_turn(follower, err);
        if (rc == 0 && follower->is_building)
            rc = follower_building_finish(follower, &is_whole, err);
        if (is_whole)
            tell_report(follower);
    }
    /* What it didn't commit is read again after the next start: a stop in good order, whatever the last turn met. */
    if (rc < 0 && follower_must_stop(follower)) {
        follower_say(follower, LOG_WARN, "while stopping: %s", err->text);
        rc = 0;
    }
    if (follower->options.is_incumbent)
        log_progress(NULL);
    *ret_phase = is_whole ? FOLLOWER_WHOLE : FOLLOWER_ENDED;
    return rc;
}
