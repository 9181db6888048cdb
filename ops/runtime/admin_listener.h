/* ops/runtime/admin_listener.h - /healthz, /readyz and /metrics of a program whose work is one loop.
 *
 * The loop tells now and then how it is; a thread of the listener's own answers from what it was told last, so that a loop
 * that hangs can't keep a probe waiting, and is found out by how long ago that was. */
#ifndef TARN_RUNTIME_ADMIN_LISTENER_H
#define TARN_RUNTIME_ADMIN_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "schema/base/buf.h"
#include "schema/base/err.h"

struct admin_listener;

struct admin_listener_options {
    const char *listen;    /* as http_server_options.address */
    int64_t hung_after_us; /* /healthz fails when nothing was told for so long */
    /* Adds what /metrics answers; on the listener's thread, while nothing is being told. */
    void (*print_metrics)(void *self, struct buf *out);
    void *self; /* outlives the listener */
};

/* Starts listening; until it is told otherwise it is alive and not ready. ERR_INPUT: the address. */
MUST_CHECK int admin_listener_open(const struct admin_listener_options *options, struct admin_listener **ret_listener,
                                   struct err *err);
void admin_listener_close(struct admin_listener **listener);
const char *admin_listener_address(const struct admin_listener *listener);

struct admin_news {
    bool is_ready;
    const char *problem;       /* NULL or "": none; said by /readyz whether ready or not. Copied */
    int64_t turned_at_us;      /* when the loop turned last, by CLOCK_MONOTONIC */
    const struct buf *metrics; /* NULL, or text that /metrics adds behind what print_metrics gives. Copied */
};

/* From the loop. */
void admin_listener_tell(struct admin_listener *listener, const struct admin_news *news);
/* Nothing is new, but the loop turns. */
void admin_listener_turned(struct admin_listener *listener, int64_t turned_at_us);

#endif
