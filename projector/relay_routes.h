/* projector/relay_routes.h - which topic an event goes to, by its type: --topics, as `run` takes it. Pure.
 *
 * An event's stream is its package without the version; a schema that says otherwise is obeyed. */
#ifndef TARN_PROJECTOR_RELAY_ROUTES_H
#define TARN_PROJECTOR_RELAY_ROUTES_H

#include "ops/runtime/config.h"
#include "schema/view/plan.h"

struct relay_routes;

/* views NULL: no schema was given. Both must outlive the routes. ERR_INPUT: a malformed item, a stream with two topics. */
MUST_CHECK int relay_routes_new(const struct config_list *topics, const struct view_set *views,
                                struct relay_routes **ret_routes, struct err *err);
void relay_routes_free(struct relay_routes **routes);

/* Lives as long as the routes. ERR_INPUT: no topic is given for the type's stream. */
MUST_CHECK int relay_routes_topic(const struct relay_routes *routes, struct span type, const char **ret_topic,
                                  struct err *err);

#endif
