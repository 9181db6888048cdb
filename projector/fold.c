/* Range r belongs to lane r modulo their number: ranges are committed in order, so that each lane gets room in turn.
 *
 * A cursor says that everything before it is handled. When a lane stops early (its cache is full, or a partition has too
 * many parked events) the cursor stops there, while other lanes may have handled records behind it. Those can't be taken
 * back, and needn't: their ranges' own positions, which a commit of those ranges writes with their rows, tell that they
 * are ahead, exactly as after a crash between the commits of two ranges. */
#include "projector/fold.h"

#include <stdlib.h>
#include <unistd.h>

#include "projector/core_metrics.h"
#include "projector/crew.h"
#include "schema/base/mem.h"

enum {
    THREADS_DEFAULT_MAX = 4,
    CREW_RECORDS_MIN = 64, /* below, waking threads costs more than they bring */
};

static void route(struct fold *fold, const struct record *records, size_t count);
static void run(struct fold *fold, size_t count);
static size_t settle(struct fold *fold, const struct record *records, size_t count, int64_t *tally);
static void count_batch(const int64_t *tally);

unsigned fold_default_threads(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    return cores < 1 ? 1 : cores > THREADS_DEFAULT_MAX ? THREADS_DEFAULT_MAX : (unsigned)cores;
}

int fold_open(const struct materializer_options *options, struct positions *positions, struct fold **ret_fold,
              struct err *err)
{
    struct fold *fold = mem_zero(1, sizeof(*fold));
    unsigned threads = options->fold_threads > 0 ? options->fold_threads : fold_default_threads();
    uint32_t ranges[RANGE_COUNT] = {0};

    fold->positions = positions;
    fold->surroundings.options = options;
    pthread_mutex_init(&fold->surroundings.listener_lock, NULL);
    fold->lane_count = threads > RANGE_COUNT ? RANGE_COUNT : threads;
    for (unsigned range = 0; range < RANGE_COUNT; range++)
        ranges[range % fold->lane_count] |= 1u << range;

    int rc = intake_new(options->views, options->settings, &fold->intake, err);
    fold->surroundings.intake = fold->intake;
    for (unsigned i = 0; rc == 0 && i < fold->lane_count; i++)
        rc = lane_open(&fold->surroundings, positions, ranges[i], options->memory_bytes / fold->lane_count,
                       &fold->lanes[i], err);
    if (rc == 0 && fold->lane_count > 1)
        rc = crew_open(fold->lane_count, &fold->crew, err);
    if (rc < 0) {
        fold_close(&fold);
        return rc;
    }
    for (unsigned range = 0; range < RANGE_COUNT; range++)
        fold->caches[range] = fold->lanes[range % fold->lane_count]->rows.cache;
    *ret_fold = fold;
    return 0;
}

void fold_close(struct fold **fold)
{
    if (*fold == NULL)
        return;
    struct fold *f = *fold;
    crew_close(&f->crew);
    for (unsigned i = 0; i < f->lane_count; i++)
        lane_close(&f->lanes[i]);
    intake_free(&f->intake);
    pthread_mutex_destroy(&f->surroundings.listener_lock);
    free(f);
    *fold = NULL;
}

int fold_load(struct fold *fold, struct err *err)
{
    struct rows *rows = &fold->lanes[0]->rows;

    int rc = rows_begin_snapshot(rows, err);
    if (rc == 0)
        rc = positions_load(fold->positions, rows->reader, err);
    rows_end_snapshot(rows);
    for (unsigned i = 0; rc == 0 && i < fold->lane_count; i++)
        rc = lane_load(fold->lanes[i], err);
    return rc;
}

/* --- a batch --- */

int fold_handle(struct fold *fold, const struct record *records, size_t count, bool is_in_flight, size_t *ret_handled,
                int64_t *ret_records, struct err *err)
{
    int64_t tally[TALLY_COUNT] = {0};
    int rc = 0;

    for (unsigned i = 0; i < fold->lane_count; i++)
        lane_begin(fold->lanes[i], is_in_flight);
    route(fold, records, count);
    run(fold, count);
    for (unsigned i = 0; i < fold->lane_count; i++) {
        struct lane *lane = fold->lanes[i];
        for (size_t k = 0; k < TALLY_COUNT; k++)
            tally[k] += lane->tally[k];
        if (rc == 0 && lane->rc < 0) {
            rc = lane->rc;
            *err = lane->err;
        }
    }
    if (rc < 0)
        return rc;
    *ret_handled = settle(fold, records, count, tally);
    *ret_records = tally[TALLY_RECORDS];
    count_batch(tally);
    fold_unpark(fold);
    return 0;
}

static struct partition *followed(const struct fold *fold, const struct record *record)
{
    struct partition *partition = positions_find(fold->positions, record->topic, record->partition);

    return partition != NULL && partition->row.state == PARTITION_FOLLOWING && !partition->is_cut ? partition : NULL;
}

static void route(struct fold *fold, const struct record *records, size_t count)
{
    enum { AHEAD = 8 };
    const struct generation_settings *settings = fold->surroundings.options->settings;

    fold->positions->batch++;
    for (size_t i = 0; i < count; i++) {
        const struct record *record = &records[i];
        struct partition *partition = followed(fold, record);
        if (i + AHEAD < count)
            __builtin_prefetch(records[i + AHEAD].key.at);
        if (partition != NULL && record->is_partition_end)
            announcing_end_reached(fold->surroundings.options->announcing, record->topic, record->partition,
                                   record->offset);
        if (partition == NULL || record->is_partition_end ||
            !positions_is_next(fold->positions, partition, record->offset))
            continue;
        const struct parked_key at = {0, record->topic, record->partition, record->offset};
        const struct routed routed = {record, partition, layout_unit_hash(&at, record->has_key, record->key), i};
        if (generation_takes_owner(settings, routed.unit_hash))
            lane_add(fold_lane(fold, routed.unit_hash), &routed);
    }
}

static void run_lane(void *self, unsigned number)
{
    struct fold *fold = self;

    lane_run(fold->lanes[number]);
}

static struct lane *lane_of_next_record(const struct fold *fold)
{
    struct lane *found = NULL;

    for (unsigned i = 0; i < fold->lane_count; i++) {
        struct lane *lane = fold->lanes[i];
        if (lane->next < lane->count &&
            (found == NULL || lane->records[lane->next].index < found->records[found->next].index))
            found = lane;
    }
    return found;
}

static bool is_refused(const struct fold *fold, const struct routed *routed)
{
    for (unsigned i = 0; i < fold->lane_count; i++)
        if (lane_refused(fold->lanes[i], routed->partition, routed->index))
            return true;
    return false;
}

/* By the caller alone, in the order of the batch: nothing gets ahead of anything. */
static void run_in_order(struct fold *fold)
{
    struct lane *lane;
    bool goes_on = true;

    while (goes_on && (lane = lane_of_next_record(fold)) != NULL) {
        if (is_refused(fold, &lane->records[lane->next]))
            lane_refuse(lane, &lane->records[lane->next++]);
        else
            goes_on = lane_step(lane);
    }
    for (unsigned i = 0; i < fold->lane_count; i++)
        lane_stop(fold->lanes[i]);
}

static void run(struct fold *fold, size_t count)
{
    if (fold->lane_count == 1)
        lane_run(fold->lanes[0]);
    else if (count >= CREW_RECORDS_MIN)
        crew_run(fold->crew, run_lane, fold);
    else
        run_in_order(fold);
}

/* --- what it did to the partitions --- */

/* Where each partition that a lane refused stops: before the first record that any did. */
static bool collect_refusals(struct fold *fold)
{
    bool has_any = false;

    for (unsigned i = 0; i < fold->lane_count; i++)
        for (size_t k = 0; k < fold->lanes[i]->refusal_count; k++) {
            const struct refusal *refusal = &fold->lanes[i]->refusals[k];
            struct partition *partition = refusal->partition;
            if (!partition->is_cut || refusal->index + 1 < partition->cut_at)
                partition->cut_at = refusal->index + 1;
            partition->is_cut = true;
            has_any = true;
        }
    return has_any;
}

static void pass(struct fold *fold, struct partition *partition, const struct record *record, int64_t *tally)
{
    if (record->is_partition_end) {
        positions_advance_to(fold->positions, partition, record->offset);
        positions_end_seen(fold->positions, partition, record->offset,
                           clock_wall_ms(fold->surroundings.options->clock));
        return;
    }
    tally[TALLY_RECORDS]++;
    if (record->offset < partition->cursor.next_offset)
        tally[TALLY_REPLAYED]++;
    else
        positions_advance(fold->positions, partition, record);
}

/* The records behind the cursors that lanes have handled nevertheless. */
static void note_what_is_ahead(struct fold *fold, const struct record *records, size_t count)
{
    for (unsigned i = 0; i < fold->lane_count; i++) {
        const struct lane *lane = fold->lanes[i];
        size_t stop = lane->stop < count ? lane->stop : count;
        for (size_t k = 0; k < stop; k++) {
            const struct record *record = &records[k];
            struct partition *partition = positions_find(fold->positions, record->topic, record->partition);
            if (partition == NULL || partition->row.state != PARTITION_FOLLOWING || record->is_partition_end ||
                (partition->is_cut && partition->cut_at == 0) || record->offset < partition->cursor.next_offset ||
                lane_refused(lane, partition, k))
                continue;
            for (unsigned range = 0; range < RANGE_COUNT; range++)
                if (lane_has(lane, range))
                    positions_go_ahead(fold->positions, partition, range, record);
        }
    }
}

static void park_what_was_cut(struct fold *fold)
{
    for (unsigned i = 0; i < fold->lane_count; i++)
        for (size_t k = 0; k < fold->lanes[i]->refusal_count; k++) {
            struct partition *partition = fold->lanes[i]->refusals[k].partition;
            partition->cut_at = 0;
            positions_set_state(fold->positions, partition, PARTITION_PARKED);
        }
}

static size_t settle(struct fold *fold, const struct record *records, size_t count, int64_t *tally)
{
    bool has_refusals = collect_refusals(fold);
    size_t handled = count;

    for (unsigned i = 0; i < fold->lane_count; i++)
        if (fold->lanes[i]->stop < handled)
            handled = fold->lanes[i]->stop;
    for (size_t i = 0; i < handled; i++) {
        struct partition *partition = positions_find(fold->positions, records[i].topic, records[i].partition);
        if (partition != NULL && partition->row.state == PARTITION_FOLLOWING &&
            (!partition->is_cut || i + 1 < partition->cut_at))
            pass(fold, partition, &records[i], tally);
    }
    if (fold->lane_count > 1 && (has_refusals || handled < count))
        note_what_is_ahead(fold, records, count);
    if (has_refusals)
        park_what_was_cut(fold);
    return handled;
}

void fold_unpark(struct fold *fold)
{
    bool has_removed = false;

    for (unsigned i = 0; i < fold->lane_count; i++) {
        has_removed |= fold->lanes[i]->parked.has_removed;
        fold->lanes[i]->parked.has_removed = false;
    }
    if (has_removed)
        positions_unpark(fold->positions, fold->surroundings.options->park_limit);
}

static void count_batch(const int64_t *tally)
{
    struct core_counters *counters = &core_counters;
    _Atomic int64_t *const values[TALLY_COUNT] = {
        [OUTCOME_APPLIED] = &counters->applied,
        [OUTCOME_SKIPPED_TYPE] = &counters->skipped_type,
        [OUTCOME_SKIPPED_NULL] = &counters->skipped_null,
        [OUTCOME_DUPLICATE] = &counters->skipped_duplicate,
        [OUTCOME_REUSED_ID] = &counters->skipped_reused,
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

/* --- the rest --- */

void fold_end_snapshots(struct fold *fold)
{
    for (unsigned i = 0; i < fold->lane_count; i++)
        rows_end_snapshot(&fold->lanes[i]->rows);
}

void fold_set_memory(struct fold *fold, size_t memory_bytes)
{
    for (unsigned i = 0; i < fold->lane_count; i++)
        cache_set_budget(fold->lanes[i]->rows.cache, memory_bytes / fold->lane_count);
}

void fold_measure(const struct fold *fold, struct fold_figures *ret_figures)
{
    struct fold_figures figures = {0};

    for (unsigned i = 0; i < fold->lane_count; i++) {
        const struct lane *lane = fold->lanes[i];
        const struct cache *cache = lane->rows.cache;
        figures.cache_bytes += cache_bytes(cache);
        figures.dirty_bytes += cache_dirty_bytes(cache);
        figures.dirty_rows += cache_dirty_rows(cache);
        figures.rows += cache_row_count(cache);
        figures.evictions += cache_evictions(cache);
        figures.store_reads += lane->rows.store_reads;
        figures.erasures += lane->applier.erasure_count;
        figures.parked += lane->parked.event_count;
        figures.known_ids += lane->dedupe.known;
        figures.known_ids_bytes += lane->dedupe.bytes;
    }
    *ret_figures = figures;
}

bool fold_is_dirty(const struct fold *fold)
{
    for (unsigned i = 0; i < fold->lane_count; i++)
        if (cache_dirty_rows(fold->lanes[i]->rows.cache) > 0)
            return true;
    return false;
}
