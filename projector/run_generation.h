/* projector/run_generation.h - the first generation of a store: made when there is none, and compared with the flags
 * when there is.
 *
 * What shapes results was fixed when it was made. Flags that say otherwise now are told, and not followed. */
#ifndef TARN_PROJECTOR_RUN_GENERATION_H
#define TARN_PROJECTOR_RUN_GENERATION_H

#include "projector/run_settings.h"
#include "schema/store/generation.h"
#include "schema/view/plan.h"

/* The caller holds DIR/lock. From then on DIR/serving names a generation that is there.
 * ERR_INPUT: the schema has mistakes (each is logged), or --topics doesn't fit it. */
MUST_CHECK int run_generation_prepare(const struct run_settings *settings, struct err *err);

#endif
