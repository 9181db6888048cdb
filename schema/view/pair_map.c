/* Open addressing with linear probing, doubled at half full. Nothing is ever removed, so a probe ends at the first free
 * slot. Keys are addresses: what decides their place is the machine's, so nothing may depend on the order of slots. */
#include "schema/view/pair_map.h"

#include <stdint.h>
#include <stdlib.h>

#include "schema/base/mem.h"

static size_t slot_of(const struct pair_map *map, const void *first, const void *second);

void pair_map_release(struct pair_map *map)
{
    free(map->slots);
    *map = PAIR_MAP_INIT;
}

static void grow(struct pair_map *map)
{
    struct pair_map larger = {.capacity = map->capacity ? map->capacity * 2 : 64, .count = map->count};

    larger.slots = mem_zero(larger.capacity, sizeof(*larger.slots));
    for (size_t i = 0; i < map->capacity; i++)
        if (map->slots[i].first != NULL)
            larger.slots[slot_of(&larger, map->slots[i].first, map->slots[i].second)] = map->slots[i];
    free(map->slots);
    *map = larger;
}

void **pair_map_at(struct pair_map *map, const void *first, const void *second)
{
    if (map->count * 2 >= map->capacity)
        grow(map);
    struct pair_slot *slot = &map->slots[slot_of(map, first, second)];
    if (slot->first == NULL) {
        *slot = (struct pair_slot){first, second, NULL};
        map->count++;
    }
    return &slot->value;
}

static size_t slot_of(const struct pair_map *map, const void *first, const void *second)
{
    uint64_t hash = (uint64_t)(uintptr_t)first * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= (uint64_t)(uintptr_t)second * UINT64_C(0xc2b2ae3d27d4eb4f);
    size_t at = (size_t)(hash ^ (hash >> 32)) & (map->capacity - 1);

    while (map->slots[at].first != NULL && (map->slots[at].first != first || map->slots[at].second != second))
        at = (at + 1) & (map->capacity - 1);
    return at;
}
