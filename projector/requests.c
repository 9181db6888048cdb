/* A request is carried out at once, in the cache, but answered only when the commit that holds its effects is made: what
 * the command prints is true after a power cut too. One is carried out twice if the projector dies between; retrying and
 * dropping bear that. */
#include "projector/requests.h"

#include <stdlib.h>
#include <string.h>

#include "projector/parked_request.h"
#include "schema/base/mem.h"
#include "schema/store/control.h"

struct pending {
    struct control_request *request;
    json_t *outcome;
    uint64_t mark; /* materializer_mark() */
};

struct requests {
    char *directory;
    struct control *control; /* opened by the first turn */
    struct materializer *materializer;
    const struct generation_settings *settings;
    const struct clock_port *clock;
    struct pending *pending;
    size_t pending_count, pending_capacity;
};

typedef int request_fn(struct materializer *materializer, const struct parked_selection *selection,
                       struct parked_outcome *ret_outcome, struct err *err);

static const struct {
    const char *kind;
    request_fn *run;
} kinds[] = {
    {REQUEST_PARKED_RETRY, materializer_retry},
    {REQUEST_PARKED_DROP, materializer_drop},
};

static int carry_out(struct requests *requests, struct control_request *request, struct err *err);
static int answer_committed(struct requests *requests, struct err *err);

struct requests *requests_new(const char *directory, const char *generation, struct materializer *materializer,
                              const struct generation_settings *settings, const struct clock_port *clock)
{
    struct requests *requests = mem_zero(1, sizeof(*requests));

    (void)generation; /* one generation is kept up to date: requests needn't name it yet */
    requests->directory = mem_text(directory);
    requests->materializer = materializer;
    requests->settings = settings;
    requests->clock = clock;
    return requests;
}

void requests_free(struct requests **requests)
{
    if (*requests == NULL)
        return;
    struct requests *r = *requests;
    for (size_t i = 0; i < r->pending_count; i++) {
        /* Not answered: it comes again after the next start. */
        json_decref(r->pending[i].outcome);
        control_request_free(&r->pending[i].request);
    }
    control_close(&r->control);
    free(r->pending);
    free(r->directory);
    free(r);
    *requests = NULL;
}

int requests_serve(struct requests *requests, struct err *err)
{
    struct control_request *request = NULL;
    int rc = 0;

    if (requests->control == NULL)
        rc = control_open(requests->directory, requests->clock, &requests->control, err);
    while (rc == 0 && (rc = control_take(requests->control, &request, err)) == 0)
        rc = carry_out(requests, request, err);
    if (rc == ERR_ABSENT)
        rc = 0;
    return rc == 0 ? answer_committed(requests, err) : rc;
}

static int carry_out(struct requests *requests, struct control_request *request, struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct parked_selection selection;
    struct parked_outcome outcome;
    struct err failure = {0};
    request_fn *run = NULL;
    int rc = 0;

    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        if (strcmp(kinds[i].kind, request->kind) == 0)
            run = kinds[i].run;
    if (run == NULL)
        rc = err_set(&failure, ERR_INPUT, "the running projector doesn't know requests of the kind %s", request->kind);
    if (rc == 0)
        rc = parked_request_read(request->arguments, requests->settings, &arena, &selection, &failure);
    if (rc == 0)
        rc = run(requests->materializer, &selection, &outcome, &failure);
    arena_release(&arena);

    if (rc == ERR_INPUT || rc == ERR_ABSENT)
        return control_answer(requests->control, &request, NULL, &failure, err);
    if (rc < 0) {
        control_request_free(&request);
        *err = failure;
        return rc;
    }
    requests->pending =
        mem_grow(requests->pending, requests->pending_count, &requests->pending_capacity, sizeof(*requests->pending));
    requests->pending[requests->pending_count++] =
        (struct pending){request, parked_outcome_write(&outcome), materializer_mark(requests->materializer)};
    return 0;
}

static int answer_committed(struct requests *requests, struct err *err)
{
    size_t kept = 0;
    int rc = 0;

    for (size_t i = 0; i < requests->pending_count; i++) {
        struct pending *pending = &requests->pending[i];
        if (rc < 0 || !materializer_is_committed(requests->materializer, pending->mark)) {
            requests->pending[kept++] = *pending;
            continue;
        }
        rc = control_answer(requests->control, &pending->request, pending->outcome, NULL, err);
        json_decref(pending->outcome);
    }
    requests->pending_count = kept;
    return rc;
}
