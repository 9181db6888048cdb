/* schema/view/event_plan.h - what one event does over all views. */
#ifndef TARN_VIEW_EVENT_PLAN_H
#define TARN_VIEW_EVENT_PLAN_H

#include "schema/view/compiler.h"

/* Checks what an event must have in common in all views (its stream, the kind of its owner) and what the null values of
 * a stream must, then fills set->events. Streams are made. */
void event_plans_make(struct compiler *compiler, const struct view_draft *drafts, size_t count, struct view_set *set);

#endif
