/* projector/supervisor.h - the main thread of `run`: a follower for each generation, requests from commands, what people
 * and programs are told.
 *
 *     DIR/generations/NAME  -> a follower each (follower.h), reopened when it has become whole
 *     DIR/control/requests  -> requests.h: done here (rebuild, promote, rollback, drop), or handed to followers
 *     DIR/control/live, /metrics, /readyz, the log  <- the followers' reports
 *
 * A fault of a generation that is served ends the process, as there is nobody else to go on; one under construction
 * or merely retained stands alone with its fault, and is opened again later. */
#ifndef TARN_PROJECTOR_SUPERVISOR_H
#define TARN_PROJECTOR_SUPERVISOR_H

#include "projector/follower.h"
#include "projector/run_admin.h"

struct supervisor;

struct supervisor_options {
    const struct run_settings *settings;
    const struct clock_port *clock;
};

/* Opens the followers and waits until those of the served generations are open. The caller holds DIR/lock. */
MUST_CHECK int supervisor_open(const struct supervisor_options *options, struct supervisor **ret_supervisor,
                               struct err *err);
void supervisor_close(struct supervisor **supervisor);

/* Returns 0 when a stop was requested. */
MUST_CHECK int supervisor_run(struct supervisor *supervisor, struct run_admin *admin, struct err *err);

/* --- for requests.c --- */

/* Borrowed until the next turn; NULL: there is none (open) of that name. */
struct follower *supervisor_find(struct supervisor *supervisor, const char *name);
size_t supervisor_count(const struct supervisor *supervisor);
struct follower *supervisor_at(struct supervisor *supervisor, size_t number);
const char *supervisor_directory(const struct supervisor *supervisor);

/* Follows a generation that was just made. */
MUST_CHECK int supervisor_follow(struct supervisor *supervisor, const char *name, struct err *err);
/* Closes its store, so that it can be dropped. */
void supervisor_forget(struct supervisor *supervisor, const char *name);
/* `serving` was changed. */
void supervisor_look_at_serving(struct supervisor *supervisor);

#endif
