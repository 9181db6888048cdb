/* Rows are found by hash (cache_slots.h), and rings of them by owner (cache_owners.h). Rows and values are allocated one by
 * one, in chunks that are used again (cache_chunks.h): values of a view stay in their size class (layout_view_value()), so
 * an update mostly reuses the bytes that the row has, unless a job is writing them; then it needs new ones, and the old
 * ones are soon free. Dirty rows stand in one vector per range rather than in a list: freezing 60,000 of them is one walk
 * that the CPU can prefetch. */
#include "projector/cache.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>

#include "projector/cache_chunks.h"
#include "projector/cache_owners.h"
#include "projector/cache_slots.h"
#include "schema/base/hash.h"
#include "schema/base/mem.h"

struct dirty_rows {
    struct cache_row **rows;
    size_t count;
    size_t capacity;
    size_t bytes; /* of the rows and their values */
};

/* Of the budget, for chunks that wait to be used again. */
enum { FREE_SHARE = 16 };

struct cache {
    size_t budget_bytes;
    size_t bytes; /* rows and values; tables and vectors aside */
    struct slots rows;
    struct owners owners;
    struct cache_row *lru; /* a ring's fixed point: next is the most recently used row, previous the least */
    struct dirty_rows dirty[RANGE_COUNT];
    size_t dirty_capacity;  /* of all vectors */
    size_t frozen_capacity; /* items of the lists of its jobs */
    size_t evictions;
    struct chunks chunks;
    bool *by_owner;
    size_t view_count;
};

static struct cache_row *add_row(struct cache *cache, enum store_table table, uint64_t hash, struct span key);
static void free_row(struct cache *cache, struct cache_row *row);
static void set_value(struct cache *cache, struct cache_row *row, bool is_absent, struct span value);
static void mark_dirty(struct cache *cache, struct cache_row *row);
static void put(struct cache *cache, enum store_table table, struct span key, bool is_absent, struct span value);

struct cache *cache_new(size_t budget_bytes, const bool *by_owner, size_t view_count)
{
    struct cache *cache = mem_zero(1, sizeof(*cache));

    cache->budget_bytes = budget_bytes;
    cache->lru = mem_zero(1, sizeof(*cache->lru));
    cache->lru->next = cache->lru->previous = cache->lru;
    cache->by_owner = mem_copy(by_owner, view_count * sizeof(*by_owner));
    cache->view_count = view_count;
    slots_init(&cache->rows);
    owners_init(&cache->owners);
    chunks_init(&cache->chunks, budget_bytes / FREE_SHARE);
    return cache;
}

static void *chunk_of(struct cache_row *row)
{
    return row->has_owner_link ? (void *)owner_link_of(row) : (void *)row;
}

void cache_free(struct cache **cache)
{
    if (*cache == NULL)
        return;
    struct cache *c = *cache;
    for (size_t i = 0; i <= c->rows.mask; i++) {
        struct cache_row *row = c->rows.at[i].row;
        if (row != NULL) {
            c->rows.at[i].row = NULL;
            if (row->value != NULL)
                free(row->value);
            free(chunk_of(row));
        }
    }
    for (size_t i = 0; i < RANGE_COUNT; i++)
        free(c->dirty[i].rows);
    slots_release(&c->rows);
    owners_release(&c->owners);
    chunks_release(&c->chunks);
    free(c->by_owner);
    free(c->lru);
    free(c);
    *cache = NULL;
}

/* --- the LRU of clean rows --- */

static void lru_remove(struct cache_row *row)
{
    row->previous->next = row->next;
    row->next->previous = row->previous;
}

static void lru_add(struct cache *cache, struct cache_row *row)
{
    row->previous = cache->lru;
    row->next = cache->lru->next;
    row->next->previous = row;
    cache->lru->next = row;
}

/* --- finding and changing rows --- */

/* The first 8 bytes, big-endian. */
static uint64_t key_order(const uint8_t *key)
{
    uint64_t order;

    memcpy(&order, key, sizeof(order));
    return be64toh(order);
}

static unsigned view_number_of(struct span key)
{
    return (unsigned)span_bytes(key)[8] << 8 | span_bytes(key)[9];
}

static bool is_by_owner(const struct cache *cache, enum store_table table, struct span key)
{
    if (table != TABLE_VIEWS || key.len < VIEW_KEY_PREFIX_BYTES)
        return false;
    unsigned view = view_number_of(key);
    return view < cache->view_count && cache->by_owner[view];
}

/* The owner's hash is all the hash that a view needs which has one row per owner; where it may have thousands, the whole
 * key is hashed, or their slots would stand in one heap. */
static uint64_t view_hash(uint64_t owner_hash, unsigned view_number)
{
    return owner_hash + (uint64_t)view_number * 0x9e3779b97f4a7c15u;
}

static uint64_t row_hash(const struct cache *cache, enum store_table table, struct span key)
{
    if (table == TABLE_VIEWS && key.len >= VIEW_KEY_PREFIX_BYTES && !is_by_owner(cache, table, key))
        return view_hash(key_order(key.at), view_number_of(key));
    return hash64(key) + ((uint64_t)table + 1) * 0xd6e8feb86659fd93u;
}

static struct cache_row *find_hashed(const struct cache *cache, enum store_table table, uint64_t hash, struct span key)
{
    for (size_t i = hash & cache->rows.mask;; i = (i + 1) & cache->rows.mask) {
        const struct slot *slot = &cache->rows.at[i];
        if (slot->row == NULL)
            return NULL;
        if (slot->hash == hash && slot->row->table == table && span_equal(cache_row_key(slot->row), key))
            return slot->row;
    }
}

struct cache_row *cache_find(struct cache *cache, enum store_table table, struct span key)
{
    struct cache_row *row = find_hashed(cache, table, row_hash(cache, table, key), key);

    if (row != NULL && row->state == ROW_CLEAN && cache->lru->next != row) {
        lru_remove(row);
        lru_add(cache, row);
    }
    return row;
}

void cache_prefetch(const struct cache *cache, uint64_t owner_hash, uint16_t view_number, enum cache_prefetch what)
{
    enum { LINE_BYTES = 64, VALUE_LINES = 12 }; /* of a value whose length isn't known yet; most end before */
    uint64_t hash = view_hash(owner_hash, view_number);
    const struct slot *slot = &cache->rows.at[hash & cache->rows.mask];

    if (what == CACHE_PREFETCH_SLOT) {
        __builtin_prefetch(slot);
        return;
    }
    for (size_t i = hash & cache->rows.mask; slot->row != NULL && slot->hash != hash; slot = &cache->rows.at[i])
        i = (i + 1) & cache->rows.mask;
    if (slot->row == NULL)
        return;
    if (what == CACHE_PREFETCH_ROW) {
        __builtin_prefetch(slot->row);
        __builtin_prefetch((const uint8_t *)slot->row + LINE_BYTES);
        return;
    }
    for (size_t i = 0; slot->row->value != NULL && i < VALUE_LINES; i++)
        __builtin_prefetch((const uint8_t *)slot->row->value + i * LINE_BYTES);
}

struct cache_row *cache_add_clean(struct cache *cache, enum store_table table, struct span key, bool is_absent,
                                  struct span value)
{
    struct cache_row *row = add_row(cache, table, row_hash(cache, table, key), key);

    set_value(cache, row, is_absent, value);
    lru_add(cache, row);
    return row;
}

void cache_put(struct cache *cache, enum store_table table, struct span key, struct span value)
{
    put(cache, table, key, false, value);
}

void cache_put_absent(struct cache *cache, enum store_table table, struct span key)
{
    put(cache, table, key, true, (struct span){NULL, 0});
}

static void put(struct cache *cache, enum store_table table, struct span key, bool is_absent, struct span value)
{
    uint64_t hash = row_hash(cache, table, key);
    struct cache_row *row = find_hashed(cache, table, hash, key);

    if (row == NULL) {
        row = add_row(cache, table, hash, key);
        lru_add(cache, row);
    }
    mark_dirty(cache, row);
    set_value(cache, row, is_absent, value);
}

/* Of the row itself, its link included. */
static size_t row_size(const struct cache_row *row)
{
    return (row->has_owner_link ? sizeof(struct owner_link) : 0) + sizeof(*row) + row->key_len;
}

static size_t value_size(const struct cache_value *value)
{
    return sizeof(*value) + value->len;
}

static size_t row_bytes(const struct cache_row *row)
{
    return chunk_bytes(row_size(row));
}

static size_t value_bytes(const struct cache_value *value)
{
    return value != NULL ? chunk_bytes(value_size(value)) : 0;
}

static void mark_dirty(struct cache *cache, struct cache_row *row)
{
    if (row->state == ROW_DIRTY)
        return;
    if (row->state == ROW_CLEAN)
        lru_remove(row);
    row->state = ROW_DIRTY;

    struct dirty_rows *dirty = &cache->dirty[cache_row_range(row)];
    cache->dirty_capacity -= dirty->capacity;
    dirty->rows = mem_grow(dirty->rows, dirty->count, &dirty->capacity, sizeof(struct cache_row *));
    cache->dirty_capacity += dirty->capacity;
    dirty->rows[dirty->count++] = row;
    dirty->bytes += row_bytes(row) + value_bytes(row->value);
}

static void drop_value(struct cache *cache, struct cache_value *value)
{
    if (value != NULL && --value->references == 0) {
        cache->bytes -= value_bytes(value);
        chunks_give(&cache->chunks, value, value_size(value));
    }
}

/* A value that no job holds is overwritten when the new one takes a chunk of the same size. */
static void set_value(struct cache *cache, struct cache_row *row, bool is_absent, struct span value)
{
    struct cache_value *old = row->value;
    size_t old_bytes = value_bytes(old);
    size_t size = sizeof(*old) + value.len;
    struct cache_value *fresh = NULL;

    if (!is_absent && old != NULL && old->references == 1 && chunk_bytes(size) == old_bytes) {
        fresh = old;
    } else if (!is_absent) {
        fresh = chunks_take(&cache->chunks, size);
        fresh->references = 1;
    }
    if (fresh != NULL) {
        fresh->len = (uint32_t)value.len;
        if (value.len > 0)
            memmove(fresh->bytes, value.at, value.len);
    }
    if (fresh == old)
        return;

    size_t fresh_bytes = value_bytes(fresh);
    cache->bytes += fresh_bytes;
    if (row->state == ROW_DIRTY) {
        struct dirty_rows *dirty = &cache->dirty[cache_row_range(row)];
        dirty->bytes = dirty->bytes + fresh_bytes - old_bytes;
    }
    row->value = fresh;
    drop_value(cache, old);
}

void cache_walk_owner(struct cache *cache, struct span prefix, void (*visit)(void *self, struct cache_row *row),
                      void *self)
{
    assert(is_by_owner(cache, TABLE_VIEWS, prefix));
    owners_walk(&cache->owners, prefix, visit, self);
}

/* --- rows --- */

/* The row is clean and absent, and in no list yet. */
static struct cache_row *add_row(struct cache *cache, enum store_table table, uint64_t hash, struct span key)
{
    bool by_owner = is_by_owner(cache, table, key);
    size_t before = by_owner ? sizeof(struct owner_link) : 0;
    uint8_t *at = chunks_take(&cache->chunks, before + sizeof(struct cache_row) + key.len);
    struct cache_row *row = (struct cache_row *)(void *)(at + before);

    assert(key.len >= 8 && key.len <= UINT16_MAX);
    *row = (struct cache_row){.hash = hash,
                              .table = (uint8_t)table,
                              .state = ROW_CLEAN,
                              .has_owner_link = by_owner,
                              .key_len = (uint16_t)key.len};
    memcpy(row->key, key.at, key.len);
    cache->bytes += row_bytes(row);
    slots_insert(&cache->rows, hash, row);
    if (by_owner)
        owners_add(&cache->owners, row);
    return row;
}

/* A clean row. */
static void free_row(struct cache *cache, struct cache_row *row)
{
    assert(row->state == ROW_CLEAN);
    lru_remove(row);
    slots_remove(&cache->rows, row->hash, row);
    if (row->has_owner_link)
        owners_remove(&cache->owners, row);
    drop_value(cache, row->value);
    cache->bytes -= row_bytes(row);
    chunks_give(&cache->chunks, chunk_of(row), row_size(row));
}

/* --- jobs --- */

void cache_freeze(struct cache *cache, unsigned range, struct cache_frozen_list *list)
{
    struct dirty_rows *dirty = &cache->dirty[range];
    enum { AHEAD = 8 };

    if (list->capacity < list->count + dirty->count) {
        cache->frozen_capacity += list->count + dirty->count - list->capacity;
        list->capacity = list->count + dirty->count;
        list->items = mem_resize(list->items, list->capacity, sizeof(*list->items));
    }
    for (size_t i = 0; i < dirty->count; i++) {
        if (i + AHEAD < dirty->count)
            __builtin_prefetch(dirty->rows[i + AHEAD]);
        if (i + AHEAD / 2 < dirty->count)
            __builtin_prefetch(dirty->rows[i + AHEAD / 2]->value);
        struct cache_row *row = dirty->rows[i];
        row->state = ROW_FROZEN;
        if (row->value != NULL)
            row->value->references++;
        list->items[list->count++] = (struct cache_frozen){key_order(row->key), row, row->value, row->table};
    }
    dirty->count = 0;
    dirty->bytes = 0;
}

void cache_thaw(struct cache *cache, struct cache_frozen_list *list)
{
    enum { AHEAD = 8 };

    for (size_t i = 0; i < list->count; i++) {
        if (i + AHEAD < list->count) {
            __builtin_prefetch(list->items[i + AHEAD].row);
            __builtin_prefetch(list->items[i + AHEAD].value);
        }
        struct cache_row *row = list->items[i].row;
        drop_value(cache, list->items[i].value);
        if (row->state == ROW_FROZEN) {
            row->state = ROW_CLEAN;
            lru_add(cache, row);
            if (row->table == TABLE_IDS)
                free_row(cache, row);
        }
    }
    list->count = 0;
}

/* --- budget --- */

size_t cache_bytes(const struct cache *cache)
{
    return cache->bytes + cache->chunks.bytes + slots_bytes(&cache->rows) + owners_bytes(&cache->owners) +
           cache->dirty_capacity * sizeof(struct cache_row *) + cache->frozen_capacity * sizeof(struct cache_frozen);
}

size_t cache_dirty_bytes(const struct cache *cache)
{
    size_t bytes = 0;

    for (size_t i = 0; i < RANGE_COUNT; i++)
        bytes += cache->dirty[i].bytes;
    return bytes;
}

size_t cache_dirty_rows(const struct cache *cache)
{
    size_t rows = 0;

    for (size_t i = 0; i < RANGE_COUNT; i++)
        rows += cache->dirty[i].count;
    return rows;
}

size_t cache_row_count(const struct cache *cache)
{
    return cache->rows.count;
}

size_t cache_evictions(const struct cache *cache)
{
    return cache->evictions;
}

void cache_set_budget(struct cache *cache, size_t budget_bytes)
{
    cache->budget_bytes = budget_bytes;
    chunks_set_max(&cache->chunks, budget_bytes / FREE_SHARE);
}

bool cache_trim(struct cache *cache)
{
    size_t fixed = cache_bytes(cache) - cache->bytes - cache->chunks.bytes + cache->chunks.bytes_max;
    size_t allowed = cache->budget_bytes > fixed ? cache->budget_bytes - fixed : 0;

    while (cache->bytes > allowed && cache->lru->previous != cache->lru) {
        free_row(cache, cache->lru->previous);
        cache->evictions++;
    }
    return cache->bytes <= allowed;
}
