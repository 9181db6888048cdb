/* schema/base/arena.h - memory for one record or one request: taken piece by piece, given back all at once.
 *
 * What an arena hands out lives until arena_reset() or arena_release(). A reset keeps the blocks, so that a loop over
 * records soon stops asking malloc. Not shared between threads. */
#ifndef TARN_BASE_ARENA_H
#define TARN_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct arena_block;

struct arena {
    uint8_t *next; /* free space of the current block: [next, end) */
    uint8_t *end;
    struct arena_block *blocks; /* newest first */
    struct arena_block *spare;  /* kept by a reset, for use again */
};

#define ARENA_INIT ((struct arena){NULL, NULL, NULL, NULL})

void *arena_alloc_block(struct arena *arena, size_t size);
void arena_reset(struct arena *arena);
void arena_release(struct arena *arena);

/* Bytes in blocks, used or not. */
size_t arena_footprint(const struct arena *arena);

/* Uninitialized, aligned to 8. Never NULL, for a size of 0 too. */
static inline void *arena_alloc(struct arena *arena, size_t size)
{
    size_t rounded = (size + 7) & ~(size_t)7;
    if (rounded - 1 >= (size_t)(arena->end - arena->next)) /* rounded is 0 for none, and for more than there is */
        return arena_alloc_block(arena, size);
    void *at = arena->next;
    arena->next += rounded;
    return at;
}

static inline void *arena_zero(struct arena *arena, size_t size)
{
    return memset(arena_alloc(arena, size), 0, size);
}

static inline void *arena_copy(struct arena *arena, const void *at, size_t size)
{
    void *to = arena_alloc(arena, size);

    if (size > 0)
        memcpy(to, at, size);
    return to;
}

#endif
