/* projector/fold.h - records into views on several threads: the owner ranges are dealt to lanes (lane.h), a batch is cut
 * up by owner, every lane handles its part, and then it is settled what that did to the partitions.
 *
 *     route: record -> owner's hash -> lane;  run: every lane at once;  settle: cursors, states, counts
 *
 * Between batches all of it is the calling thread's, so that jobs, requests and figures need no locks. Small batches, of
 * which live traffic consists, are handled by the caller alone. */
#ifndef TARN_PROJECTOR_FOLD_H
#define TARN_PROJECTOR_FOLD_H

#include "projector/lane.h"

struct crew;

struct fold {
    struct lane_surroundings surroundings;
    struct intake *intake;
    struct positions *positions;
    struct lane *lanes[RANGE_COUNT];
    unsigned lane_count;
    struct cache *caches[RANGE_COUNT]; /* of each range, its lane's */
    struct crew *crew;                 /* NULL: one lane */
};

/* What materializer_open() was told, which outlives it; threads 0: fold_default_threads(). */
MUST_CHECK int fold_open(const struct materializer_options *options, struct positions *positions, struct fold **ret_fold,
                         struct err *err);
void fold_close(struct fold **fold);

/* Reads positions, marks, parked events and ids. */
MUST_CHECK int fold_load(struct fold *fold, struct err *err);

/* One for each core, but a few at the most: Kafka's threads and the flusher want some too. */
unsigned fold_default_threads(void);

/* Handles a batch: *ret_handled < count when a lane's cache is full of changes that aren't committed. Other lanes may
 * have gone on: what they did stands in their ranges' positions (positions_go_ahead()), and they drop those records when
 * they are handed in again. *ret_records: how many were looked at. */
MUST_CHECK int fold_handle(struct fold *fold, const struct record *records, size_t count, bool is_in_flight,
                           size_t *ret_handled, int64_t *ret_records, struct err *err);

static inline struct lane *fold_lane(const struct fold *fold, uint64_t owner_hash)
{
    return fold->lanes[owner_range(owner_hash) % fold->lane_count];
}

/* Partitions that were stopped for their parked events, and have fewer now, go on. */
void fold_unpark(struct fold *fold);

/* The next look at the store sees what has been committed: before rows turn clean (rows.h), and before it is idle. */
void fold_end_snapshots(struct fold *fold);

void fold_set_memory(struct fold *fold, size_t memory_bytes);

struct fold_figures {
    size_t cache_bytes, dirty_bytes, dirty_rows, rows, evictions;
    uint64_t store_reads, erasures;
    size_t parked, known_ids, known_ids_bytes;
};
void fold_measure(const struct fold *fold, struct fold_figures *ret_figures);
bool fold_is_dirty(const struct fold *fold);

#endif
