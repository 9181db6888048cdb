/* A turn every few milliseconds. None waits for a follower, but for the moment in which one is closed, so that a stop is
 * obeyed, requests are taken and probes are answered whatever a generation is doing. */
#include "projector/supervisor.h"

#include <poll.h>
#include <stdlib.h>

#include "ops/runtime/log.h"
#include "ops/runtime/stop.h"
#include "projector/follower_set.h"
#include "projector/generation_change.h"
#include "projector/requests.h"
#include "projector/run_report.h"
#include "schema/base/mem.h"

enum {
    TURN_MS = 10,
    LOOK_EVERY_US = 250 * 1000,
    TELL_EVERY_US = 1000 * 1000,
};

struct supervisor {
    struct follower_set followers;
    struct requests *requests;
    bool said_live_fault;
    int64_t looked_us, told_us;
};

const struct serving *supervisor_serving(const struct supervisor *supervisor)
{
    return &supervisor->followers.serving;
}

/* A retained generation whose time is over goes. */
static int drop_expired(struct follower_set *followers, struct err *err)
{
    const struct changer changer = {.directory = followers->settings->store, .clock = followers->clock};
    char name[GENERATION_NAME_MAX];
    json_t *outcome = NULL;

    if (followers->is_changing || !change_find_expired(&followers->serving, clock_wall_ms(followers->clock), name))
        return 0;
    json_t *arguments = json_pack("{s:s}", "generation", name);
    follower_set_forget(followers, name);
    int rc = change_drop(&changer, arguments, &outcome, err);
    json_decref(arguments);
    json_decref(outcome);
    if (rc == 0)
        log_info("generation %s is dropped: the time that it was retained for is over", name);
    return rc == 0 ? follower_set_look_at_serving(followers, err) : rc;
}

static int take_turn(struct supervisor *supervisor, struct run_admin *admin, struct err *err)
{
    struct follower_set *followers = &supervisor->followers;
    int64_t now_us = clock_monotonic_us(followers->clock);

    int rc = follower_set_look_after(followers, err);
    if (rc == 0)
        rc = requests_serve(supervisor->requests, err);
    if (rc == 0 && now_us - supervisor->looked_us >= LOOK_EVERY_US) {
        supervisor->looked_us = now_us;
        follower_set_look_at_reports(followers);
        follower_set_share_memory(followers);
        rc = drop_expired(followers, err);
    }
    if (rc == 0 && now_us - supervisor->told_us >= TELL_EVERY_US) {
        supervisor->told_us = now_us;
        run_report_live(followers, &supervisor->said_live_fault);
        announcements_note(followers->announcements);
    }
    if (now_us == supervisor->looked_us)
        run_report_admin(followers, admin);
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

int supervisor_open(const struct run_settings *settings, const struct clock_port *clock,
                    struct supervisor **ret_supervisor, struct err *err)
{
    struct supervisor *supervisor = mem_zero(1, sizeof(*supervisor));

    int rc = follower_set_open(&supervisor->followers, settings, clock, err);
    supervisor->requests = requests_new(&supervisor->followers);
    if (rc == 0)
        rc = follower_set_wait_for_served(&supervisor->followers, err);
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
    if (!follower_set_close(&closed->followers))
        return false;
    requests_free(&closed->requests);
    free(closed);
    return true;
}
