/* Blocks double from 4 KiB to 1 MiB. A reset keeps at most SPARE_BYTES: one huge record doesn't pin its memory. */
#include "schema/base/arena.h"

#include <stdlib.h>

#include "schema/base/mem.h"

enum { FIRST_BLOCK_BYTES = 4096, LAST_BLOCK_BYTES = 1 << 20, SPARE_BYTES = 4 << 20 };

struct arena_block {
    struct arena_block *older;
    size_t size; /* of data */
    _Alignas(16) uint8_t data[];
};

void *arena_alloc_block(struct arena *arena, size_t size)
{
    size_t wanted = (size + 7) & ~(size_t)7;
    struct arena_block **link = &arena->spare;

    if (size == 0 && arena->next != NULL)
        return arena->next;
    if (wanted < size)
        wanted = SIZE_MAX / 2; /* refused by mem_alloc */
    while (*link != NULL && (*link)->size < wanted)
        link = &(*link)->older;

    struct arena_block *block = *link;
    if (block != NULL) {
        *link = block->older;
    } else {
        size_t block_size = arena->blocks ? arena->blocks->size * 2 : FIRST_BLOCK_BYTES;
        if (block_size > LAST_BLOCK_BYTES)
            block_size = LAST_BLOCK_BYTES;
        if (block_size < wanted)
            block_size = wanted;
        block = mem_alloc(sizeof(*block) + block_size);
        block->size = block_size;
    }
    block->older = arena->blocks;
    arena->blocks = block;
    arena->next = block->data + wanted;
    arena->end = block->data + block->size;
    return block->data;
}

void arena_reset(struct arena *arena)
{
    size_t kept = 0;

    for (struct arena_block *block = arena->spare; block != NULL; block = block->older)
        kept += block->size;
    while (arena->blocks != NULL) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->older;
        if (kept + block->size > SPARE_BYTES) {
            free(block);
            continue;
        }
        kept += block->size;
        block->older = arena->spare;
        arena->spare = block;
    }
    arena->next = NULL;
    arena->end = NULL;
}

static void free_blocks(struct arena_block *block)
{
    while (block != NULL) {
        struct arena_block *older = block->older;
        free(block);
        block = older;
    }
}

void arena_release(struct arena *arena)
{
    free_blocks(arena->blocks);
    free_blocks(arena->spare);
    *arena = ARENA_INIT;
}

size_t arena_footprint(const struct arena *arena)
{
    size_t total = 0;

    for (const struct arena_block *block = arena->blocks; block != NULL; block = block->older)
        total += block->size;
    for (const struct arena_block *block = arena->spare; block != NULL; block = block->older)
        total += block->size;
    return total;
}
