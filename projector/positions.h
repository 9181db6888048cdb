/* projector/positions.h - the partitions of a generation: how far each is handled, and how far each owner range of it is
 * committed.
 *
 * One cursor per partition: everything before it is handled. Per range what the store has: a record whose offset lies
 * before its range's stored position is in the store already and is dropped. After a start the cursor stands at the
 * oldest range. A range may also have been handled beyond the cursor, where another one had to wait (fold.h). All of the
 * main thread, read by the lanes; a job carries copies. */
#ifndef TARN_PROJECTOR_POSITIONS_H
#define TARN_PROJECTOR_POSITIONS_H

#include "projector/record_source.h"
#include "schema/store/layout.h"
#include "schema/store/store.h"

/* Kafka itself recommends less than a few thousand partitions of a topic. */
enum { PARTITION_NUMBER_MAX = 100 * 1000 };

struct partition {
    uint16_t topic;
    int32_t number;
    struct position cursor;              /* handled by the loop; next_offset is the next one to read */
    struct position stored[RANGE_COUNT]; /* as in the store */
    struct position ahead[RANGE_COUNT];  /* of what was handled beyond the cursor; nothing once the cursor has passed it */
    struct partition_row row;            /* change through the functions below */
    struct partition_row stored_row;
    bool has_stored;       /* it has rows in the store */
    _Atomic size_t parked; /* parked events, waiting ones included */

    /* A record at the cursor was refused, for too many are parked. What the source gives behind it is ignored, whatever
     * the state is, until the source has been told to read from the cursor again: whoever does clears it. */
    bool is_cut;
    size_t cut_at; /* within the batch that did it: the record's index + 1, then 0 */

    int64_t routed_next;   /* in batch routed_batch: behind the last record that went to a lane */
    uint64_t routed_batch;
    const struct record *last_record; /* at cursor.last_offset while its batch lives: hashed by positions_end_batch() */
    const struct record *ahead_records[RANGE_COUNT]; /* likewise, of ahead */
    int64_t caught_up_at_ms[RANGE_COUNT]; /* newer than stored[].caught_up_at_ms when the store should learn of it */
};

struct positions {
    struct partition **partitions; /* by topic and number; a partition's address stays */
    size_t count;
    size_t capacity;
    struct partition ***by_topic; /* by_topic[topic][number], NULL where there is none */
    size_t *by_topic_count;
    size_t topic_count;
    uint64_t states_version; /* grows whenever a state changes or a partition is added */
    uint64_t batch;          /* number of the one at hand */
    bool has_unhashed;       /* some last_record is set */
    bool has_moved;          /* a cursor isn't where the store's positions are */
    bool has_changed;        /* a partition's row isn't as the store has it */
};

void positions_init(struct positions *positions, size_t topic_count);
void positions_release(struct positions *positions);

/* Reads what the store holds (the reader has a snapshot). */
MUST_CHECK int positions_load(struct positions *positions, struct store_reader *reader, struct err *err);

static inline struct partition *positions_find(const struct positions *positions, uint16_t topic, int32_t number)
{
    if (topic >= positions->topic_count || number < 0 || (size_t)number >= positions->by_topic_count[topic])
        return NULL;
    return positions->by_topic[topic][number];
}

/* A partition that has never been read; start_offset is the first one to read. ERR_INPUT: more than a topic may have. */
MUST_CHECK int positions_add(struct positions *positions, uint16_t topic, int32_t number, int64_t start_offset,
                             enum partition_state state, struct partition **ret_partition, struct err *err);

void positions_set_state(struct positions *positions, struct partition *partition, enum partition_state state);

/* The whole row but the log's end: state, start_after, partition_count, partitioner. */
void positions_set_row(struct positions *positions, struct partition *partition, const struct partition_row *row);

/* Kafka said at seen_at_ms (wall clock) that the log ends at end_offset. An end behind the cursor is an old answer. */
void positions_end_seen(struct positions *positions, struct partition *partition, int64_t end_offset,
                        int64_t seen_at_ms);

/* Sets every range and the cursor to an offset, forgetting fingerprints: only for a decision of a person or a start. */
void positions_reset(struct positions *positions, struct partition *partition, int64_t next_offset);

/* Partitions that stopped with too many parked events, and have fewer than limit now, are followed again. */
void positions_unpark(struct positions *positions, size_t limit);

/* As far as any range has got: beyond the cursor while a replay goes on. */
int64_t positions_reached(const struct partition *partition);

/* Records between cursor and log end over the partitions that are followed; -1 while an end isn't known, or no partition is. */
int64_t positions_lag(const struct positions *positions);

/* --- for the materializer --- */

/* True: the range has this record, drop it. */
static inline bool positions_is_replayed(const struct partition *partition, unsigned range, int64_t offset)
{
    return offset < partition->stored[range].next_offset;
}

/* True: handled by this process, while the cursor stood before it. */
static inline bool positions_is_ahead(const struct partition *partition, unsigned range, int64_t offset)
{
    return offset < partition->ahead[range].next_offset;
}

/* Whether a record of the batch comes behind the cursor and behind what was asked for before: none is handled twice. */
static inline bool positions_is_next(const struct positions *positions, struct partition *partition, int64_t offset)
{
    if (partition->routed_batch != positions->batch) {
        partition->routed_batch = positions->batch;
        partition->routed_next = partition->cursor.next_offset;
    }
    if (offset < partition->routed_next)
        return false;
    partition->routed_next = offset + 1;
    return true;
}

/* The record is handled. It must live until positions_end_batch(). */
static inline void positions_advance(struct positions *positions, struct partition *partition,
                                     const struct record *record)
{
    partition->cursor.next_offset = record->offset + 1;
    partition->cursor.last_offset = record->offset;
    partition->cursor.last_time_ms = record->time_ms;
    partition->last_record = record;
    positions->has_unhashed = true;
    positions->has_moved = true;
}

/* The range has handled the record, and all of its own before it, but the cursor isn't there yet. It must live as above. */
void positions_go_ahead(struct positions *positions, struct partition *partition, unsigned range,
                        const struct record *record);

/* All records before next_offset are handled, and there were none behind the last one. */
void positions_advance_to(struct positions *positions, struct partition *partition, int64_t next_offset);

/* Hashes the last record of each partition; call before the batch's records are given back. */
void positions_end_batch(struct positions *positions);

/* The position that a range has once everything handled is committed: the cursor's, or what is stored when that lies
 * ahead of it (a replay), or how far it went ahead. */
struct position positions_of_range(const struct partition *partition, unsigned range);

/* Whether a job for all ranges that are in `ranges` (a bit each) has to write that range's position. A row that tells
 * readers of an end ahead of a range's position takes along when that range was last caught up, or they would think it
 * had been behind for as long as nothing was written. That it was caught up for the first time is always written: a
 * store is ready from then on. */
bool positions_must_write(const struct partition *partition, unsigned range, uint32_t ranges,
                          struct position *ret_position);

bool positions_row_differs(const struct partition *partition);

/* The job that wrote them is committed. */
void positions_stored(struct partition *partition, unsigned range, const struct position *position);
void positions_row_stored(struct partition *partition, const struct partition_row *row);
/* Sets has_moved and has_changed anew. */
void positions_look(struct positions *positions);

/* The range that is furthest behind; among equals the one whose last job has the smallest number. */
unsigned positions_oldest_range(const struct positions *positions, const uint64_t last_jobs[RANGE_COUNT]);

#endif
