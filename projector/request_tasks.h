/* projector/request_tasks.h - what a request asks of followers at a time: a task for each of some generations. The tasks'
 * addresses stay until all are done: the followers have them. */
#ifndef TARN_PROJECTOR_REQUEST_TASKS_H
#define TARN_PROJECTOR_REQUEST_TASKS_H

#include "projector/follower_set.h"

struct request_task {
    char name[GENERATION_NAME_MAX]; /* the generation's */
    struct follower_task task;
};

struct request_tasks {
    struct request_task *tasks;
    size_t count;
};

/* Only once all are done, or the followers have ended. */
void request_tasks_release(struct request_tasks *tasks);

/* Instead of those of before, which are done: the same task for each of the generations that is followed. */
void request_tasks_give(struct request_tasks *tasks, const struct follower_set *followers, const char *const *names,
                        size_t count, const struct follower_task *task);
/* The same with all generations, or with one (not ""). */
void request_tasks_give_everyone(struct request_tasks *tasks, const struct follower_set *followers, const char *only,
                                 const struct follower_task *task);
/* Instead of those of before, to the same generations: go to these positions, and stand there until held_until_us. */
void request_tasks_go_to(struct request_tasks *tasks, const struct follower_set *followers,
                         const struct task_position *positions, size_t position_count, int64_t held_until_us);

/* Gives again what a follower ended before it came to it, once it is opened anew. */
bool request_tasks_are_done(struct request_tasks *tasks, const struct follower_set *followers);
/* The first that failed; NULL: none did. */
const struct follower_task *request_tasks_failed(const struct request_tasks *tasks);

#endif
