/* projector/owner_set.h - a set of owner hashes: whose records need a second look because something of theirs is erased.
 * Eight bytes an owner, one probe for the many that aren't in it. Nothing is ever taken out: erasure marks never expire. */
#ifndef TARN_PROJECTOR_OWNER_SET_H
#define TARN_PROJECTOR_OWNER_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct owner_set {
    uint64_t *at; /* 0: free */
    size_t mask;
    size_t count;
    bool has_zero; /* the owner whose hash is 0 */
};

#define OWNER_SET_INIT ((struct owner_set){NULL, 0, 0, false})

void owner_set_release(struct owner_set *set);
void owner_set_add(struct owner_set *set, uint64_t owner_hash);

static inline bool owner_set_has(const struct owner_set *set, uint64_t owner_hash)
{
    if (owner_hash == 0)
        return set->has_zero;
    if (set->count == 0)
        return false;
    for (size_t i = owner_hash & set->mask; set->at[i] != 0; i = (i + 1) & set->mask)
        if (set->at[i] == owner_hash)
            return true;
    return false;
}

#endif
