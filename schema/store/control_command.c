/* The command's side of control.h: it makes files in requests/ and removes those in outcomes/. Ids begin with the time, so
 * that names in order are requests in order. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "schema/base/mem.h"
#include "schema/store/control_files.h"
#include "schema/store/durable.h"
#include "schema/store/lock.h"

enum { LOOK_AGAIN_MS = 10 };

int control_submit(const char *directory, const char *kind, json_t *arguments, int64_t expires_ms,
                   char ret_id[CONTROL_ID_SIZE], struct err *err)
{
    int64_t now_ms = clock_wall_ms(&clock_system);
    char id[CONTROL_ID_SIZE];
    uint64_t random;

    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return err_set_errno(err, ERR_BROKEN, errno, "no random number for a request's id");
    snprintf(id, sizeof(id), "%016" PRIx64 "-%016" PRIx64, (uint64_t)now_ms, random);

    int rc = control_make_subfolders(directory, err);
    if (rc < 0)
        return rc;
    char *requests = control_subfolder(directory, "requests");
    json_t *request =
        json_pack("{s:i, s:s, s:O?, s:I, s:I}", "version", CONTROL_VERSION, "kind", kind, "arguments", arguments,
                  "submitted_at_ms", (json_int_t)now_ms, "expires_at_ms", (json_int_t)now_ms + expires_ms);
    rc = control_write(requests, id, request, err);
    json_decref(request);
    free(requests);
    if (rc == 0)
        memcpy(ret_id, id, sizeof(id));
    return rc;
}

/* What the request ended with; *ret_is_there says whether it has ended, which no kind of failure can. */
static int take_outcome(const char *outcomes, const char *id, bool *ret_is_there, json_t **ret_outcome, struct err *err)
{
    json_t *content = NULL;
    json_t *outcome = NULL;
    const char *text = NULL;
    int kind = 0;

    int rc = control_read(outcomes, id, &content, err);
    *ret_is_there = rc != ERR_ABSENT;
    if (rc < 0)
        return rc;
    if (json_unpack(content, "{s:{s:i, s:s}}", "failure", "kind", &kind, "text", &text) == 0 && kind < 0)
        rc = err_set(err, kind, "%s", text);
    else if (json_unpack(content, "{s:O}", "outcome", &outcome) != 0)
        rc = err_set(err, ERR_INPUT, "the outcome of request %s is not understood by this version", id);
    json_decref(content);

    /* It was told; that its file stays an hour longer would be no fault. */
    struct err ignored = {0};
    int removed = control_remove(outcomes, id, &ignored);
    (void)removed;
    if (rc == 0)
        *ret_outcome = outcome;
    return rc;
}

int control_wait(const char *directory, const char *id, int64_t timeout_ms, json_t **ret_outcome, struct err *err)
{
    char *outcomes = control_subfolder(directory, "outcomes");
    int64_t end_us = clock_monotonic_us(&clock_system) + timeout_ms * 1000;
    struct lock_holder holder;
    bool is_there;
    int rc;

    for (;;) {
        int held = lock_find_holder(directory, &holder, err);
        /* Asked after the lock: a projector that answered and then went has left its answer. */
        rc = take_outcome(outcomes, id, &is_there, ret_outcome, err);
        if (is_there)
            break;
        if (held < 0) {
            rc = held == ERR_ABSENT ? err_set(err, ERR_AGAIN, "the projector is gone") : held;
            break;
        }
        if (clock_monotonic_us(&clock_system) >= end_us) {
            rc = err_set(err, ERR_AGAIN, "no outcome from %s within %" PRId64 " ms", holder.program, timeout_ms);
            break;
        }
        nanosleep(&(struct timespec){.tv_nsec = LOOK_AGAIN_MS * 1000L * 1000}, NULL);
    }
    free(outcomes);
    return rc;
}

int control_withdraw(const char *directory, const char *id, struct err *err)
{
    char *requests = control_subfolder(directory, "requests");
    int rc = control_remove(requests, id, err);

    if (rc == 0)
        rc = durable_sync_folder(requests, err);
    free(requests);
    return rc;
}

bool control_is_begun(const char *directory, const char *id)
{
    char *taken = control_subfolder(directory, "taken");
    bool is_there = control_is_there(taken, id);

    free(taken);
    return is_there;
}
