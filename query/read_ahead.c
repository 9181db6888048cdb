/* A reference to the generation is held while its store is read: whoever follows DIR/serving mustn't wait for the disk, nor
 * close a store that is being read. */
#include "query/read_ahead.h"

#include <stdlib.h>

#include "schema/base/mem.h"
#include "schema/store/store_warm_up.h"

struct read_ahead {
    uint64_t bytes;
    struct served_generation *generation; /* whose store is being read, or was; NULL: none */
    struct warm_up *warm_up;
};

static void end(struct read_ahead *read_ahead)
{
    if (read_ahead->generation == NULL)
        return;
    warm_up_end(&read_ahead->warm_up);
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
    if (read_ahead->generation != NULL && warm_up_is_done(read_ahead->warm_up))
        end(read_ahead);
    if (generation->is_read_ahead || read_ahead->generation != NULL)
        return;
    read_ahead->warm_up = warm_up_start(generation->store, read_ahead->bytes);
    if (read_ahead->warm_up == NULL)
        return;
    read_ahead->generation = generation;
    generation->is_read_ahead = true;
    atomic_fetch_add_explicit(&generation->references, 1, memory_order_relaxed);
}
