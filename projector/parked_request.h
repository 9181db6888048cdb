/* projector/parked_request.h - what `parked retry` and `parked drop` ask of a running projector, as a control request. */
#ifndef TARN_PROJECTOR_PARKED_REQUEST_H
#define TARN_PROJECTOR_PARKED_REQUEST_H

#include <jansson.h>

#include "projector/materializer.h"
#include "schema/base/arena.h"

#define REQUEST_PARKED_RETRY "parked-retry"
#define REQUEST_PARKED_DROP "parked-drop"

/* The caller's to json_decref(). */
json_t *parked_request_write(const struct parked_selection *selection, const struct generation_settings *settings);
/* The key lives in the arena. ERR_INPUT: not such a request, or a topic that the generation doesn't have. */
MUST_CHECK int parked_request_read(const json_t *arguments, const struct generation_settings *settings,
                                   struct arena *arena, struct parked_selection *ret_selection, struct err *err);

json_t *parked_outcome_write(const struct parked_outcome *outcome);
MUST_CHECK int parked_outcome_read(const json_t *answer, struct parked_outcome *ret_outcome, struct err *err);

#endif
