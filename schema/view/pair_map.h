/* schema/view/pair_map.h - a hash table from a pair of addresses to an address: what the compiler remembers about
 * types.
 *
 * Owned by whoever initialized it; what it points at isn't its own. */
#ifndef TARN_VIEW_PAIR_MAP_H
#define TARN_VIEW_PAIR_MAP_H

#include <stddef.h>

struct pair_slot {
    const void *first; /* NULL: free */
    const void *second;
    void *value;
};

struct pair_map {
    struct pair_slot *slots;
    size_t capacity; /* a power of two */
    size_t count;
};

#define PAIR_MAP_INIT ((struct pair_map){NULL, 0, 0})

void pair_map_release(struct pair_map *map);

/* Where the pair's value stands, NULL at first. The address dies with the next call. */
void **pair_map_at(struct pair_map *map, const void *first, const void *second);

#endif
