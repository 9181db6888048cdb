/* Requests that change the set of generations. The change itself is generation_change.h's; before it, the followers bring
 * onto the disk what it looks at, and behind it the set follows what there is now.
 *
 * What is quick is done on the supervisor's thread. A generation is made on one of its own (change_worker.h), as it may be
 * copied from another; those that are served may change meanwhile, but none is dropped. */
#include "ops/runtime/log.h"
#include "projector/generation_change.h"
#include "projector/request_stages.h"
#include "schema/base/mem.h"

static struct store *open_store_of(void *self, const char *name)
{
    struct follower *follower = follower_set_find(self, name);
    return follower ? follower_store(follower) : NULL;
}

static void carry_out(struct pending_request *pending, change_fn *change, json_t **ret_outcome, struct err *failure)
{
    struct follower_set *followers = pending->followers;
    const struct changer changer = {.directory = followers->settings->store,
                                    .clock = followers->clock,
                                    .open_store = open_store_of,
                                    .self = followers};

    int rc = change(&changer, pending->request->arguments, ret_outcome, failure);
    if (rc == 0)
        rc = follower_set_look_at_serving(followers, failure);
    if (rc == 0)
        *failure = (struct err){0}; /* answers like "there is none yet" on the way are no faults */
}

static void note_request_id(const struct pending_request *pending)
{
    if (json_object_get(pending->request->arguments, "request") == NULL)
        json_object_set_new(pending->request->arguments, "request", json_string(pending->request->id));
}

/* A store that its follower is about to open can't be opened here, nor the other way round. */
static bool is_opening(const struct pending_request *pending, const char *name)
{
    struct follower *follower = follower_set_find(pending->followers, name);
    return follower != NULL && follower_phase(follower) == FOLLOWER_OPENING;
}

static enum stage_end end_rebuild(struct pending_request *pending, json_t **ret_outcome, struct err *failure)
{
    int rc = change_worker_take(&pending->worker, ret_outcome, failure);

    if (rc == 0) {
        const char *name = json_string_value(json_object_get(*ret_outcome, "generation"));
        log_info("generation %s is made, and filled beside the one that is served", name);
        rc = follower_set_follow(pending->followers, name, failure);
    }
    if (rc == 0)
        *failure = (struct err){0};
    return STAGE_DONE;
}

/* What is taken over is taken from a store that has everything: erasures a moment ago, too. */
enum stage_end stage_rebuild(struct pending_request *pending, json_t **ret_outcome, struct err *failure)
{
    struct follower_set *followers = pending->followers;
    const char *const names[] = {serving_incumbent(&followers->serving),
                                 pending_request_text(pending, "from_generation")};

    if (pending->worker != NULL)
        return change_worker_is_done(pending->worker) ? end_rebuild(pending, ret_outcome, failure) : STAGE_STAYS;
    if (followers->is_changing)
        return STAGE_STAYS;
    if (pending->stage == 0 || is_opening(pending, names[0]) || is_opening(pending, names[1])) {
        request_tasks_give(&pending->tasks, followers, names, ARRAY_COUNT(names),
                           &(struct follower_task){.kind = TASK_COMMIT});
        return STAGE_WAITS;
    }
    note_request_id(pending);
    if (change_worker_start(followers, change_rebuild, pending->request->arguments, names, &pending->worker, failure) <
        0)
        return STAGE_DONE;
    return STAGE_STAYS;
}

/* One that is still built is made whole first when that is forced. */
enum stage_end stage_promote(struct pending_request *pending, json_t **ret_outcome, struct err *failure)
{
    const char *name = pending_request_text(pending, "generation");
    bool is_forced = json_is_true(json_object_get(pending->request->arguments, "force"));

    if (pending->stage == 0 || is_opening(pending, name)) {
        request_tasks_give(&pending->tasks, pending->followers, &name, 1,
                           &(struct follower_task){.kind = is_forced ? TASK_MAKE_WHOLE : TASK_COMMIT});
        return STAGE_WAITS;
    }
    carry_out(pending, change_promote, ret_outcome, failure);
    if (failure->kind == 0)
        log_info("served now: %s with %u%%", name, serving_percent(&pending->followers->serving, name));
    return STAGE_DONE;
}

enum stage_end stage_roll_back(struct pending_request *pending, json_t **ret_outcome, struct err *failure)
{
    note_request_id(pending);
    carry_out(pending, change_roll_back, ret_outcome, failure);
    if (failure->kind == 0)
        log_info("rolled back: %s is served", serving_incumbent(&pending->followers->serving));
    return STAGE_DONE;
}

enum stage_end stage_drop(struct pending_request *pending, json_t **ret_outcome, struct err *failure)
{
    const char *name = pending_request_text(pending, "generation");

    if (pending->followers->is_changing)
        return STAGE_STAYS;
    if (serving_percent(&pending->followers->serving, name) == 0)
        follower_set_forget(pending->followers, name);
    carry_out(pending, change_drop, ret_outcome, failure);
    if (failure->kind == 0)
        log_info("generation %s is dropped", name);
    return STAGE_DONE;
}
