/* A request goes through stages: each hands tasks to followers, and the next is entered when all of them are done. One
 * that needs no follower is done in its first stage. A request is carried out again if the projector dies before it was
 * answered: each bears that. */
#include "projector/requests.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/runtime/log.h"
#include "projector/generation_change.h"
#include "projector/parked_request.h"
#include "schema/base/mem.h"
#include "schema/store/control.h"

enum {
    LEASE_DEFAULT_MS = 2000,
    LEASE_MAX_MS = 60 * 1000,
    NEAR_RECORDS = 1000,  /* the one ahead waits for one that is this close, or a second's worth */
    APART_MAX = 100 * 1000, /* as they stand still: further apart, one of them isn't caught up */
};

/* What one follower is asked in a stage. */
struct asked {
    char name[GENERATION_NAME_MAX];
    struct follower_task task;
};

struct pending {
    struct control_request *request;
    const struct request_kind *kind;
    unsigned stage;
    struct asked *asked; /* addresses stay while a stage lasts */
    size_t asked_count;
    int64_t held_until_us;
    json_t *outcome; /* of an earlier stage, to be answered at the end */
};

struct requests {
    struct supervisor *supervisor;
    const struct clock_port *clock;
    struct control *control; /* opened by the first turn */
    struct pending **pending;
    size_t pending_count, pending_capacity;
};

/* What a stage says. */
enum stage_end {
    STAGE_WAITS, /* for the tasks that it has handed out; then comes the next stage */
    STAGE_DONE,  /* *ret_outcome, or failure when its kind is set, is the answer */
};

typedef enum stage_end stage_fn(struct requests *requests, struct pending *pending, json_t **ret_outcome,
                                struct err *failure);

static stage_fn do_parked, do_rebuild, do_promote, do_roll_back, do_drop, do_hold, do_release;

static const struct request_kind {
    const char *kind;
    stage_fn *run;
} kinds[] = {
    {REQUEST_PARKED_RETRY, do_parked}, {REQUEST_PARKED_DROP, do_parked}, {REQUEST_REBUILD, do_rebuild},
    {REQUEST_PROMOTE, do_promote},     {REQUEST_ROLLBACK, do_roll_back}, {REQUEST_DROP, do_drop},
    {REQUEST_HOLD, do_hold},           {REQUEST_RELEASE, do_release},
};

/* --- tasks -------------------------------------------------------------------------------------------------------- */

static void forget_asked(struct pending *pending)
{
    for (size_t i = 0; i < pending->asked_count; i++)
        task_release(&pending->asked[i].task);
    free(pending->asked);
    pending->asked = NULL;
    pending->asked_count = 0;
}

/* All followers of a stage are named at once: the tasks' addresses must stay. */
static void ask_all(struct requests *requests, struct pending *pending, const char *const *names, size_t count,
                    const struct follower_task *task)
{
    forget_asked(pending);
    pending->asked = mem_zero(count + 1, sizeof(*pending->asked));
    for (size_t i = 0; i < count; i++) {
        struct follower *follower = supervisor_find(requests->supervisor, names[i]);
        if (follower == NULL)
            continue;
        struct asked *asked = &pending->asked[pending->asked_count++];
        snprintf(asked->name, sizeof(asked->name), "%s", names[i]);
        asked->task = *task;
        follower_give(follower, &asked->task);
    }
}

/* Asked of a follower that ended before it came to it: one that is opened anew (as it has become whole) can do it. */
static bool is_to_be_repeated(const struct follower_task *task)
{
    return task->rc == ERR_AGAIN && (task->kind == TASK_PARKED_RETRY || task->kind == TASK_PARKED_DROP ||
                                     task->kind == TASK_DECISIONS || task->kind == TASK_COMMIT);
}

/* A follower that was closed has ended its tasks before. */
static bool are_done(struct requests *requests, struct pending *pending)
{
    bool are_all_done = true;

    for (size_t i = 0; i < pending->asked_count; i++) {
        struct follower_task *task = &pending->asked[i].task;
        struct follower *follower = supervisor_find(requests->supervisor, pending->asked[i].name);
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

/* The first task that failed. */
static const struct follower_task *find_failed(const struct pending *pending)
{
    for (size_t i = 0; i < pending->asked_count; i++)
        if (pending->asked[i].task.rc < 0)
            return &pending->asked[i].task;
    return NULL;
}

/* --- changes of the set of generations ---------------------------------------------------------------------------- */

static struct store *open_store_of(void *self, const char *name)
{
    struct follower *follower = supervisor_find(self, name);
    return follower ? follower_store(follower) : NULL;
}

static enum stage_end carry_out(struct requests *requests, change_fn *change, const json_t *arguments,
                                json_t **ret_outcome, struct err *failure)
{
    const struct changer changer = {.directory = supervisor_directory(requests->supervisor),
                                    .clock = requests->clock,
                                    .open_store = open_store_of,
                                    .self = requests->supervisor};

    int rc = change(&changer, arguments, ret_outcome, failure);
    if (rc == 0)
        rc = supervisor_look_at_serving(requests->supervisor, failure);
    if (rc == 0)
        *failure = (struct err){0}; /* answers like "there is none yet" on the way are no faults */
    return STAGE_DONE;
}

static void note_request_id(const struct pending *pending)
{
    if (json_object_get(pending->request->arguments, "request") == NULL)
        json_object_set_new(pending->request->arguments, "request", json_string(pending->request->id));
}

static const char *named(const struct pending *pending, const char *argument)
{
    const char *name = json_string_value(json_object_get(pending->request->arguments, argument));
    return name ? name : "";
}

/* A store that its follower is about to open can't be opened here, nor the other way round. */
static bool is_opening(struct requests *requests, const char *name)
{
    struct follower *follower = supervisor_find(requests->supervisor, name);
    return follower != NULL && follower_phase(follower) == FOLLOWER_OPENING;
}

/* What is taken over is taken from a store that has everything: erasures a moment ago, too. */
static enum stage_end do_rebuild(struct requests *requests, struct pending *pending, json_t **ret_outcome,
                                 struct err *failure)
{
    const char *const names[] = {serving_incumbent(supervisor_serving(requests->supervisor)),
                                 named(pending, "from_generation")};

    if (pending->stage == 0 || is_opening(requests, names[0]) || is_opening(requests, names[1])) {
        ask_all(requests, pending, names, ARRAY_COUNT(names), &(struct follower_task){.kind = TASK_COMMIT});
        return STAGE_WAITS;
    }
    note_request_id(pending);
    carry_out(requests, change_rebuild, pending->request->arguments, ret_outcome, failure);
    if (failure->kind == 0) {
        const char *name = json_string_value(json_object_get(*ret_outcome, "generation"));
        log_info("generation %s is made, and filled beside the one that is served", name);
        if (supervisor_follow(requests->supervisor, name, failure) == 0)
            *failure = (struct err){0};
    }
    return STAGE_DONE;
}

/* One that is still built is made whole first when that is forced. */
static enum stage_end do_promote(struct requests *requests, struct pending *pending, json_t **ret_outcome,
                                 struct err *failure)
{
    const char *name = named(pending, "generation");
    bool is_forced = json_is_true(json_object_get(pending->request->arguments, "force"));

    if (pending->stage == 0 || is_opening(requests, name)) {
        ask_all(requests, pending, &name, 1,
                &(struct follower_task){.kind = is_forced ? TASK_MAKE_WHOLE : TASK_COMMIT});
        return STAGE_WAITS;
    }
    carry_out(requests, change_promote, pending->request->arguments, ret_outcome, failure);
    if (failure->kind == 0)
        log_info("served now: %s with %u%%", name,
                 serving_percent(supervisor_serving(requests->supervisor), name));
    return STAGE_DONE;
}

static enum stage_end do_roll_back(struct requests *requests, struct pending *pending, json_t **ret_outcome,
                                   struct err *failure)
{
    note_request_id(pending);
    carry_out(requests, change_roll_back, pending->request->arguments, ret_outcome, failure);
    if (failure->kind == 0)
        log_info("rolled back: %s is served", serving_incumbent(supervisor_serving(requests->supervisor)));
    return STAGE_DONE;
}

static enum stage_end do_drop(struct requests *requests, struct pending *pending, json_t **ret_outcome,
                              struct err *failure)
{
    const char *name = named(pending, "generation");

    if (serving_percent(supervisor_serving(requests->supervisor), name) == 0)
        supervisor_forget(requests->supervisor, name);
    carry_out(requests, change_drop, pending->request->arguments, ret_outcome, failure);
    if (failure->kind == 0)
        log_info("generation %s is dropped", name);
    return STAGE_DONE;
}

/* --- parked events ------------------------------------------------------------------------------------------------ */

static void ask_everyone(struct requests *requests, struct pending *pending, const char *only,
                         const struct follower_task *task)
{
    size_t count = supervisor_count(requests->supervisor), named_count = 0;
    const char **names = mem_zero(count + 1, sizeof(char *));

    for (size_t i = 0; i < count; i++) {
        struct follower *follower = supervisor_follower(requests->supervisor, i);
        if (follower != NULL && (only[0] == '\0' || strcmp(only, follower_name(follower)) == 0))
            names[named_count++] = follower_name(follower);
    }
    ask_all(requests, pending, names, named_count, task);
    free(names);
}

/* A generation that has no such topic, or nothing parked there, is no fault when another has. */
static enum stage_end sum_up(const struct pending *pending, json_t **ret_outcome, struct err *failure)
{
    struct parked_outcome sum = {0};
    bool is_there = false;

    for (size_t i = 0; i < pending->asked_count; i++) {
        const struct follower_task *task = &pending->asked[i].task;
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
    return STAGE_DONE;
}

static enum stage_end do_parked(struct requests *requests, struct pending *pending, json_t **ret_outcome,
                                struct err *failure)
{
    bool is_drop = strcmp(pending->kind->kind, REQUEST_PARKED_DROP) == 0;

    if (pending->outcome != NULL) {
        *ret_outcome = pending->outcome;
        pending->outcome = NULL;
        return STAGE_DONE;
    }
    if (pending->stage == 0) {
        struct follower_task task = {.kind = is_drop ? TASK_PARKED_DROP : TASK_PARKED_RETRY,
                                     .arguments = pending->request->arguments};
        ask_everyone(requests, pending, named(pending, "generation"), &task);
        return STAGE_WAITS;
    }
    sum_up(pending, ret_outcome, failure);
    if (!is_drop || failure->kind < 0 || named(pending, "generation")[0] == '\0')
        return STAGE_DONE;
    /* The decision binds the others too. */
    pending->outcome = *ret_outcome;
    *ret_outcome = NULL;
    ask_everyone(requests, pending, "", &(struct follower_task){.kind = TASK_DECISIONS});
    return STAGE_WAITS;
}

/* --- standing still ----------------------------------------------------------------------------------------------- */

static bool is_near(struct requests *requests, const char *name, struct err *failure)
{
    struct follower *follower = supervisor_find(requests->supervisor, name);
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
static bool find_goal(const struct pending *pending, struct follower_task *goal)
{
    const struct follower_task *first = &pending->asked[0].task;
    const struct follower_task *second = &pending->asked[pending->asked_count - 1].task;
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

static void ask_to_go(struct requests *requests, struct pending *pending, const struct follower_task *goal)
{
    struct asked *asked = mem_zero(pending->asked_count + 1, sizeof(*asked));
    size_t count = pending->asked_count;

    for (size_t i = 0; i < count; i++) {
        memcpy(asked[i].name, pending->asked[i].name, sizeof(asked[i].name));
        asked[i].task = (struct follower_task){.kind = TASK_GO_TO, .held_until_us = pending->held_until_us};
        asked[i].task.positions = mem_zero(goal->position_count + 1, sizeof(*goal->positions));
        for (size_t j = 0; j < goal->position_count; j++) {
            asked[i].task.positions[j] = goal->positions[j];
            asked[i].task.positions[j].topic = mem_text(goal->positions[j].topic);
        }
        asked[i].task.position_count = goal->position_count;
    }
    forget_asked(pending);
    pending->asked = asked;
    pending->asked_count = count;
    for (size_t i = 0; i < count; i++) {
        struct follower *follower = supervisor_find(requests->supervisor, asked[i].name);
        if (follower != NULL)
            follower_give(follower, &asked[i].task);
        else
            asked[i].task.rc = err_set(&asked[i].task.err, ERR_AGAIN, "%s isn't followed any more", asked[i].name);
    }
}

/* ID of a hold: the generations that stand still. */
static json_t *hold_outcome(const struct pending *pending)
{
    const struct follower_task *task = &pending->asked[0].task;
    json_t *positions = json_array();
    struct buf id = BUF_INIT;

    for (size_t i = 0; i < task->position_count; i++)
        json_array_append_new(positions, json_pack("{s:s,s:i,s:I}", "topic", task->positions[i].topic, "partition",
                                                   (int)task->positions[i].partition, "offset",
                                                   (json_int_t)task->positions[i].next_offset));
    for (size_t i = 0; i < pending->asked_count; i++)
        buf_add_format(&id, "%s%s", i > 0 ? "+" : "", pending->asked[i].name);
    json_t *outcome = json_pack("{s:s,s:o}", "hold", buf_text(&id), "positions", positions);
    buf_release(&id);
    return outcome;
}

static void release_all(struct requests *requests, struct pending *pending)
{
    const char *names[2] = {"", ""};
    char kept[2][GENERATION_NAME_MAX];

    for (size_t i = 0; i < pending->asked_count && i < 2; i++) {
        memcpy(kept[i], pending->asked[i].name, sizeof(kept[i]));
        names[i] = kept[i];
    }
    ask_all(requests, pending, names, 2, &(struct follower_task){.kind = TASK_RELEASE});
}

static enum stage_end begin_hold(struct requests *requests, struct pending *pending, struct err *failure)
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
    if (!is_near(requests, names[0], failure) || !is_near(requests, names[1], failure))
        return STAGE_DONE;
    lease_ms = lease_ms < 1 ? 1 : lease_ms > LEASE_MAX_MS ? LEASE_MAX_MS : lease_ms;
    pending->held_until_us = clock_monotonic_us(requests->clock) + lease_ms * 1000;
    ask_all(requests, pending, names, 2,
            &(struct follower_task){.kind = TASK_HOLD, .held_until_us = pending->held_until_us});
    return STAGE_WAITS;
}

static enum stage_end do_hold(struct requests *requests, struct pending *pending, json_t **ret_outcome,
                              struct err *failure)
{
    if (pending->stage == 0)
        return begin_hold(requests, pending, failure);
    const struct follower_task *failed = find_failed(pending);
    if (failed != NULL || pending->asked_count < 2) {
        if (failed != NULL)
            *failure = failed->err;
        else
            err_set(failure, ERR_AGAIN, "one of the generations isn't followed any more");
        release_all(requests, pending);
        pending->stage = 9; /* answered once they go on: see below */
        return STAGE_DONE;
    }
    if (pending->stage == 1) {
        struct follower_task goal = {.kind = TASK_GO_TO};
        bool is_close = find_goal(pending, &goal);
        if (is_close)
            ask_to_go(requests, pending, &goal);
        else
            release_all(requests, pending);
        task_release(&goal);
        if (is_close)
            return STAGE_WAITS;
        err_set(failure, ERR_AGAIN, "the two are too far apart to wait for each other");
        return STAGE_DONE;
    }
    *ret_outcome = hold_outcome(pending);
    return STAGE_DONE;
}

static enum stage_end do_release(struct requests *requests, struct pending *pending, json_t **ret_outcome,
                                 struct err *failure)
{
    (void)failure;
    if (pending->stage == 0) {
        char *list = mem_text(named(pending, "hold"));
        char *rest = NULL;
        const char *names[2] = {"", ""};
        names[0] = strtok_r(list, "+", &rest);
        names[1] = strtok_r(NULL, "+", &rest);
        names[0] = names[0] ? names[0] : "";
        names[1] = names[1] ? names[1] : "";
        ask_all(requests, pending, names, 2, &(struct follower_task){.kind = TASK_RELEASE});
        free(list);
        return STAGE_WAITS;
    }
    *ret_outcome = json_object();
    return STAGE_DONE;
}

/* --- turns -------------------------------------------------------------------------------------------------------- */

struct requests *requests_new(struct supervisor *supervisor, const struct clock_port *clock)
{
    struct requests *requests = mem_zero(1, sizeof(*requests));
    requests->supervisor = supervisor;
    requests->clock = clock;
    return requests;
}

static void pending_free(struct pending *pending)
{
    forget_asked(pending);
    json_decref(pending->outcome);
    free(pending);
}

/* The followers have ended: no task is theirs any more. */
void requests_free(struct requests **requests)
{
    struct requests *freed = *requests;

    if (freed == NULL)
        return;
    for (size_t i = 0; i < freed->pending_count; i++) {
        if (freed->pending[i]->request != NULL)
            control_request_free(&freed->pending[i]->request);
        pending_free(freed->pending[i]);
    }
    control_close(&freed->control);
    free(freed->pending);
    free(freed);
    *requests = NULL;
}

/* ERR_BROKEN and ERR_FULL are answered like any other failure: what can't go on because of them finds out by itself. */
static int answer(struct requests *requests, struct pending *pending, json_t *outcome, const struct err *failure,
                  struct err *err)
{
    int rc = control_answer(requests->control, &pending->request, outcome, failure->kind < 0 ? failure : NULL, err);

    json_decref(outcome);
    return rc;
}

/* True: the request is answered, and none of its tasks is under way. */
static bool advance(struct requests *requests, struct pending *pending, int *ret_rc, struct err *err)
{
    while (are_done(requests, pending)) {
        json_t *outcome = NULL;
        struct err failure = {0};

        if (pending->request == NULL)
            return true;
        enum stage_end end = pending->kind->run(requests, pending, &outcome, &failure);
        pending->stage++;
        if (end == STAGE_DONE)
            *ret_rc = answer(requests, pending, outcome, &failure, err);
        if (*ret_rc < 0)
            return false;
    }
    return false;
}

static int take(struct requests *requests, struct control_request *request, struct err *err)
{
    const struct request_kind *kind = NULL;
    struct err failure = {0};

    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        if (strcmp(kinds[i].kind, request->kind) == 0)
            kind = &kinds[i];
    if (kind == NULL) {
        err_set(&failure, ERR_INPUT, "the running projector doesn't know requests of the kind %s", request->kind);
        return control_answer(requests->control, &request, NULL, &failure, err);
    }
    requests->pending = mem_grow(requests->pending, requests->pending_count, &requests->pending_capacity,
                                 sizeof(struct pending *));
    struct pending *pending = mem_zero(1, sizeof(*pending));
    pending->request = request;
    pending->kind = kind;
    requests->pending[requests->pending_count++] = pending;
    return 0;
}

int requests_serve(struct requests *requests, struct err *err)
{
    struct control_request *request = NULL;
    size_t kept = 0;
    int rc = 0;

    if (requests->control == NULL)
        rc = control_open(supervisor_directory(requests->supervisor), requests->clock, &requests->control, err);
    while (rc == 0 && (rc = control_take(requests->control, &request, err)) == 0)
        rc = take(requests, request, err);
    if (rc == ERR_ABSENT)
        rc = 0;
    for (size_t i = 0; i < requests->pending_count; i++) {
        struct pending *pending = requests->pending[i];
        if (rc == 0 && advance(requests, pending, &rc, err))
            pending_free(pending);
        else
            requests->pending[kept++] = pending;
    }
    requests->pending_count = kept;
    return rc;
}
