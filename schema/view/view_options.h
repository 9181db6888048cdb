/* schema/view/view_options.h - what a view says of itself: name, key, time zone. */
#ifndef TARN_VIEW_VIEW_OPTIONS_H
#define TARN_VIEW_VIEW_OPTIONS_H

#include "schema/view/compiler.h"

/* Sets view->name, of the plan's arena; always some name. */
void view_options_name(struct compiler *compiler, struct view_draft *draft);

/* Sets view->keys; false: a mistake. */
bool view_options_keys(struct compiler *compiler, struct view_draft *draft);

/* Sets view->utc_offset_s. */
void view_options_time_zone(struct compiler *compiler, struct view_draft *draft);

#endif
