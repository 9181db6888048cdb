/* Who has the lock may change within the call: a projector starts, ends or is killed. So it goes round: take the lock and
 * do it here, or else leave the request with whoever has it and wait; when that one is gone before it has taken the
 * request, withdraw it and go round again; when it had taken it, the request stays where it is, and whoever gets the lock
 * next (perhaps we) carries it out. */
#include "projector/carry_out.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "projector/generation_change.h"
#include "schema/base/clock.h"
#include "schema/base/mem.h"
#include "schema/store/durable.h"
#include "schema/store/lock.h"

/* A request of ours that somebody may have. */
struct asked {
    const struct carry_out *what;
    char id[CONTROL_ID_SIZE]; /* "": none */
    int64_t end_us;
};

static const struct {
    const char *kind;
    change_fn *change;
} changes[] = {
    {REQUEST_REBUILD, change_rebuild},
    {REQUEST_PROMOTE, change_promote},
    {REQUEST_ROLLBACK, change_roll_back},
    {REQUEST_DROP, change_drop},
};

static change_fn *find_change(const char *kind)
{
    for (size_t i = 0; i < ARRAY_COUNT(changes); i++)
        if (strcmp(changes[i].kind, kind) == 0)
            return changes[i].change;
    return NULL;
}

static int64_t left_ms(const struct asked *asked)
{
    int64_t left = (asked->end_us - clock_monotonic_us(&clock_system)) / 1000;

    return left > 0 ? left : 0;
}

/* --- with the lock --- */

static int count_begun(const char *directory, size_t *ret_count, struct err *err)
{
    char *taken = mem_format("%s/control/taken", directory);
    char **names = NULL;
    size_t count = 0;

    int rc = durable_list(taken, &names, &count, err);
    if (rc == ERR_ABSENT)
        rc = 0;
    if (rc == 0)
        *ret_count = count;
    durable_free_names(names, count);
    free(taken);
    return rc;
}

/* What a projector had taken when it was killed, in the order in which it had. What only a projector can do stays. */
static int end_what_was_begun(const char *directory, struct err *err)
{
    const struct changer changer = {directory, &clock_system, NULL, NULL};
    struct control *control = NULL;
    size_t count = 0;

    int rc = count_begun(directory, &count, err);
    if (rc < 0 || count == 0)
        return rc;
    rc = control_open(directory, &clock_system, &control, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct control_request *request = NULL;
        json_t *outcome = NULL;
        struct err failure = {0};
        rc = control_take(control, &request, err);
        if (rc < 0)
            break;
        change_fn *change = find_change(request->kind);
        if (change == NULL) {
            control_request_free(&request);
            continue;
        }
        int changed = change(&changer, request->arguments, &outcome, &failure);
        rc = control_answer(control, &request, outcome, changed < 0 ? &failure : NULL, err);
        json_decref(outcome);
    }
    control_close(&control);
    return rc == ERR_ABSENT ? 0 : rc;
}

static int do_here(struct asked *asked, json_t *arguments, json_t **ret_outcome, struct err *err)
{
    const struct carry_out *what = asked->what;

    int rc = end_what_was_begun(what->directory, err);
    if (rc < 0)
        return rc;
    if (asked->id[0] != '\0') {
        if (control_is_begun(what->directory, asked->id))
            return err_set(err, ERR_BROKEN,
                           "the projector ended in the middle of it; the next one that runs goes on with it");
        return control_wait(what->directory, asked->id, 0, ret_outcome, err);
    }
    if (what->here == NULL)
        return err_set(err, ERR_AGAIN, "no projector is running");
    return what->here(what->self, arguments, ret_outcome, err);
}

/* --- without it --- */

/* *ret_is_over: rc and outcome are the request's. Otherwise whoever had the lock is gone, or the time is up. */
static int ask(struct asked *asked, json_t *arguments, json_t **ret_outcome, bool *ret_is_over, struct err *err)
{
    const struct carry_out *what = asked->what;
    struct err ignored;
    int rc = 0;

    *ret_is_over = true;
    if (asked->id[0] == '\0')
        rc = control_submit(what->directory, what->kind, arguments, left_ms(asked), asked->id, err);
    if (rc == 0)
        rc = control_wait(what->directory, asked->id, left_ms(asked), ret_outcome, err);
    if (rc != ERR_AGAIN)
        return rc;
    int withdrawn = control_withdraw(what->directory, asked->id, &ignored);
    if (withdrawn == 0)
        asked->id[0] = '\0';
    else if (!control_is_begun(what->directory, asked->id))
        /* It was answered: with ERR_AGAIN, which is told already, or just now. */
        return control_wait(what->directory, asked->id, 0, ret_outcome, &ignored) == 0 ? 0 : rc;
    *ret_is_over = false;
    return rc;
}

int carry_out(const struct carry_out *what, json_t *arguments, json_t **ret_outcome, struct err *err)
{
    struct asked asked = {.what = what, .end_us = clock_monotonic_us(&clock_system) + what->wait_ms * 1000};

    for (;;) {
        struct lock *lock = NULL;
        bool is_over = true;
        int rc = lock_take(what->directory, what->command, &lock, err);
        if (rc == 0)
            rc = do_here(&asked, arguments, ret_outcome, err);
        else if (rc == ERR_AGAIN)
            rc = ask(&asked, arguments, ret_outcome, &is_over, err);
        lock_release(&lock);
        if (is_over && rc == 0)
            *err = (struct err){0}; /* that another had the lock was no fault */
        if (is_over)
            return rc;
        if (left_ms(&asked) == 0 && asked.id[0] != '\0')
            return err_set(err, ERR_BROKEN,
                           "the projector has begun and not answered yet: the same command again tells what came of it");
        if (left_ms(&asked) == 0)
            return rc;
    }
}

/* --- changes of generations --- */

struct change_here {
    const char *directory;
    change_fn *change;
};

static int change_here(void *self, json_t *arguments, json_t **ret_outcome, struct err *err)
{
    const struct change_here *here = self;
    const struct changer changer = {here->directory, &clock_system, NULL, NULL};

    return here->change(&changer, arguments, ret_outcome, err);
}

int carry_out_change(const char *directory, const char *command, const char *kind, int64_t wait_ms, json_t *arguments,
                     json_t **ret_outcome, struct err *err)
{
    struct change_here here = {directory, find_change(kind)};
    const struct carry_out what = {directory, command, kind, wait_ms, change_here, &here};

    int rc = store_directory_check(directory, err);
    if (rc == ERR_ABSENT)
        return err_set(err, ERR_ABSENT, "%s is not a store, or an empty one", directory);
    return rc < 0 ? rc : carry_out(&what, arguments, ret_outcome, err);
}

int carry_out_new_id(char ret_id[CONTROL_ID_SIZE], struct err *err)
{
    uint64_t random;

    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return err_set_errno(err, ERR_BROKEN, errno, "no random number for a request's id");
    snprintf(ret_id, CONTROL_ID_SIZE, "%016" PRIx64 "-%016" PRIx64, (uint64_t)clock_wall_ms(&clock_system), random);
    return 0;
}
