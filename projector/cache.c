/* Rows are found by hash (cache_slots.h). Rows and values are allocated one by one: values of a view stay in their size
 * class (layout_view_value()), so an update mostly reuses the bytes that the row has, unless a job is writing them; then
 * it needs new ones, and the old ones are soon free. Freed chunks wait in lists by size for the next of theirs: malloc,
 * whose neighbours are librdkafka's small and short-lived pieces, would join and split them again. One thread at
 * a time allocates and frees. Dirty rows stand in one vector per range rather than in a list: freezing 60,000 of them is
 * one walk that the CPU can prefetch. */
#include "projector/cache.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>

#include "projector/cache_slots.h"
#include "schema/base/hash.h"
#include "schema/base/mem.h"

/* Rows of one view and one owner, in a ring; the head stands in the cache's by_owner table. */
struct owner_link {
    struct cache_row *previous;
    struct cache_row *next;
};

struct dirty_rows {
    struct cache_row **rows;
    size_t count;
    size_t capacity;
    size_t bytes; /* of the rows and their values */
};

/* A chunk that waits to be used again. */
struct free_chunk {
    struct free_chunk *next;
};

enum { CHUNK_HEAD_BYTES = 8, CHUNK_BYTES_MIN = 32, CHUNK_STEP = 16, OWNER_PREFIX_BYTES = VIEW_KEY_PREFIX_BYTES };

/* Larger chunks go back to malloc at once, and all do beyond a share of the budget. */
enum { FREE_CHUNK_BYTES_MAX = 4096, FREE_CLASSES = FREE_CHUNK_BYTES_MAX / CHUNK_STEP + 1, FREE_SHARE = 16 };

/* AddressSanitizer is to see what is used behind its end. */
#ifdef __SANITIZE_ADDRESS__
enum { FREE_IS_KEPT = false };
#else
enum { FREE_IS_KEPT = true };
#endif

struct cache {
    size_t budget_bytes;
    size_t bytes; /* rows and values; tables and vectors aside */
    struct slots rows;
    struct slots owners;   /* hash of owner hash and view number -> head of a ring */
    struct cache_row *lru; /* a ring's fixed point: next is the most recently used row, previous the least */
    struct dirty_rows dirty[RANGE_COUNT];
    size_t dirty_capacity;  /* of all vectors */
    size_t frozen_capacity; /* items of the lists of its jobs */
    size_t evictions;
    struct free_chunk *free_chunks[FREE_CLASSES]; /* by size */
    size_t free_bytes;                            /* in them */
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
    slots_init(&cache->owners);
    return cache;
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
            free(row->has_owner_link ? (void *)((uint8_t *)row - sizeof(struct owner_link)) : row);
        }
    }
    for (size_t i = 0; i < FREE_CLASSES; i++)
        for (struct free_chunk *chunk = c->free_chunks[i], *next; chunk != NULL; chunk = next) {
            next = chunk->next;
            free(chunk);
        }
    for (size_t i = 0; i < RANGE_COUNT; i++)
        free(c->dirty[i].rows);
    slots_release(&c->rows);
    slots_release(&c->owners);
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
    if (table != TABLE_VIEWS || key.len < OWNER_PREFIX_BYTES)
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

/* What malloc takes for `size` bytes. All are asked for in whole chunks, so that a value may grow within its chunk. */
static size_t chunk_bytes(size_t size)
{
    size_t bytes = (size + CHUNK_HEAD_BYTES + CHUNK_STEP - 1) & ~(size_t)(CHUNK_STEP - 1);

    return bytes < CHUNK_BYTES_MIN ? CHUNK_BYTES_MIN : bytes;
}

static void *alloc_chunk(struct cache *cache, size_t size)
{
    size_t bytes = chunk_bytes(size);

    if (bytes > FREE_CHUNK_BYTES_MAX || cache->free_chunks[bytes / CHUNK_STEP] == NULL)
        return mem_alloc(bytes - CHUNK_HEAD_BYTES);
    struct free_chunk *chunk = cache->free_chunks[bytes / CHUNK_STEP];
    cache->free_chunks[bytes / CHUNK_STEP] = chunk->next;
    cache->free_bytes -= bytes;
    return chunk;
}

static size_t free_bytes_max(const struct cache *cache)
{
    return FREE_IS_KEPT ? cache->budget_bytes / FREE_SHARE : 0;
}

static void free_chunk(struct cache *cache, void *at, size_t bytes)
{
    if (bytes > FREE_CHUNK_BYTES_MAX || cache->free_bytes + bytes > free_bytes_max(cache)) {
        free(at);
        return;
    }
    struct free_chunk *chunk = at;
    chunk->next = cache->free_chunks[bytes / CHUNK_STEP];
    cache->free_chunks[bytes / CHUNK_STEP] = chunk;
    cache->free_bytes += bytes;
}

static size_t row_bytes(const struct cache_row *row)
{
    return chunk_bytes((row->has_owner_link ? sizeof(struct owner_link) : 0) + sizeof(*row) + row->key_len);
}

static size_t value_bytes(const struct cache_value *value)
{
    return value != NULL ? chunk_bytes(sizeof(*value) + value->len) : 0;
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
        size_t bytes = value_bytes(value);
        cache->bytes -= bytes;
        free_chunk(cache, value, bytes);
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
        fresh = alloc_chunk(cache, size);
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

/* --- rows by owner --- */

static struct owner_link *link_of(struct cache_row *row)
{
    return (struct owner_link *)(void *)((uint8_t *)row - sizeof(struct owner_link));
}

static uint64_t owner_hash_of(const uint8_t *key)
{
    return hash64(span_of(key, OWNER_PREFIX_BYTES));
}

static struct slot *find_owner(const struct cache *cache, uint64_t hash, const uint8_t *key)
{
    for (size_t i = hash & cache->owners.mask;; i = (i + 1) & cache->owners.mask) {
        struct slot *slot = &cache->owners.at[i];
        if (slot->row == NULL)
            return NULL;
        if (slot->hash == hash && memcmp(slot->row->key, key, OWNER_PREFIX_BYTES) == 0)
            return slot;
    }
}

static void owner_add(struct cache *cache, struct cache_row *row)
{
    uint64_t hash = owner_hash_of(row->key);
    struct slot *slot = find_owner(cache, hash, row->key);

    if (slot == NULL) {
        *link_of(row) = (struct owner_link){row, row};
        slots_insert(&cache->owners, hash, row);
        return;
    }
    struct cache_row *head = slot->row;
    *link_of(row) = (struct owner_link){head, link_of(head)->next};
    link_of(link_of(head)->next)->previous = row;
    link_of(head)->next = row;
}

static void owner_remove(struct cache *cache, struct cache_row *row)
{
    uint64_t hash = owner_hash_of(row->key);
    struct slot *slot = find_owner(cache, hash, row->key);
    struct owner_link *link = link_of(row);

    assert(slot != NULL);
    if (link->next == row) {
        slots_remove(&cache->owners, hash, row);
        return;
    }
    if (slot->row == row)
        slot->row = link->next;
    link_of(link->previous)->next = link->next;
    link_of(link->next)->previous = link->previous;
}

void cache_walk_owner(struct cache *cache, struct span prefix, void (*visit)(void *self, struct cache_row *row),
                      void *self)
{
    assert(is_by_owner(cache, TABLE_VIEWS, prefix));
    const struct slot *slot = find_owner(cache, owner_hash_of(prefix.at), prefix.at);
    if (slot == NULL)
        return;
    struct cache_row *head = slot->row;
    struct cache_row *row = head;
    do {
        if (span_starts_with(cache_row_key(row), prefix))
            visit(self, row);
        row = link_of(row)->next;
    } while (row != head);
}

/* --- rows --- */

/* The row is clean and absent, and in no list yet. */
static struct cache_row *add_row(struct cache *cache, enum store_table table, uint64_t hash, struct span key)
{
    bool by_owner = is_by_owner(cache, table, key);
    size_t before = by_owner ? sizeof(struct owner_link) : 0;
    uint8_t *at = alloc_chunk(cache, before + sizeof(struct cache_row) + key.len);
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
        owner_add(cache, row);
    return row;
}

/* A clean row. */
static void free_row(struct cache *cache, struct cache_row *row)
{
    assert(row->state == ROW_CLEAN);
    lru_remove(row);
    slots_remove(&cache->rows, row->hash, row);
    if (row->has_owner_link)
        owner_remove(cache, row);
    drop_value(cache, row->value);
    size_t bytes = row_bytes(row);
    cache->bytes -= bytes;
    free_chunk(cache, row->has_owner_link ? (void *)link_of(row) : (void *)row, bytes);
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
    return cache->bytes + cache->free_bytes + (cache->rows.mask + 1 + cache->owners.mask + 1) * sizeof(struct slot) +
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
}

bool cache_trim(struct cache *cache)
{
    size_t fixed = cache_bytes(cache) - cache->bytes - cache->free_bytes + free_bytes_max(cache);
    size_t allowed = cache->budget_bytes > fixed ? cache->budget_bytes - fixed : 0;

    while (cache->bytes > allowed && cache->lru->previous != cache->lru) {
        free_row(cache, cache->lru->previous);
        cache->evictions++;
    }
    return cache->bytes <= allowed;
}
