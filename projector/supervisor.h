/* projector/supervisor.h - the main thread of `run`: a follower for each generation, requests from commands, what people
 * and programs are told.
 *
 *     DIR/generations/NAME  -> a follower each (follower.h), opened anew when it has become whole
 *     DIR/control/requests  -> requests.h: done on this thread (rebuild, promote, rollback, drop), or handed to followers
 *     DIR/control/live, /metrics, /readyz, the log  <- the followers' reports
 *
 * A fault of a generation that is served ends the process, as there is nobody else to go on; any other one stands alone
 * with its fault, and is opened again later. */
#ifndef TARN_PROJECTOR_SUPERVISOR_H
#define TARN_PROJECTOR_SUPERVISOR_H

#include "projector/follower.h"
#include "projector/run_admin.h"
#include "schema/store/serving.h"

struct supervisor;

/* Opens the followers and waits until those of the served generations are open. The caller holds DIR/lock, and something
 * is served. */
MUST_CHECK int supervisor_open(const struct run_settings *settings, const struct clock_port *clock,
                               struct supervisor **ret_supervisor, struct err *err);
/* False: a follower didn't stop in time; the process must end without giving up DIR/lock before. */
bool supervisor_close(struct supervisor **supervisor);

/* Returns 0 when a stop was requested. */
MUST_CHECK int supervisor_run(struct supervisor *supervisor, struct run_admin *admin, struct err *err);

/* --- for requests.c --- */

const char *supervisor_directory(const struct supervisor *supervisor);
const struct serving *supervisor_serving(const struct supervisor *supervisor);
size_t supervisor_count(const struct supervisor *supervisor);
/* NULL: its follower is closed (after a fault), or there is none of that name. */
struct follower *supervisor_follower(struct supervisor *supervisor, size_t number);
struct follower *supervisor_find(struct supervisor *supervisor, const char *name);

/* Follows a generation that was just made; no error when it is followed already. */
MUST_CHECK int supervisor_follow(struct supervisor *supervisor, const char *name, struct err *err);
/* Closes its store, so that it can be dropped. */
void supervisor_forget(struct supervisor *supervisor, const char *name);
/* `serving` was changed. */
MUST_CHECK int supervisor_look_at_serving(struct supervisor *supervisor, struct err *err);

#endif
