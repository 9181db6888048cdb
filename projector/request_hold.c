/* Two generations stand still at the same positions, so that they can be compared while events arrive: both stop where
 * they are, then the one that is behind goes on to where the other stands. They go on by themselves when the lease ends,
 * whatever became of whoever asked. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "projector/request_stages.h"
#include "schema/base/mem.h"

enum {
    LEASE_DEFAULT_MS = 2000,
    LEASE_MAX_MS = 60 * 1000,
    NEAR_RECORDS = 1000,    /* the one ahead waits for one that is this close, or a second's worth */
    APART_MAX = 100 * 1000, /* as they stand still: further apart, one of them isn't caught up */
};

static bool is_near(const struct pending_request *pending, const char *name, struct err *failure)
{
    struct follower *follower = follower_set_find(pending->followers, name);
    struct follower_report report;
    bool near = false;

    if (follower == NULL) {
        err_set(failure, ERR_ABSENT, "there is no generation %s that is followed", name);
        return false;
    }
    follower_look(follower, &report);
    int64_t bearable = report.events_per_s > NEAR_RECORDS ? report.events_per_s : NEAR_RECORDS;
    if (!report.is_ready)
        err_set(failure, ERR_AGAIN, "%s hasn't caught up with Kafka yet", name);
    else if (report.lag < 0 || report.lag > bearable)
        err_set(failure, ERR_AGAIN, "%s is %" PRId64 " records behind", name, report.lag);
    else
        near = true;
    follower_report_release(&report);
    return near;
}

static struct task_position *find_position(const struct follower_task *task, const struct task_position *like)
{
    for (size_t i = 0; i < task->position_count; i++)
        if (task->positions[i].partition == like->partition && strcmp(task->positions[i].topic, like->topic) == 0)
            return &task->positions[i];
    return NULL;
}

/* Where the one that is ahead stands, for each partition that both have. False: too far apart. */
static bool find_goal(const struct pending_request *pending, struct follower_task *goal)
{
    const struct follower_task *first = &pending->tasks.tasks[0].task;
    const struct follower_task *second = &pending->tasks.tasks[pending->tasks.count - 1].task;
    int64_t apart = 0;

    goal->positions = mem_zero(first->position_count + 1, sizeof(*goal->positions));
    for (size_t i = 0; i < first->position_count; i++) {
        const struct task_position *one = &first->positions[i];
        const struct task_position *other = find_position(second, one);
        if (other == NULL)
            continue;
        int64_t distance = one->next_offset - other->next_offset;
        apart += distance < 0 ? -distance : distance;
        goal->positions[goal->position_count++] = (struct task_position){
            mem_text(one->topic), one->partition, distance < 0 ? other->next_offset : one->next_offset};
    }
    return apart <= APART_MAX;
}

/* ID of a hold: the generations that stand still. */
static json_t *hold_outcome(const struct pending_request *pending)
{
    const struct follower_task *task = &pending->tasks.tasks[0].task;
    json_t *positions = json_array();
    struct buf id = BUF_INIT;

    for (size_t i = 0; i < task->position_count; i++)
        json_array_append_new(positions, json_pack("{s:s,s:i,s:I}", "topic", task->positions[i].topic, "partition",
                                                   (int)task->positions[i].partition, "offset",
                                                   (json_int_t)task->positions[i].next_offset));
    for (size_t i = 0; i < pending->tasks.count; i++)
        buf_add_format(&id, "%s%s", i > 0 ? "+" : "", pending->tasks.tasks[i].name);
    json_t *outcome = json_pack("{s:s,s:o}", "hold", buf_text(&id), "positions", positions);
    buf_release(&id);
    return outcome;
}

static void release_all(struct pending_request *pending)
{
    const char *names[2] = {"", ""};

    for (size_t i = 0; i < pending->tasks.count && i < 2; i++)
        names[i] = pending->tasks.tasks[i].name;
    request_tasks_give(&pending->tasks, pending->followers, names, 2, &(struct follower_task){.kind = TASK_RELEASE});
}

static enum stage_end begin_hold(struct pending_request *pending, struct err *failure)
{
    const json_t *generations = json_object_get(pending->request->arguments, "generations");
    const json_t *lease = json_object_get(pending->request->arguments, "lease_ms");
    int64_t lease_ms = json_is_integer(lease) ? json_integer_value(lease) : LEASE_DEFAULT_MS;
    const char *names[2] = {json_string_value(json_array_get(generations, 0)),
                            json_string_value(json_array_get(generations, 1))};

    if (names[0] == NULL || names[1] == NULL || strcmp(names[0], names[1]) == 0) {
        err_set(failure, ERR_INPUT, "two generations are held at a time");
        return STAGE_DONE;
    }
    if (!is_near(pending, names[0], failure) || !is_near(pending, names[1], failure))
        return STAGE_DONE;
    lease_ms = lease_ms < 1 ? 1 : lease_ms > LEASE_MAX_MS ? LEASE_MAX_MS : lease_ms;
    pending->held_until_us = clock_monotonic_us(pending->followers->clock) + lease_ms * 1000;
    request_tasks_give(&pending->tasks, pending->followers, names, 2,
                       &(struct follower_task){.kind = TASK_HOLD, .held_until_us = pending->held_until_us});
    return STAGE_WAITS;
}

enum stage_end stage_hold(struct pending_request *pending, json_t **ret_outcome, struct err *failure)
{
    if (pending->stage == 0)
        return begin_hold(pending, failure);
    const struct follower_task *failed = request_tasks_failed(&pending->tasks);
    if (failed != NULL || pending->tasks.count < 2) {
        if (failed != NULL)
            *failure = failed->err;
        else
            err_set(failure, ERR_AGAIN, "one of the generations isn't followed any more");
        release_all(pending);
        return STAGE_DONE;
    }
    if (pending->stage == 1) {
        struct follower_task goal = {.kind = TASK_GO_TO};
        bool is_close = find_goal(pending, &goal);
        if (is_close)
            request_tasks_go_to(&pending->tasks, pending->followers, goal.positions, goal.position_count,
                                pending->held_until_us);
        else
            release_all(pending);
        task_release(&goal);
        if (is_close)
            return STAGE_WAITS;
        err_set(failure, ERR_AGAIN, "the two are too far apart to wait for each other");
        return STAGE_DONE;
    }
    *ret_outcome = hold_outcome(pending);
    return STAGE_DONE;
}

enum stage_end stage_release(struct pending_request *pending, json_t **ret_outcome, struct err *failure)
{
    (void)failure;
    if (pending->stage == 0) {
        char *list = mem_text(pending_request_text(pending, "hold"));
        char *rest = NULL;
        const char *names[2] = {"", ""};
        names[0] = strtok_r(list, "+", &rest);
        names[1] = strtok_r(NULL, "+", &rest);
        names[0] = names[0] ? names[0] : "";
        names[1] = names[1] ? names[1] : "";
        request_tasks_give(&pending->tasks, pending->followers, names, 2,
                           &(struct follower_task){.kind = TASK_RELEASE});
        free(list);
        return STAGE_WAITS;
    }
    *ret_outcome = json_object();
    return STAGE_DONE;
}
