/* A list for each size. AddressSanitizer is to see what is used behind its end, so that nothing waits under it. */
#include "projector/cache_chunks.h"

#include <stdlib.h>

#include "schema/base/mem.h"

struct free_chunk {
    struct free_chunk *next;
};

#ifdef __SANITIZE_ADDRESS__
enum { IS_KEPT = false };
#else
enum { IS_KEPT = true };
#endif

void chunks_init(struct chunks *chunks, size_t bytes_max)
{
    *chunks = (struct chunks){.bytes_max = 0};
    chunks_set_max(chunks, bytes_max);
}

void chunks_set_max(struct chunks *chunks, size_t bytes_max)
{
    chunks->bytes_max = IS_KEPT ? bytes_max : 0;
}

void chunks_release(struct chunks *chunks)
{
    for (size_t i = 0; i < CHUNK_CLASSES; i++)
        for (struct free_chunk *chunk = chunks->free[i], *next; chunk != NULL; chunk = next) {
            next = chunk->next;
            free(chunk);
        }
    chunks_init(chunks, chunks->bytes_max);
}

void *chunks_take(struct chunks *chunks, size_t size)
{
    size_t bytes = chunk_bytes(size);

    if (bytes > CHUNK_KEPT_BYTES_MAX || chunks->free[bytes / CHUNK_STEP] == NULL)
        return mem_alloc(bytes - CHUNK_HEAD_BYTES);
    struct free_chunk *chunk = chunks->free[bytes / CHUNK_STEP];
    chunks->free[bytes / CHUNK_STEP] = chunk->next;
    chunks->bytes -= bytes;
    return chunk;
}

void chunks_give(struct chunks *chunks, void *at, size_t size)
{
    size_t bytes = chunk_bytes(size);

    if (bytes > CHUNK_KEPT_BYTES_MAX || chunks->bytes + bytes > chunks->bytes_max) {
        free(at);
        return;
    }
    struct free_chunk *chunk = at;
    chunk->next = chunks->free[bytes / CHUNK_STEP];
    chunks->free[bytes / CHUNK_STEP] = chunk;
    chunks->bytes += bytes;
}
