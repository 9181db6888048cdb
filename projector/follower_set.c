/* Nothing here waits for a follower, but for the moment in which one is closed: reports are copies, tasks are asked after.
 * Memory is given as a task too; a slot's address stays because that task lies in it. */
#include "projector/follower_set.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/runtime/log.h"
#include "ops/runtime/stop.h"
#include "schema/base/mem.h"
#include "schema/store/building.h"
#include "schema/store/durable.h"
#include "schema/store/generation.h"

enum {
    OPEN_AGAIN_US = 30 * 1000 * 1000, /* after a fault of one that isn't served */
    STOP_PATIENCE_MS = 3000,
    LIVE_MEMORY_PART = 8, /* of --memory, for each live one while another is built */
    LIVE_MEMORY_MIN = 16 << 20,
};

static void close_follower(struct follower_set *set, struct follower_slot *slot);
static void leave_behind(struct follower_set *set, const struct follower_slot *slot);

/* --- the set ------------------------------------------------------------------------------------------------------ */

int follower_set_open(struct follower_set *set, const struct run_settings *settings, const struct clock_port *clock,
                      struct err *err)
{
    char **names = NULL;
    size_t count = 0;

    *set = (struct follower_set){.settings = settings, .clock = clock};
    int rc = follower_set_look_at_serving(set, err);
    if (rc == 0)
        rc = dropped_open(settings->store, &set->dropped, err);
    if (rc == 0)
        rc = announcements_open(settings, &set->serving, clock, &set->announcements, err);
    if (rc == 0)
        rc = generation_list(settings->store, &names, &count, err);
    for (size_t pass = 0; pass < 2; pass++) /* the served ones first */
        for (size_t i = 0; rc == 0 && i < count; i++)
            if ((serving_percent(&set->serving, names[i]) > 0) == (pass == 0))
                rc = follower_set_follow(set, names[i], err);
    durable_free_names(names, count);
    return rc;
}

bool follower_set_close(struct follower_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->slots[i]->follower != NULL)
            follower_stop(set->slots[i]->follower);
    for (size_t i = 0; i < set->count; i++) {
        if (set->slots[i]->borrowed > 0)
            leave_behind(set, set->slots[i]);
        else
            close_follower(set, set->slots[i]);
    }
    if (set->has_left_one_behind || set->is_changing)
        return false;
    for (size_t i = 0; i < set->count; i++)
        free(set->slots[i]);
    free(set->slots);
    announcements_close(&set->announcements);
    dropped_close(&set->dropped);
    *set = (struct follower_set){.count = 0};
    return true;
}

int follower_set_wait_for_served(struct follower_set *set, struct err *err)
{
    struct pollfd stop = {.fd = stop_fd(), .events = POLLIN};

    for (size_t i = 0; i < set->count; i++) {
        const struct follower_slot *slot = set->slots[i];
        while (follower_set_is_served(set, slot) && follower_phase(slot->follower) == FOLLOWER_OPENING &&
               !stop_requested())
            poll(&stop, 1, 1);
    }
    return follower_set_look_after(set, err);
}

bool follower_set_is_served(const struct follower_set *set, const struct follower_slot *slot)
{
    return serving_percent(&set->serving, slot->name) > 0;
}

static struct follower_slot *find_slot(const struct follower_set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->slots[i]->name, name) == 0)
            return set->slots[i];
    return NULL;
}

struct follower *follower_set_find(const struct follower_set *set, const char *name)
{
    const struct follower_slot *slot = find_slot(set, name);
    return slot ? slot->follower : NULL;
}

int follower_set_look_at_serving(struct follower_set *set, struct err *err)
{
    int rc = serving_read(set->settings->store, &set->serving, err);
    if (rc == 0)
        announcer_set_serving(announcements_announcer(set->announcements), &set->serving);
    return rc;
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static size_t live_part(const struct follower_set *set)
{
    size_t part = (size_t)set->settings->memory_bytes / LIVE_MEMORY_PART;
    return part > LIVE_MEMORY_MIN ? part : LIVE_MEMORY_MIN;
}

static bool is_built(const struct follower_set *set, const struct follower_slot *slot)
{
    char *folder = generation_folder(set->settings->store, slot->name);
    bool is_building = building_is_there(folder);

    free(folder);
    return is_building;
}

/* What a generation may take of --memory now: those that are live and have caught up need little, and one that is built
 * gets what they leave. */
static size_t memory_of(const struct follower_set *set, const struct follower_slot *asked)
{
    size_t all = (size_t)set->settings->memory_bytes;
    size_t built = 0, live = 0;

    for (size_t i = 0; i < set->count; i++) {
        if (is_built(set, set->slots[i]))
            built++;
        else
            live++;
    }
    if (built == 0)
        return all / live;
    size_t lives = live * live_part(set) < all / 2 ? live * live_part(set) : all / 2;
    return is_built(set, asked) ? (all - lives) / built : lives / (live > 0 ? live : 1);
}

void follower_set_share_memory(struct follower_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        struct follower_slot *slot = set->slots[i];
        size_t memory_bytes = memory_of(set, slot);
        if (slot->follower == NULL || slot->memory_bytes == memory_bytes ||
            (slot->is_task_given && !follower_is_done(slot->follower, &slot->memory_task)))
            continue;
        slot->memory_task = (struct follower_task){.kind = TASK_SET_MEMORY, .memory_bytes = memory_bytes / 4 * 3};
        slot->memory_bytes = memory_bytes;
        slot->is_task_given = true;
        follower_give(slot->follower, &slot->memory_task);
    }
}

/* --- followers ---------------------------------------------------------------------------------------------------- */

static int open_follower(struct follower_set *set, struct follower_slot *slot, struct err *err)
{
    slot->memory_bytes = memory_of(set, slot);
    slot->is_task_given = false;
    struct follower_options options = {
        .settings = set->settings,
        .name = slot->name,
        .clock = set->clock,
        .dropped = set->dropped,
        .pressure = &set->pressure,
        .announcer = announcements_announcer(set->announcements),
        .memory_bytes = slot->memory_bytes,
        .is_incumbent = strcmp(slot->name, serving_incumbent(&set->serving)) == 0,
    };
    return follower_open(&options, &slot->follower, err);
}

static void close_follower(struct follower_set *set, struct follower_slot *slot)
{
    follower_report_release(&slot->report);
    slot->report = (struct follower_report){.lag = -1, .time_left_s = -1};
    if (!follower_close(&slot->follower, stop_requested() ? STOP_PATIENCE_MS : 0))
        set->has_left_one_behind = true;
    slot->is_task_given = false;
}

/* Its store is read on: it only ends its work. */
static void leave_behind(struct follower_set *set, const struct follower_slot *slot)
{
    set->has_left_one_behind = true;
    for (int waited_ms = 0; waited_ms < STOP_PATIENCE_MS && follower_phase(slot->follower) < FOLLOWER_WHOLE;
         waited_ms++)
        poll(NULL, 0, 1);
}

int follower_set_follow(struct follower_set *set, const char *name, struct err *err)
{
    if (find_slot(set, name) != NULL)
        return 0;
    struct follower_slot *slot = mem_zero(1, sizeof(*slot));
    snprintf(slot->name, sizeof(slot->name), "%s", name);
    slot->report.lag = slot->report.time_left_s = -1;
    set->slots = mem_grow(set->slots, set->count, &set->capacity, sizeof(struct follower_slot *));
    set->slots[set->count++] = slot;
    int rc = open_follower(set, slot, err);
    follower_set_share_memory(set);
    return rc;
}

static void remove_slot(struct follower_set *set, size_t at)
{
    struct follower_slot *slot = set->slots[at];

    close_follower(set, slot);
    memmove(&set->slots[at], &set->slots[at + 1], (set->count - at - 1) * sizeof(struct follower_slot *));
    set->count--;
    free(slot);
}

void follower_set_forget(struct follower_set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->slots[i]->name, name) == 0) {
            remove_slot(set, i);
            follower_set_share_memory(set);
            return;
        }
    }
}

void follower_set_borrow(struct follower_set *set, const char *name, bool is_borrowed)
{
    struct follower_slot *slot = find_slot(set, name);

    if (slot != NULL && is_borrowed)
        slot->borrowed++;
    else if (slot != NULL)
        slot->borrowed--;
}

/* One that has become whole is opened as a live one, one that had a fault is told and tried again later; a fault of a
 * served one is everybody's. */
static int look_after(struct follower_set *set, struct follower_slot *slot, struct err *err)
{
    if (slot->follower == NULL) {
        if (clock_monotonic_us(set->clock) < slot->open_again_us)
            return 0;
        return open_follower(set, slot, err);
    }
    enum follower_phase phase = follower_phase(slot->follower);
    if (slot->borrowed > 0 && !(phase == FOLLOWER_FAILED && follower_set_is_served(set, slot)))
        return 0; /* once it is given back */
    if (phase == FOLLOWER_WHOLE) {
        close_follower(set, slot);
        int rc = open_follower(set, slot, err);
        follower_set_share_memory(set);
        return rc;
    }
    if (phase != FOLLOWER_FAILED)
        return 0;
    follower_report_release(&slot->report);
    follower_look(slot->follower, &slot->report);
    struct follower_report failed = slot->report;
    if (follower_set_is_served(set, slot)) {
        *err = failed.err;
        return failed.err.kind;
    }
    log_error("generation %s isn't followed any more: %s; it is tried again", slot->name, failed.err.text);
    slot->report = (struct follower_report){.lag = -1};
    follower_report_release(&failed);
    close_follower(set, slot);
    slot->report.phase = FOLLOWER_FAILED;
    snprintf(slot->report.problem, sizeof(slot->report.problem), "%.*s", (int)sizeof(slot->report.problem) - 1,
             failed.err.text);
    slot->open_again_us = clock_monotonic_us(set->clock) + OPEN_AGAIN_US;
    return 0;
}

int follower_set_look_after(struct follower_set *set, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < set->count; i++)
        rc = look_after(set, set->slots[i], err);
    return rc;
}

void follower_set_look_at_reports(struct follower_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        struct follower_slot *slot = set->slots[i];
        if (slot->follower == NULL)
            continue;
        follower_report_release(&slot->report);
        follower_look(slot->follower, &slot->report);
    }
}
