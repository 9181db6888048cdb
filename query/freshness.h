/* query/freshness.h - how old an answer is and from which position, as far as a key is concerned.
 *
 * A key belongs to an owner, an owner to one range and, in each topic, to one partition (or, when nobody can tell which,
 * to all of them). What counts are the positions of that range in those partitions. One struct freshness per loop
 * thread and generation; it remembers what it has read of the current snapshot, so that a request costs little. */
#ifndef TARN_QUERY_FRESHNESS_H
#define TARN_QUERY_FRESHNESS_H

#include "schema/base/arena.h"
#include "schema/store/generation.h"
#include "schema/store/layout.h"
#include "schema/store/store.h"

struct freshness;

/* settings and reader must live as long. */
struct freshness *freshness_new(const struct generation_settings *settings, struct store_reader *reader);
void freshness_free(struct freshness **freshness);

/* The partitions that an owner's records are in. */
struct key_partitions {
    struct key_partition {
        uint16_t topic;
        int32_t partition;
    } * items; /* in the arena; by topic and partition */
    size_t count;
    unsigned range;
    uint64_t owner_hash;
};

/* For the topics of one view. The reader has a snapshot. */
MUST_CHECK int freshness_partitions(struct freshness *freshness, const uint16_t *topics, size_t topic_count,
                                    struct span owner, struct arena *arena, struct key_partitions *ret_partitions,
                                    struct err *err);

/* Appends "users/3@41, genetics/0@-1": the last offset that is handled, inclusive. */
MUST_CHECK int freshness_position(struct freshness *freshness, const struct key_partitions *partitions, struct buf *out,
                                  struct err *err);

/* Whole seconds since the store last knew itself caught up with all of these partitions. */
MUST_CHECK int freshness_age_s(struct freshness *freshness, const struct key_partitions *partitions, int64_t now_ms,
                               int64_t *ret_age_s, struct err *err);

/* The same over all ranges of all partitions that are followed. */
MUST_CHECK int freshness_whole_age_s(struct freshness *freshness, int64_t now_ms, int64_t *ret_age_s, struct err *err);

/* The next offset of a range to handle. ERR_ABSENT: no such partition. */
MUST_CHECK int freshness_next_offset(struct freshness *freshness, uint16_t topic, int32_t partition, unsigned range,
                                     int64_t *ret_next_offset, struct err *err);

/* Whether an event of the owner with that id (its hash64()) is handled, and not so long ago that its id is forgotten. */
MUST_CHECK int freshness_has_id(struct freshness *freshness, uint64_t owner_hash, uint64_t id_hash, bool *ret_has,
                                struct err *err);

/* True when events of the owner are parked, in any topic. */
MUST_CHECK int freshness_is_incomplete(struct freshness *freshness, uint64_t owner_hash, bool *ret_incomplete,
                                       struct err *err);

#endif
