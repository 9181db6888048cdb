/* What a task changes is told only behind the commit that holds it, so that a command's answer is true after a power cut
 * too. Standing still is a promise for a while: it ends by itself, as the command that asked for it may have been
 * killed. To stand at exactly a position, what lies behind it is thrown away and later fetched again: the source has no
 * way to put a record back. */
#include <stdlib.h>
#include <string.h>

#include "projector/follower_state.h"
#include "projector/parked_request.h"
#include "schema/base/mem.h"

#define ENDED "the generation's follower has ended"

void task_release(struct follower_task *task)
{
    for (size_t i = 0; i < task->position_count; i++)
        free(task->positions[i].topic);
    free(task->positions);
    task->positions = NULL;
    task->position_count = 0;
}

void follower_give(struct follower *follower, struct follower_task *task)
{
    struct follower_tasks *tasks = &follower->tasks;

    task->is_done = false;
    task->rc = 0;
    pthread_mutex_lock(&follower->lock);
    if (follower->report.phase > FOLLOWER_FOLLOWING) {
        task->rc = err_set(&task->err, ERR_AGAIN, ENDED);
        task->is_done = true;
    } else {
        tasks->given = mem_grow(tasks->given, tasks->given_count, &tasks->given_capacity, sizeof(struct follower_task *));
        tasks->given[tasks->given_count++] = task;
        pthread_cond_broadcast(&follower->changed);
    }
    pthread_mutex_unlock(&follower->lock);
}

bool follower_is_done(struct follower *follower, const struct follower_task *task)
{
    pthread_mutex_lock(&follower->lock);
    bool is_done = task->is_done;
    pthread_mutex_unlock(&follower->lock);
    return is_done;
}

static void finish(struct follower *follower, struct follower_task *task, int rc)
{
    pthread_mutex_lock(&follower->lock);
    task->rc = rc;
    task->is_done = true;
    pthread_mutex_unlock(&follower->lock);
}

/* --- standing still ----------------------------------------------------------------------------------------------- */

static void tell_positions(const struct follower *follower, struct follower_task *task)
{
    const struct positions *positions = follower->positions;

    task_release(task);
    task->positions = mem_zero(positions->count + 1, sizeof(*task->positions));
    for (size_t i = 0; i < positions->count; i++) {
        const struct partition *partition = positions->partitions[i];
        task->positions[task->position_count++] =
            (struct task_position){mem_text(follower->generation->settings.topics[partition->topic]), partition->number,
                                   positions_reached(partition)};
    }
}

static void forget_limits(struct follower_hold *hold)
{
    free(hold->limits);
    free(hold->overshot);
    hold->limits = NULL;
    hold->overshot = NULL;
    hold->count = 0;
    hold->is_going = false;
}

static void set_limits(struct follower *follower, const struct follower_task *task)
{
    struct follower_hold *hold = &follower->hold;
    const struct positions *positions = follower->positions;

    if (hold->limits == NULL) {
        hold->count = positions->count;
        hold->limits = mem_zero(hold->count + 1, sizeof(*hold->limits));
        hold->overshot = mem_zero(hold->count + 1, sizeof(*hold->overshot));
    }
    for (size_t i = 0; i < hold->count; i++) {
        const struct partition *partition = positions->partitions[i];
        const char *topic = follower->generation->settings.topics[partition->topic];
        hold->limits[i] = -1;
        for (size_t j = 0; j < task->position_count; j++)
            if (task->positions[j].partition == partition->number && strcmp(task->positions[j].topic, topic) == 0)
                hold->limits[i] = task->positions[j].next_offset;
    }
    hold->is_going = true;
}

static bool has_reached_limits(const struct follower *follower)
{
    const struct follower_hold *hold = &follower->hold;

    for (size_t i = 0; i < hold->count; i++)
        if (hold->limits[i] > follower->positions->partitions[i]->cursor.next_offset)
            return false;
    return true;
}

static void release_hold(struct follower *follower)
{
    struct follower_hold *hold = &follower->hold;

    for (size_t i = 0; i < hold->count; i++)
        if (hold->overshot[i])
            keeper_read_again(follower->keeper, follower->positions->partitions[i]->topic,
                              follower->positions->partitions[i]->number);
    forget_limits(hold);
    hold->is_on = false;
}

bool follower_hold_admits(struct follower *follower)
{
    struct follower_hold *hold = &follower->hold;

    if (hold->is_on && follower_now_us(follower) >= hold->until_us)
        release_hold(follower);
    return !hold->is_on || hold->is_going;
}

static size_t place_of(const struct positions *positions, const struct record *record, size_t count)
{
    const struct partition *partition = positions_find(positions, record->topic, record->partition);
    size_t at = 0;
    while (at < count && positions->partitions[at] != partition)
        at++;
    return at;
}

void follower_hold_cut(struct follower *follower)
{
    struct follower_hold *hold = &follower->hold;
    size_t kept = 0;

    if (!hold->is_on)
        return;
    for (size_t i = 0; i < follower->record_count; i++) {
        const struct record *record = &follower->records[i];
        size_t at = place_of(follower->positions, record, hold->count);
        bool is_behind = at < hold->count && hold->limits[at] >= 0 &&
                         record->offset >= hold->limits[at] + (record->is_partition_end ? 1 : 0);
        if (is_behind)
            hold->overshot[at] = true;
        else
            follower->records[kept++] = *record;
    }
    follower->record_count = kept;
}

/* Something behind the limit was seen, so everything before it is handled, whatever gap lies between. */
void follower_hold_reach(struct follower *follower)
{
    struct follower_hold *hold = &follower->hold;

    for (size_t i = 0; hold->is_on && i < hold->count; i++) {
        struct partition *partition = follower->positions->partitions[i];
        if (hold->overshot[i] && partition->cursor.next_offset < hold->limits[i])
            positions_advance_to(follower->positions, partition, hold->limits[i]);
    }
}

/* --- tasks -------------------------------------------------------------------------------------------------------- */

static int run_parked(struct follower *follower, struct follower_task *task, struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct parked_selection selection;

    int rc = parked_request_read(task->arguments, &follower->generation->settings, &arena, &selection, err);
    if (rc == 0)
        rc = task->kind == TASK_PARKED_RETRY
                 ? materializer_retry(follower->materializer, &selection, &task->parked, err)
                 : materializer_drop(follower->materializer, &selection, &task->parked, err);
    arena_release(&arena);
    return rc;
}

static void begin_hold(struct follower *follower, const struct follower_task *task)
{
    follower->hold.is_on = true;
    follower->hold.is_going = false;
    follower->hold.until_us = task->held_until_us;
}

static int begin(struct follower *follower, struct follower_task *task, struct err *err)
{
    switch (task->kind) {
    case TASK_PARKED_RETRY:
    case TASK_PARKED_DROP:
        return run_parked(follower, task, err);
    case TASK_DECISIONS:
        return materializer_catch_up_decisions(follower->materializer, err);
    case TASK_SET_MEMORY:
        materializer_set_memory(follower->materializer, task->memory_bytes);
        return 0;
    case TASK_HOLD:
        begin_hold(follower, task);
        return 0;
    case TASK_GO_TO:
        if (!follower->hold.is_on)
            return err_set(err, ERR_AGAIN, "%s stands still no more: the lease was too short", follower->name);
        follower->hold.until_us = task->held_until_us;
        set_limits(follower, task);
        return 0;
    case TASK_RELEASE:
        release_hold(follower);
        return 0;
    case TASK_MAKE_WHOLE:
        follower->must_be_whole = follower->is_building;
        return 0;
    case TASK_COMMIT:
        return 0;
    }
    return 0;
}

/* Whether there is more to wait for than the commit. */
static bool is_under_way(struct follower *follower, const struct follower_task *task, int *ret_rc, struct err *err)
{
    *ret_rc = 0;
    if (task->kind == TASK_MAKE_WHOLE)
        return follower->must_be_whole;
    if (task->kind != TASK_GO_TO)
        return false;
    if (!follower->hold.is_on) {
        *ret_rc = err_set(err, ERR_AGAIN, "%s didn't come to the other's position in time", follower->name);
        return false;
    }
    return !has_reached_limits(follower);
}

static bool asks_for_commit(enum task_kind kind)
{
    return kind != TASK_SET_MEMORY && kind != TASK_RELEASE && kind != TASK_MAKE_WHOLE;
}

static int begin_given(struct follower *follower, struct err *err)
{
    struct follower_tasks *tasks = &follower->tasks;

    pthread_mutex_lock(&follower->lock);
    size_t count = tasks->given_count;
    struct follower_task **given = mem_copy(tasks->given, count * sizeof(struct follower_task *));
    tasks->given_count = 0;
    pthread_mutex_unlock(&follower->lock);
    int rc = 0;
    for (size_t i = 0; i < count; i++) {
        struct follower_task *task = given[i];
        int begun = rc == 0 ? begin(follower, task, &task->err) : err_set(&task->err, ERR_AGAIN, ENDED);
        if (rc == 0 && (begun == ERR_FULL || begun == ERR_BROKEN)) {
            *err = task->err;
            rc = begun;
        }
        if (begun < 0) {
            finish(follower, task, begun);
            continue;
        }
        size_t capacity = tasks->begun_capacity;
        tasks->begun = mem_grow(tasks->begun, tasks->begun_count, &capacity, sizeof(struct follower_task *));
        tasks->marks = mem_grow(tasks->marks, tasks->begun_count, &tasks->begun_capacity, sizeof(*tasks->marks));
        tasks->begun[tasks->begun_count] = task;
        tasks->marks[tasks->begun_count++] =
            asks_for_commit(task->kind) ? materializer_mark(follower->materializer) : 0;
    }
    free(given);
    return rc;
}

int follower_tasks_serve(struct follower *follower, struct err *err)
{
    struct follower_tasks *tasks = &follower->tasks;
    size_t kept = 0;

    int rc = begin_given(follower, err);
    for (size_t i = 0; i < tasks->begun_count; i++) {
        struct follower_task *task = tasks->begun[i];
        int task_rc = 0;
        if (is_under_way(follower, task, &task_rc, &task->err)) {
            tasks->begun[kept] = task;
            tasks->marks[kept++] = tasks->marks[i];
            continue;
        }
        if (task->kind == TASK_GO_TO && task_rc == 0 && follower->hold.is_going) {
            follower->hold.is_going = false; /* it is there: what it took to come there is still to be committed */
            tasks->marks[i] = materializer_mark(follower->materializer);
        }
        if (task_rc == 0 && asks_for_commit(task->kind) &&
            !materializer_is_committed(follower->materializer, tasks->marks[i])) {
            tasks->begun[kept] = task;
            tasks->marks[kept++] = tasks->marks[i];
            continue;
        }
        if (task->kind == TASK_HOLD)
            tell_positions(follower, task);
        finish(follower, task, task_rc);
    }
    tasks->begun_count = kept;
    return rc;
}

void follower_tasks_fail(struct follower *follower, bool is_whole)
{
    struct follower_tasks *tasks = &follower->tasks;

    pthread_mutex_lock(&follower->lock);
    for (size_t i = 0; i < tasks->given_count + tasks->begun_count; i++) {
        struct follower_task *task =
            i < tasks->given_count ? tasks->given[i] : tasks->begun[i - tasks->given_count];
        bool is_done = task->kind == TASK_MAKE_WHOLE && is_whole;
        task->rc = is_done ? 0 : err_set(&task->err, ERR_AGAIN, ENDED);
        task->is_done = true;
    }
    tasks->given_count = tasks->begun_count = 0;
    pthread_mutex_unlock(&follower->lock);
    forget_limits(&follower->hold);
}

void follower_tasks_release(struct follower *follower)
{
    free(follower->tasks.given);
    free(follower->tasks.begun);
    free(follower->tasks.marks);
}
