/* projector/announce_round.h - what may be announced now: read from the served generations' stores, in one look.
 *
 * A partition's changes are announced as far as every served generation shows them; a person's are taken from the
 * generation that answers this person, so that each is told once, whatever shares there are. No thread, no Kafka. */
#ifndef TARN_PROJECTOR_ANNOUNCE_ROUND_H
#define TARN_PROJECTOR_ANNOUNCE_ROUND_H

#include "projector/announcement_record.h"
#include "projector/announcing.h"
#include "schema/store/serving.h"

/* A generation that is followed. */
struct announce_member {
    const char *name;
    struct announcing *announcing;
    const struct view_set *views;
    const struct generation_settings *settings;
    struct store_reader *reader;
    bool is_filled; /* has been seen caught up with everything once: before that readers get no answer from it */
};

enum announce_item_state { ITEM_WAITS, ITEM_SENT, ITEM_DONE };

struct announce_item {
    struct announcement_record record;
    int64_t offset;
    int64_t visible_at_ms;
    size_t move; /* the partition that it belongs to */
    enum announce_item_state state; /* for whoever publishes it */
};

/* A partition is announced up to next_offset once all its items are done. */
struct announce_move {
    struct announced_partition *entry;
    int64_t next_offset;
    size_t left; /* items that aren't done */
};

struct announce_batch {
    struct arena arena; /* of the items */
    struct announce_item *items;
    size_t count, capacity;
    struct announce_move *moves;
    size_t move_count, move_capacity;
    bool is_cut;    /* there is more than it was to hold */
    size_t pending; /* rows in the served generations' tables */
    size_t erased;  /* left out, as their key is erased since */
};

void announce_batch_release(struct announce_batch *batch);

/* Fills the batch anew. members: those of the shares, in their order. Nothing when one of them isn't filled yet. */
MUST_CHECK int announce_round(struct announce_member *const *members, const struct serving_shares *shares,
                              size_t items_max, struct announce_batch *batch, struct err *err);

#endif
