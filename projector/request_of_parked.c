/* parked-retry and parked-drop: every generation has its own parked events, and does the same with them. */
#include "projector/parked_request.h"
#include "projector/request_stages.h"

/* A generation that has no such topic, or nothing parked there, is no fault when another has. */
static void sum_up(const struct pending_request *pending, json_t **ret_outcome, struct err *failure)
{
    struct parked_outcome sum = {0};
    bool is_there = false;

    for (size_t i = 0; i < pending->tasks.count; i++) {
        const struct follower_task *task = &pending->tasks.tasks[i].task;
        if (task->rc == 0) {
            is_there = true;
            sum.applied += task->parked.applied;
            sum.dropped += task->parked.dropped;
            sum.left += task->parked.left;
        } else if (failure->kind == 0 || task->rc == ERR_ABSENT) {
            *failure = task->err;
            failure->kind = task->rc;
        }
    }
    if (is_there) {
        *failure = (struct err){0};
        *ret_outcome = parked_outcome_write(&sum);
    } else if (failure->kind == 0) {
        err_set(failure, ERR_ABSENT, "there is no such generation");
    }
}

static enum stage_end ask(struct pending_request *pending, enum task_kind kind)
{
    const struct follower_task task = {.kind = kind, .arguments = pending->request->arguments};

    request_tasks_give_everyone(&pending->tasks, pending->followers, pending_request_text(pending, "generation"),
                                &task);
    return STAGE_WAITS;
}

enum stage_end stage_parked_retry(struct pending_request *pending, json_t **ret_outcome, struct err *failure)
{
    if (pending->stage == 0)
        return ask(pending, TASK_PARKED_RETRY);
    sum_up(pending, ret_outcome, failure);
    return STAGE_DONE;
}

/* What was dropped in one generation binds the others too: a stage more. */
enum stage_end stage_parked_drop(struct pending_request *pending, json_t **ret_outcome, struct err *failure)
{
    if (pending->stage == 0)
        return ask(pending, TASK_PARKED_DROP);
    if (pending->stage == 1) {
        sum_up(pending, ret_outcome, failure);
        if (failure->kind < 0 || pending_request_text(pending, "generation")[0] == '\0')
            return STAGE_DONE;
        pending->outcome = *ret_outcome;
        *ret_outcome = NULL;
        request_tasks_give_everyone(&pending->tasks, pending->followers, "",
                                    &(struct follower_task){.kind = TASK_DECISIONS});
        return STAGE_WAITS;
    }
    *ret_outcome = pending->outcome;
    pending->outcome = NULL;
    return STAGE_DONE;
}
