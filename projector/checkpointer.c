#include "projector/checkpointer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "schema/base/condition.h"
#include "schema/base/mem.h"

struct checkpointer {
    struct store *store;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool has_commits;
    bool is_stopping;
};

static void *run(void *self);

int checkpointer_open(struct store *store, struct checkpointer **ret_checkpointer, struct err *err)
{
    struct checkpointer *checkpointer = mem_zero(1, sizeof(*checkpointer));

    checkpointer->store = store;
    pthread_mutex_init(&checkpointer->mutex, NULL);
    condition_init(&checkpointer->changed);
    int failure = pthread_create(&checkpointer->thread, NULL, run, checkpointer);
    if (failure != 0) {
        free(checkpointer);
        return err_set_errno(err, ERR_BROKEN, failure, "a thread for checkpoints");
    }
    *ret_checkpointer = checkpointer;
    return 0;
}

void checkpointer_close(struct checkpointer **checkpointer)
{
    struct checkpointer *closed = *checkpointer;

    if (closed == NULL)
        return;
    pthread_mutex_lock(&closed->mutex);
    closed->is_stopping = true;
    pthread_cond_signal(&closed->changed);
    pthread_mutex_unlock(&closed->mutex);
    pthread_join(closed->thread, NULL);
    pthread_cond_destroy(&closed->changed);
    pthread_mutex_destroy(&closed->mutex);
    free(closed);
    *checkpointer = NULL;
}

void checkpointer_note_commit(struct checkpointer *checkpointer)
{
    pthread_mutex_lock(&checkpointer->mutex);
    if (!checkpointer->has_commits)
        pthread_cond_signal(&checkpointer->changed);
    checkpointer->has_commits = true;
    pthread_mutex_unlock(&checkpointer->mutex);
}

/* With the mutex: others join the first commit meanwhile. A stop doesn't wait. */
static void wait_for_more(struct checkpointer *checkpointer)
{
    struct timespec until = condition_deadline(CHECKPOINT_EVERY_MS);
    int rc = 0;

    while (!checkpointer->is_stopping && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&checkpointer->changed, &checkpointer->mutex, &until);
}

static void *run(void *self)
{
    struct checkpointer *checkpointer = self;

    pthread_mutex_lock(&checkpointer->mutex);
    for (;;) {
        while (!checkpointer->has_commits && !checkpointer->is_stopping)
            pthread_cond_wait(&checkpointer->changed, &checkpointer->mutex);
        if (!checkpointer->has_commits)
            break;
        wait_for_more(checkpointer);
        checkpointer->has_commits = false;
        pthread_mutex_unlock(&checkpointer->mutex);
        struct err told_later;
        int rc = store_sync(checkpointer->store, &told_later);
        (void)rc;
        pthread_mutex_lock(&checkpointer->mutex);
    }
    pthread_mutex_unlock(&checkpointer->mutex);
    return NULL;
}
