/* schema/store/control.h - requests from commands to the running projector, and their outcomes.
 *
 *     DIR/control/requests/ID.json  written by a command
 *     DIR/control/taken/ID.json     the same file, renamed by the projector: it has begun
 *     DIR/control/outcomes/ID.json  written by the projector; read and removed by the command, or removed when old
 *
 * A request is carried out at least once after it was taken: the projector goes on with taken ones after a crash, so
 * what a request asks for must be idempotent. One that nobody took can be withdrawn, and expires; so a command either
 * knows that the projector has it, or may take DIR/lock and do the work itself.
 * Files appear whole (written beside, renamed, fsynced with their folder). */
#ifndef TARN_STORE_CONTROL_H
#define TARN_STORE_CONTROL_H

#include <jansson.h>
#include <stdbool.h>

#include "schema/base/clock.h"
#include "schema/base/err.h"

enum { CONTROL_ID_SIZE = 48 };

/* --- the command's side ---------------------------------------------------------------------------------------- */

/* Leaves a request. arguments (an object, borrowed; may be NULL) is for the kind's handler to understand. It expires
 * when nobody has taken it expires_ms from now. */
MUST_CHECK int control_submit(const char *directory, const char *kind, json_t *arguments, int64_t expires_ms,
                              char ret_id[CONTROL_ID_SIZE], struct err *err);

/* Waits for the outcome: *ret_outcome (the caller's to json_decref) when the request was carried out.
 * ERR_AGAIN: not within timeout_ms, or nobody holds DIR/lock any more; see control_withdraw().
 * Other errors: what the request ended with, kind and text as control_answer() had them. */
MUST_CHECK int control_wait(const char *directory, const char *id, int64_t timeout_ms, json_t **ret_outcome,
                            struct err *err);

/* Takes a request back. ERR_ABSENT: it was taken already, and will be or has been carried out. */
MUST_CHECK int control_withdraw(const char *directory, const char *id, struct err *err);

/* Somebody has taken the request and hasn't answered it: the next holder of DIR/lock goes on with it. */
bool control_is_begun(const char *directory, const char *id);

/* --- the projector's side ------------------------------------------------------------------------------------- */

struct control; /* used by one thread; whoever holds it holds DIR/lock */

struct control_request {
    char id[CONTROL_ID_SIZE];
    char *kind;
    json_t *arguments; /* an object; never NULL */
};

MUST_CHECK int control_open(const char *directory, const struct clock_port *clock, struct control **ret_control,
                            struct err *err);
void control_close(struct control **control);

/* The next request, oldest first; those taken before a crash come before new ones. ERR_ABSENT: none. Cheap when there
 * is none (one stat()): made to be called in each turn of a loop. Requests that aren't understood or have expired are
 * answered here. */
MUST_CHECK int control_take(struct control *control, struct control_request **ret_request, struct err *err);

/* Answers with an outcome (an object, borrowed; may be NULL), or with failure when that isn't NULL. Ends the request.
 * When it fails itself, the request comes again after the next control_open(). */
MUST_CHECK int control_answer(struct control *control, struct control_request **request, json_t *outcome,
                              const struct err *failure, struct err *err);

/* Lets go of a request without an answer: it comes again after the next control_open(). */
void control_request_free(struct control_request **request);

#endif
