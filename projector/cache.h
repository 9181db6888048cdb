/* projector/cache.h - the write-back cache: rows of the store as they will be after the next commits.
 *
 * A row is (table, key) -> value or absent. Keys of all its tables begin with an owner hash, so that a row belongs to an
 * owner range. A row is in one of three states:
 *
 *     clean   as the store has it; may be evicted, least recently used first
 *     dirty   changed; on the list of its range
 *     frozen  a job is writing the value it had; changed meanwhile, it is dirty again (and frozen no more)
 *
 * Values are never changed in place but replaced, and counted references keep what a job holds; one thread at a time
 * touches counts and rows (lane.h), the flusher thread reads the keys and values of its job. Everything is counted against the
 * budget, allocator overhead included. */
#ifndef TARN_PROJECTOR_CACHE_H
#define TARN_PROJECTOR_CACHE_H

#include "schema/base/span.h"
#include "schema/store/layout.h"
#include "schema/store/store.h"

struct cache;

struct cache_value {
    uint32_t references;
    uint32_t len;
    uint8_t bytes[];
};

enum cache_row_state { ROW_CLEAN, ROW_DIRTY, ROW_FROZEN };

struct cache_row {
    uint64_t hash;
    struct cache_value *value;  /* NULL: absent */
    struct cache_row *previous; /* in the LRU, when it is clean */
    struct cache_row *next;
    uint8_t table;
    uint8_t state;
    bool has_owner_link; /* allocated with a struct owner_link before it (cache_owners.h) */
    uint16_t key_len;
    uint8_t key[];
};

static inline struct span cache_row_key(const struct cache_row *row)
{
    return (struct span){row->key, row->key_len};
}

static inline struct span cache_row_value(const struct cache_row *row)
{
    return row->value ? (struct span){row->value->bytes, row->value->len} : (struct span){NULL, 0};
}

static inline unsigned cache_row_range(const struct cache_row *row)
{
    return row->key[0] >> 4;
}

/* by_owner[view number]: rows of that view can be walked by owner (views with more than one key field). */
struct cache *cache_new(size_t budget_bytes, const bool *by_owner, size_t view_count);
void cache_free(struct cache **cache);

/* NULL: not here. A hit makes the row the most recently used. The row stays where it is until something is added. */
struct cache_row *cache_find(struct cache *cache, enum store_table table, struct span key);

/* Asks the CPU for what cache_find() of a view will read, if its whole key is the owner: three misses one behind the
 * other, so three calls, in this order and some time apart. */
enum cache_prefetch { CACHE_PREFETCH_SLOT, CACHE_PREFETCH_ROW, CACHE_PREFETCH_VALUE };
void cache_prefetch(const struct cache *cache, uint64_t owner_hash, uint16_t view_number, enum cache_prefetch what);

/* A row that isn't here yet, as the store has it: clean. is_absent: the store has none. */
struct cache_row *cache_add_clean(struct cache *cache, enum store_table table, struct span key, bool is_absent,
                                  struct span value);

/* Sets a value, or makes the row absent: dirty. The row is added when it isn't here. */
void cache_put(struct cache *cache, enum store_table table, struct span key, struct span value);
void cache_put_absent(struct cache *cache, enum store_table table, struct span key);

/* Calls visit for each row of the view and owner whose key begins with prefix (owner hash and view number included),
 * present or not. The view must be one of by_owner. visit may change the row's value, nothing else. */
void cache_walk_owner(struct cache *cache, struct span prefix, void (*visit)(void *self, struct cache_row *row),
                      void *self);

/* --- jobs --- */

/* One row of a job: what is to be written. key points into the row, which lives until the job has ended. */
struct cache_frozen {
    uint64_t order; /* the first 8 bytes of the key, big-endian: what sorts most rows apart */
    struct cache_row *row;
    struct cache_value *value; /* NULL: delete */
    uint8_t table;             /* the row's: sorting looks at no row */
};

struct cache_frozen_list {
    struct cache_frozen *items;
    size_t count;
    size_t capacity;
};

/* Moves the dirty rows of a range to the list (appended): they are frozen now. */
void cache_freeze(struct cache *cache, unsigned range, struct cache_frozen_list *list);

/* The job is committed, and the caller's next look at the store sees it: rows still frozen become clean, and those of
 * TABLE_IDS leave, for nobody looks for them here. The list is emptied. */
void cache_thaw(struct cache *cache, struct cache_frozen_list *list);

/* --- budget --- */

size_t cache_bytes(const struct cache *cache);       /* everything */
size_t cache_dirty_bytes(const struct cache *cache); /* of dirty rows, frozen ones aside */
size_t cache_dirty_rows(const struct cache *cache);
size_t cache_row_count(const struct cache *cache);
size_t cache_evictions(const struct cache *cache);

/* The next cache_trim() keeps to it. */
void cache_set_budget(struct cache *cache, size_t budget_bytes);

/* Evicts clean rows until the budget holds; false when it can't: the rest isn't committed. */
bool cache_trim(struct cache *cache);

#endif
