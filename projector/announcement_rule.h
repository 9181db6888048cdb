/* projector/announcement_rule.h - which announcements a change of a view makes. Pure. */
#ifndef TARN_PROJECTOR_ANNOUNCEMENT_RULE_H
#define TARN_PROJECTOR_ANNOUNCEMENT_RULE_H

#include "schema/store/layout.h"
#include "schema/view/plan.h"

/* Sets ret_is_made[i] for each of the view's announcements. before and after are what the store has of the view; only one
 * that is made can be seen. Empty bytes stand for none. What is used on the way comes from the arena.
 * ERR_BROKEN: stored bytes that don't parse. */
MUST_CHECK int announcement_rule_apply(const struct view *view, struct stored_view before, struct stored_view after,
                                       struct arena *arena, bool *ret_is_made, struct err *err);

#endif
