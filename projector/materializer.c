/* Everything but the store's writer happens on the caller's thread, so that cache, positions and parked events need no
 * locks. A job in flight is the only thing shared, and it holds copies and counted references. What one record does is
 * the applier's business (applier.h); here records get their place: known ones are dropped, positions move, and the budget
 * is kept by taking no more records than the cache has room for. */
#include "projector/materializer.h"

#include <poll.h>
#include <stdlib.h>

#include "projector/applier.h"
#include "projector/core_metrics.h"
#include "projector/decisions.h"
#include "projector/flush_policy.h"
#include "projector/flusher.h"
#include "projector/foresight.h"
#include "schema/base/mem.h"

enum { RETRY_FIRST_MS = 100, RETRY_MAX_MS = 10 * 1000, BUSY_WAIT_US = 1000 };

struct materializer {
    struct materializer_options options;
    struct intake *intake;
    struct positions positions;
    struct rows rows;
    struct erasures erasures;
    struct parked_units parked;
    struct applier applier;
    struct decisions decisions;
    struct flusher *flusher;

    struct flush_policy policy;
    struct job job;
    bool is_in_flight; /* the flusher has the job */
    bool is_to_be_retried;
    uint64_t last_job;                   /* number of the last job that was made */
    uint64_t range_jobs[RANGE_COUNT];    /* the last job with that range, made, */
    uint64_t range_commits[RANGE_COUNT]; /* and committed */
    int64_t range_frozen_us[RANGE_COUNT];
    int64_t news_since_us; /* since when something isn't committed; 0: nothing */
    int64_t last_took_us;                  /* of the last job taken in: the job itself is the flusher's */
    int64_t retry_at_us;
    int64_t retry_ms;
    bool is_hurried;
    bool is_full;
    bool is_drained;
    int64_t lag;
    struct err stall; /* kind 0: none */
    struct dropped *own_dropped; /* when it isn't shared */
    int64_t records;
    uint64_t commits;
    struct published {
        int64_t cache_bytes, cache_dirty_bytes, cache_rows, cache_evictions, store_reads, parked_now, erasures, is_stalled,
            is_catching_up;
    } published; /* its part of the sums in core_counters */
};

static int load(struct materializer *m, struct err *err);
static int handle_record(struct materializer *m, const struct record *record, int64_t *tally, struct err *err);
static int take_in(struct materializer *m, struct err *err);
static void start_job(struct materializer *m);
static struct flush_figures figures_of(struct materializer *m);
static void publish(struct materializer *m);
static void publish_sums(struct materializer *m, const struct published *now);

int materializer_open(const struct materializer_options *options, struct materializer **ret_materializer,
                      struct err *err)
{
    struct materializer *m = mem_zero(1, sizeof(*m));
    const struct view_set *views = options->views;
    bool *by_owner = mem_zero(views->view_count + 1, sizeof(*by_owner));

    for (size_t i = 0; i < views->view_count; i++)
        by_owner[views->views[i].number] = views->views[i].key_count > 1;
    m->options = *options;
    m->policy = FLUSH_POLICY_INIT;
    m->lag = -1;
    positions_init(&m->positions, options->settings->topic_count);
    m->rows.cache = cache_new(options->memory_bytes, by_owner, views->view_count);
    free(by_owner);
    erasures_init(&m->erasures, &m->rows);
    parked_init(&m->parked, &m->rows, &m->positions, options->park_limit);

    int rc = intake_new(views, options->settings, &m->intake, err);
    applier_init(&m->applier, m->intake, &m->rows, &m->erasures, &m->parked,
                 (struct projection_limits){.max_view_bytes = options->settings->max_view_bytes});
    m->decisions = (struct decisions){&m->applier, &m->parked, NULL, options->settings};
    if (rc == 0)
        rc = store_reader_open(options->store, &m->rows.reader, err);
    if (rc == 0)
        rc = load(m, err);
    if (rc == 0)
        rc = flusher_open(options->store, options->clock, &m->flusher, err);
    if (rc < 0) {
        materializer_close(&m);
        return rc;
    }
    publish(m);
    *ret_materializer = m;
    return 0;
}

static int load(struct materializer *m, struct err *err)
{
    int rc = rows_begin_snapshot(&m->rows, err);

    if (rc == 0)
        rc = positions_load(&m->positions, m->rows.reader, err);
    rows_end_snapshot(&m->rows);
    if (rc == 0)
        rc = erasures_load(&m->erasures, err);
    if (rc == 0)
        rc = parked_load(&m->parked, err);
    if (rc == 0 && m->options.dropped == NULL && m->options.directory != NULL)
        rc = dropped_open(m->options.directory, &m->own_dropped, err);
    m->decisions.dropped = m->options.dropped != NULL ? m->options.dropped : m->own_dropped;
    if (rc == 0)
        rc = decisions_catch_up(&m->decisions, err);
    return rc;
}

void materializer_close(struct materializer **materializer)
{
    if (*materializer == NULL)
        return;
    struct materializer *m = *materializer;
    publish_sums(m, &(struct published){.cache_evictions = m->published.cache_evictions,
                                        .store_reads = m->published.store_reads,
                                        .erasures = m->published.erasures});
    flusher_close(&m->flusher);
    job_release(&m->job, m->rows.cache);
    rows_end_snapshot(&m->rows);
    store_reader_close(&m->rows.reader);
    dropped_close(&m->own_dropped);
    applier_release(&m->applier);
    parked_release(&m->parked);
    erasures_release(&m->erasures);
    cache_free(&m->rows.cache);
    positions_release(&m->positions);
    intake_free(&m->intake);
    free(m);
    *materializer = NULL;
}

struct positions *materializer_positions(struct materializer *materializer)
{
    return &materializer->positions;
}

struct parked_units *materializer_parked(struct materializer *materializer)
{
    return &materializer->parked;
}

/* --- records --- */

/* What is counted per batch rather than per record: an atomic addition costs as much as a table look-up. */
enum { TALLY_REPLAYED = OUTCOME_COUNT, TALLY_DROPPED, TALLY_RECORDS, TALLY_COUNT };

static void count_batch(const int64_t *tally)
{
    struct core_counters *counters = &core_counters;
    _Atomic int64_t *const values[TALLY_COUNT] = {
        [OUTCOME_APPLIED] = &counters->applied,
        [OUTCOME_SKIPPED_TYPE] = &counters->skipped_type,
        [OUTCOME_SKIPPED_NULL] = &counters->skipped_null,
        [OUTCOME_ERASED] = &counters->erased,
        [OUTCOME_PARKED] = &counters->parked,
        [OUTCOME_WAITS] = &counters->parked,
        [TALLY_REPLAYED] = &counters->replayed,
        [TALLY_DROPPED] = &counters->skipped_dropped,
        [TALLY_RECORDS] = &counters->records,
    };

    for (size_t i = 0; i < TALLY_COUNT; i++)
        if (values[i] != NULL && tally[i] > 0)
            metric_add(values[i], tally[i]);
}

int materializer_handle(struct materializer *materializer, const struct record *records, size_t count,
                        size_t *ret_handled, struct err *err)
{
    struct materializer *m = materializer;
    int64_t tally[TALLY_COUNT] = {0};
    size_t handled = 0;
    int rc = 0;

    struct foresight foresight;

    m->is_full = false;
    foresight_begin(&foresight, m->intake, m->rows.cache, records, count);
    for (; rc == 0 && handled < count; handled++) {
        /* With nothing left to commit, waiting wouldn't make room. */
        if (!cache_trim(m->rows.cache) && (m->is_in_flight || cache_dirty_rows(m->rows.cache) > 0)) {
            m->is_full = true;
            break;
        }
        foresight_look(&foresight, handled);
        rc = handle_record(m, &records[handled], tally, err);
    }
    count_batch(tally);
    m->records += tally[TALLY_RECORDS];
    if (rc == 0)
        *ret_handled = handled;
    return rc;
}

static void handle_partition_end(struct materializer *m, struct partition *partition, const struct record *record)
{
    positions_advance_to(&m->positions, partition, record->offset);
    positions_end_seen(&m->positions, partition, record->offset, clock_wall_ms(m->options.clock));
}

static int handle_record(struct materializer *m, const struct record *record, int64_t *tally, struct err *err)
{
    struct partition *partition = positions_find(&m->positions, record->topic, record->partition);
    enum park_reason reason = PARK_UNPARSEABLE;
    struct err reason_text;
    enum outcome outcome = OUTCOME_APPLIED;

    if (partition == NULL || partition->row.state != PARTITION_FOLLOWING)
        return 0;
    if (record->is_partition_end) {
        handle_partition_end(m, partition, record);
        return 0;
    }
    tally[TALLY_RECORDS]++;
    if (record->offset < partition->cursor.next_offset) {
        tally[TALLY_REPLAYED]++;
        return 0;
    }
    const struct parked_key at = {0, record->topic, record->partition, record->offset};
    uint64_t unit_hash = layout_unit_hash(&at, record->has_key, record->key);
    if (!generation_takes_owner(m->options.settings, unit_hash)) {
        positions_advance(&m->positions, partition, record);
        return 0;
    }
    if (positions_is_replayed(partition, owner_range(unit_hash), record->offset)) {
        tally[TALLY_REPLAYED]++;
    } else if (decisions_has_dropped(&m->decisions, record->topic, record->partition, record->offset)) {
        tally[TALLY_DROPPED]++;
    } else {
        struct incoming incoming = intake_incoming(m->intake, m->options.source, record, unit_hash);
        int rc = applier_take(&m->applier, &incoming, &outcome, &reason, &reason_text, err);
        if (rc < 0)
            return err_prefix(err, "%s/%d@%lld", m->options.settings->topics[record->topic], record->partition,
                              (long long)record->offset);
        tally[outcome]++;
        if (outcome == OUTCOME_PARTITION_FULL) {
            positions_set_state(&m->positions, partition, PARTITION_PARKED);
            return 0;
        }
        if (outcome == OUTCOME_PARKED && m->options.listener.parked != NULL)
            m->options.listener.parked(m->options.listener.self, &incoming.at, reason, reason_text.text);
    }
    positions_advance(&m->positions, partition, record);
    return 0;
}

/* --- turns --- */

int materializer_turn(struct materializer *materializer, const struct materializer_turn *turn, struct err *err)
{
    struct materializer *m = materializer;

    positions_end_batch(&m->positions);
    m->is_drained = turn->is_drained;
    m->lag = turn->lag;
    int rc = take_in(m, err);
    if (rc < 0)
        return rc;
    start_job(m);
    if (turn->is_drained)
        rows_end_snapshot(&m->rows); /* nothing may hold one for long */
    publish(m);
    return 0;
}

/* A job that has ended. On a full disk it stays as it is, and its rows stay frozen, until it is written. */
static int take_in(struct materializer *m, struct err *err)
{
    struct job *job = m->is_in_flight ? flusher_finished(m->flusher) : NULL;

    if (job == NULL)
        return 0;
    metric_observe_us(&core_commit_seconds, job->took_us);
    m->last_took_us = job->took_us;
    if (job->rc == ERR_FULL) {
        metric_add(&core_counters.commit_failures, 1);
        m->stall = job->err;
        m->retry_ms = m->retry_ms == 0                 ? RETRY_FIRST_MS
                      : m->retry_ms * 2 < RETRY_MAX_MS ? m->retry_ms * 2
                                                       : RETRY_MAX_MS;
        m->retry_at_us = clock_monotonic_us(m->options.clock) + m->retry_ms * 1000;
        m->is_to_be_retried = true;
        return 0;
    }
    if (job->rc < 0) {
        *err = job->err;
        return err_prefix(err, "commit");
    }
    m->commits++;
    metric_add(&core_counters.commits, 1);
    metric_add(&core_counters.rows_written, (int64_t)job->rows.count);
    m->is_in_flight = false;
    m->stall.kind = 0;
    m->retry_ms = 0;
    for (unsigned range = 0; range < RANGE_COUNT; range++)
        if (job->ranges >> range & 1)
            m->range_commits[range] = job->number;
    rows_end_snapshot(&m->rows); /* before rows turn clean: see rows.h */
    job_finish(job, m->rows.cache, &m->positions);
    return 0;
}

static bool has_news(const struct materializer *m)
{
    return m->positions.has_moved || cache_dirty_rows(m->rows.cache) > 0;
}

static void start_job(struct materializer *m)
{
    struct flush_figures figures = figures_of(m);

    if (m->is_in_flight) {
        if (m->is_to_be_retried && figures.now_us >= m->retry_at_us) {
            m->is_to_be_retried = false;
            flusher_start(m->flusher, &m->job);
        }
        return;
    }
    if (!figures.has_news && !figures.has_changed)
        m->is_hurried = false;
    enum flush_choice choice = flush_policy_choose(&m->policy, &figures);
    if (choice == FLUSH_NOTHING)
        return;

    uint32_t ranges = ALL_RANGES;
    if (choice == FLUSH_OLDEST_RANGE)
        ranges = 1u << positions_oldest_range(&m->positions, m->range_jobs);
    m->job.number = ++m->last_job;
    for (unsigned range = 0; range < RANGE_COUNT; range++)
        if (ranges >> range & 1) {
            m->range_jobs[range] = m->last_job;
            m->range_frozen_us[range] = figures.now_us;
        }
    job_freeze(&m->job, ranges, m->rows.cache, &m->positions);
    if (ranges == ALL_RANGES) {
        m->positions.has_moved = false;
        m->positions.has_changed = false;
        m->news_since_us = 0;
    }
    m->is_in_flight = true;
    flusher_start(m->flusher, &m->job);
}

static struct flush_figures figures_of(struct materializer *m)
{
    const struct cache *cache = m->rows.cache;
    struct flush_figures figures = {.now_us = clock_monotonic_us(m->options.clock),
                                    .is_drained = m->is_drained,
                                    .is_hurried = m->is_hurried,
                                    .lag = m->lag,
                                    .dirty_rows = cache_dirty_rows(cache),
                                    .dirty_bytes = cache_dirty_bytes(cache),
                                    .budget_bytes = m->options.memory_bytes,
                                    .is_full = m->is_full,
                                    .last_took_us = m->last_took_us,
                                    .has_news = has_news(m),
                                    .has_changed = m->positions.has_changed};

    if (figures.has_news && m->news_since_us == 0)
        m->news_since_us = figures.now_us;
    int64_t frozen_us = m->range_frozen_us[positions_oldest_range(&m->positions, m->range_jobs)];
    figures.oldest_dirty_us = m->news_since_us > frozen_us ? m->news_since_us : frozen_us;
    return figures;
}

int materializer_wait_ms(struct materializer *materializer)
{
    struct flush_figures figures = figures_of(materializer);
    int64_t wait_us = flush_policy_wait_us(&materializer->policy, &figures);

    if (materializer->is_in_flight && figures.has_news && wait_us < BUSY_WAIT_US)
        wait_us = BUSY_WAIT_US;
    return (int)((wait_us + 999) / 1000);
}

void materializer_wait(struct materializer *materializer, int wait_ms)
{
    struct pollfd ended = {.fd = flusher_event_fd(materializer->flusher), .events = POLLIN};

    if (materializer->is_in_flight)
        poll(&ended, 1, wait_ms);
}

int materializer_event_fd(const struct materializer *materializer)
{
    return flusher_event_fd(materializer->flusher);
}

int materializer_flush(struct materializer *materializer, struct err *err)
{
    struct materializer *m = materializer;
    const struct materializer_turn turn = {.is_drained = true, .lag = m->lag};
    int rc = 0;

    for (;;) {
        m->is_hurried = true;
        rc = materializer_turn(m, &turn, err);
        if (rc < 0)
            return rc;
        if (m->stall.kind < 0) {
            *err = m->stall;
            return m->stall.kind;
        }
        if (!m->is_in_flight && !has_news(m) && !m->positions.has_changed)
            break;
        materializer_wait(m, RETRY_FIRST_MS);
    }
    m->is_hurried = false;
    return 0;
}

uint64_t materializer_mark(struct materializer *materializer)
{
    materializer->is_hurried = true;
    return materializer->last_job;
}

bool materializer_is_committed(const struct materializer *materializer, uint64_t mark)
{
    if (!materializer->is_in_flight && !has_news(materializer))
        return true;
    for (unsigned range = 0; range < RANGE_COUNT; range++)
        if (materializer->range_commits[range] <= mark)
            return false;
    return true;
}

bool materializer_is_idle(const struct materializer *materializer)
{
    return !materializer->is_in_flight;
}

int64_t materializer_records(const struct materializer *materializer)
{
    return materializer->records;
}

uint64_t materializer_commits(const struct materializer *materializer, int64_t *ret_took_us)
{
    *ret_took_us = materializer->last_took_us;
    return materializer->commits;
}

void materializer_set_memory(struct materializer *materializer, size_t memory_bytes)
{
    materializer->options.memory_bytes = memory_bytes;
    cache_set_budget(materializer->rows.cache, memory_bytes);
}

const char *materializer_stalled(const struct materializer *materializer)
{
    return materializer->stall.kind < 0 ? materializer->stall.text : NULL;
}

static void publish(struct materializer *m)
{
    const struct published now = {
        .cache_bytes = (int64_t)cache_bytes(m->rows.cache),
        .cache_dirty_bytes = (int64_t)cache_dirty_bytes(m->rows.cache),
        .cache_rows = (int64_t)cache_row_count(m->rows.cache),
        .cache_evictions = (int64_t)cache_evictions(m->rows.cache),
        .store_reads = (int64_t)m->rows.store_reads,
        .parked_now = (int64_t)m->parked.event_count,
        .erasures = (int64_t)m->applier.erasure_count,
        .is_stalled = m->stall.kind < 0,
        .is_catching_up = m->policy.is_catching_up,
    };
    publish_sums(m, &now);
}

/* The figures are the process's: each materializer adds what has changed of its own. */
static void publish_sums(struct materializer *m, const struct published *now)
{
    struct core_counters *counters = &core_counters;
    struct published *before = &m->published;
    const struct {
        _Atomic int64_t *sum;
        int64_t change;
    } changes[] = {
        {&counters->cache_bytes, now->cache_bytes - before->cache_bytes},
        {&counters->cache_dirty_bytes, now->cache_dirty_bytes - before->cache_dirty_bytes},
        {&counters->cache_rows, now->cache_rows - before->cache_rows},
        {&counters->cache_evictions, now->cache_evictions - before->cache_evictions},
        {&counters->store_reads, now->store_reads - before->store_reads},
        {&counters->parked_now, now->parked_now - before->parked_now},
        {&counters->erasures, now->erasures - before->erasures},
        {&counters->is_stalled, now->is_stalled - before->is_stalled},
        {&counters->is_catching_up, now->is_catching_up - before->is_catching_up},
    };

    for (size_t i = 0; i < ARRAY_COUNT(changes); i++)
        if (changes[i].change != 0)
            metric_add(changes[i].sum, changes[i].change);
    *before = *now;
}

/* --- parked events --- */

int materializer_retry(struct materializer *materializer, const struct parked_selection *selection,
                       struct parked_outcome *ret_outcome, struct err *err)
{
    return decisions_retry(&materializer->decisions, selection, ret_outcome, err);
}

int materializer_catch_up_decisions(struct materializer *materializer, struct err *err)
{
    return decisions_catch_up(&materializer->decisions, err);
}

int materializer_drop(struct materializer *materializer, const struct parked_selection *selection,
                      struct parked_outcome *ret_outcome, struct err *err)
{
    return decisions_drop(&materializer->decisions, selection, ret_outcome, err);
}
