/* projector/cache_slots.h - the hash table of the cache: (hash, row) pairs, compared by whoever searches. */
#ifndef TARN_PROJECTOR_CACHE_SLOTS_H
#define TARN_PROJECTOR_CACHE_SLOTS_H

#include "projector/cache.h"

struct slot {
    uint64_t hash;
    struct cache_row *row; /* NULL: free */
};

/* A search begins at (hash & mask), goes up and around, and ends at the first free slot. */
struct slots {
    struct slot *at;
    size_t mask;
    size_t count;
};

static inline size_t slots_bytes(const struct slots *slots)
{
    return (slots->mask + 1) * sizeof(struct slot);
}

void slots_init(struct slots *slots);
void slots_release(struct slots *slots); /* not the rows */
void slots_insert(struct slots *slots, uint64_t hash, struct cache_row *row);
/* The row must be there. */
void slots_remove(struct slots *slots, uint64_t hash, const struct cache_row *row);

#endif
