/* projector/rebuild_plan.h - the generation that a rebuild asks for, as its request and what is served now say: schema,
 * views, settings, and how it is filled. Nothing is made here. */
#ifndef TARN_PROJECTOR_REBUILD_PLAN_H
#define TARN_PROJECTOR_REBUILD_PLAN_H

#include <jansson.h>

#include "schema/store/building.h"
#include "schema/store/generation.h"
#include "schema/view/plan.h"

struct rebuild_plan {
    const char *directory;     /* borrowed */
    struct generation *beside; /* the incumbent */
    struct generation *origin; /* --from-generation: the one to copy; NULL: none */
    struct buf schema;
    struct view_set *views;
    struct generation_settings settings;
    struct building building;
};

/* Released by the caller after a failure, too. Errors: change_rebuild (generation_change.h). */
MUST_CHECK int rebuild_plan_read(struct rebuild_plan *plan, const char *directory, const json_t *arguments,
                                 struct err *err);
/* The same generation again: schema, settings and filling of one that is given up. */
MUST_CHECK int rebuild_plan_repeat(struct rebuild_plan *plan, const char *directory, const struct generation *lost,
                                   struct err *err);
void rebuild_plan_release(struct rebuild_plan *plan);

#endif
