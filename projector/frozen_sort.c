/* Keys begin with a hash, so that as many buckets as there are rows, taken from its first bits that differ, leave hardly
 * two rows in one: a pass or two puts all in place, where qsort() would compare each row sixteen times. What shares a
 * bucket (rows of one owner; or keys that somebody chose for it) is sorted by comparing. */
#include "projector/frozen_sort.h"

#include <stdlib.h>

#include "schema/base/mem.h"

enum {
    BUCKETS_FROM = 64,    /* below, comparing is as fast */
    BUCKET_BITS_MAX = 16, /* their counts stay in the CPU's caches */
    INSERT_MAX = 16,
};

struct buckets {
    unsigned skipped_bits; /* all rows have them in common */
    unsigned bits;
};

static int compare(const void *a, const void *b)
{
    const struct cache_frozen *left = a;
    const struct cache_frozen *right = b;

    if (left->table != right->table)
        return left->table < right->table ? -1 : 1;
    if (left->order != right->order)
        return left->order < right->order ? -1 : 1;
    return span_compare(cache_row_key(left->row), cache_row_key(right->row));
}

static void sort_by_comparing(struct cache_frozen *items, size_t count)
{
    if (count > INSERT_MAX) {
        qsort(items, count, sizeof(*items), compare);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        struct cache_frozen item = items[i];
        size_t at = i;
        for (; at > 0 && compare(&items[at - 1], &item) > 0; at--)
            items[at] = items[at - 1];
        items[at] = item;
    }
}

static size_t bucket_of(const struct cache_frozen *item, struct buckets buckets)
{
    return (size_t)(item->order << buckets.skipped_bits >> (64 - buckets.bits));
}

static struct buckets choose_buckets(const struct cache_frozen *items, size_t count)
{
    uint64_t differing = 1; /* 63 bits in common at most */
    unsigned bits = 63 - (unsigned)__builtin_clzll(count);

    for (size_t i = 1; i < count; i++)
        differing |= items[i].order ^ items[0].order;
    return (struct buckets){(unsigned)__builtin_clzll(differing), bits < BUCKET_BITS_MAX ? bits : BUCKET_BITS_MAX};
}

/* Of one table. `room` has as many items, `ends` a place for each bucket. */
static void sort_table(struct cache_frozen *items, size_t count, struct cache_frozen *room, size_t *ends)
{
    struct buckets buckets = choose_buckets(items, count);
    size_t bucket_count = (size_t)1 << buckets.bits;

    memset(ends, 0, bucket_count * sizeof(*ends));
    for (size_t i = 0; i < count; i++)
        ends[bucket_of(&items[i], buckets)]++;
    for (size_t i = 1; i < bucket_count; i++)
        ends[i] += ends[i - 1];
    memcpy(room, items, count * sizeof(*items));
    for (size_t i = count; i-- > 0;)
        items[--ends[bucket_of(&room[i], buckets)]] = room[i];
    /* `ends` are the buckets' starts now. */
    for (size_t i = 0; i < bucket_count; i++) {
        size_t end = i + 1 < bucket_count ? ends[i + 1] : count;
        if (end - ends[i] > 1)
            sort_by_comparing(items + ends[i], end - ends[i]);
    }
}

/* Brings the rows of each table together. */
static void part_tables(struct cache_frozen *items, size_t count, struct cache_frozen *room,
                        size_t ret_ends[TABLE_COUNT])
{
    size_t starts[TABLE_COUNT] = {0};
    size_t sum = 0;

    for (size_t i = 0; i < count; i++)
        starts[items[i].table]++;
    bool is_one_table = starts[items[0].table] == count;
    for (size_t table = 0; table < TABLE_COUNT; table++) {
        size_t own = starts[table];
        starts[table] = sum;
        sum += own;
        ret_ends[table] = sum;
    }
    if (is_one_table)
        return;
    memcpy(room, items, count * sizeof(*items));
    for (size_t i = 0; i < count; i++)
        items[starts[room[i].table]++] = room[i];
}

void frozen_sort(struct cache_frozen *items, size_t count)
{
    size_t ends[TABLE_COUNT];
    size_t start = 0;

    if (count < BUCKETS_FROM) {
        sort_by_comparing(items, count);
        return;
    }
    struct cache_frozen *room = mem_resize(NULL, count, sizeof(*room));
    size_t *bucket_ends = mem_resize(NULL, (size_t)1 << BUCKET_BITS_MAX, sizeof(*bucket_ends));
    part_tables(items, count, room, ends);
    for (size_t table = 0; table < TABLE_COUNT; table++) {
        size_t own = ends[table] - start;
        if (own < BUCKETS_FROM)
            sort_by_comparing(items + start, own);
        else
            sort_table(items + start, own, room, bucket_ends);
        start = ends[table];
    }
    free(bucket_ends);
    free(room);
}
