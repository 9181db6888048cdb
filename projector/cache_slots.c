/* Open addressing with linear probing; a removal closes the gap it leaves, so that there are no tombstones and a table
 * that is always nearly full, as a cache's is, doesn't decay. */
#include "projector/cache_slots.h"

#include <stdlib.h>

#include "schema/base/mem.h"

enum { SLOTS_MIN = 1024 };

void slots_init(struct slots *slots)
{
    *slots = (struct slots){.at = mem_zero(SLOTS_MIN, sizeof(struct slot)), .mask = SLOTS_MIN - 1};
}

void slots_release(struct slots *slots)
{
    free(slots->at);
    *slots = (struct slots){NULL, 0, 0};
}

static void slots_place(struct slots *slots, uint64_t hash, struct cache_row *row)
{
    size_t i = hash & slots->mask;

    while (slots->at[i].row != NULL)
        i = (i + 1) & slots->mask;
    slots->at[i] = (struct slot){hash, row};
}

/* At most three quarters full. */
void slots_insert(struct slots *slots, uint64_t hash, struct cache_row *row)
{
    if (slots->count + 1 > (slots->mask + 1) / 4 * 3) {
        struct slots bigger = {.at = mem_zero(2 * (slots->mask + 1), sizeof(struct slot)),
                               .mask = 2 * (slots->mask + 1) - 1,
                               .count = slots->count};
        for (size_t i = 0; i <= slots->mask; i++)
            if (slots->at[i].row != NULL)
                slots_place(&bigger, slots->at[i].hash, slots->at[i].row);
        free(slots->at);
        *slots = bigger;
    }
    slots_place(slots, hash, row);
    slots->count++;
}

/* What stands behind the gap moves into it, unless it stands before the place where a search for it begins. */
void slots_remove(struct slots *slots, uint64_t hash, const struct cache_row *row)
{
    size_t gap = hash & slots->mask;

    while (slots->at[gap].row != row)
        gap = (gap + 1) & slots->mask;
    for (size_t i = (gap + 1) & slots->mask; slots->at[i].row != NULL; i = (i + 1) & slots->mask) {
        size_t home = slots->at[i].hash & slots->mask;
        if (((i - home) & slots->mask) >= ((i - gap) & slots->mask)) {
            slots->at[gap] = slots->at[i];
            gap = i;
        }
    }
    slots->at[gap].row = NULL;
    slots->count--;
}
