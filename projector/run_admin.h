/* projector/run_admin.h - /healthz, /readyz and /metrics of the projector.
 *
 * The supervisor tells how it is now and then; the listener's thread answers from what it was told last, so that a loop
 * that hangs can't keep a probe waiting, and is found out by the age of what it told. */
#ifndef TARN_PROJECTOR_RUN_ADMIN_H
#define TARN_PROJECTOR_RUN_ADMIN_H

#include "projector/follower.h"

struct run_admin;

/* Starts listening. ERR_INPUT: the address. */
MUST_CHECK int run_admin_open(const char *listen, struct run_admin **ret_admin, struct err *err);
void run_admin_close(struct run_admin **admin);
const char *run_admin_address(const struct run_admin *admin);

struct run_generation {
    const char *name;
    const struct follower_report *report;
    bool is_served;
};

struct run_state {
    const struct run_generation *generations;
    size_t count;
    bool is_ready; /* each that is served has been caught up once */
    bool is_connected;
    int64_t kafka_errors;
    int64_t events_per_s; /* of all */
    int64_t lag;          /* of the served ones */
    const char *problem;  /* NULL, or a sentence for people */
};

/* From the supervisor, about once a second; copies what it needs. */
void run_admin_tell(struct run_admin *admin, const struct run_state *state);

#endif
