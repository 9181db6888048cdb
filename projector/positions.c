/* A replay is the reason for several kinds of position. The cursor moves with every record; what a range has in the store
 * moves when a job with that range commits. After a start the cursor goes back to the range that is furthest behind, and
 * a record that comes again is dropped for the ranges that are ahead of it: positions_of_range() gives those what they
 * have until the cursor has passed them. A range that went ahead of the cursor is, once committed, such a range too. */
#include "projector/positions.h"

#include <stdlib.h>

#include "projector/fingerprint.h"
#include "schema/base/buf.h"
#include "schema/base/mem.h"

static struct partition *partition_new(struct positions *positions, uint16_t topic, int32_t number);
static int load_positions(struct positions *positions, struct store_reader *reader, struct err *err);
static int load_rows(struct positions *positions, struct store_reader *reader, struct err *err);
static int compare_partitions(const void *a, const void *b);

void positions_init(struct positions *positions, size_t topic_count)
{
    *positions = (struct positions){.topic_count = topic_count};
    positions->by_topic = mem_zero(topic_count, sizeof(*positions->by_topic));
    positions->by_topic_count = mem_zero(topic_count, sizeof(*positions->by_topic_count));
}

void positions_release(struct positions *positions)
{
    for (size_t i = 0; i < positions->count; i++)
        free(positions->partitions[i]);
    free(positions->partitions);
    for (size_t i = 0; i < positions->topic_count; i++)
        free(positions->by_topic[i]);
    free(positions->by_topic);
    free(positions->by_topic_count);
    *positions = (struct positions){0};
}

int positions_load(struct positions *positions, struct store_reader *reader, struct err *err)
{
    int rc = load_positions(positions, reader, err);

    if (rc == 0)
        rc = load_rows(positions, reader, err);
    for (size_t i = 0; rc == 0 && i < positions->count; i++) {
        struct partition *partition = positions->partitions[i];
        unsigned oldest = 0;
        for (unsigned range = 1; range < RANGE_COUNT; range++)
            if (partition->stored[range].next_offset < partition->stored[oldest].next_offset)
                oldest = range;
        partition->cursor = partition->stored[oldest];
    }
    return rc;
}

static int load_positions(struct positions *positions, struct store_reader *reader, struct err *err)
{
    struct store_cursor *cursor = NULL;
    struct span key, value;
    const struct span all = {NULL, 0};

    int rc = store_cursor_open(reader, TABLE_POSITIONS, all, all, &cursor, err);
    while (rc == 0 && (rc = store_cursor_next(cursor, &key, &value, err)) == 0) {
        uint16_t topic = 0;
        int32_t number = 0;
        unsigned range = 0;
        struct position position;
        rc = layout_parse_position_key(key, &topic, &number, &range, err);
        if (rc == 0)
            rc = layout_parse_position(value, &position, err);
        if (rc == 0 &&
            (topic >= positions->topic_count || number < 0 || number > PARTITION_NUMBER_MAX || range >= RANGE_COUNT))
            rc = err_set(err, ERR_BROKEN, "the store has a position of a topic or partition that can't be");
        if (rc == 0) {
            struct partition *partition = positions_find(positions, topic, number);
            if (partition == NULL)
                partition = partition_new(positions, topic, number);
            partition->stored[range] = position;
            partition->caught_up_at_ms[range] = position.caught_up_at_ms;
            partition->has_stored = true;
        }
    }
    store_cursor_close(&cursor);
    return rc == ERR_ABSENT ? 0 : rc;
}

static int load_rows(struct positions *positions, struct store_reader *reader, struct err *err)
{
    struct buf key = BUF_INIT;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < positions->count; i++) {
        struct partition *partition = positions->partitions[i];
        struct span value;
        buf_clear(&key);
        layout_partition_key(partition->topic, partition->number, &key);
        rc = store_find(reader, TABLE_PARTITIONS, buf_span(&key), &value, err);
        if (rc == 0)
            rc = layout_parse_partition(value, &partition->row, err);
        else if (rc == ERR_ABSENT)
            rc = err_set(err, ERR_BROKEN, "the store has positions of a partition, but not the partition");
        partition->stored_row = partition->row;
    }
    buf_release(&key);
    return rc;
}

static struct partition *partition_new(struct positions *positions, uint16_t topic, int32_t number)
{
    struct partition *partition = mem_zero(1, sizeof(*partition));
    size_t index = (size_t)number;

    partition->topic = topic;
    partition->number = number;
    if (index >= positions->by_topic_count[topic]) {
        size_t count = positions->by_topic_count[topic];
        positions->by_topic[topic] =
            mem_resize(positions->by_topic[topic], index + 1, sizeof(*positions->by_topic[topic]));
        while (count <= index)
            positions->by_topic[topic][count++] = NULL;
        positions->by_topic_count[topic] = count;
    }
    positions->by_topic[topic][index] = partition;
    positions->partitions =
        mem_grow(positions->partitions, positions->count, &positions->capacity, sizeof(struct partition *));
    positions->partitions[positions->count++] = partition;
    qsort(positions->partitions, positions->count, sizeof(struct partition *), compare_partitions);
    return partition;
}

static int compare_partitions(const void *a, const void *b)
{
    const struct partition *left = *(struct partition *const *)a;
    const struct partition *right = *(struct partition *const *)b;

    if (left->topic != right->topic)
        return left->topic < right->topic ? -1 : 1;
    return (left->number > right->number) - (left->number < right->number);
}

int positions_add(struct positions *positions, uint16_t topic, int32_t number, int64_t start_offset,
                  enum partition_state state, struct partition **ret_partition, struct err *err)
{
    if (number < 0 || number > PARTITION_NUMBER_MAX)
        return err_set(err, ERR_INPUT, "partition %d: a topic may have %d partitions", number, PARTITION_NUMBER_MAX);

    struct partition *partition = positions_find(positions, topic, number);
    if (partition == NULL)
        partition = partition_new(positions, topic, number);
    partition->row.state = state;
    partition->row.end_offset = -1;
    positions_reset(positions, partition, start_offset);
    positions->states_version++;
    *ret_partition = partition;
    return 0;
}

void positions_set_state(struct positions *positions, struct partition *partition, enum partition_state state)
{
    if (partition->row.state == state)
        return;
    partition->row.state = state;
    positions->states_version++;
    positions->has_changed = true;
}

void positions_set_row(struct positions *positions, struct partition *partition, const struct partition_row *row)
{
    partition->row.start_after = row->start_after;
    partition->row.partition_count = row->partition_count;
    partition->row.partitioner = row->partitioner;
    positions->has_changed = true;
    positions_set_state(positions, partition, row->state);
}

void positions_end_seen(struct positions *positions, struct partition *partition, int64_t end_offset,
                        int64_t seen_at_ms)
{
    if (end_offset < partition->cursor.next_offset)
        end_offset = partition->cursor.next_offset;
    partition->row.end_offset = end_offset;
    partition->row.seen_at_ms = seen_at_ms;
    positions->has_changed = true;
    if (partition->cursor.next_offset >= end_offset)
        partition->cursor.caught_up_at_ms = seen_at_ms;
    for (unsigned range = 0; range < RANGE_COUNT; range++)
        if (partition->stored[range].next_offset >= end_offset)
            partition->caught_up_at_ms[range] = seen_at_ms;
}

void positions_reset(struct positions *positions, struct partition *partition, int64_t next_offset)
{
    const struct position start = {.next_offset = next_offset, .last_offset = -1};

    partition->cursor = start;
    partition->last_record = NULL;
    for (unsigned range = 0; range < RANGE_COUNT; range++) {
        partition->stored[range] = start;
        partition->ahead[range] = (struct position){0};
        partition->ahead_records[range] = NULL;
        partition->caught_up_at_ms[range] = 0;
    }
    partition->has_stored = false;
    positions->has_moved = true;
    positions->has_changed = true;
}

void positions_unpark(struct positions *positions, size_t limit)
{
    for (size_t i = 0; i < positions->count; i++) {
        struct partition *partition = positions->partitions[i];
        if (partition->row.state == PARTITION_PARKED && partition->parked < limit)
            positions_set_state(positions, partition, PARTITION_FOLLOWING);
    }
}

int64_t positions_reached(const struct partition *partition)
{
    int64_t reached = partition->cursor.next_offset;

    for (unsigned range = 0; range < RANGE_COUNT; range++) {
        int64_t known = positions_of_range(partition, range).next_offset;
        if (known > reached)
            reached = known;
    }
    return reached;
}

int64_t positions_lag(const struct positions *positions)
{
    int64_t lag = positions->count > 0 ? 0 : -1;

    for (size_t i = 0; i < positions->count; i++) {
        const struct partition *partition = positions->partitions[i];
        if (partition->row.state != PARTITION_FOLLOWING)
            continue;
        if (partition->row.end_offset < 0)
            return -1;
        if (partition->row.end_offset > partition->cursor.next_offset)
            lag += partition->row.end_offset - partition->cursor.next_offset;
    }
    return lag;
}

void positions_advance_to(struct positions *positions, struct partition *partition, int64_t next_offset)
{
    if (next_offset <= partition->cursor.next_offset)
        return;
    partition->cursor.next_offset = next_offset;
    positions->has_moved = true;
}

void positions_go_ahead(struct positions *positions, struct partition *partition, unsigned range,
                        const struct record *record)
{
    struct position *ahead = &partition->ahead[range];

    if (record->offset < ahead->next_offset)
        return;
    *ahead = (struct position){.next_offset = record->offset + 1,
                               .last_offset = record->offset,
                               .last_time_ms = record->time_ms,
                               .caught_up_at_ms = partition->cursor.caught_up_at_ms};
    partition->ahead_records[range] = record;
    positions->has_unhashed = true;
    positions->has_moved = true;
}

static void hash_ahead(struct partition *partition)
{
    const struct record *record = NULL;
    uint64_t hash = 0;

    for (unsigned range = 0; range < RANGE_COUNT; range++) {
        if (partition->ahead_records[range] == NULL)
            continue;
        if (partition->ahead_records[range] != record) { /* a lane's ranges go ahead together */
            record = partition->ahead_records[range];
            hash = fingerprint_hash(record);
        }
        partition->ahead[range].last_hash = hash;
        partition->ahead_records[range] = NULL;
    }
}

void positions_end_batch(struct positions *positions)
{
    if (!positions->has_unhashed)
        return;
    for (size_t i = 0; i < positions->count; i++) {
        struct partition *partition = positions->partitions[i];
        hash_ahead(partition);
        if (partition->last_record == NULL)
            continue;
        partition->cursor.last_hash = fingerprint_hash(partition->last_record);
        partition->last_record = NULL;
    }
    positions->has_unhashed = false;
}

struct position positions_of_range(const struct partition *partition, unsigned range)
{
    struct position position = partition->stored[range];
    bool is_known = partition->has_stored;

    if (partition->ahead[range].next_offset > position.next_offset) {
        position = partition->ahead[range];
        is_known = true;
    }
    if (partition->cursor.next_offset > position.next_offset || !is_known)
        return partition->cursor;
    if (position.next_offset == partition->cursor.next_offset)
        position.caught_up_at_ms = partition->cursor.caught_up_at_ms;
    if (position.caught_up_at_ms < partition->caught_up_at_ms[range])
        position.caught_up_at_ms = partition->caught_up_at_ms[range];
    return position;
}

bool positions_must_write(const struct partition *partition, unsigned range, uint32_t ranges,
                          struct position *ret_position)
{
    const struct position *stored = &partition->stored[range];
    struct position position = *stored;

    if (ranges >> range & 1)
        position = positions_of_range(partition, range);
    else if (!partition->has_stored)
        position = *stored; /* new: all its rows come at once, at its start */
    else
        position.caught_up_at_ms = partition->caught_up_at_ms[range];

    bool has_moved = position.next_offset != stored->next_offset || !partition->has_stored;
    bool is_overtaken =
        partition->row.end_offset > position.next_offset && position.caught_up_at_ms > stored->caught_up_at_ms;
    bool is_first_time = stored->caught_up_at_ms == 0 && position.caught_up_at_ms != 0;
    if (!has_moved && !is_overtaken && !is_first_time)
        return false;
    *ret_position = position;
    return true;
}

bool positions_row_differs(const struct partition *partition)
{
    const struct partition_row *a = &partition->row;
    const struct partition_row *b = &partition->stored_row;

    return !partition->has_stored || a->state != b->state || a->end_offset != b->end_offset ||
           a->seen_at_ms != b->seen_at_ms || a->start_after != b->start_after ||
           a->partition_count != b->partition_count || a->partitioner != b->partitioner;
}

void positions_stored(struct partition *partition, unsigned range, const struct position *position)
{
    partition->stored[range] = *position;
    if (partition->caught_up_at_ms[range] < position->caught_up_at_ms)
        partition->caught_up_at_ms[range] = position->caught_up_at_ms;
    partition->has_stored = true;
}

void positions_row_stored(struct partition *partition, const struct partition_row *row)
{
    partition->stored_row = *row;
}

void positions_look(struct positions *positions)
{
    positions->has_moved = false;
    positions->has_changed = false;
    for (size_t i = 0; i < positions->count; i++) {
        const struct partition *partition = positions->partitions[i];
        if (!partition->has_stored)
            positions->has_moved = true;
        for (unsigned range = 0; range < RANGE_COUNT && !positions->has_moved; range++)
            positions->has_moved = partition->cursor.next_offset > partition->stored[range].next_offset ||
                                   partition->ahead[range].next_offset > partition->stored[range].next_offset;
        if (positions_row_differs(partition))
            positions->has_changed = true;
    }
}

unsigned positions_oldest_range(const struct positions *positions, const uint64_t last_jobs[RANGE_COUNT])
{
    int64_t sums[RANGE_COUNT] = {0};
    unsigned oldest = 0;

    for (size_t i = 0; i < positions->count; i++)
        for (unsigned range = 0; range < RANGE_COUNT; range++)
            sums[range] += positions->partitions[i]->stored[range].next_offset;
    for (unsigned range = 1; range < RANGE_COUNT; range++)
        if (sums[range] < sums[oldest] || (sums[range] == sums[oldest] && last_jobs[range] < last_jobs[oldest]))
            oldest = range;
    return oldest;
}
