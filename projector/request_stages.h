/* projector/request_stages.h - how each kind of request is carried out: in stages. Each hands tasks to followers, and the
 * next is entered when all of them are done; one that needs no follower is done in its first stage. A request is carried
 * out again, from its first stage, if the projector dies before it was answered: each bears that. */
#ifndef TARN_PROJECTOR_REQUEST_STAGES_H
#define TARN_PROJECTOR_REQUEST_STAGES_H

#include "projector/change_worker.h"
#include "projector/request_tasks.h"
#include "schema/store/control.h"

struct pending_request {
    struct follower_set *followers;  /* borrowed */
    struct control_request *request; /* NULL: it is answered, and tasks of it may still be under way */
    unsigned stage;                  /* how many have ended */
    struct request_tasks tasks;
    int64_t held_until_us;        /* hold: until then the followers stand still */
    struct change_worker *worker; /* rebuild: makes the generation; NULL: not yet */
    json_t *outcome;              /* of an earlier stage, to be answered at the end; NULL: none */
};

enum stage_end {
    STAGE_WAITS, /* for the tasks that it has handed out; then comes the next stage */
    STAGE_STAYS, /* it is entered again in the next turn */
    STAGE_DONE,  /* *ret_outcome, or failure when its kind is set, is the answer */
};

typedef enum stage_end request_stage_fn(struct pending_request *pending, json_t **ret_outcome, struct err *failure);

/* request_changes.c */
request_stage_fn stage_rebuild, stage_promote, stage_roll_back, stage_drop;
/* request_of_parked.c */
request_stage_fn stage_parked_retry, stage_parked_drop;
/* request_hold.c */
request_stage_fn stage_hold, stage_release;

/* An argument of the request that is a text; "": there is none. */
const char *pending_request_text(const struct pending_request *pending, const char *argument);

#endif
