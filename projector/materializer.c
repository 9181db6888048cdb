/* Everything but the store's writer happens on the caller's thread, or on others while it waits for them (fold.h), so that
 * cache, positions and parked events need no locks. A job in flight is the only thing shared, and it holds copies and
 * counted references. What records do is the fold's business; here it is decided when what they did is committed. */
#include "projector/materializer.h"

#include <poll.h>
#include <stdlib.h>

#include "projector/core_metrics.h"
#include "projector/decisions.h"
#include "projector/flush_policy.h"
#include "projector/flusher.h"
#include "projector/fold.h"
#include "schema/base/mem.h"

enum {
    RETRY_FIRST_MS = 100,
    RETRY_MAX_MS = 10 * 1000,
    SHRINK_BYTES = 64 << 10, /* a turn; 0.1 to 0.2 ms of evicting, which an event on its way may meet several times */
    SHRINK_WAIT_US = 500,
};

struct materializer {
    struct materializer_options options;
    struct positions positions;
    struct fold *fold;
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
    size_t memory_goal; /* what options.memory_bytes is on its way to */
    struct err stall; /* kind 0: none */
    struct dropped *own_dropped; /* when it isn't shared */
    int64_t records;
    uint64_t commits;
    struct published {
        int64_t cache_bytes, cache_dirty_bytes, cache_rows, cache_evictions, store_reads, parked_now, erasures, is_stalled,
            is_catching_up, known_ids, known_ids_bytes;
    } published; /* its part of the sums in core_counters */
};

static int load(struct materializer *m, struct err *err);
static int take_in(struct materializer *m, struct err *err);
static void start_job(struct materializer *m);
static struct flush_figures figures_of(struct materializer *m);
static void publish(struct materializer *m);
static void publish_sums(struct materializer *m, const struct published *now);

int materializer_open(const struct materializer_options *options, struct materializer **ret_materializer,
                      struct err *err)
{
    struct materializer *m = mem_zero(1, sizeof(*m));

    m->options = *options;
    m->memory_goal = options->memory_bytes;
    m->policy = FLUSH_POLICY_INIT;
    m->lag = -1;
    positions_init(&m->positions, options->settings->topic_count);
    int rc = fold_open(&m->options, &m->positions, &m->fold, err);
    if (rc == 0)
        rc = load(m, err);
    if (rc == 0)
        rc = flusher_open(options->store, options->announcing, options->clock, &m->flusher, err);
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
    int rc = fold_load(m->fold, err);

    if (rc == 0 && m->options.dropped == NULL && m->options.directory != NULL)
        rc = dropped_open(m->options.directory, &m->own_dropped, err);
    struct dropped *dropped = m->options.dropped != NULL ? m->options.dropped : m->own_dropped;
    m->fold->surroundings.dropped = dropped;
    m->decisions = (struct decisions){m->fold, dropped, m->options.settings};
    return rc < 0 ? rc : decisions_catch_up(&m->decisions, err);
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
    if (m->fold != NULL)
        job_release(&m->job, m->fold->caches);
    fold_close(&m->fold);
    dropped_close(&m->own_dropped);
    positions_release(&m->positions);
    free(m);
    *materializer = NULL;
}

struct positions *materializer_positions(struct materializer *materializer)
{
    return &materializer->positions;
}

size_t materializer_parked(const struct materializer *materializer)
{
    struct fold_figures figures;

    fold_measure(materializer->fold, &figures);
    return figures.parked;
}

const struct parked_unit *materializer_parked_unit(const struct materializer *materializer, uint16_t topic,
                                                   uint64_t unit_hash)
{
    return parked_find(&fold_lane(materializer->fold, unit_hash)->parked, unit_hash, topic);
}

/* --- records --- */

int materializer_handle(struct materializer *materializer, const struct record *records, size_t count,
                        size_t *ret_handled, struct err *err)
{
    struct materializer *m = materializer;
    size_t handled = 0;
    int64_t looked_at = 0;

    int rc = fold_handle(m->fold, records, count, m->is_in_flight, &handled, &looked_at, err);
    if (rc < 0)
        return rc;
    m->is_full = handled < count;
    m->records += looked_at;
    *ret_handled = handled;
    return 0;
}

/* --- turns --- */

static void set_memory(struct materializer *m, size_t memory_bytes)
{
    m->options.memory_bytes = memory_bytes;
    fold_set_memory(m->fold, memory_bytes);
}

/* The next records evict what is too much. All at once would hold them up for a third of a second. */
static void shrink(struct materializer *m)
{
    size_t now = m->options.memory_bytes;

    if (now > m->memory_goal)
        set_memory(m, now - m->memory_goal > SHRINK_BYTES ? now - SHRINK_BYTES : m->memory_goal);
}

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
    shrink(m);
    if (turn->is_drained)
        fold_end_snapshots(m->fold); /* nothing may hold one for long */
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
    metric_add(&core_counters.rows_written, (int64_t)job_row_count(job));
    m->is_in_flight = false;
    m->stall.kind = 0;
    m->retry_ms = 0;
    for (unsigned range = 0; range < RANGE_COUNT; range++)
        if (job->ranges >> range & 1)
            m->range_commits[range] = job->number;
    fold_end_snapshots(m->fold); /* before rows turn clean: see rows.h */
    job_finish(job, m->fold->caches, &m->positions);
    return 0;
}

static bool has_news(const struct materializer *m)
{
    return m->positions.has_moved || fold_is_dirty(m->fold);
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
    m->job.is_durable = figures.is_hurried || m->policy.is_catching_up;
    for (unsigned range = 0; range < RANGE_COUNT; range++)
        if (ranges >> range & 1) {
            m->range_jobs[range] = m->last_job;
            m->range_frozen_us[range] = figures.now_us;
        }
    job_freeze(&m->job, ranges, m->fold->caches, &m->positions);
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
    struct fold_figures fold;
    fold_measure(m->fold, &fold);
    struct flush_figures figures = {.now_us = clock_monotonic_us(m->options.clock),
                                    .is_drained = m->is_drained,
                                    .is_building = m->options.is_building,
                                    .is_hurried = m->is_hurried,
                                    .lag = m->lag,
                                    .dirty_rows = fold.dirty_rows,
                                    .dirty_bytes = fold.dirty_bytes,
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

int64_t materializer_wait_us(struct materializer *materializer)
{
    if (materializer->options.memory_bytes > materializer->memory_goal)
        return SHRINK_WAIT_US;
    struct flush_figures figures = figures_of(materializer);

    /* Nothing can be begun before the job in flight has ended, and the event tells of that. */
    return materializer->is_in_flight ? FLUSH_WAIT_US : flush_policy_wait_us(&materializer->policy, &figures);
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
    materializer->memory_goal = memory_bytes;
    if (memory_bytes > materializer->options.memory_bytes)
        set_memory(materializer, memory_bytes);
}

const char *materializer_stalled(const struct materializer *materializer)
{
    return materializer->stall.kind < 0 ? materializer->stall.text : NULL;
}

static void publish(struct materializer *m)
{
    struct fold_figures fold;
    fold_measure(m->fold, &fold);
    const struct published now = {
        .cache_bytes = (int64_t)fold.cache_bytes,
        .cache_dirty_bytes = (int64_t)fold.dirty_bytes,
        .cache_rows = (int64_t)fold.rows,
        .cache_evictions = (int64_t)fold.evictions,
        .store_reads = (int64_t)fold.store_reads,
        .parked_now = (int64_t)fold.parked,
        .erasures = (int64_t)fold.erasures,
        .is_stalled = m->stall.kind < 0,
        .is_catching_up = m->policy.is_catching_up,
        .known_ids = (int64_t)fold.known_ids,
        .known_ids_bytes = (int64_t)fold.known_ids_bytes,
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
        {&counters->known_ids, now->known_ids - before->known_ids},
        {&counters->known_ids_bytes, now->known_ids_bytes - before->known_ids_bytes},
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
