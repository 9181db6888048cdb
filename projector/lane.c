/* Here a record meets what is known of it: what its range has already is dropped, as is what somebody decided to drop; the
 * rest is the applier's business (applier.h). The lane moves no position: what a batch did to the partitions is settled
 * when all lanes have ended (fold.h). The budget is kept by taking no more records than the cache has room for. */
#include "projector/lane.h"

#include <stdlib.h>

#include "projector/decisions.h"
#include "projector/foresight.h"
#include "schema/base/mem.h"

static int handle(struct lane *lane, const struct routed *routed, struct err *err);

int lane_open(struct lane_surroundings *surroundings, struct positions *positions, uint32_t ranges, size_t memory_bytes,
              struct lane **ret_lane, struct err *err)
{
    const struct materializer_options *options = surroundings->options;
    const struct view_set *views = options->views;
    struct lane *lane = mem_zero(1, sizeof(*lane));
    bool *by_owner = mem_zero(views->view_count + 1, sizeof(*by_owner));

    for (size_t i = 0; i < views->view_count; i++)
        by_owner[views->views[i].number] = views->views[i].key_count > 1;
    lane->surroundings = surroundings;
    lane->ranges = ranges;
    lane->rows.cache = cache_new(memory_bytes, by_owner, views->view_count);
    free(by_owner);
    erasures_init(&lane->erasures, &lane->rows);
    parked_init(&lane->parked, &lane->rows, positions, options->park_limit);
    dedupe_init(&lane->dedupe, &lane->rows, options->settings);
    applier_init(&lane->applier, surroundings->intake, &lane->rows, &lane->erasures, &lane->parked, &lane->dedupe,
                 (struct projection_limits){.max_view_bytes = options->settings->max_view_bytes});
    int rc = store_reader_open(options->store, &lane->rows.reader, err);
    if (rc < 0) {
        lane_close(&lane);
        return rc;
    }
    *ret_lane = lane;
    return 0;
}

void lane_close(struct lane **lane)
{
    if (*lane == NULL)
        return;
    struct lane *l = *lane;
    rows_end_snapshot(&l->rows);
    store_reader_close(&l->rows.reader);
    applier_release(&l->applier);
    dedupe_release(&l->dedupe);
    parked_release(&l->parked);
    erasures_release(&l->erasures);
    cache_free(&l->rows.cache);
    free(l->records);
    free(l->refusals);
    free(l);
    *lane = NULL;
}

int lane_load(struct lane *lane, struct err *err)
{
    int rc = rows_load(&lane->rows, err);

    if (rc == 0)
        rc = erasures_load(&lane->erasures, lane->ranges, err);
    if (rc == 0)
        rc = parked_load(&lane->parked, lane->ranges, err);
    return rc < 0 ? rc : dedupe_load(&lane->dedupe, lane->ranges, err);
}

void lane_begin(struct lane *lane, bool is_in_flight)
{
    lane->count = 0;
    lane->next = 0;
    lane->is_in_flight = is_in_flight;
    lane->stop = SIZE_MAX;
    lane->refusal_count = 0;
    lane->rc = 0;
    memset(lane->tally, 0, sizeof(lane->tally));
}

void lane_add(struct lane *lane, const struct routed *routed)
{
    lane->records = mem_grow(lane->records, lane->count, &lane->capacity, sizeof(*lane->records));
    lane->records[lane->count++] = *routed;
}

bool lane_step(struct lane *lane)
{
    const struct foresight foresight = {lane->surroundings->intake, lane->rows.cache, lane->records, lane->count};
    struct cache *cache = lane->rows.cache;

    /* With nothing left to commit, waiting wouldn't make room. */
    if (!cache_trim(cache) && (lane->is_in_flight || cache_dirty_rows(cache) > 0)) {
        lane_stop(lane);
        return false;
    }
    foresight_look(&foresight, lane->next);
    lane->rc = handle(lane, &lane->records[lane->next], &lane->err);
    lane->next++;
    return lane->rc == 0;
}

void lane_run(struct lane *lane)
{
    while (lane->next < lane->count && lane_step(lane))
        continue;
}

void lane_stop(struct lane *lane)
{
    if (lane->next < lane->count && lane->stop == SIZE_MAX)
        lane->stop = lane->records[lane->next].index;
}

void lane_refuse(struct lane *lane, const struct routed *routed)
{
    if (lane_refused(lane, routed->partition, routed->index))
        return;
    lane->refusals = mem_grow(lane->refusals, lane->refusal_count, &lane->refusal_capacity, sizeof(*lane->refusals));
    lane->refusals[lane->refusal_count++] = (struct refusal){routed->partition, routed->index};
}

static void tell_parked(struct lane_surroundings *surroundings, const struct parked_key *at, enum park_reason reason,
                        const char *message)
{
    const struct materializer_listener *listener = &surroundings->options->listener;

    if (listener->parked == NULL)
        return;
    pthread_mutex_lock(&surroundings->listener_lock);
    listener->parked(listener->self, at, reason, message);
    pthread_mutex_unlock(&surroundings->listener_lock);
}

static int handle(struct lane *lane, const struct routed *routed, struct err *err)
{
    const struct materializer_options *options = lane->surroundings->options;
    const struct record *record = routed->record;
    const unsigned range = owner_range(routed->unit_hash);
    enum park_reason reason = PARK_UNPARSEABLE;
    enum outcome outcome = OUTCOME_APPLIED;
    struct err reason_text;

    if (lane->refusal_count > 0 && lane_refused(lane, routed->partition, routed->index))
        return 0;
    if (positions_is_ahead(routed->partition, range, record->offset))
        return 0; /* handled by this process already, before the cursor came here */
    if (positions_is_replayed(routed->partition, range, record->offset)) {
        lane->tally[TALLY_REPLAYED]++;
        return 0;
    }
    struct incoming incoming = intake_incoming(lane->surroundings->intake, options->source, record, routed->unit_hash);
    if (decisions_have_dropped(lane->surroundings->dropped, options->settings, record->topic, record->partition,
                               record->offset)) {
        applier_pass_dropped(&lane->applier, &incoming);
        lane->tally[TALLY_DROPPED]++;
        return 0;
    }
    incoming.is_news = announcing_takes(options->announcing, options->source, record);
    int rc = applier_take(&lane->applier, &incoming, &outcome, &reason, &reason_text, err);
    if (rc < 0)
        return err_prefix(err, "%s/%d@%lld", options->settings->topics[record->topic], record->partition,
                          (long long)record->offset);
    lane->tally[outcome]++;
    if (outcome == OUTCOME_PARTITION_FULL)
        lane_refuse(lane, routed);
    else if (outcome == OUTCOME_PARKED)
        tell_parked(lane->surroundings, &incoming.at, reason, reason_text.text);
    return 0;
}

bool lane_refused(const struct lane *lane, const struct partition *partition, size_t index)
{
    for (size_t i = 0; i < lane->refusal_count; i++)
        if (lane->refusals[i].partition == partition)
            return lane->refusals[i].index <= index;
    return false;
}
