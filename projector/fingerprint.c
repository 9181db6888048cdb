/* The rules, from the hardest evidence to the softest:
 *   the log ends before the position           rewritten: offsets never go back in one log
 *   another record stands at the anchor        rewritten
 *   the log starts behind the position         lost: retention or a delete-records call was faster than we
 *   nothing stands at the anchor               the same, as far as one can tell: compaction takes single records away,
 *                                              retention takes the log's start away
 * Lost comes before a missing anchor and behind a wrong one: a re-created topic must not be reported as one whose
 * retention is too short. */
#include "projector/fingerprint.h"

#include <inttypes.h>
#include <stdio.h>

#include "schema/base/hash.h"

/* Stand in for a key or value that isn't there, so that null and empty differ. */
static const uint64_t no_key = 0x9e3779b97f4a7c15u;
static const uint64_t no_value = 0xc2b2ae3d27d4eb4fu;

static const char what_to_do[] = "what the store holds of it can't be trusted to be in Kafka, so start with a fresh "
                                 "--store to build it anew from the log as it is now";

uint64_t fingerprint_hash(const struct record *record)
{
    uint64_t hash = hash128_pair(record->key, record->value).low;

    if (!record->has_key)
        hash ^= no_key;
    if (record->is_null)
        hash ^= no_value;
    return hash;
}

struct anchor fingerprint_newest(const struct partition *partition)
{
    const struct position *newest = &partition->stored[0];

    for (unsigned range = 1; range < RANGE_COUNT; range++) {
        if (partition->stored[range].last_offset > newest->last_offset)
            newest = &partition->stored[range];
    }
    if (newest->last_offset < 0)
        return ANCHOR_NONE;
    return (struct anchor){newest->last_offset, newest->last_time_ms, newest->last_hash};
}

static bool is_other_record(const struct anchor *anchor, const struct log_facts *facts)
{
    return anchor->offset >= 0 && facts->sight == ANCHOR_READ &&
           (facts->seen.hash != anchor->hash || facts->seen.time_ms != anchor->time_ms);
}

enum log_verdict fingerprint_judge(const struct log_memory *memory, const struct log_facts *facts, char *sentence,
                                   size_t sentence_size)
{
    if (facts->end_offset < memory->reached_offset) {
        snprintf(sentence, sentence_size,
                 "the log was truncated, or the topic deleted and made again: it ends at offset %" PRId64
                 ", but was read up to %" PRId64 "; %s",
                 facts->end_offset, memory->reached_offset, what_to_do);
        return LOG_REWRITTEN;
    }
    if (is_other_record(&memory->anchor, facts)) {
        snprintf(sentence, sentence_size,
                 "the log was truncated, or the topic deleted and made again: at offset %" PRId64
                 " stands another record than the one that was handled; %s",
                 memory->anchor.offset, what_to_do);
        return LOG_REWRITTEN;
    }
    if (memory->next_offset < facts->start_offset) {
        snprintf(sentence, sentence_size,
                 "records were deleted before they were handled: the log starts at offset %" PRId64 ", but %" PRId64
                 " was to be read next; raise the topic's retention above the projector's longest stop, publish what "
                 "is missing again, and start with a fresh --store",
                 facts->start_offset, memory->next_offset);
        return LOG_LOST;
    }
    return LOG_SAME;
}
