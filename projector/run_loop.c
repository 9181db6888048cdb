/* One turn: the keeper decides what is read; the source gives what is there; the materializer takes it and commits
 * when it is time. Then, a few times a second, people are told: the log, the progress line, the admin listener,
 * DIR/control/live for `status`, Kafka's own lag monitors.
 *
 * Nothing in a turn waits for Kafka, so that the store is committed, requests are served and a stop is obeyed while it
 * is away. */
#include "projector/run_loop.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ops/runtime/log.h"
#include "ops/runtime/stop.h"
#include "projector/core_metrics.h"
#include "projector/keeper.h"
#include "projector/live_figures.h"
#include "projector/partitioner_guess.h"
#include "projector/progress.h"
#include "schema/base/mem.h"

enum {
    BATCH = 4096,
    TURN_MS = 100,              /* a turn at least this often, */
    ASKING_MS = 5,              /* or this often, while an answer about logs is awaited */
    TELL_EVERY_US = 250 * 1000, /* the progress line */
    STATE_EVERY_US = 1000 * 1000,
    LINE_EVERY_US = 10 * 1000 * 1000,
    COMMIT_EVERY_US = 5 * 1000 * 1000,
    CONNECT_PATIENCE_US = 2 * 1000 * 1000,
    BEHIND = 1000, /* records: less isn't worth a word */
};

struct run {
    const struct run_parts *parts;
    struct positions *positions;
    char *const *topics;
    size_t topic_count;
    struct record_source source;
    struct keeper *keeper;
    struct partitioner_guess *guesses; /* by topic */
    struct record *records;
    struct progress progress;
    int64_t started_us;
    int64_t told_us, state_told_us, line_us, committed_us;
    bool is_ready;
    bool is_connected;
    bool said_disconnected;
    bool is_behind;
    unsigned losses;
    bool said_stalled;
    bool said_live_fault;
};

static int64_t now_us(const struct run *run)
{
    return clock_monotonic_us(run->parts->clock);
}

static void say(void *self, enum log_level level, const char *sentence)
{
    (void)self;
    log_write(level, "%s", sentence);
}

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

int run_loop_check_partitioners(const struct config_list *partitioners, const struct generation_settings *settings,
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

static enum partitioner known_partitioner(const struct run *run, uint16_t topic)
{
    for (size_t i = 0; i < run->positions->by_topic_count[topic]; i++) {
        const struct partition *partition = run->positions->by_topic[topic][i];
        if (partition && partition->row.partition_count > 1)
            return (enum partitioner)partition->row.partitioner;
    }
    return PARTITIONER_UNKNOWN;
}

static void start_guesses(struct run *run)
{
    run->guesses = mem_zero(run->topic_count, sizeof(*run->guesses));
    for (size_t i = 0; i < run->topic_count; i++)
        partitioner_guess_init(&run->guesses[i], known_partitioner(run, (uint16_t)i));
    const struct config_list *given = run->parts->partitioners;
    for (size_t i = 0; i < given->count; i++) {
        const char *equals = strchr(given->items[i], '=');
        struct span topic = span_of(given->items[i], (size_t)(equals - given->items[i]));
        int number = generation_topic_number(&run->parts->generation->settings, topic);
        enum partitioner partitioner;
        if (number >= 0 && find_partitioner(equals + 1, &partitioner))
            partitioner_guess_fix(&run->guesses[number], partitioner);
    }
}

static void guess_partitioners(struct run *run, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct record *record = &run->records[i];
        if (!record->has_key || record->is_partition_end)
            continue;
        const struct partition *partition = positions_find(run->positions, record->topic, record->partition);
        if (partition && partition->row.partition_count > 0)
            partitioner_guess_see(&run->guesses[record->topic], record->key, record->partition,
                                  (int32_t)partition->row.partition_count);
    }
}

static void note_partitioners(struct run *run)
{
    for (size_t i = 0; i < run->positions->count; i++) {
        struct partition *partition = run->positions->partitions[i];
        struct partition_row row = partition->row;
        row.partitioner = run->guesses[partition->topic].answer;
        if (row.partitioner != partition->row.partitioner)
            positions_set_row(run->positions, partition, &row);
    }
}

/* --- Kafka's state ------------------------------------------------------------------------------------------------ */

static void watch_link(struct run *run)
{
    const struct kafka_link *link = kafka_source_link(run->parts->source);
    struct partition_trouble trouble;

    if (link->losses != run->losses) {
        run->losses = link->losses;
        keeper_doubt_all(run->keeper);
    }
    while (kafka_source_take_trouble(run->parts->source, &trouble)) {
        keeper_complain(run->keeper, trouble.topic, trouble.partition,
                        trouble.kind == TROUBLE_OTHER ? COMPLAINT_OTHER : COMPLAINT_LOG, trouble.text);
    }
    bool is_patience_over = now_us(run) - run->started_us > CONNECT_PATIENCE_US;
    if (link->is_up && (!run->is_connected || run->said_disconnected)) {
        log_info(run->said_disconnected ? "Kafka answers again" : "connected to Kafka");
        run->said_disconnected = false;
    } else if (!link->is_up && !run->said_disconnected && (run->is_connected || is_patience_over)) {
        log_warn("Kafka doesn't answer (%s); trying again until it does", link->reason);
        run->said_disconnected = true;
    }
    run->is_connected = link->is_up;
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

static void commit_offsets(struct run *run)
{
    size_t count = 0;
    struct kafka_offset *offsets = mem_zero(run->positions->count + 1, sizeof(*offsets));
    for (size_t i = 0; i < run->positions->count; i++) {
        const struct partition *partition = run->positions->partitions[i];
        if (partition->row.state == PARTITION_FOLLOWING)
            offsets[count++] = (struct kafka_offset){partition->topic, partition->number, resume_offset(partition)};
    }
    if (count > 0 && run->is_connected)
        kafka_source_commit(run->parts->source, offsets, count);
    free(offsets);
}

/* The log's end while records are still behind the position; at the end the source tells it as a record. */
static void note_ends(struct run *run)
{
    int64_t now_ms = clock_wall_ms(run->parts->clock);
    for (size_t i = 0; i < run->positions->count; i++) {
        struct partition *partition = run->positions->partitions[i];
        int64_t end = run->source.end_offset(run->source.self, partition->topic, partition->number);
        if (end > partition->row.end_offset && end > partition->cursor.next_offset)
            positions_end_seen(run->positions, partition, end, now_ms);
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

static bool has_been_caught_up(const struct run *run)
{
    if (run->positions->count == 0 || !keeper_is_settled(run->keeper))
        return false;
    for (size_t i = 0; i < run->positions->count; i++) {
        const struct partition *partition = run->positions->partitions[i];
        if (partition->row.state == PARTITION_FOLLOWING && !has_been_stored(partition))
            return false;
    }
    return true;
}

static const char *problem_of(const struct run *run)
{
    const char *stalled = materializer_stalled(run->parts->materializer);
    if (stalled)
        return stalled;
    if (run->said_disconnected)
        return "Kafka doesn't answer";
    return keeper_problem(run->keeper);
}

static void tell_state(struct run *run)
{
    struct live_figures figures = {
        .written_at_ms = clock_wall_ms(run->parts->clock),
        .events_per_s = progress_rate(&run->progress),
        .time_left_s = progress_time_left_s(&run->progress),
    };
    const char *problem = problem_of(run);
    snprintf(figures.generation, sizeof(figures.generation), "%s", run->parts->generation->name);
    snprintf(figures.problem, sizeof(figures.problem), "%s", problem ? problem : "");

    struct err err = {0};
    int rc = live_figures_write(run->parts->directory, &figures, &err);
    if (rc < 0 && !run->said_live_fault)
        log_warn("what `status` shows can't be written: %s", err.text);
    run->said_live_fault = rc < 0;

    struct run_state state = {
        .positions = run->positions,
        .topics = run->topics,
        .is_ready = run->is_ready,
        .is_connected = run->is_connected,
        .kafka_errors = kafka_source_link(run->parts->source)->errors,
        .events_per_s = figures.events_per_s,
        .lag = run->progress.lag,
        .problem = problem,
    };
    run_admin_tell(run->parts->admin, &state);
}

static void tell_progress(struct run *run, int64_t now)
{
    bool is_behind = run->progress.lag > BEHIND || (!run->is_ready && run->progress.lag != 0 && run->progress.handled);
    if (is_behind) {
        struct buf line = BUF_INIT;
        progress_line(&run->progress, &line);
        if (log_has_terminal())
            log_progress(buf_text(&line));
        else if (now - run->line_us >= LINE_EVERY_US)
            log_info("%s", buf_text(&line));
        if (now - run->line_us >= LINE_EVERY_US)
            run->line_us = now;
        buf_release(&line);
    } else if (run->is_behind && run->progress.lag == 0) {
        log_progress(NULL);
        struct buf handled = BUF_INIT;
        progress_number(run->progress.handled, &handled);
        log_info("caught up; %s records handled since the start", buf_text(&handled));
        buf_release(&handled);
    }
    run->is_behind = is_behind || (run->is_behind && run->progress.lag != 0);
}

static void tell_stall(struct run *run)
{
    const char *stalled = materializer_stalled(run->parts->materializer);
    if (stalled && !run->said_stalled)
        log_error("nothing can be committed: %s; trying again until it can", stalled);
    if (!stalled && run->said_stalled)
        log_info("commits go on");
    run->said_stalled = stalled != NULL;
}

static void tell(struct run *run)
{
    int64_t now = now_us(run);
    if (now - run->told_us < TELL_EVERY_US)
        return;
    run->told_us = now;

    note_ends(run);
    note_partitioners(run);
    progress_note(&run->progress, now, metric_get(&core_counters.records), positions_lag(run->positions));
    if (!run->is_ready && has_been_caught_up(run)) {
        run->is_ready = true;
        log_info("ready: caught up with every partition");
    }
    tell_stall(run);
    tell_progress(run, now);
    if (now - run->state_told_us >= STATE_EVERY_US) {
        run->state_told_us = now;
        tell_state(run);
    }
    if (now - run->committed_us >= COMMIT_EVERY_US) {
        run->committed_us = now;
        commit_offsets(run);
    }
}

/* --- turns -------------------------------------------------------------------------------------------------------- */

static int handle(struct run *run, size_t count, struct err *err)
{
    struct materializer_turn turn = {.is_drained = count < BATCH, .lag = positions_lag(run->positions)};
    size_t taken = 0;

    for (;;) {
        size_t handled = 0;
        int rc = materializer_handle(run->parts->materializer, run->records + taken, count - taken, &handled, err);
        taken += handled;
        turn.is_drained = turn.is_drained && taken == count;
        if (rc == 0)
            rc = materializer_turn(run->parts->materializer, &turn, err);
        if (rc < 0 || taken == count || stop_requested())
            return rc;
        turn.is_drained = count < BATCH;
        materializer_wait(run->parts->materializer, 50);
        tell(run);
    }
}

static int take_turn(struct run *run, struct err *err)
{
    size_t count = 0;
    int rc = keeper_turn(run->keeper, err);
    if (rc < 0)
        return rc;
    int wait_ms = materializer_wait_ms(run->parts->materializer);
    int turn_ms = keeper_is_asking(run->keeper) ? ASKING_MS : TURN_MS;
    if (wait_ms < 0 || wait_ms > turn_ms)
        wait_ms = turn_ms;
    rc = run->source.poll(run->source.self, run->records, BATCH, wait_ms, &count, err);
    if (rc < 0 && rc != ERR_AGAIN)
        return rc;
    guess_partitioners(run, count);
    rc = handle(run, count, err);
    if (rc == 0)
        rc = requests_serve(run->parts->requests, err);
    watch_link(run);
    tell(run);
    return rc;
}

int run_loop(const struct run_parts *parts, struct err *err)
{
    struct run run = {
        .parts = parts,
        .positions = materializer_positions(parts->materializer),
        .topics = parts->generation->settings.topics,
        .topic_count = parts->generation->settings.topic_count,
        .source = kafka_source_port(parts->source),
        .records = mem_zero(BATCH, sizeof(*run.records)),
    };
    struct keeper_options keeper = {
        .positions = run.positions,
        .topics = run.topics,
        .topic_count = run.topic_count,
        .source = run.source,
        .watch = parts->watch,
        .clock = parts->clock,
        .say = say,
    };
    run.keeper = keeper_new(&keeper);
    run.started_us = run.line_us = run.committed_us = now_us(&run);
    start_guesses(&run);

    int rc = 0;
    while (rc == 0 && !stop_requested())
        rc = take_turn(&run, err);
    /* What it didn't commit is read again after the next start: a stop in good order, whatever the last turn met. */
    if (rc < 0 && stop_requested()) {
        log_warn("while stopping: %s", err->text);
        rc = 0;
    }

    log_progress(NULL);
    keeper_free(&run.keeper);
    free(run.guesses);
    free(run.records);
    return rc;
}
