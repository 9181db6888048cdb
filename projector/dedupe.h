/* projector/dedupe.h - whether an event was handled before: ids that stood among the last N records of a partition.
 *
 * What a lane (lane.h) knows of the owner ranges that are its own. The rows of TABLE_IDS say the same and are committed
 * with their range's positions, so that after a kill a record that comes again finds what it found before; the decision
 * rests on offsets alone, and a rebuild of the same log makes the same one. See ops/docs/decisions/dedupe.md. */
#ifndef TARN_PROJECTOR_DEDUPE_H
#define TARN_PROJECTOR_DEDUPE_H

#include "projector/intake.h"
#include "projector/recent_ids.h"
#include "projector/rows.h"

struct dedupe {
    struct rows *rows;
    int64_t window; /* 0: nothing is ever known, nothing kept */
    struct dedupe_topic {
        struct dedupe_partition {
            struct recent_ids ranges[RANGE_COUNT];
            unsigned next; /* to be looked through for ids that have left the window */
        } * partitions;    /* by number */
        size_t count;
    } * topics;
    size_t topic_count;
    size_t known;   /* ids */
    size_t bytes;   /* of memory for them */
    struct buf key; /* scratch */
    struct buf value;
};

void dedupe_init(struct dedupe *dedupe, struct rows *rows, const struct generation_settings *settings);
void dedupe_release(struct dedupe *dedupe);

/* Reads what the store knows of these ranges, a bit each. */
MUST_CHECK int dedupe_load(struct dedupe *dedupe, uint32_t ranges, struct err *err);

/* An event that isn't asked about: it has no id, or no owner whose id it could be. */
static inline bool dedupe_concerns(const struct dedupe *dedupe, const struct incoming *incoming)
{
    return incoming->id.len > 0 && incoming->has_key && dedupe->window > 0;
}

enum dedupe_finding {
    DEDUPE_NEW,
    DEDUPE_DUPLICATE,
    DEDUPE_REUSED, /* the id is known, but with another type or value: whoever gives ids should hear of it */
};

/* Of an event that is concerned. */
enum dedupe_finding dedupe_find(const struct dedupe *dedupe, const struct incoming *incoming);

/* The event is handled: its id is known from here on. Those that have left the window are forgotten, of its own range
 * at once, and of each other one with one of the next 16 events. */
void dedupe_note(struct dedupe *dedupe, const struct incoming *incoming);

/* Nothing is left of the owner that records of the topic could feed: their ids go too. */
void dedupe_forget_owner(struct dedupe *dedupe, uint64_t owner_hash, uint16_t topic);

#endif
