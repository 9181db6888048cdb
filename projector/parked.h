/* projector/parked.h - which events are parked: an index in memory, the events themselves are rows of TABLE_PARKED.
 *
 * A unit is (topic, record key): its first event could not be applied, what came later waits behind it in order. A
 * keyless event is a unit of its own. */
#ifndef TARN_PROJECTOR_PARKED_H
#define TARN_PROJECTOR_PARKED_H

#include "projector/intake.h"
#include "projector/positions.h"
#include "projector/rows.h"

struct parked_entry {
    int32_t partition;
    int64_t offset;
    bool is_waiting; /* nothing wrong with it by itself, as far as it is known */
};

struct parked_unit {
    uint64_t hash; /* parked_key.unit_hash */
    uint16_t topic;
    struct parked_entry *entries; /* by partition and offset */
    size_t count;
    size_t capacity;
    struct parked_unit *next; /* in its bucket */
};

struct parked_units {
    struct rows *rows;
    struct positions *positions;
    size_t limit;     /* of a partition */
    bool has_removed; /* some event was, since the fold looked */
    struct parked_unit **buckets;
    size_t bucket_count; /* a power of two; 0 while nothing was ever parked */
    size_t unit_count;
    size_t event_count;
    struct buf key; /* scratch */
    struct buf value;
};

void parked_init(struct parked_units *parked, struct rows *rows, struct positions *positions, size_t limit);
void parked_release(struct parked_units *parked);

/* Reads what is parked of these owner ranges (a bit each). */
MUST_CHECK int parked_load(struct parked_units *parked, uint32_t ranges, struct err *err);

/* NULL: nothing is parked there. Dies with the next change. */
struct parked_unit *parked_find(const struct parked_units *parked, uint64_t unit_hash, uint16_t topic);

/* Parks an event. ERR_FULL: its partition has as many as it may. */
MUST_CHECK int parked_put(struct parked_units *parked, const struct incoming *incoming, enum park_reason reason,
                          const char *message, struct err *err);

/* Changes why an event is parked: it was tried again. */
void parked_put_reason(struct parked_units *parked, const struct incoming *incoming, enum park_reason reason,
                       const char *message);

/* The event at that place; spans live until the row changes or a turn ends. */
MUST_CHECK int parked_read(struct parked_units *parked, const struct parked_key *key, struct incoming *ret_incoming,
                           struct parked_event *ret_event, struct err *err);

/* Takes an event out, and its unit with the last one. */
void parked_remove(struct parked_units *parked, const struct parked_key *key);

struct parked_key parked_key_of(const struct parked_unit *unit, size_t entry);

/* Writes all events as they are now, event_count of them. */
void parked_list(const struct parked_units *parked, struct parked_key *ret_keys);

#endif
