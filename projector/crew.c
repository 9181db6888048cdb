/* One round after the other under one mutex: the caller opens a round, does its own part, and waits for those who are
 * still at theirs. A batch takes milliseconds and waking a thread some microseconds, so nobody spins: the cores belong to
 * Kafka's threads and the flusher as well. */
#include "projector/crew.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "schema/base/mem.h"

struct member {
    struct crew *crew;
    unsigned number;
    pthread_t thread;
};

struct crew {
    pthread_mutex_t mutex; /* of all that follows but the members */
    pthread_cond_t begun;
    pthread_cond_t ended;
    uint64_t round; /* the last one that was opened */
    unsigned busy;  /* threads that haven't ended it */
    bool is_closing;
    crew_work_fn *work;
    void *self;
    struct member *members; /* number 0 has no thread */
    unsigned count;
};

static void *follow(void *self);

int crew_open(unsigned count, struct crew **ret_crew, struct err *err)
{
    struct crew *crew = mem_zero(1, sizeof(*crew));
    int rc = 0;

    pthread_mutex_init(&crew->mutex, NULL);
    pthread_cond_init(&crew->begun, NULL);
    pthread_cond_init(&crew->ended, NULL);
    crew->members = mem_zero(count, sizeof(*crew->members));
    for (crew->count = 1; rc == 0 && crew->count < count;) {
        struct member *member = &crew->members[crew->count];
        *member = (struct member){.crew = crew, .number = crew->count};
        rc = pthread_create(&member->thread, NULL, follow, member);
        crew->count += rc == 0;
    }
    if (rc != 0) {
        crew_close(&crew);
        return err_set_errno(err, ERR_BROKEN, rc, "a thread for records");
    }
    *ret_crew = crew;
    return 0;
}

void crew_close(struct crew **crew)
{
    if (*crew == NULL)
        return;
    struct crew *c = *crew;
    pthread_mutex_lock(&c->mutex);
    c->is_closing = true;
    pthread_cond_broadcast(&c->begun);
    pthread_mutex_unlock(&c->mutex);
    for (unsigned i = 1; i < c->count; i++)
        pthread_join(c->members[i].thread, NULL);
    pthread_cond_destroy(&c->ended);
    pthread_cond_destroy(&c->begun);
    pthread_mutex_destroy(&c->mutex);
    free(c->members);
    free(c);
    *crew = NULL;
}

void crew_run(struct crew *crew, crew_work_fn *work, void *self)
{
    pthread_mutex_lock(&crew->mutex);
    crew->work = work;
    crew->self = self;
    crew->busy = crew->count - 1;
    crew->round++;
    pthread_cond_broadcast(&crew->begun);
    pthread_mutex_unlock(&crew->mutex);

    work(self, 0);

    pthread_mutex_lock(&crew->mutex);
    while (crew->busy > 0)
        pthread_cond_wait(&crew->ended, &crew->mutex);
    pthread_mutex_unlock(&crew->mutex);
}

static void *follow(void *self)
{
    const struct member *member = self;
    struct crew *crew = member->crew;
    uint64_t done = 0;

    pthread_mutex_lock(&crew->mutex);
    for (;;) {
        while (crew->round == done && !crew->is_closing)
            pthread_cond_wait(&crew->begun, &crew->mutex);
        if (crew->round == done)
            break;
        done = crew->round;
        pthread_mutex_unlock(&crew->mutex);
        crew->work(crew->self, member->number);
        pthread_mutex_lock(&crew->mutex);
        if (--crew->busy == 0)
            pthread_cond_signal(&crew->ended);
    }
    pthread_mutex_unlock(&crew->mutex);
    return NULL;
}
