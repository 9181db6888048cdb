/* projector/cache_owners.h - the rows of one owner and one view, for views that have many of them: rings in the cache. */
#ifndef TARN_PROJECTOR_CACHE_OWNERS_H
#define TARN_PROJECTOR_CACHE_OWNERS_H

#include "projector/cache.h"
#include "projector/cache_slots.h"

/* Stands right before its row: a row is in a ring if it has_owner_link. */
struct owner_link {
    struct cache_row *previous;
    struct cache_row *next;
};

static inline struct owner_link *owner_link_of(struct cache_row *row)
{
    return (struct owner_link *)(void *)((uint8_t *)row - sizeof(struct owner_link));
}

struct owners {
    struct slots heads; /* by the hash of owner hash and view number: any row of the ring */
};

void owners_init(struct owners *owners);
void owners_release(struct owners *owners); /* not the rows */
size_t owners_bytes(const struct owners *owners);

void owners_add(struct owners *owners, struct cache_row *row);
/* The row must be there. */
void owners_remove(struct owners *owners, struct cache_row *row);

/* As cache_walk_owner(). */
void owners_walk(const struct owners *owners, struct span prefix, void (*visit)(void *self, struct cache_row *row),
                 void *self);

#endif
