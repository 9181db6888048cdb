/* All followers are named at once, so that the tasks lie in one piece of memory that doesn't move while they are under
 * way. */
#include "projector/request_tasks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/base/mem.h"

void request_tasks_release(struct request_tasks *tasks)
{
    for (size_t i = 0; i < tasks->count; i++)
        task_release(&tasks->tasks[i].task);
    free(tasks->tasks);
    *tasks = (struct request_tasks){NULL, 0};
}

void request_tasks_give(struct request_tasks *tasks, const struct follower_set *followers, const char *const *names,
                        size_t count, const struct follower_task *task)
{
    struct request_tasks given = {mem_zero(count + 1, sizeof(*given.tasks)), 0};

    for (size_t i = 0; i < count; i++) {
        struct follower *follower = follower_set_find(followers, names[i]);
        if (follower == NULL)
            continue;
        struct request_task *added = &given.tasks[given.count++];
        snprintf(added->name, sizeof(added->name), "%s", names[i]);
        added->task = *task;
        follower_give(follower, &added->task);
    }
    request_tasks_release(tasks); /* last: the names may be those of before */
    *tasks = given;
}

void request_tasks_give_everyone(struct request_tasks *tasks, const struct follower_set *followers, const char *only,
                                 const struct follower_task *task)
{
    const char **names = mem_zero(followers->count + 1, sizeof(char *));
    size_t count = 0;

    for (size_t i = 0; i < followers->count; i++)
        if (only[0] == '\0' || strcmp(only, followers->slots[i]->name) == 0)
            names[count++] = followers->slots[i]->name;
    request_tasks_give(tasks, followers, names, count, task);
    free(names);
}

void request_tasks_go_to(struct request_tasks *tasks, const struct follower_set *followers,
                         const struct task_position *positions, size_t position_count, int64_t held_until_us)
{
    for (size_t i = 0; i < tasks->count; i++) {
        struct request_task *asked = &tasks->tasks[i];
        struct follower *follower = follower_set_find(followers, asked->name);
        task_release(&asked->task);
        asked->task = (struct follower_task){.kind = TASK_GO_TO, .held_until_us = held_until_us};
        asked->task.positions = mem_zero(position_count + 1, sizeof(*positions));
        for (size_t j = 0; j < position_count; j++) {
            asked->task.positions[j] = positions[j];
            asked->task.positions[j].topic = mem_text(positions[j].topic);
        }
        asked->task.position_count = position_count;
        if (follower != NULL)
            follower_give(follower, &asked->task);
        else
            asked->task.rc = err_set(&asked->task.err, ERR_AGAIN, "%s isn't followed any more", asked->name);
    }
}

/* Asked of a follower that ended before it came to it: one that is opened anew (as it has become whole) can do it. */
static bool is_to_be_repeated(const struct follower_task *task)
{
    return task->rc == ERR_AGAIN && (task->kind == TASK_PARKED_RETRY || task->kind == TASK_PARKED_DROP ||
                                     task->kind == TASK_DECISIONS || task->kind == TASK_COMMIT);
}

/* A follower that was closed has ended its tasks before. */
bool request_tasks_are_done(struct request_tasks *tasks, const struct follower_set *followers)
{
    bool are_all_done = true;

    for (size_t i = 0; i < tasks->count; i++) {
        struct follower_task *task = &tasks->tasks[i].task;
        struct follower *follower = follower_set_find(followers, tasks->tasks[i].name);
        if (follower == NULL)
            continue;
        if (!follower_is_done(follower, task)) {
            are_all_done = false;
        } else if (is_to_be_repeated(task)) {
            are_all_done = false;
            if (follower_phase(follower) <= FOLLOWER_FOLLOWING)
                follower_give(follower, task);
        }
    }
    return are_all_done;
}

const struct follower_task *request_tasks_failed(const struct request_tasks *tasks)
{
    for (size_t i = 0; i < tasks->count; i++)
        if (tasks->tasks[i].task.rc < 0)
            return &tasks->tasks[i].task;
    return NULL;
}
