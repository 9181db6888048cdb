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

uint64_t fingerprint_hash(const struct record *record)
{
    struct span key = record->has_key ? record->key : span_of(NULL, 0);
    struct span value = record->is_null ? span_of(NULL, 0) : record->value;
    uint64_t hash = hash128_pair(key, value).low;
    if (!record->has_key)
        hash ^= no_key;
    if (record->is_null)
        hash ^= no_value;
    return hash;
}

static bool is_other_record(const struct anchor *anchor, const struct log_facts *facts)
{
    return anchor->offset >= 0 && facts->sight == ANCHOR_READ &&
           (facts->seen.hash != anchor->hash || facts->seen.time_ms != anchor->time_ms);
}

enum log_verdict fingerprint_judge(int64_t next_offset, const struct anchor *anchor, const struct log_facts *facts,
                                   char *sentence, size_t sentence_size)
{
    if (facts->end_offset < next_offset) {
        snprintf(sentence, sentence_size,
                 "the log ends at offset %" PRId64 ", but %" PRId64 " was to be read next: it was truncated, or the "
                 "topic was deleted and made again. What the store holds of it can't be trusted to be in Kafka: make a "
                 "fresh store from the new log",
                 facts->end_offset, next_offset);
        return LOG_REWRITTEN;
    }
    if (is_other_record(anchor, facts)) {
        snprintf(sentence, sentence_size,
                 "another record than the one that was handled stands at offset %" PRId64 ": the log was truncated, or "
                 "the topic was deleted and made again. What the store holds of it can't be trusted to be in Kafka: "
                 "make a fresh store from the new log",
                 anchor->offset);
        return LOG_REWRITTEN;
    }
    if (next_offset < facts->start_offset) {
        snprintf(sentence, sentence_size,
                 "the log starts at offset %" PRId64 ", but %" PRId64 " was to be read next: the records between were "
                 "deleted before they were handled. Raise the topic's retention above the longest stop of the "
                 "projector, publish what is missing again, and make a fresh store",
                 facts->start_offset, next_offset);
        return LOG_LOST;
    }
    return LOG_SAME;
}
