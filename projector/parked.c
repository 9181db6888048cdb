/* The index answers the one question that each record asks, whether its unit is blocked, without a look-up when nothing
 * is parked; its size is bounded by the limit per partition, and each lane has its own. Units stand in chained buckets, an entry is 16 bytes. */
#include "projector/parked.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "schema/base/mem.h"

enum { BUCKETS_MIN = 64 };

static bool count_event(struct parked_units *parked, const struct parked_key *key, size_t limit);
static struct parked_unit **find_place(const struct parked_units *parked, uint64_t unit_hash, uint16_t topic);
static void add_entry(struct parked_units *parked, const struct parked_key *key, bool is_waiting);
static void put_row(struct parked_units *parked, const struct incoming *incoming, enum park_reason reason,
                    const char *message);

void parked_init(struct parked_units *parked, struct rows *rows, struct positions *positions, size_t limit)
{
    *parked =
        (struct parked_units){.rows = rows, .positions = positions, .limit = limit, .key = BUF_INIT, .value = BUF_INIT};
}

void parked_release(struct parked_units *parked)
{
    for (size_t i = 0; i < parked->bucket_count; i++)
        while (parked->buckets[i] != NULL) {
            struct parked_unit *unit = parked->buckets[i];
            parked->buckets[i] = unit->next;
            free(unit->entries);
            free(unit);
        }
    free(parked->buckets);
    buf_release(&parked->key);
    buf_release(&parked->value);
    *parked = (struct parked_units){0};
}

int parked_load(struct parked_units *parked, uint32_t ranges, struct err *err)
{
    const struct span all = {NULL, 0};
    struct store_cursor *cursor = NULL;
    struct span key, value;

    int rc = rows_begin_snapshot(parked->rows, err);
    if (rc == 0)
        rc = store_cursor_open(parked->rows->reader, TABLE_PARKED, all, all, &cursor, err);
    while (rc == 0 && (rc = store_cursor_next(cursor, &key, &value, err)) == 0) {
        struct parked_key at;
        struct parked_event event;
        rc = layout_parse_parked_key(key, &at, err);
        if (rc == 0)
            rc = layout_parse_parked_event(value, &event, err);
        if (rc == 0 && (ranges >> owner_range(at.unit_hash) & 1)) {
            count_event(parked, &at, SIZE_MAX);
            add_entry(parked, &at, event.reason == PARK_WAITING);
        }
    }
    store_cursor_close(&cursor);
    rows_end_snapshot(parked->rows);
    return rc == ERR_ABSENT ? 0 : rc;
}

/* --- units --- */

/* Counts one more of its partition, whose events are parked by several lanes at once; false: it has `limit` already. */
static bool count_event(struct parked_units *parked, const struct parked_key *key, size_t limit)
{
    struct partition *partition = positions_find(parked->positions, key->topic, key->partition);

    if (partition == NULL || atomic_fetch_add(&partition->parked, 1) < limit)
        return true;
    atomic_fetch_sub(&partition->parked, 1);
    return false;
}

/* Where the pointer to the unit stands, or would. */
static struct parked_unit **find_place(const struct parked_units *parked, uint64_t unit_hash, uint16_t topic)
{
    struct parked_unit **place = &parked->buckets[unit_hash & (parked->bucket_count - 1)];

    while (*place != NULL && ((*place)->hash != unit_hash || (*place)->topic != topic))
        place = &(*place)->next;
    return place;
}

struct parked_unit *parked_find(const struct parked_units *parked, uint64_t unit_hash, uint16_t topic)
{
    return parked->unit_count > 0 ? *find_place(parked, unit_hash, topic) : NULL;
}

static void grow_buckets(struct parked_units *parked)
{
    struct parked_units bigger = {.bucket_count = parked->bucket_count ? 2 * parked->bucket_count : BUCKETS_MIN};

    bigger.buckets = mem_zero(bigger.bucket_count, sizeof(struct parked_unit *));
    for (size_t i = 0; i < parked->bucket_count; i++)
        while (parked->buckets[i] != NULL) {
            struct parked_unit *unit = parked->buckets[i];
            parked->buckets[i] = unit->next;
            unit->next = NULL;
            *find_place(&bigger, unit->hash, unit->topic) = unit;
        }
    free(parked->buckets);
    parked->buckets = bigger.buckets;
    parked->bucket_count = bigger.bucket_count;
}

static struct parked_unit *make_unit(struct parked_units *parked, uint64_t unit_hash, uint16_t topic)
{
    if (parked->unit_count >= parked->bucket_count)
        grow_buckets(parked);
    struct parked_unit **place = find_place(parked, unit_hash, topic);
    if (*place == NULL) {
        *place = mem_zero(1, sizeof(**place));
        (*place)->hash = unit_hash;
        (*place)->topic = topic;
        parked->unit_count++;
    }
    return *place;
}

/* The first entry that doesn't come before that place. */
static size_t entry_index(const struct parked_unit *unit, int32_t partition, int64_t offset)
{
    size_t i = unit->count;

    while (i > 0 && (unit->entries[i - 1].partition > partition ||
                     (unit->entries[i - 1].partition == partition && unit->entries[i - 1].offset >= offset)))
        i--;
    return i;
}

static void add_entry(struct parked_units *parked, const struct parked_key *key, bool is_waiting)
{
    struct parked_unit *unit = make_unit(parked, key->unit_hash, key->topic);
    size_t i = entry_index(unit, key->partition, key->offset);

    unit->entries = mem_grow(unit->entries, unit->count, &unit->capacity, sizeof(*unit->entries));
    memmove(&unit->entries[i + 1], &unit->entries[i], (unit->count - i) * sizeof(*unit->entries));
    unit->entries[i] = (struct parked_entry){key->partition, key->offset, is_waiting};
    unit->count++;
    parked->event_count++;
}

struct parked_key parked_key_of(const struct parked_unit *unit, size_t entry)
{
    return (struct parked_key){unit->hash, unit->topic, unit->entries[entry].partition, unit->entries[entry].offset};
}

void parked_list(const struct parked_units *parked, struct parked_key *ret_keys)
{
    size_t count = 0;

    for (size_t i = 0; i < parked->bucket_count; i++)
        for (const struct parked_unit *unit = parked->buckets[i]; unit != NULL; unit = unit->next)
            for (size_t k = 0; k < unit->count; k++)
                ret_keys[count++] = parked_key_of(unit, k);
}

/* --- events --- */

int parked_put(struct parked_units *parked, const struct incoming *incoming, enum park_reason reason,
               const char *message, struct err *err)
{
    if (!count_event(parked, &incoming->at, parked->limit))
        return err_set(err, ERR_FULL, "%zu events of the partition are parked", parked->limit);
    put_row(parked, incoming, reason, message);
    add_entry(parked, &incoming->at, reason == PARK_WAITING);
    return 0;
}

void parked_put_reason(struct parked_units *parked, const struct incoming *incoming, enum park_reason reason,
                       const char *message)
{
    struct parked_unit *unit = parked_find(parked, incoming->at.unit_hash, incoming->at.topic);

    assert(unit != NULL);
    size_t i = entry_index(unit, incoming->at.partition, incoming->at.offset);
    assert(i < unit->count && unit->entries[i].offset == incoming->at.offset);
    unit->entries[i].is_waiting = reason == PARK_WAITING;
    put_row(parked, incoming, reason, message);
}

static void put_row(struct parked_units *parked, const struct incoming *incoming, enum park_reason reason,
                    const char *message)
{
    const struct parked_event event = {.reason = reason,
                                       .time_ms = incoming->time_ms,
                                       .has_key = incoming->has_key,
                                       .is_null = incoming->is_null,
                                       .key = incoming->key,
                                       .type = incoming->type,
                                       .value = incoming->value,
                                       .message = span_of_text(message)};

    buf_clear(&parked->key);
    buf_clear(&parked->value);
    layout_parked_key(&incoming->at, &parked->key);
    layout_parked_event(&event, &parked->value);
    cache_put(parked->rows->cache, TABLE_PARKED, buf_span(&parked->key), buf_span(&parked->value));
}

int parked_read(struct parked_units *parked, const struct parked_key *key, struct incoming *ret_incoming,
                struct parked_event *ret_event, struct err *err)
{
    struct cache_row *row;
    struct parked_event event;

    buf_clear(&parked->key);
    layout_parked_key(key, &parked->key);
    int rc = rows_find(parked->rows, TABLE_PARKED, buf_span(&parked->key), &row, err);
    if (rc == 0 && row->value == NULL)
        rc = err_set(err, ERR_BROKEN, "a parked event isn't where its index says");
    if (rc == 0)
        rc = layout_parse_parked_event(cache_row_value(row), &event, err);
    if (rc < 0)
        return rc;
    *ret_event = event;
    *ret_incoming = (struct incoming){.at = *key,
                                      .has_key = event.has_key,
                                      .is_null = event.is_null,
                                      .time_ms = event.time_ms,
                                      .key = event.key,
                                      .type = event.type,
                                      .value = event.value};
    return 0;
}

void parked_remove(struct parked_units *parked, const struct parked_key *key)
{
    struct parked_unit **place = find_place(parked, key->unit_hash, key->topic);
    struct parked_unit *unit = *place;
    struct partition *partition = positions_find(parked->positions, key->topic, key->partition);

    assert(unit != NULL);
    size_t i = entry_index(unit, key->partition, key->offset);
    assert(i < unit->count && unit->entries[i].offset == key->offset);
    memmove(&unit->entries[i], &unit->entries[i + 1], (unit->count - i - 1) * sizeof(*unit->entries));
    unit->count--;
    parked->event_count--;
    if (unit->count == 0) {
        *place = unit->next;
        free(unit->entries);
        free(unit);
        parked->unit_count--;
    }

    buf_clear(&parked->key);
    layout_parked_key(key, &parked->key);
    cache_put_absent(parked->rows->cache, TABLE_PARKED, buf_span(&parked->key));

    parked->has_removed = true;
    if (partition != NULL)
        atomic_fetch_sub(&partition->parked, 1);
}
