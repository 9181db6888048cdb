/* Linear probing over the hashes themselves, at most half full. */
#include "projector/owner_set.h"

#include <stdlib.h>

#include "schema/base/mem.h"

enum { OWNER_SET_MIN = 64 };

void owner_set_release(struct owner_set *set)
{
    free(set->at);
    *set = OWNER_SET_INIT;
}

static void place(struct owner_set *set, uint64_t owner_hash)
{
    size_t i = owner_hash & set->mask;

    while (set->at[i] != 0)
        i = (i + 1) & set->mask;
    set->at[i] = owner_hash;
    set->count++;
}

void owner_set_add(struct owner_set *set, uint64_t owner_hash)
{
    if (owner_hash == 0)
        set->has_zero = true;
    if (owner_hash == 0 || owner_set_has(set, owner_hash))
        return;
    if (set->at == NULL || set->count >= (set->mask + 1) / 2) {
        struct owner_set bigger = {.has_zero = set->has_zero};
        size_t slots = set->at == NULL ? OWNER_SET_MIN : 2 * (set->mask + 1);
        bigger.at = mem_zero(slots, sizeof(*bigger.at));
        bigger.mask = slots - 1;
        for (size_t i = 0; set->at != NULL && i <= set->mask; i++)
            if (set->at[i] != 0)
                place(&bigger, set->at[i]);
        free(set->at);
        *set = bigger;
    }
    place(set, owner_hash);
}
