#include "schema/store/store_warm_up.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "schema/base/mem.h"
#include "schema/store/environment.h"

/* What the kernel reads ahead of anybody unless it is told otherwise: of a larger piece it may take the beginning alone. */
enum { PIECE_BYTES = 128 << 10 };

struct warm_up {
    int fd; /* the store's own */
    uint64_t bytes;
    pthread_t thread;
    atomic_bool gives_up;
    atomic_bool is_done;
};

static void *run(void *self)
{
    struct warm_up *warm_up = self;

    for (uint64_t at = 0; at < warm_up->bytes; at += PIECE_BYTES)
        if (atomic_load_explicit(&warm_up->gives_up, memory_order_relaxed) ||
            readahead(warm_up->fd, (off64_t)at, PIECE_BYTES) != 0)
            break;
    atomic_store_explicit(&warm_up->is_done, true, memory_order_release);
    return NULL;
}

struct warm_up *warm_up_start(const struct store *store, uint64_t max_bytes)
{
    struct stat file;
    int fd;

    if (max_bytes == 0 || mdb_env_get_fd(store->env, &fd) != 0 || fstat(fd, &file) != 0)
        return NULL;
    struct warm_up *warm_up = mem_zero(1, sizeof(*warm_up));
    warm_up->fd = fd;
    warm_up->bytes = (uint64_t)file.st_size < max_bytes ? (uint64_t)file.st_size : max_bytes;
    if (pthread_create(&warm_up->thread, NULL, run, warm_up) != 0) {
        free(warm_up);
        return NULL;
    }
    return warm_up;
}

bool warm_up_is_done(const struct warm_up *warm_up)
{
    return atomic_load_explicit(&warm_up->is_done, memory_order_acquire);
}

void warm_up_end(struct warm_up **warm_up)
{
    if (*warm_up == NULL)
        return;
    atomic_store_explicit(&(*warm_up)->gives_up, true, memory_order_relaxed);
    pthread_join((*warm_up)->thread, NULL);
    free(*warm_up);
    *warm_up = NULL;
}
