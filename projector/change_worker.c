/* The thread never looks at the followers: they are the supervisor's. It gets the stores that it may read when it is
 * started. A process that ends meanwhile leaves a hidden folder, as a crash does. */
#include "projector/change_worker.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/base/mem.h"

struct change_worker {
    struct follower_set *followers; /* the supervisor's thread's */
    struct changer changer;
    change_fn *change;
    const json_t *arguments;
    struct borrowed_store {
        char name[GENERATION_NAME_MAX];
        struct store *store;
    } borrowed[CHANGE_BORROWS_MAX];
    pthread_t thread;
    sem_t has_chosen;
    atomic_bool is_done;
    int rc;
    json_t *outcome;
    struct err err;
};

/* Asked for what is taken over, after it was chosen. */
static struct store *open_store(void *self, const char *name)
{
    struct change_worker *worker = self;
    struct store *store = NULL;

    for (size_t i = 0; i < CHANGE_BORROWS_MAX; i++)
        if (strcmp(worker->borrowed[i].name, name) == 0)
            store = worker->borrowed[i].store;
    sem_post(&worker->has_chosen);
    return store;
}

static void *work(void *self)
{
    struct change_worker *worker = self;

    worker->rc = worker->change(&worker->changer, worker->arguments, &worker->outcome, &worker->err);
    atomic_store(&worker->is_done, true);
    sem_post(&worker->has_chosen);
    return NULL;
}

static void borrow(struct change_worker *worker, size_t number, const char *name)
{
    struct follower *follower = follower_set_find(worker->followers, name);

    if (follower == NULL || follower_store(follower) == NULL)
        return;
    snprintf(worker->borrowed[number].name, sizeof(worker->borrowed[number].name), "%s", name);
    worker->borrowed[number].store = follower_store(follower);
    follower_set_borrow(worker->followers, name, true);
}

static void give_back(struct change_worker *worker)
{
    for (size_t i = 0; i < CHANGE_BORROWS_MAX; i++)
        if (worker->borrowed[i].store != NULL)
            follower_set_borrow(worker->followers, worker->borrowed[i].name, false);
    worker->followers->is_changing = false;
    sem_destroy(&worker->has_chosen);
}

int change_worker_start(struct follower_set *followers, change_fn *change, const json_t *arguments,
                        const char *const names[CHANGE_BORROWS_MAX], struct change_worker **ret_worker, struct err *err)
{
    struct change_worker *worker = mem_zero(1, sizeof(*worker));

    worker->followers = followers;
    worker->changer = (struct changer){followers->settings->store, followers->clock, open_store, worker};
    worker->change = change;
    worker->arguments = arguments;
    sem_init(&worker->has_chosen, 0, 0);
    followers->is_changing = true;
    for (size_t i = 0; i < CHANGE_BORROWS_MAX; i++)
        borrow(worker, i, names[i]);
    int code = pthread_create(&worker->thread, NULL, work, worker);
    if (code != 0) {
        give_back(worker);
        free(worker);
        return err_set_errno(err, ERR_BROKEN, code, "a thread for a change of generations");
    }
    while (sem_wait(&worker->has_chosen) != 0)
        continue; /* a signal came */
    *ret_worker = worker;
    return 0;
}

bool change_worker_is_done(const struct change_worker *worker)
{
    return atomic_load(&worker->is_done);
}

int change_worker_take(struct change_worker **worker, json_t **ret_outcome, struct err *err)
{
    struct change_worker *taken = *worker;
    int rc = taken->rc;

    pthread_join(taken->thread, NULL);
    give_back(taken);
    if (rc == 0)
        *ret_outcome = taken->outcome;
    else
        *err = taken->err;
    free(taken);
    *worker = NULL;
    return rc;
}
