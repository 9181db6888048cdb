/* projector/cache_chunks.h - the memory of the cache's rows and values: chunks by size, which wait for the next of theirs.
 *
 * malloc, whose neighbours are librdkafka's small and short-lived pieces, would join and split what is freed and soon
 * wanted again. One thread at a time takes and gives. */
#ifndef TARN_PROJECTOR_CACHE_CHUNKS_H
#define TARN_PROJECTOR_CACHE_CHUNKS_H

#include <stddef.h>

enum { CHUNK_HEAD_BYTES = 8, CHUNK_BYTES_MIN = 32, CHUNK_STEP = 16 };

/* Larger chunks go back to malloc at once. */
enum { CHUNK_KEPT_BYTES_MAX = 4096, CHUNK_CLASSES = CHUNK_KEPT_BYTES_MAX / CHUNK_STEP + 1 };

struct chunks {
    size_t bytes;     /* that wait */
    size_t bytes_max; /* that may */
    struct free_chunk *free[CHUNK_CLASSES]; /* by size */
};

/* What malloc takes for `size` bytes. All are asked for in whole chunks, so that what is there may grow within its own. */
static inline size_t chunk_bytes(size_t size)
{
    size_t bytes = (size + CHUNK_HEAD_BYTES + CHUNK_STEP - 1) & ~(size_t)(CHUNK_STEP - 1);

    return bytes < CHUNK_BYTES_MIN ? CHUNK_BYTES_MIN : bytes;
}

void chunks_init(struct chunks *chunks, size_t bytes_max);
/* Frees those that wait; those that were taken and not given back are their owners'. */
void chunks_release(struct chunks *chunks);
/* Counts from the next one that is given. */
void chunks_set_max(struct chunks *chunks, size_t bytes_max);

/* Given back with chunks_give() and the same size, or to free(). */
void *chunks_take(struct chunks *chunks, size_t size);
void chunks_give(struct chunks *chunks, void *at, size_t size);

#endif
