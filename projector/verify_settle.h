/* projector/verify_settle.h - suspects looked at again until it is clear which of them differ.
 *
 * Each round reads a suspect's rows and the outbox, then the ends of the logs, then the store once it has passed them, then
 * the rows again. A difference counts when the rows are the same both times and the outbox has nothing of the key either
 * time. */
#ifndef TARN_PROJECTOR_VERIFY_SETTLE_H
#define TARN_PROJECTOR_VERIFY_SETTLE_H

#include "projector/verify.h"
#include "projector/verify_view.h"
#include "projector/verify_walk.h"

/* Adds drifts, settled and unsettled to the result. Owners of drifts are the suspects'. */
MUST_CHECK int verify_settle(const struct verify_options *options, struct verify_view *view_check,
                             const struct suspects *suspects, struct verify_result *result, struct err *err);

#endif
