/* Dropping is written down outside the store first (dropped.h), then the event is taken out of the store: a crash between
 * the two is made good at the next start, and a replay or another generation meets the decision before the event. */
#include "projector/decisions.h"

#include <stdlib.h>

#include "schema/base/mem.h"

/* The units that are chosen, by the key of their first event. */
static void select_units(const struct decisions *decisions, const struct parked_selection *selection,
                         struct parked_key **ret_keys, size_t *ret_count);
static int retry_units(const struct decisions *decisions, const struct parked_key *keys, size_t count,
                       struct parked_outcome *outcome, struct err *err);

static struct dropped_event dropped_event_of(const struct decisions *decisions, const struct parked_key *key)
{
    return (struct dropped_event){decisions->settings->topics[key->topic], key->partition, key->offset};
}

bool decisions_have_dropped(struct dropped *dropped, const struct generation_settings *settings, uint16_t topic,
                            int32_t partition, int64_t offset)
{
    if (dropped == NULL || dropped_count(dropped) == 0)
        return false;
    struct dropped_event event = {settings->topics[topic], partition, offset};
    return dropped_contains(dropped, &event);
}

static struct parked_units *parked_of(const struct decisions *decisions, uint64_t unit_hash)
{
    return &fold_lane(decisions->fold, unit_hash)->parked;
}

/* The caller frees the list. */
static void list_parked(const struct decisions *decisions, struct parked_key **ret_keys, size_t *ret_count)
{
    const struct fold *fold = decisions->fold;
    struct parked_key *keys = NULL;
    size_t count = 0;

    for (unsigned i = 0; i < fold->lane_count; i++) {
        const struct parked_units *parked = &fold->lanes[i]->parked;
        keys = mem_resize(keys, count + parked->event_count + 1, sizeof(*keys));
        parked_list(parked, keys + count);
        count += parked->event_count;
    }
    *ret_keys = keys;
    *ret_count = count;
}

int decisions_retry(const struct decisions *decisions, const struct parked_selection *selection,
                    struct parked_outcome *ret_outcome, struct err *err)
{
    struct parked_outcome outcome = {0};
    struct parked_key *keys;
    size_t count;
    int rc = 0;

    select_units(decisions, selection, &keys, &count);
    if (count == 0 && !selection->is_all)
        rc = err_set(err, ERR_ABSENT, "no event is parked there");
    else
        rc = retry_units(decisions, keys, count, &outcome, err);
    free(keys);
    if (rc == 0)
        *ret_outcome = outcome;
    return rc;
}

int decisions_drop(const struct decisions *decisions, const struct parked_selection *selection,
                   struct parked_outcome *ret_outcome, struct err *err)
{
    struct parked_outcome outcome = {0};
    struct parked_key *keys;
    size_t count;
    int rc = 0;

    select_units(decisions, selection, &keys, &count);
    if (count == 0 && !selection->is_all)
        rc = err_set(err, ERR_ABSENT, "no event is parked there");
    struct dropped_event *events = mem_zero(count + 1, sizeof(*events));
    for (size_t i = 0; i < count; i++)
        events[i] = dropped_event_of(decisions, &keys[i]);
    if (rc == 0 && decisions->dropped != NULL)
        rc = dropped_add(decisions->dropped, events, count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        parked_remove(parked_of(decisions, keys[i].unit_hash), &keys[i]);
        outcome.dropped++;
    }
    if (rc == 0)
        rc = retry_units(decisions, keys, count, &outcome, err);
    free(events);
    free(keys);
    if (rc == 0)
        *ret_outcome = outcome;
    return rc;
}

int decisions_catch_up(const struct decisions *decisions, struct err *err)
{
    struct parked_outcome ignored = {0};
    struct parked_key *keys;
    size_t count, found = 0;

    list_parked(decisions, &keys, &count);
    for (size_t i = 0; i < count; i++) {
        if (!decisions_have_dropped(decisions->dropped, decisions->settings, keys[i].topic, keys[i].partition,
                                    keys[i].offset))
            continue;
        parked_remove(parked_of(decisions, keys[i].unit_hash), &keys[i]);
        keys[found++] = keys[i];
    }
    int rc = retry_units(decisions, keys, found, &ignored, err);
    free(keys);
    return rc;
}

static int retry_units(const struct decisions *decisions, const struct parked_key *keys, size_t count,
                       struct parked_outcome *outcome, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count; i++) {
        size_t applied = 0;
        struct lane *lane = fold_lane(decisions->fold, keys[i].unit_hash);
        rc = applier_retry_unit(&lane->applier, keys[i].unit_hash, keys[i].topic, &applied, err);
        outcome->applied += applied;
        const struct parked_unit *unit = parked_find(&lane->parked, keys[i].unit_hash, keys[i].topic);
        outcome->left += unit != NULL ? unit->count : 0;
    }
    fold_unpark(decisions->fold);
    return rc;
}

static void select_units(const struct decisions *decisions, const struct parked_selection *selection,
                         struct parked_key **ret_keys, size_t *ret_count)
{
    struct parked_key *keys;
    size_t count, found = 0;

    list_parked(decisions, &keys, &count);
    for (size_t i = 0; i < count; i++) {
        const struct parked_unit *unit =
            parked_find(parked_of(decisions, keys[i].unit_hash), keys[i].unit_hash, keys[i].topic);
        struct parked_key first = parked_key_of(unit, 0);
        bool is_first = first.partition == keys[i].partition && first.offset == keys[i].offset;
        if (is_first &&
            (selection->is_all || (keys[i].topic == selection->topic && keys[i].unit_hash == hash64(selection->key))))
            keys[found++] = keys[i];
    }
    *ret_keys = keys;
    *ret_count = found;
}
