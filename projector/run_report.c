/* The reports are copies that the followers made a moment ago: nothing here asks them. */
#include "projector/run_report.h"

#include <stdio.h>
#include <stdlib.h>

#include "ops/runtime/log.h"
#include "projector/live_figures.h"
#include "schema/base/mem.h"

static const char *state_of(const struct follower_report *report)
{
    return report->phase == FOLLOWER_FAILED ? "stopped" : report->is_building ? "building" : "following";
}

static void tell_generation(const struct follower_slot *slot, struct live_generation *live)
{
    const struct follower_report *report = &slot->report;

    *live = (struct live_generation){.events_per_s = report->events_per_s,
                                     .time_left_s = report->time_left_s,
                                     .records = report->records,
                                     .lag = report->lag,
                                     .rate = report->rate};
    snprintf(live->name, sizeof(live->name), "%s", slot->name);
    snprintf(live->state, sizeof(live->state), "%s", state_of(report));
    snprintf(live->problem, sizeof(live->problem), "%.*s", (int)sizeof(live->problem) - 1, report->problem);
    for (char *at = live->problem; *at != '\0'; at++)
        if (*at == '\n')
            *at = ' ';
}

void run_report_live(const struct follower_set *followers, bool *said_fault)
{
    struct live_figures figures = {.written_at_ms = clock_wall_ms(followers->clock)};
    struct err err = {0};

    for (size_t i = 0; i < followers->count && i < LIVE_GENERATIONS_MAX; i++)
        tell_generation(followers->slots[i], &figures.generations[figures.count++]);
    int rc = live_figures_write(followers->settings->store, &figures, &err);
    if (rc < 0 && !*said_fault)
        log_warn("what `status` shows can't be written: %s", err.text);
    *said_fault = rc < 0;
}

/* The served ones speak for the process: one that is built is nobody's screen. */
void run_report_admin(const struct follower_set *followers, struct run_admin *admin)
{
    struct run_generation *generations = mem_zero(followers->count + 1, sizeof(*generations));
    struct run_state state = {.generations = generations, .count = followers->count, .is_ready = true};
    size_t served = 0;

    for (size_t i = 0; i < followers->count; i++) {
        const struct follower_slot *slot = followers->slots[i];
        const struct follower_report *report = &slot->report;
        generations[i] = (struct run_generation){slot->name, report, follower_set_is_served(followers, slot)};
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
