/* A thread for each store, which holds a reference to its generation and has nothing else to do: whoever follows
 * DIR/serving mustn't wait for the disk. */
#include "query/read_ahead.h"

#include <pthread.h>
#include <stdlib.h>

#include "schema/base/mem.h"

struct read_ahead {
    uint64_t bytes;
    struct served_generation *generation; /* NULL: there is no thread to be joined */
    pthread_t thread;
    atomic_bool is_done;
};

static void *read_it(void *self)
{
    struct read_ahead *read_ahead = self;

    store_warm_up(read_ahead->generation->store, read_ahead->bytes);
    atomic_store_explicit(&read_ahead->is_done, true, memory_order_release);
    return NULL;
}

static void end(struct read_ahead *read_ahead)
{
    if (read_ahead->generation == NULL)
        return;
    pthread_join(read_ahead->thread, NULL);
    atomic_fetch_sub_explicit(&read_ahead->generation->references, 1, memory_order_release);
    read_ahead->generation = NULL;
}

struct read_ahead *read_ahead_new(uint64_t bytes)
{
    struct read_ahead *read_ahead = mem_zero(1, sizeof(*read_ahead));

    read_ahead->bytes = bytes;
    return read_ahead;
}

void read_ahead_free(struct read_ahead **read_ahead)
{
    if (*read_ahead == NULL)
        return;
    end(*read_ahead);
    free(*read_ahead);
    *read_ahead = NULL;
}

void read_ahead_start(struct read_ahead *read_ahead, struct served_generation *generation)
{
    if (read_ahead->generation != NULL && atomic_load_explicit(&read_ahead->is_done, memory_order_acquire))
        end(read_ahead);
    if (read_ahead->bytes == 0 || generation->is_read_ahead || read_ahead->generation != NULL)
        return;
    atomic_store_explicit(&read_ahead->is_done, false, memory_order_relaxed);
    read_ahead->generation = generation;
    if (pthread_create(&read_ahead->thread, NULL, read_it, read_ahead) != 0) {
        read_ahead->generation = NULL;
        return;
    }
    generation->is_read_ahead = true;
    atomic_fetch_add_explicit(&generation->references, 1, memory_order_relaxed);
}
