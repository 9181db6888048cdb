/* Each request that was taken is kept until it is answered and none of its tasks is under way; a turn brings each a few
 * stages further (request_stages.h). */
#include "projector/requests.h"

#include <stdlib.h>
#include <string.h>

#include "projector/generation_change.h"
#include "projector/parked_request.h"
#include "projector/request_stages.h"
#include "schema/base/mem.h"

static const struct request_kind {
    const char *kind;
    request_stage_fn *run;
} kinds[] = {
    {REQUEST_PARKED_RETRY, stage_parked_retry},
    {REQUEST_PARKED_DROP, stage_parked_drop},
    {REQUEST_REBUILD, stage_rebuild},
    {REQUEST_PROMOTE, stage_promote},
    {REQUEST_ROLLBACK, stage_roll_back},
    {REQUEST_DROP, stage_drop},
    {REQUEST_HOLD, stage_hold},
    {REQUEST_RELEASE, stage_release},
};

struct pending {
    request_stage_fn *run;
    struct pending_request at;
};

struct requests {
    struct follower_set *followers;
    struct control *control;  /* opened by the first turn */
    struct pending **pending; /* addresses stay: followers have tasks that lie there */
    size_t pending_count, pending_capacity;
};

const char *pending_request_text(const struct pending_request *pending, const char *argument)
{
    const char *text = json_string_value(json_object_get(pending->request->arguments, argument));
    return text ? text : "";
}

struct requests *requests_new(struct follower_set *followers)
{
    struct requests *requests = mem_zero(1, sizeof(*requests));
    requests->followers = followers;
    return requests;
}

static void pending_free(struct pending *pending)
{
    if (pending->at.request != NULL)
        control_request_free(&pending->at.request);
    request_tasks_release(&pending->at.tasks);
    json_decref(pending->at.outcome);
    free(pending);
}

/* The followers have ended: no task is theirs any more. */
void requests_free(struct requests **requests)
{
    struct requests *freed = *requests;

    if (freed == NULL)
        return;
    for (size_t i = 0; i < freed->pending_count; i++)
        pending_free(freed->pending[i]);
    control_close(&freed->control);
    free(freed->pending);
    free(freed);
    *requests = NULL;
}

/* ERR_BROKEN and ERR_FULL are answered like any other failure: what can't go on because of them finds out by itself. */
static int answer(struct requests *requests, struct pending *pending, json_t *outcome, const struct err *failure,
                  struct err *err)
{
    int rc = control_answer(requests->control, &pending->at.request, outcome, failure->kind < 0 ? failure : NULL, err);

    json_decref(outcome);
    return rc;
}

/* True: the request is answered, and none of its tasks is under way. */
static bool advance(struct requests *requests, struct pending *pending, int *ret_rc, struct err *err)
{
    while (request_tasks_are_done(&pending->at.tasks, requests->followers)) {
        json_t *outcome = NULL;
        struct err failure = {0};

        if (pending->at.request == NULL)
            return true;
        enum stage_end end = pending->run(&pending->at, &outcome, &failure);
        if (end == STAGE_STAYS)
            return false;
        pending->at.stage++;
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
    requests->pending =
        mem_grow(requests->pending, requests->pending_count, &requests->pending_capacity, sizeof(struct pending *));
    struct pending *pending = mem_zero(1, sizeof(*pending));
    *pending = (struct pending){.run = kind->run, .at = {.followers = requests->followers, .request = request}};
    requests->pending[requests->pending_count++] = pending;
    return 0;
}

int requests_serve(struct requests *requests, struct err *err)
{
    struct control_request *request = NULL;
    size_t kept = 0;
    int rc = 0;

    if (requests->control == NULL)
        rc = control_open(requests->followers->settings->store, requests->followers->clock, &requests->control, err);
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
