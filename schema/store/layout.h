/* schema/store/layout.h - what stands in the tables: keys and values, encoded and decoded. Pure; no LMDB here.
 *
 * Integers in keys are big-endian, so that LMDB's order is theirs; in values little-endian.
 *
 * TABLE_VIEWS      owner hash (8) | view number (2) | encoded key (key.h)  ->  view value
 *                  All views of a person stand side by side: one page serves their screens, and an owner range is one
 *                  stretch of the table, so that a flush of a range walks it from left to right.
 * TABLE_MARKS      owner hash (8) | view number (2) | encoded key or prefix of it  ->  time of the erasure (8)
 * TABLE_PARKED     unit hash (8) | topic (2) | partition (4) | offset (8)  ->  parked event
 *                  unit hash = hash64(record key); keyless records: hash64 of topic, partition and offset.
 * TABLE_POSITIONS  topic (2) | partition (4) | range (1)  ->  position
 * TABLE_PARTITIONS topic (2) | partition (4)  ->  partition
 * TABLE_BUCKETS    view number (2) | bucket (2)  ->  count (8), sum (16)
 *                  bucket = the top BUCKET_BITS of the owner hash: one stretch of TABLE_VIEWS.
 * TABLE_ANNOUNCEMENTS  topic (2) | partition (4) | offset (8) | owner hash (8) | view number (2) | hash of the view's key
 *                  (8) | number in the view (2)  ->  pending announcement
 *                  In the order in which they are told and let go; a replay makes the same row.
 * TABLE_IDS        owner hash (8) | hash64 of the id (8) | topic (2) | partition (4)  ->  offset (8) | content (4)
 *                  Where an event with that id stood last, and a hash of what it held; for the last records only. */
#ifndef TARN_STORE_LAYOUT_H
#define TARN_STORE_LAYOUT_H

#include "schema/base/buf.h"
#include "schema/base/err.h"
#include "schema/base/hash.h"
#include "schema/base/span.h"

enum {
    FORMAT_VERSION = 2,
    RANGE_COUNT = 16, /* ranges of owners, each with positions of its own; a power of two */
    BUCKET_BITS = 10,
    VIEW_KEY_PREFIX_BYTES = 10,
    VIEW_KEY_BYTES_MAX = VIEW_KEY_PREFIX_BYTES + 255,
};

static inline unsigned owner_range(uint64_t owner_hash)
{
    return (unsigned)(owner_hash >> 60);
}

static inline unsigned owner_bucket(uint64_t owner_hash)
{
    return (unsigned)(owner_hash >> (64 - BUCKET_BITS));
}

/* --- views --- */

/* Appends a key for TABLE_VIEWS or TABLE_MARKS. */
void layout_view_key(uint64_t owner_hash, uint16_t view_number, struct span key, struct buf *out);
MUST_CHECK int layout_parse_view_key(struct span row_key, uint64_t *ret_owner_hash, uint16_t *ret_view_number,
                                     struct span *ret_key, struct err *err);

/* A stored view. Not made: the home stream hasn't made it yet; kept for what other streams brought, never served. */
struct stored_view {
    bool is_made;
    struct span bytes; /* canonical message */
};

/* Appends the row's value, padded to a size class, so that views that grow a little stay in their place. The classes
 * are those of key and value together, therefore row_key_bytes (ops/docs/decisions/value-size-classes.md). */
void layout_view_value(size_t row_key_bytes, struct stored_view view, struct buf *out);
MUST_CHECK int layout_parse_view_value(struct span value, struct stored_view *ret_view, struct err *err);

/* What the digest of a view type sums up: hash of (key, made or not, canonical bytes), padding aside. */
struct hash128 layout_view_hash(struct span row_key, struct stored_view view);

/* --- positions --- */

struct position {
    int64_t next_offset;     /* the next offset to read */
    int64_t last_offset;     /* of the last record handled before it, whoever's it was; -1: none */
    int64_t last_time_ms;    /* its timestamp */
    uint64_t last_hash;      /* hash64 of its key and value */
    int64_t caught_up_at_ms; /* wall clock when this range last had all of the partition; 0: never */
};

void layout_position_key(uint16_t topic, int32_t partition, unsigned range, struct buf *out);
MUST_CHECK int layout_parse_position_key(struct span key, uint16_t *ret_topic, int32_t *ret_partition,
                                         unsigned *ret_range, struct err *err);
void layout_position(const struct position *position, struct buf *out);
MUST_CHECK int layout_parse_position(struct span value, struct position *ret_position, struct err *err);

enum partition_state {
    PARTITION_FOLLOWING,
    PARTITION_WAITING,   /* new: begins when the older partitions have reached the ends they had then */
    PARTITION_REWRITTEN, /* the log isn't the one that was read: stopped */
    PARTITION_LOST,      /* Kafka no longer has the next offset: stopped */
    PARTITION_PARKED,    /* too many parked events: stopped */
};
const char *partition_state_name(enum partition_state state); /* "following" */

struct partition_row {
    enum partition_state state;
    int64_t end_offset;    /* of the log, as last seen */
    int64_t seen_at_ms;    /* wall clock when end_offset was seen */
    int64_t start_after;   /* WAITING: reserved for the projector's use */
    uint32_t partition_count; /* of the topic, as last seen */
    uint32_t partitioner;  /* enum partitioner (partitioner.h) that the topic's records agree with */
};

/* Whether a range has ever had all of its partition as it then was. While it keeps up, the row alone says so and moves
 * on; its own caught_up_at_ms is written when the log's end overtakes it. */
static inline bool layout_has_caught_up(const struct position *range, const struct partition_row *row)
{
    return range->caught_up_at_ms != 0 || (row->seen_at_ms > 0 && range->next_offset >= row->end_offset);
}

void layout_partition_key(uint16_t topic, int32_t partition, struct buf *out);
MUST_CHECK int layout_parse_partition_key(struct span key, uint16_t *ret_topic, int32_t *ret_partition,
                                          struct err *err);
void layout_partition(const struct partition_row *row, struct buf *out);
MUST_CHECK int layout_parse_partition(struct span value, struct partition_row *ret_row, struct err *err);

/* --- parked events --- */

enum park_reason {
    PARK_NO_TYPE,
    PARK_NO_KEY,
    PARK_FOREIGN_KEY,
    PARK_WRONG_TOPIC,
    PARK_UNPARSEABLE, /* bytes, UTF-8, nesting, framing */
    PARK_OVERFLOW,    /* a value doesn't fit, a sum overflows */
    PARK_TOO_LARGE,   /* a stream's part over --max-view-bytes */
    PARK_BAD_VALUE,   /* a bracket or key field without a value, ... */
    PARK_WAITING,     /* nothing wrong with it: an earlier event of its unit is parked */
};
const char *park_reason_name(enum park_reason reason); /* "no type" */

struct parked_key {
    uint64_t unit_hash;
    uint16_t topic;
    int32_t partition;
    int64_t offset;
};

struct parked_event {
    enum park_reason reason;
    int64_t time_ms;     /* the record's */
    bool has_key;
    bool is_null;        /* a record with a null value */
    struct span key;     /* the record's */
    struct span type;    /* the event's full name, as far as it is known */
    struct span value;   /* the record's, as it came: a retry takes the framing off again */
    struct span message; /* one sentence: what is wrong */
};

uint64_t layout_unit_hash(const struct parked_key *keyless, bool has_key, struct span key);
void layout_parked_key(const struct parked_key *key, struct buf *out);
MUST_CHECK int layout_parse_parked_key(struct span row_key, struct parked_key *ret_key, struct err *err);
void layout_parked_event(const struct parked_event *event, struct buf *out);
/* Spans point into value. */
MUST_CHECK int layout_parse_parked_event(struct span value, struct parked_event *ret_event, struct err *err);

/* --- pending announcements --- */

/* The event that made it stands at topic, partition and offset. */
struct announcement_key {
    uint64_t owner_hash;
    uint16_t topic;
    int32_t partition;
    int64_t offset;
    uint16_t view_number;
    uint64_t view_key_hash; /* hash64 of the encoded key */
    uint16_t ordinal;       /* in the view's announcements */
};

struct pending_announcement {
    int64_t event_time_ms; /* the record's */
    int64_t written_at_ms; /* wall clock, inside the transaction that made it visible */
    struct span view_key;  /* encoded */
};

enum { ANNOUNCEMENT_KEY_BYTES = 34 };

/* In the cache the owner's hash stands first, as in all its tables' keys; layout_announcement_row_key() makes the
 * table's key of it. */
void layout_announcement_cache_key(const struct announcement_key *key, struct buf *out);
void layout_announcement_row_key(struct span cache_key, uint8_t ret_row_key[ANNOUNCEMENT_KEY_BYTES]);
/* Where a partition's rows begin, from an offset on. */
void layout_announcement_prefix(uint16_t topic, int32_t partition, int64_t offset, struct buf *out);
MUST_CHECK int layout_parse_announcement_key(struct span row_key, struct announcement_key *ret_key, struct err *err);
void layout_announcement(const struct pending_announcement *announcement, struct buf *out);
/* The span points into value. */
MUST_CHECK int layout_parse_announcement(struct span value, struct pending_announcement *ret_announcement,
                                         struct err *err);

/* --- ids of events --- */

struct handled_id {
    uint64_t owner_hash;
    uint64_t id_hash;
    uint16_t topic;
    int32_t partition;
    int64_t offset;   /* of the last record with it */
    uint32_t content; /* hash of that record's type and value */
};

/* Appends the leading fields that all rows of one owner and id share, whatever the partition. */
void layout_id_prefix(uint64_t owner_hash, uint64_t id_hash, struct buf *out);
void layout_id_key(const struct handled_id *id, struct buf *out);
void layout_id(const struct handled_id *id, struct buf *out);
MUST_CHECK int layout_parse_id(struct span key, struct span value, struct handled_id *ret_id, struct err *err);

/* --- digests --- */

/* The number of a view type's rows and the sum of their layout_view_hash(); digest.h reads them. */
struct digest {
    uint64_t count;
    struct hash128 sum;
};

void layout_bucket_key(uint16_t view_number, unsigned bucket, struct buf *out);
MUST_CHECK int layout_parse_bucket_key(struct span key, uint16_t *ret_view_number, unsigned *ret_bucket,
                                       struct err *err);
void layout_digest(const struct digest *digest, struct buf *out);
MUST_CHECK int layout_parse_digest(struct span value, struct digest *ret_digest, struct err *err);

#endif
