/* Everything is kept per snapshot: rows are read when they are first asked for and hold until the transaction number
 * grows. Under a steady load of commits that is a handful of look-ups per commit and range; under none it is nothing.
 *
 * Which partition is an owner's follows from the topic's partitioner and its number of partitions, which are in the
 * partitions' rows: all rows are read when the snapshot changes, but not more often than TOPOLOGY_MS apart, because
 * only a change of the number of partitions is news there. A partition that isn't known yet (Kafka has added it, the
 * projector hasn't adopted it) makes the topic answer with all of its partitions: true, if less sharp. */
#include "query/freshness.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "schema/base/clock.h"
#include "schema/base/decimal.h"
#include "schema/base/mem.h"
#include "schema/store/partitioner.h"

enum { TOPOLOGY_MS = 100 };

enum { POSITION_TEXT_MAX = 2 * DECIMAL_MAX + 2 };

/* A row as of one snapshot, and what an answer says of it. */
struct seen_position {
    uint64_t version;
    bool is_there;
    uint8_t text_len;
    char text[POSITION_TEXT_MAX]; /* "/3@41": behind the topic's name */
    int64_t since_ms;             /* the range was whole then */
    struct position position;
};

struct seen_partition {
    uint64_t version;
    bool is_there;
    struct partition_row row;
    struct seen_position ranges[RANGE_COUNT];
};

struct seen_topic {
    struct span name;
    struct seen_partition *partitions; /* by number */
    int32_t count;
    int32_t partition_count; /* as the producers see it */
    enum partitioner partitioner;
};

struct freshness {
    const struct generation_settings *settings;
    struct store_reader *reader;
    struct seen_topic *topics;
    uint64_t topology_version;
    int64_t topology_us;
    uint64_t parked_version;
    bool has_parked;
    struct buf key;
};

static int read_topology(struct freshness *freshness, struct err *err);
static int see_partition(struct freshness *freshness, uint16_t topic, int32_t partition,
                         const struct seen_partition **ret_seen, struct err *err);
static int see_position(struct freshness *freshness, uint16_t topic, int32_t partition, unsigned range,
                        const struct seen_position **ret_seen, struct err *err);
static int look_at_position(struct freshness *freshness, uint16_t topic, int32_t partition, unsigned range,
                            struct seen_position *seen, struct err *err);
static void add_number(int64_t number, struct buf *out);
static int range_age_ms(struct freshness *freshness, uint16_t topic, int32_t partition, unsigned range, int64_t now_ms,
                        int64_t *ret_age_ms, struct err *err);

struct freshness *freshness_new(const struct generation_settings *settings, struct store_reader *reader)
{
    struct freshness *freshness = mem_zero(1, sizeof(*freshness));

    freshness->settings = settings;
    freshness->reader = reader;
    freshness->topics = mem_zero(settings->topic_count + 1, sizeof(*freshness->topics));
    for (size_t i = 0; i < settings->topic_count; i++)
        freshness->topics[i].name = span_of_text(settings->topics[i]);
    return freshness;
}

void freshness_free(struct freshness **freshness)
{
    if (*freshness == NULL)
        return;
    for (size_t i = 0; i < (*freshness)->settings->topic_count; i++)
        free((*freshness)->topics[i].partitions);
    free((*freshness)->topics);
    buf_release(&(*freshness)->key);
    free(*freshness);
    *freshness = NULL;
}

int freshness_partitions(struct freshness *freshness, const uint16_t *topics, size_t topic_count, struct span owner,
                         struct arena *arena, struct key_partitions *ret_partitions, struct err *err)
{
    struct key_partitions found = {.owner_hash = hash64(owner)};
    size_t most = 0;
    const struct seen_topic *last = NULL; /* the topics of a view mostly have the same partitioner and partitions */
    int32_t partition = -1;

    int rc = read_topology(freshness, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < topic_count; i++)
        most += (size_t)freshness->topics[topics[i]].count;
    found.range = owner_range(found.owner_hash);
    found.items = arena_alloc(arena, most * sizeof(*found.items));
    for (size_t i = 0; i < topic_count; i++) {
        const struct seen_topic *topic = &freshness->topics[topics[i]];
        if (last == NULL || topic->partitioner != last->partitioner || topic->partition_count != last->partition_count)
            partition = partitioner_partition(topic->partitioner, owner, topic->partition_count);
        last = topic;
        bool is_known = partition >= 0 && partition < topic->count && topic->partitions[partition].is_there;
        for (int32_t p = is_known ? partition : 0; p < (is_known ? partition + 1 : topic->count); p++)
            if (topic->partitions[p].is_there)
                found.items[found.count++] = (struct key_partition){topics[i], p};
    }
    *ret_partitions = found;
    return 0;
}

int freshness_position(struct freshness *freshness, const struct key_partitions *partitions, struct buf *out,
                       struct err *err)
{
    for (size_t i = 0; i < partitions->count; i++) {
        const struct key_partition *item = &partitions->items[i];
        const struct seen_position *seen;
        int rc = see_position(freshness, item->topic, item->partition, partitions->range, &seen, err);
        if (rc < 0)
            return rc;
        if (i > 0)
            buf_add_literal(out, ", ");
        buf_add_span(out, freshness->topics[item->topic].name);
        buf_add(out, seen->text, seen->text_len);
    }
    return 0;
}

int freshness_age_s(struct freshness *freshness, const struct key_partitions *partitions, int64_t now_ms,
                    int64_t *ret_age_s, struct err *err)
{
    int64_t oldest_ms = 0;

    for (size_t i = 0; i < partitions->count; i++) {
        int64_t age_ms;
        int rc = range_age_ms(freshness, partitions->items[i].topic, partitions->items[i].partition, partitions->range,
                              now_ms, &age_ms, err);
        if (rc < 0)
            return rc;
        oldest_ms = age_ms > oldest_ms ? age_ms : oldest_ms;
    }
    *ret_age_s = oldest_ms / 1000;
    return 0;
}

int freshness_whole_age_s(struct freshness *freshness, int64_t now_ms, int64_t *ret_age_s, struct err *err)
{
    int64_t oldest_ms = 0, age_ms;

    int rc = read_topology(freshness, err);
    for (size_t topic = 0; rc == 0 && topic < freshness->settings->topic_count; topic++) {
        for (int32_t p = 0; rc == 0 && p < freshness->topics[topic].count; p++) {
            const struct seen_partition *partition = &freshness->topics[topic].partitions[p];
            bool counts = partition->is_there && partition->row.state == PARTITION_FOLLOWING;
            for (unsigned range = 0; rc == 0 && counts && range < RANGE_COUNT; range++) {
                rc = range_age_ms(freshness, (uint16_t)topic, p, range, now_ms, &age_ms, err);
                if (rc == 0 && age_ms > oldest_ms)
                    oldest_ms = age_ms;
            }
        }
    }
    if (rc == 0)
        *ret_age_s = oldest_ms / 1000;
    return rc;
}

int freshness_next_offset(struct freshness *freshness, uint16_t topic, int32_t partition, unsigned range,
                          int64_t *ret_next_offset, struct err *err)
{
    const struct seen_partition *seen_partition;
    const struct seen_position *seen;

    int rc = read_topology(freshness, err);
    if (rc == 0)
        rc = see_partition(freshness, topic, partition, &seen_partition, err);
    if (rc == ERR_ABSENT && freshness->topology_version != store_read_version(freshness->reader)) {
        freshness->topology_version = 0; /* it may have been adopted since the last look */
        rc = read_topology(freshness, err);
        if (rc == 0)
            rc = see_partition(freshness, topic, partition, &seen_partition, err);
    }
    if (rc == 0)
        rc = see_position(freshness, topic, partition, range, &seen, err);
    if (rc == 0)
        *ret_next_offset = seen->is_there ? seen->position.next_offset : 0;
    return rc;
}

int freshness_has_id(struct freshness *freshness, uint64_t owner_hash, uint64_t id_hash, bool *ret_has, struct err *err)
{
    struct store_cursor *cursor = NULL;
    struct span key, value;

    buf_clear(&freshness->key);
    layout_id_prefix(owner_hash, id_hash, &freshness->key);
    int rc = store_cursor_open(freshness->reader, TABLE_IDS, buf_span(&freshness->key), span_of(NULL, 0), &cursor, err);
    if (rc == 0)
        rc = store_cursor_next(cursor, &key, &value, err);
    store_cursor_close(&cursor);
    if (rc < 0 && rc != ERR_ABSENT)
        return rc;
    *ret_has = rc == 0;
    return 0;
}

/* Mostly nothing is parked at all, and that is known per snapshot. */
int freshness_is_incomplete(struct freshness *freshness, uint64_t owner_hash, bool *ret_incomplete, struct err *err)
{
    const struct span everything = {NULL, 0};
    struct store_cursor *cursor = NULL;
    uint64_t version = store_read_version(freshness->reader);
    uint8_t unit[8];
    struct span key, value;
    int rc;

    if (freshness->parked_version != version) {
        rc = store_cursor_open(freshness->reader, TABLE_PARKED, everything, everything, &cursor, err);
        if (rc == 0)
            rc = store_cursor_next(cursor, &key, &value, err);
        store_cursor_close(&cursor);
        if (rc < 0 && rc != ERR_ABSENT)
            return rc;
        freshness->has_parked = rc == 0;
        freshness->parked_version = version;
    }
    if (!freshness->has_parked) {
        *ret_incomplete = false;
        return 0;
    }
    for (int i = 0; i < 8; i++)
        unit[i] = (uint8_t)(owner_hash >> (56 - 8 * i));
    rc = store_cursor_open(freshness->reader, TABLE_PARKED, span_of(unit, sizeof(unit)), everything, &cursor, err);
    if (rc == 0)
        rc = store_cursor_next(cursor, &key, &value, err);
    store_cursor_close(&cursor);
    if (rc < 0 && rc != ERR_ABSENT)
        return rc;
    *ret_incomplete = rc == 0;
    return 0;
}

/* --- rows ----------------------------------------------------------------------------------------------------------- */

static struct seen_partition *make_room(struct seen_topic *topic, int32_t partition)
{
    if (partition >= topic->count) {
        size_t count = (size_t)partition + 1;
        topic->partitions = mem_resize(topic->partitions, count, sizeof(*topic->partitions));
        memset(topic->partitions + topic->count, 0, (count - (size_t)topic->count) * sizeof(*topic->partitions));
        topic->count = (int32_t)count;
    }
    return &topic->partitions[partition];
}

/* The partitioner that all rows agree with, as far as they know one. */
static enum partitioner agree(enum partitioner a, enum partitioner b)
{
    if (a == PARTITIONER_UNKNOWN || a == b)
        return b;
    return b == PARTITIONER_UNKNOWN ? a : PARTITIONER_MIXED;
}

static int read_topology(struct freshness *freshness, struct err *err)
{
    const struct span everything = {NULL, 0};
    uint64_t version = store_read_version(freshness->reader);
    struct store_cursor *cursor = NULL;
    struct span row_key, value;

    if (version == freshness->topology_version)
        return 0;
    int64_t now_us = clock_monotonic_us(&clock_system);
    if (freshness->topology_version != 0 && now_us - freshness->topology_us < TOPOLOGY_MS * 1000)
        return 0;
    for (size_t i = 0; i < freshness->settings->topic_count; i++) {
        freshness->topics[i].partition_count = 0;
        freshness->topics[i].partitioner = PARTITIONER_UNKNOWN;
    }
    int rc = store_cursor_open(freshness->reader, TABLE_PARTITIONS, everything, everything, &cursor, err);
    while (rc == 0 && (rc = store_cursor_next(cursor, &row_key, &value, err)) == 0) {
        struct partition_row row;
        uint16_t number;
        int32_t partition;
        rc = layout_parse_partition_key(row_key, &number, &partition, err);
        if (rc == 0)
            rc = layout_parse_partition(value, &row, err);
        if (rc < 0 || number >= freshness->settings->topic_count || partition < 0)
            continue;
        struct seen_topic *topic = &freshness->topics[number];
        struct seen_partition *seen = make_room(topic, partition);
        seen->is_there = true;
        seen->row = row;
        seen->version = version;
        topic->partitioner = agree(topic->partitioner, (enum partitioner)row.partitioner);
        if ((int32_t)row.partition_count > topic->partition_count)
            topic->partition_count = (int32_t)row.partition_count;
    }
    store_cursor_close(&cursor);
    if (rc < 0 && rc != ERR_ABSENT)
        return rc;
    freshness->topology_version = version;
    freshness->topology_us = now_us;
    return 0;
}

/* ERR_ABSENT: there is none. */
static int see_partition(struct freshness *freshness, uint16_t topic, int32_t partition,
                         const struct seen_partition **ret_seen, struct err *err)
{
    uint64_t version = store_read_version(freshness->reader);
    struct span value;

    if (topic >= freshness->settings->topic_count || partition < 0 || partition >= freshness->topics[topic].count ||
        !freshness->topics[topic].partitions[partition].is_there)
        return ERR_ABSENT;
    struct seen_partition *seen = &freshness->topics[topic].partitions[partition];
    if (seen->version != version) {
        buf_clear(&freshness->key);
        layout_partition_key(topic, partition, &freshness->key);
        int rc = store_find(freshness->reader, TABLE_PARTITIONS, buf_span(&freshness->key), &value, err);
        if (rc == 0)
            rc = layout_parse_partition(value, &seen->row, err);
        if (rc < 0)
            return rc;
        seen->version = version;
    }
    *ret_seen = seen;
    return 0;
}

/* Of a partition that is there; a range may have no row yet. */
static int see_position(struct freshness *freshness, uint16_t topic, int32_t partition, unsigned range,
                        const struct seen_position **ret_seen, struct err *err)
{
    struct seen_position *seen = &freshness->topics[topic].partitions[partition].ranges[range];

    *ret_seen = seen;
    return seen->version == store_read_version(freshness->reader)
               ? 0
               : look_at_position(freshness, topic, partition, range, seen, err);
}

/* Handled up to the end that was seen last: as fresh as that look at the log. Otherwise as old as the moment at which
 * the range last had everything; a range that never had ages since the last record that it has. */
static int64_t whole_since_ms(const struct seen_position *seen, const struct partition_row *row)
{
    if (!seen->is_there)
        return 0;
    if (seen->position.next_offset >= row->end_offset)
        return row->seen_at_ms;
    if (seen->position.caught_up_at_ms != 0)
        return seen->position.caught_up_at_ms;
    return seen->position.last_offset >= 0 ? seen->position.last_time_ms : 0;
}

static int look_at_position(struct freshness *freshness, uint16_t topic, int32_t partition, unsigned range,
                            struct seen_position *seen, struct err *err)
{
    const struct seen_partition *seen_partition;
    struct span value;

    int rc = see_partition(freshness, topic, partition, &seen_partition, err);
    if (rc < 0)
        return rc;
    buf_clear(&freshness->key);
    layout_position_key(topic, partition, range, &freshness->key);
    rc = store_find(freshness->reader, TABLE_POSITIONS, buf_span(&freshness->key), &value, err);
    if (rc == 0)
        rc = layout_parse_position(value, &seen->position, err);
    if (rc < 0 && rc != ERR_ABSENT)
        return rc;
    seen->is_there = rc == 0;
    seen->since_ms = whole_since_ms(seen, &seen_partition->row);
    buf_clear(&freshness->key);
    buf_add_byte(&freshness->key, '/');
    add_number(partition, &freshness->key);
    buf_add_byte(&freshness->key, '@');
    add_number(seen->is_there ? seen->position.next_offset - 1 : -1, &freshness->key);
    seen->text_len = (uint8_t)freshness->key.len;
    memcpy(seen->text, freshness->key.at, freshness->key.len);
    seen->version = store_read_version(freshness->reader);
    return 0;
}

static void add_number(int64_t number, struct buf *out)
{
    out->len = (size_t)(decimal_put_signed(buf_reserve(out, DECIMAL_MAX), number) - out->at);
}

static int range_age_ms(struct freshness *freshness, uint16_t topic, int32_t partition, unsigned range, int64_t now_ms,
                        int64_t *ret_age_ms, struct err *err)
{
    const struct seen_position *seen;

    int rc = see_position(freshness, topic, partition, range, &seen, err);
    if (rc < 0)
        return rc;
    *ret_age_ms = now_ms > seen->since_ms ? now_ms - seen->since_ms : 0;
    return 0;
}
