/* projector/carry_out.h - what a command changes: by the projector that runs, or, when none does, here under DIR/lock.
 *
 * A command that is killed leaves the request, which is carried out or expires; the same command again goes on, because
 * whatever is asked for is idempotent. A projector that is killed leaves the request too: whoever holds DIR/lock next,
 * a command included, ends first what was begun, so that requests keep their order. */
#ifndef TARN_PROJECTOR_CARRY_OUT_H
#define TARN_PROJECTOR_CARRY_OUT_H

#include <jansson.h>

#include "schema/store/control.h"

/* Does it here, DIR/lock held. *ret_outcome is as the projector would answer. */
typedef int carry_out_here_fn(void *self, json_t *arguments, json_t **ret_outcome, struct err *err);

struct carry_out {
    const char *directory;
    const char *command; /* "tarn-projector promote": who holds the lock meanwhile */
    const char *kind;    /* of the request */
    int64_t wait_ms;
    carry_out_here_fn *here; /* NULL: only a running projector can */
    void *self;
};

/* *ret_outcome is the caller's to json_decref(). arguments are borrowed; NULL: none. Errors are those of the request;
 * ERR_AGAIN: nobody took it in time, and it has been withdrawn; ERR_BROKEN: it was begun, and what came of it isn't
 * known yet. */
MUST_CHECK int carry_out(const struct carry_out *what, json_t *arguments, json_t **ret_outcome, struct err *err);

/* The same of a change that generation_change.h makes: kind is one of its REQUEST_. */
MUST_CHECK int carry_out_change(const char *directory, const char *command, const char *kind, int64_t wait_ms,
                                json_t *arguments, json_t **ret_outcome, struct err *err);

/* Names what one run of a command asks for, so that it isn't done twice, whoever carries it out and how often. */
MUST_CHECK int carry_out_new_id(char ret_id[CONTROL_ID_SIZE], struct err *err);

#endif
