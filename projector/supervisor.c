/* Nothing here waits for a follower, but for the moment in which one is closed: reports are copies, tasks are asked after
 * in each turn. So a stop is obeyed, requests are taken and probes are answered whatever a generation is doing. */
#include "projector/supervisor.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/runtime/log.h"
#include "ops/runtime/stop.h"
#include "projector/generation_change.h"
#include "projector/live_figures.h"
#include "projector/requests.h"
#include "schema/base/mem.h"
#include "schema/store/building.h"
#include "schema/store/durable.h"
#include "schema/store/generation.h"

enum {
    TURN_MS = 10,
    LOOK_EVERY_US = 250 * 1000,
    TELL_EVERY_US = 1000 * 1000,
    OPEN_AGAIN_US = 30 * 1000 * 1000, /* after a fault of one that isn't served */
    STOP_PATIENCE_MS = 3000,
    LIVE_MEMORY_PART = 8, /* of --memory, for each live one while another is built */
    LIVE_MEMORY_MIN = 16 << 20,
};

struct slot {
    char name[GENERATION_NAME_MAX];
    struct follower *follower; /* NULL: closed after a fault */
    struct follower_report report;
    int64_t open_again_us;
    size_t memory_bytes; /* as it was told */
    struct follower_task memory_task;
    bool is_task_given;
};

struct supervisor {
    const struct run_settings *settings;
    const struct clock_port *clock;
    struct dropped *dropped;
    struct pressure pressure;
    struct serving serving;
    struct slot **slots; /* a slot's address stays while it is there: a task lies in it */
    size_t count, capacity;
    struct requests *requests;
    bool has_left_one_behind;
    bool said_live_fault;
    int64_t looked_us, told_us;
};

static int64_t now_us(const struct supervisor *supervisor)
{
    return clock_monotonic_us(supervisor->clock);
}

static bool is_served(const struct supervisor *supervisor, const struct slot *slot)
{
    return serving_percent(&supervisor->serving, slot->name) > 0;
}

const char *supervisor_directory(const struct supervisor *supervisor)
{
    return supervisor->settings->store;
}

const struct serving *supervisor_serving(const struct supervisor *supervisor)
{
    return &supervisor->serving;
}

size_t supervisor_count(const struct supervisor *supervisor)
{
    return supervisor->count;
}

struct follower *supervisor_follower(struct supervisor *supervisor, size_t number)
{
    return supervisor->slots[number]->follower;
}

static struct slot *find_slot(const struct supervisor *supervisor, const char *name)
{
    for (size_t i = 0; i < supervisor->count; i++)
        if (strcmp(supervisor->slots[i]->name, name) == 0)
            return supervisor->slots[i];
    return NULL;
}

struct follower *supervisor_find(struct supervisor *supervisor, const char *name)
{
    const struct slot *slot = find_slot(supervisor, name);
    return slot ? slot->follower : NULL;
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static size_t live_part(const struct supervisor *supervisor)
{
    size_t part = (size_t)supervisor->settings->memory_bytes / LIVE_MEMORY_PART;
    return part > LIVE_MEMORY_MIN ? part : LIVE_MEMORY_MIN;
}

static bool is_built(const struct supervisor *supervisor, const struct slot *slot)
{
    char *folder = generation_folder(supervisor->settings->store, slot->name);
    bool is_building = building_is_there(folder);

    free(folder);
    return is_building;
}

/* What a generation may take of --memory now: those that are live and have caught up need little, and one that is built
 * gets what they leave. */
static size_t memory_of(const struct supervisor *supervisor, const struct slot *asked)
{
    size_t all = (size_t)supervisor->settings->memory_bytes;
    size_t built = 0, live = 0;

    for (size_t i = 0; i < supervisor->count; i++) {
        if (is_built(supervisor, supervisor->slots[i]))
            built++;
        else
            live++;
    }
    if (built == 0)
        return all / live;
    size_t lives = live * live_part(supervisor) < all / 2 ? live * live_part(supervisor) : all / 2;
    return is_built(supervisor, asked) ? (all - lives) / built : lives / (live > 0 ? live : 1);
}

static void share_memory(struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->count; i++) {
        struct slot *slot = supervisor->slots[i];
        size_t memory_bytes = memory_of(supervisor, slot);
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

static int open_follower(struct supervisor *supervisor, struct slot *slot, struct err *err)
{
    slot->memory_bytes = memory_of(supervisor, slot);
    slot->is_task_given = false;
    struct follower_options options = {
        .settings = supervisor->settings,
        .name = slot->name,
        .clock = supervisor->clock,
        .dropped = supervisor->dropped,
        .pressure = &supervisor->pressure,
        .memory_bytes = slot->memory_bytes,
        .is_incumbent = strcmp(slot->name, serving_incumbent(&supervisor->serving)) == 0,
    };
    return follower_open(&options, &slot->follower, err);
}

static void close_follower(struct supervisor *supervisor, struct slot *slot)
{
    follower_report_release(&slot->report);
    slot->report = (struct follower_report){.lag = -1, .time_left_s = -1};
    if (!follower_close(&slot->follower, stop_requested() ? STOP_PATIENCE_MS : 0))
        supervisor->has_left_one_behind = true;
    slot->is_task_given = false;
}

int supervisor_follow(struct supervisor *supervisor, const char *name, struct err *err)
{
    if (find_slot(supervisor, name) != NULL)
        return 0;
    struct slot *slot = mem_zero(1, sizeof(*slot));
    snprintf(slot->name, sizeof(slot->name), "%s", name);
    slot->report.lag = slot->report.time_left_s = -1;
    supervisor->slots =
        mem_grow(supervisor->slots, supervisor->count, &supervisor->capacity, sizeof(struct slot *));
    supervisor->slots[supervisor->count++] = slot;
    int rc = open_follower(supervisor, slot, err);
    share_memory(supervisor);
    return rc;
}

static void remove_slot(struct supervisor *supervisor, size_t at)
{
    struct slot *slot = supervisor->slots[at];

    close_follower(supervisor, slot);
    memmove(&supervisor->slots[at], &supervisor->slots[at + 1],
            (supervisor->count - at - 1) * sizeof(struct slot *));
    supervisor->count--;
    free(slot);
}

void supervisor_forget(struct supervisor *supervisor, const char *name)
{
    for (size_t i = 0; i < supervisor->count; i++) {
        if (strcmp(supervisor->slots[i]->name, name) == 0) {
            remove_slot(supervisor, i);
            share_memory(supervisor);
            return;
        }
    }
}

int supervisor_look_at_serving(struct supervisor *supervisor, struct err *err)
{
    return serving_read(supervisor->settings->store, &supervisor->serving, err);
}

/* One that has become whole is opened as a live one, one that had a fault is told and tried again later; a fault of a
 * served one is everybody's. */
static int look_after(struct supervisor *supervisor, struct slot *slot, struct err *err)
{
    if (slot->follower == NULL) {
        if (now_us(supervisor) < slot->open_again_us)
            return 0;
        return open_follower(supervisor, slot, err);
    }
    enum follower_phase phase = follower_phase(slot->follower);
    if (phase == FOLLOWER_WHOLE) {
        close_follower(supervisor, slot);
        int rc = open_follower(supervisor, slot, err);
        share_memory(supervisor);
        return rc;
    }
    if (phase != FOLLOWER_FAILED)
        return 0;
    follower_report_release(&slot->report);
    follower_look(slot->follower, &slot->report);
    struct follower_report failed = slot->report;
    if (is_served(supervisor, slot)) {
        *err = failed.err;
        return failed.err.kind;
    }
    log_error("generation %s isn't followed any more: %s; it is tried again", slot->name, failed.err.text);
    slot->report = (struct follower_report){.lag = -1};
    follower_report_release(&failed);
    close_follower(supervisor, slot);
    slot->report.phase = FOLLOWER_FAILED;
    snprintf(slot->report.problem, sizeof(slot->report.problem), "%.*s", (int)sizeof(slot->report.problem) - 1,
             failed.err.text);
    slot->open_again_us = now_us(supervisor) + OPEN_AGAIN_US;
    return 0;
}

static int look_after_all(struct supervisor *supervisor, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < supervisor->count; i++)
        rc = look_after(supervisor, supervisor->slots[i], err);
    return rc;
}

/* --- what is told ------------------------------------------------------------------------------------------------- */

static void look_at_reports(struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->count; i++) {
        struct slot *slot = supervisor->slots[i];
        if (slot->follower == NULL)
            continue;
        follower_report_release(&slot->report);
        follower_look(slot->follower, &slot->report);
    }
}

static void tell_live(struct supervisor *supervisor)
{
    struct live_figures figures = {.written_at_ms = clock_wall_ms(supervisor->clock)};
    struct err err = {0};

    for (size_t i = 0; i < supervisor->count && i < LIVE_GENERATIONS_MAX; i++) {
        const struct slot *slot = supervisor->slots[i];
        const struct follower_report *report = &slot->report;
        struct live_generation *live = &figures.generations[figures.count++];
        *live = (struct live_generation){.events_per_s = report->events_per_s,
                                         .time_left_s = report->time_left_s,
                                         .records = report->records,
                                         .lag = report->lag,
                                         .rate = report->rate};
        snprintf(live->name, sizeof(live->name), "%s", slot->name);
        snprintf(live->state, sizeof(live->state), "%s",
                 report->phase == FOLLOWER_FAILED ? "stopped" : report->is_building ? "building" : "following");
        snprintf(live->problem, sizeof(live->problem), "%.*s", (int)sizeof(live->problem) - 1, report->problem);
        for (char *at = live->problem; *at != '\0'; at++)
            if (*at == '\n')
                *at = ' ';
    }
    int rc = live_figures_write(supervisor->settings->store, &figures, &err);
    if (rc < 0 && !supervisor->said_live_fault)
        log_warn("what `status` shows can't be written: %s", err.text);
    supervisor->said_live_fault = rc < 0;
}

/* The served ones speak for the process: one that is built is nobody's screen. */
static void tell_admin(struct supervisor *supervisor, struct run_admin *admin)
{
    struct run_generation *generations = mem_zero(supervisor->count + 1, sizeof(*generations));
    struct run_state state = {.generations = generations, .count = supervisor->count, .is_ready = true};
    size_t served = 0;

    for (size_t i = 0; i < supervisor->count; i++) {
        const struct slot *slot = supervisor->slots[i];
        const struct follower_report *report = &slot->report;
        generations[i] = (struct run_generation){slot->name, report, is_served(supervisor, slot)};
        state.kafka_errors += report->kafka_errors;
        state.events_per_s += report->events_per_s;
        if (!generations[i].is_served)
            continue;
        served++;
        state.is_ready = state.is_ready && report->is_ready;
        state.is_connected = state.is_connected || report->is_connected;
        state.lag = state.lag < 0 || report->lag < 0 ? -1 : state.lag + report->lag;
        if (state.problem == NULL && report->problem[0] != '\0')
            state.problem = report->problem;
    }
    state.is_ready = state.is_ready && served > 0;
    run_admin_tell(admin, &state);
    free(generations);
}

/* A retained generation whose time is over goes. */
static int drop_expired(struct supervisor *supervisor, struct err *err)
{
    const struct changer changer = {.directory = supervisor->settings->store, .clock = supervisor->clock};
    char name[GENERATION_NAME_MAX];
    json_t *outcome = NULL;

    if (!change_find_expired(&supervisor->serving, clock_wall_ms(supervisor->clock), name))
        return 0;
    json_t *arguments = json_pack("{s:s}", "generation", name);
    supervisor_forget(supervisor, name);
    int rc = change_drop(&changer, arguments, &outcome, err);
    json_decref(arguments);
    json_decref(outcome);
    if (rc == 0)
        log_info("generation %s is dropped: the time that it was retained for is over", name);
    return rc == 0 ? supervisor_look_at_serving(supervisor, err) : rc;
}

/* --- turns -------------------------------------------------------------------------------------------------------- */

static int take_turn(struct supervisor *supervisor, struct run_admin *admin, struct err *err)
{
    int64_t now = now_us(supervisor);

    int rc = look_after_all(supervisor, err);
    if (rc == 0)
        rc = requests_serve(supervisor->requests, err);
    if (rc == 0 && now - supervisor->looked_us >= LOOK_EVERY_US) {
        supervisor->looked_us = now;
        look_at_reports(supervisor);
        share_memory(supervisor);
        rc = drop_expired(supervisor, err);
    }
    if (rc == 0 && now - supervisor->told_us >= TELL_EVERY_US) {
        supervisor->told_us = now;
        tell_live(supervisor);
    }
    if (now == supervisor->looked_us)
        tell_admin(supervisor, admin);
    return rc;
}

int supervisor_run(struct supervisor *supervisor, struct run_admin *admin, struct err *err)
{
    struct pollfd stop = {.fd = stop_fd(), .events = POLLIN};
    int rc = 0;

    while (rc == 0 && !stop_requested()) {
        rc = take_turn(supervisor, admin, err);
        if (rc == 0)
            poll(&stop, 1, TURN_MS);
    }
    if (rc < 0 && stop_requested()) {
        log_warn("while stopping: %s", err->text);
        rc = 0;
    }
    return rc;
}

/* --- its life ----------------------------------------------------------------------------------------------------- */

/* A mistake of the set-up is told before anything is listened on. */
static int wait_for_served(struct supervisor *supervisor, struct err *err)
{
    struct pollfd stop = {.fd = stop_fd(), .events = POLLIN};

    for (size_t i = 0; i < supervisor->count; i++) {
        struct slot *slot = supervisor->slots[i];
        while (is_served(supervisor, slot) && follower_phase(slot->follower) == FOLLOWER_OPENING && !stop_requested())
            poll(&stop, 1, 1);
    }
    return look_after_all(supervisor, err);
}

int supervisor_open(const struct run_settings *settings, const struct clock_port *clock,
                    struct supervisor **ret_supervisor, struct err *err)
{
    struct supervisor *supervisor = mem_zero(1, sizeof(*supervisor));
    char **names = NULL;
    size_t count = 0;

    supervisor->settings = settings;
    supervisor->clock = clock;
    int rc = supervisor_look_at_serving(supervisor, err);
    if (rc == 0)
        rc = dropped_open(settings->store, &supervisor->dropped, err);
    if (rc == 0)
        rc = generation_list(settings->store, &names, &count, err);
    for (size_t pass = 0; pass < 2; pass++) /* the served ones first */
        for (size_t i = 0; rc == 0 && i < count; i++)
            if ((serving_percent(&supervisor->serving, names[i]) > 0) == (pass == 0))
                rc = supervisor_follow(supervisor, names[i], err);
    durable_free_names(names, count);
    supervisor->requests = requests_new(supervisor, clock);
    if (rc == 0)
        rc = wait_for_served(supervisor, err);
    if (rc < 0) {
        supervisor_close(&supervisor);
        return rc;
    }
    *ret_supervisor = supervisor;
    return 0;
}

bool supervisor_close(struct supervisor **supervisor)
{
    struct supervisor *closed = *supervisor;

    if (closed == NULL)
        return true;
    *supervisor = NULL;
    for (size_t i = 0; i < closed->count; i++)
        if (closed->slots[i]->follower != NULL)
            follower_stop(closed->slots[i]->follower);
    for (size_t i = 0; i < closed->count; i++)
        close_follower(closed, closed->slots[i]);
    if (closed->has_left_one_behind)
        return false;
    requests_free(&closed->requests);
    for (size_t i = 0; i < closed->count; i++)
        free(closed->slots[i]);
    free(closed->slots);
    dropped_close(&closed->dropped);
    free(closed);
    return true;
}
