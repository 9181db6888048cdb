/* A ring of entries as they came, which is by offset, and two open-addressing tables of places in it: one finds an id,
 * the other an owner's newest entry, from which `older` leads to the rest of his. An id that comes again gets a new
 * entry, and the old one stays as a dead one until it is the oldest. 48 bytes an entry, so that a window of 50,000
 * records takes 2 to 5 MB. */
#include "projector/recent_ids.h"

#include <assert.h>
#include <stdlib.h>

#include "schema/base/mem.h"

enum { CAPACITY_MIN = 64, OFFSET_DEAD = -1 };

typedef bool same_function(const struct recent_id *a, const struct recent_id *b);

static bool same_owner(const struct recent_id *a, const struct recent_id *b)
{
    return a->owner_hash == b->owner_hash;
}

static bool same_id(const struct recent_id *a, const struct recent_id *b)
{
    return a->owner_hash == b->owner_hash && a->id_hash == b->id_hash;
}

/* Mixed: the top bits of all owners of a range are the same. */
static uint64_t owner_place(const struct recent_id *id)
{
    return id->owner_hash * 0x9e3779b97f4a7c15u >> 20;
}

static uint64_t id_place(const struct recent_id *id)
{
    return (id->owner_hash * 0x9e3779b97f4a7c15u + id->id_hash) * 0xd6e8feb86659fd93u >> 20;
}

/* One of the two tables, and how it sees an entry. */
struct index {
    uint32_t *places;
    uint64_t (*place)(const struct recent_id *id);
    same_function *is_same;
};

static struct index id_index(const struct recent_ids *ids)
{
    return (struct index){ids->by_id, id_place, same_id};
}

static struct index owner_index(const struct recent_ids *ids)
{
    return (struct index){ids->by_owner, owner_place, same_owner};
}

static inline size_t mask_of(const struct recent_ids *ids)
{
    return 2 * ids->capacity - 1;
}

static inline uint32_t place_in_ring(const struct recent_ids *ids, uint64_t number)
{
    return (uint32_t)(number & (ids->capacity - 1)) + 1;
}

/* The slot that has the entry's like, or the free one where it would be. */
static inline size_t find_slot(const struct recent_ids *ids, struct index index, const struct recent_id *like)
{
    size_t slot = index.place(like) & mask_of(ids);

    while (index.places[slot] != 0 && !index.is_same(&ids->ring[index.places[slot] - 1], like))
        slot = (slot + 1) & mask_of(ids);
    return slot;
}

/* What stands behind it moves up, unless it would get before its own place. */
static void empty_slot(const struct recent_ids *ids, struct index index, size_t slot)
{
    size_t mask = mask_of(ids);

    for (size_t next = (slot + 1) & mask; index.places[next] != 0; next = (next + 1) & mask) {
        size_t home = index.place(&ids->ring[index.places[next] - 1]) & mask;
        if (((next - home) & mask) < ((next - slot) & mask))
            continue;
        index.places[slot] = index.places[next];
        slot = next;
    }
    index.places[slot] = 0;
}

void recent_ids_release(struct recent_ids *ids)
{
    free(ids->ring);
    free(ids->by_id);
    free(ids->by_owner);
    *ids = (struct recent_ids){0};
}

const struct recent_id *recent_ids_find(const struct recent_ids *ids, uint64_t owner_hash, uint64_t id_hash)
{
    const struct recent_id like = {.owner_hash = owner_hash, .id_hash = id_hash};

    if (ids->count == 0)
        return NULL;
    uint32_t place = ids->by_id[find_slot(ids, id_index(ids), &like)];
    return place != 0 ? &ids->ring[place - 1] : NULL;
}

/* --- adding --- */

static void grow(struct recent_ids *ids)
{
    struct recent_ids bigger = {.capacity = ids->capacity > 0 ? 2 * ids->capacity : CAPACITY_MIN,
                                .begin = ids->begin,
                                .end = ids->end,
                                .count = ids->count};

    assert(bigger.capacity <= UINT32_MAX / 2);
    bigger.ring = mem_alloc(bigger.capacity * sizeof(*bigger.ring));
    bigger.by_id = mem_zero(2 * bigger.capacity, sizeof(*bigger.by_id));
    bigger.by_owner = mem_zero(2 * bigger.capacity, sizeof(*bigger.by_owner));
    for (uint64_t number = ids->begin; number < ids->end; number++) {
        uint32_t place = place_in_ring(&bigger, number);
        struct recent_id *entry = &bigger.ring[place - 1];
        *entry = ids->ring[place_in_ring(ids, number) - 1];
        bigger.by_owner[find_slot(&bigger, owner_index(&bigger), entry)] = place;
        if (entry->offset != OFFSET_DEAD)
            bigger.by_id[find_slot(&bigger, id_index(&bigger), entry)] = place;
    }
    recent_ids_release(ids);
    *ids = bigger;
}

void recent_ids_add(struct recent_ids *ids, uint64_t owner_hash, uint64_t id_hash, int64_t offset, uint32_t content)
{
    const struct recent_id entry = {owner_hash, id_hash, offset, content, 0};

    if (ids->end - ids->begin == ids->capacity)
        grow(ids);
    uint32_t place = place_in_ring(ids, ids->end);
    ids->ring[place - 1] = entry;

    uint32_t *known = &ids->by_id[find_slot(ids, id_index(ids), &entry)];
    if (*known != 0)
        ids->ring[*known - 1].offset = OFFSET_DEAD;
    else
        ids->count++;
    *known = place;
    uint32_t *newest = &ids->by_owner[find_slot(ids, owner_index(ids), &entry)];
    if (*newest != 0)
        ids->ring[place - 1].older = (uint32_t)((place - *newest) & (ids->capacity - 1));
    *newest = place;
    ids->end++;
}

/* --- taking out --- */

static void drop_id(struct recent_ids *ids, struct recent_id *entry)
{
    empty_slot(ids, id_index(ids), find_slot(ids, id_index(ids), entry));
    entry->offset = OFFSET_DEAD;
    ids->count--;
}

bool recent_ids_take_before(struct recent_ids *ids, int64_t offset, struct recent_id *ret_id)
{
    while (ids->begin < ids->end) {
        uint32_t place = place_in_ring(ids, ids->begin);
        struct recent_id *entry = &ids->ring[place - 1];
        const struct recent_id taken = *entry;

        if (taken.offset >= offset)
            return false;
        if (taken.offset != OFFSET_DEAD)
            drop_id(ids, entry);
        size_t owner = find_slot(ids, owner_index(ids), entry);
        if (ids->by_owner[owner] == place)
            empty_slot(ids, owner_index(ids), owner);
        ids->begin++;
        if (taken.offset != OFFSET_DEAD) {
            *ret_id = taken;
            return true;
        }
    }
    return false;
}

/* Found from the newest on; those that were taken out are passed again with each call, so their links are cut short. */
bool recent_ids_take_of_owner(struct recent_ids *ids, uint64_t owner_hash, struct recent_id *ret_id)
{
    const struct recent_id like = {.owner_hash = owner_hash};

    if (ids->count == 0)
        return false;
    uint32_t newest = ids->by_owner[find_slot(ids, owner_index(ids), &like)];
    if (newest == 0)
        return false;
    /* Number of the newest entry: the last one below `end` that has this place. */
    uint64_t first = ids->end - 1 - ((place_in_ring(ids, ids->end - 1) - newest) & (ids->capacity - 1));
    struct recent_id *head = &ids->ring[newest - 1];
    struct recent_id *entry = head;
    for (uint64_t number = first; entry->offset == OFFSET_DEAD; entry = &ids->ring[place_in_ring(ids, number) - 1]) {
        if (entry->older == 0 || entry->older > number - ids->begin)
            return false;
        number -= entry->older;
        if (entry != head)
            head->older = (uint32_t)(first - number);
    }
    *ret_id = *entry;
    drop_id(ids, entry);
    return true;
}

size_t recent_ids_bytes(const struct recent_ids *ids)
{
    return ids->capacity * (sizeof(*ids->ring) + 2 * sizeof(*ids->by_id) + 2 * sizeof(*ids->by_owner));
}
