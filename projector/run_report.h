/* projector/run_report.h - what `run` tells of its followers: DIR/control/live for `status`, and the state behind
 * /healthz, /readyz and /metrics. */
#ifndef TARN_PROJECTOR_RUN_REPORT_H
#define TARN_PROJECTOR_RUN_REPORT_H

#include "projector/follower_set.h"
#include "projector/run_admin.h"

/* A fault is told once: *said_fault remembers that it was. */
void run_report_live(const struct follower_set *followers, bool *said_fault);
void run_report_admin(const struct follower_set *followers, struct run_admin *admin);

#endif
