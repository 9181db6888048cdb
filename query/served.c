/* A mutex guards the pointer to the set while a reference is taken; asking whether it has changed is one atomic load.
 *
 * References go one way: loops hold sets, sets hold generations, and only the thread that refreshes opens and closes
 * generations, from a list of its own. So a store that is still answered from is found there and not opened a second
 * time, which LMDB forbids within a process, and unmapping a large file never happens on a thread that answers.
 *
 * A set is published whole or not at all: while one of its generations can't be opened, the former set stays, and the
 * next look tries again. */
#include "query/served.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ops/runtime/log.h"
#include "query/read_ahead.h"
#include "schema/base/condition.h"
#include "schema/base/mem.h"

enum {
    FOLLOW_MS = 100,        /* between looks at DIR/serving */
    FOLLOW_FILLING_MS = 20, /* while nothing is ready to be served */
};

struct served {
    const char *directory;
    struct figures_table *figures;
    pthread_mutex_t mutex;
    pthread_cond_t stop_condition;
    bool is_stopping;
    bool has_thread;
    pthread_t thread;
    struct served_follow_options options;
    struct read_ahead *read_ahead;
    struct served_generation *opened; /* all that are open; only for who refreshes */
    uint64_t generation_serials, set_serials;
    struct served_set *_Atomic current;
};

static bool is_same(const struct served_set *set, const struct serving_shares *shares);
static int take_up(struct served *served, const struct serving_shares *shares, bool was_promoted, struct err *err);
static void take_up_incumbent(struct served *served, const struct serving *serving, bool was_promoted);
static int look_at(struct served_set *set, bool was_promoted, struct err *err);
static void publish(struct served *served, struct served_set *set);
static void close_unused(struct served *served);
static void *follow(void *self);

struct served *served_new(const char *directory, struct figures_table *figures)
{
    struct served *served = mem_zero(1, sizeof(*served));

    served->directory = directory;
    served->figures = figures;
    pthread_mutex_init(&served->mutex, NULL);
    condition_init(&served->stop_condition);
    return served;
}

void served_free(struct served **served)
{
    struct served *freed = *served;

    if (freed == NULL)
        return;
    served_unfollow(freed);
    publish(freed, NULL);
    close_unused(freed);
    pthread_cond_destroy(&freed->stop_condition);
    pthread_mutex_destroy(&freed->mutex);
    free(freed);
    *served = NULL;
}

int served_refresh(struct served *served, struct err *err)
{
    struct served_set *current = atomic_load_explicit(&served->current, memory_order_relaxed);
    struct serving serving;

    close_unused(served);
    int rc = store_directory_check(served->directory, err);
    if (rc == 0)
        rc = serving_read(served->directory, &serving, err);
    if (rc < 0)
        return rc;
    /* A store's first generation is waited for; one that was given to readers by a command answers, caught up or not. */
    bool was_promoted = serving.past_count > 0 || serving.now.count > 1;
    if (current != NULL && is_same(current, &serving.now))
        return look_at(current, was_promoted, err);
    rc = take_up(served, &serving.now, was_promoted, err);
    if (rc < 0 && serving.now.count > 1 && !served_has_changed(served, NULL))
        take_up_incumbent(served, &serving, was_promoted);
    return rc;
}

bool served_has_changed(const struct served *served, const struct served_set *set)
{
    return atomic_load_explicit(&served->current, memory_order_acquire) != set;
}

struct served_set *served_current(struct served *served)
{
    pthread_mutex_lock(&served->mutex);
    struct served_set *current = atomic_load_explicit(&served->current, memory_order_acquire);
    if (current != NULL)
        atomic_fetch_add_explicit(&current->references, 1, memory_order_relaxed);
    pthread_mutex_unlock(&served->mutex);
    return current;
}

void served_set_release(struct served_set **set)
{
    struct served_set *released = *set;

    *set = NULL;
    if (released == NULL || atomic_fetch_sub_explicit(&released->references, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < released->shares.count; i++)
        atomic_fetch_sub_explicit(&released->generations[i]->references, 1, memory_order_release);
    free(released);
}

/* --- sets ----------------------------------------------------------------------------------------------------------- */

static bool is_same(const struct served_set *set, const struct serving_shares *shares)
{
    if (set->shares.count != shares->count)
        return false;
    for (size_t i = 0; i < shares->count; i++)
        if (set->shares.shares[i].percent != shares->shares[i].percent ||
            !served_generation_is(set->generations[i], shares->shares[i].name))
            return false;
    return true;
}

/* Found among those that are open, or opened. */
static int find_generation(struct served *served, const char *name, struct served_generation **ret_generation,
                           struct err *err)
{
    struct served_generation *found = served->opened;

    while (found != NULL && !served_generation_is(found, name))
        found = found->next;
    if (found == NULL) {
        int rc = served_generation_open(served->directory, name, served->generation_serials + 1, served->figures,
                                        &found, err);
        if (rc < 0)
            return rc == ERR_ABSENT ? err_set(err, ERR_ABSENT, "generation %s isn't there", name) : rc;
        served->generation_serials++;
        found->next = served->opened;
        served->opened = found;
    }
    *ret_generation = found;
    return 0;
}

/* With one reference. */
static int open_set(struct served *served, const struct serving_shares *shares, struct served_set **ret_set,
                    struct err *err)
{
    struct served_set *set = mem_zero(1, sizeof(*set));
    int rc = 0;

    set->references = 1;
    set->serial = ++served->set_serials;
    while (rc == 0 && set->shares.count < shares->count) {
        size_t i = set->shares.count;
        rc = find_generation(served, shares->shares[i].name, &set->generations[i], err);
        if (rc == 0) {
            atomic_fetch_add_explicit(&set->generations[i]->references, 1, memory_order_relaxed);
            set->shares.shares[i] = shares->shares[i];
            set->shares.count++;
        }
    }
    set->shares.since_ms = shares->since_ms;
    if (rc < 0)
        served_set_release(&set);
    else
        *ret_set = set;
    return rc;
}

static int take_up(struct served *served, const struct serving_shares *shares, bool was_promoted, struct err *err)
{
    struct served_set *opened = NULL;

    int rc = open_set(served, shares, &opened, err);
    if (rc < 0)
        return rc;
    rc = look_at(opened, was_promoted, err);
    publish(served, opened);
    return rc;
}

/* Why not the candidate too is told by who couldn't open it. */
static void take_up_incumbent(struct served *served, const struct serving *serving, bool was_promoted)
{
    struct serving_shares alone = {.since_ms = serving->now.since_ms, .shares = {serving->now.shares[0]}, .count = 1};
    struct err err;

    alone.shares[0].percent = 100;
    if (take_up(served, &alone, was_promoted, &err) < 0)
        log_error("%s", err.text);
}

static int look_at(struct served_set *set, bool was_promoted, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < set->shares.count; i++) {
        if (was_promoted)
            atomic_store_explicit(&set->generations[i]->is_filled, true, memory_order_relaxed);
        else
            rc = served_generation_look(set->generations[i], err);
    }
    return rc;
}

/* Takes over the reference. */
static void publish(struct served *served, struct served_set *set)
{
    pthread_mutex_lock(&served->mutex);
    struct served_set *former = atomic_load_explicit(&served->current, memory_order_relaxed);
    atomic_store_explicit(&served->current, set, memory_order_release);
    pthread_mutex_unlock(&served->mutex);
    if (set != NULL)
        figures_set_shares(served->figures, &set->shares);
    served_set_release(&former);
}

static void close_unused(struct served *served)
{
    struct served_generation **link = &served->opened;

    while (*link != NULL) {
        struct served_generation *generation = *link;
        if (atomic_load_explicit(&generation->references, memory_order_acquire) > 0) {
            link = &generation->next;
            continue;
        }
        *link = generation->next;
        served_generation_close(&generation, served->figures);
    }
}

/* --- following ------------------------------------------------------------------------------------------------------ */

int served_follow(struct served *served, const struct served_follow_options *options, struct err *err)
{
    served->options = *options;
    served->read_ahead = read_ahead_new(options->read_ahead_bytes);
    int error = pthread_create(&served->thread, NULL, follow, served);
    if (error != 0)
        return err_set_errno(err, ERR_FULL, error, "starting a thread");
    served->has_thread = true;
    return 0;
}

void served_unfollow(struct served *served)
{
    pthread_mutex_lock(&served->mutex);
    served->is_stopping = true;
    pthread_cond_signal(&served->stop_condition);
    pthread_mutex_unlock(&served->mutex);
    if (served->has_thread)
        pthread_join(served->thread, NULL);
    served->has_thread = false;
    read_ahead_free(&served->read_ahead);
}

/* One fault, one line: the same text isn't logged again until something else has happened. A store that isn't there yet
 * is none. */
static void tell_fault(const struct served *served, const struct err *err, int rc, char *last, size_t size)
{
    const char *text = rc < 0 ? err->text : "";

    if (strcmp(text, last) != 0 && rc < 0 && (rc != ERR_ABSENT || served_has_changed(served, NULL)))
        log_error("%s", text);
    snprintf(last, size, "%s", text);
}

static bool is_ready(const struct served_set *set)
{
    return set != NULL && atomic_load_explicit(&set->generations[0]->is_filled, memory_order_relaxed);
}

static void tell_shares(const struct served_set *set)
{
    const struct serving_share *shares = set->shares.shares;

    if (set->shares.count == 1)
        log_info("serving generation %s", shares[0].name);
    else
        log_info("serving generation %s to %u%% of the owners and %s to %u%%", shares[0].name, shares[0].percent,
                 shares[1].name, shares[1].percent);
}

/* False when it is time to stop. */
static bool rest(struct served *served, int64_t ms)
{
    struct timespec until = condition_deadline(ms);

    pthread_mutex_lock(&served->mutex);
    while (!served->is_stopping && pthread_cond_timedwait(&served->stop_condition, &served->mutex, &until) == 0)
        continue;
    bool goes_on = !served->is_stopping;
    pthread_mutex_unlock(&served->mutex);
    return goes_on;
}

static void *follow(void *self)
{
    struct served *served = self;
    uint64_t told = 0, seen = 0;
    char last[sizeof(((struct err *)0)->text)] = "";
    bool goes_on = true;

    while (goes_on) {
        struct err err = {0};
        int rc = served_refresh(served, &err);
        tell_fault(served, &err, rc, last, sizeof(last));
        struct served_set *current = served_current(served);
        bool is_filled = is_ready(current);
        if (is_filled && current->serial != told)
            tell_shares(current);
        if (current != NULL && current->serial != seen && served->options.changed != NULL)
            served->options.changed(served->options.self);
        for (size_t i = 0; current != NULL && i < current->shares.count; i++)
            read_ahead_start(served->read_ahead, current->generations[i]);
        told = is_filled ? current->serial : told;
        seen = current != NULL ? current->serial : seen;
        served_set_release(&current);
        goes_on = rest(served, is_filled ? FOLLOW_MS : FOLLOW_FILLING_MS);
    }
    return NULL;
}
