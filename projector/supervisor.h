/* projector/supervisor.h - the main thread of `run`: a follower for each generation, requests from commands, what people
 * and programs are told.
 *
 *     DIR/generations/NAME  -> a follower each (follower_set.h), opened anew when it has become whole
 *     DIR/control/requests  -> requests.h: done on this thread, or handed to followers
 *     DIR/control/live, /metrics, /readyz, the log  <- the followers' reports (run_report.h) */
#ifndef TARN_PROJECTOR_SUPERVISOR_H
#define TARN_PROJECTOR_SUPERVISOR_H

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

const struct serving *supervisor_serving(const struct supervisor *supervisor);

#endif
