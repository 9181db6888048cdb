/* projector/topic_map.h - which topic brings which stream: --topics against the schema. Pure. */
#ifndef TARN_PROJECTOR_TOPIC_MAP_H
#define TARN_PROJECTOR_TOPIC_MAP_H

#include "ops/runtime/config.h"
#include "schema/store/generation.h"
#include "schema/view/plan.h"

/* Fills streams and topics of the settings (which have none yet) from `TOPIC`, one for all streams, or
 * `STREAM=TOPIC,...`. ERR_INPUT names every stream without a topic and every topic without a stream. */
MUST_CHECK int topic_map_read(const struct config_list *topics, const struct view_set *views,
                              struct generation_settings *settings, struct err *err);

bool topic_map_equal(const struct generation_settings *a, const struct generation_settings *b);

#endif
