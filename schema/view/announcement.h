/* schema/view/announcement.h - a view's `announce`: which of its changes are told to a topic. */
#ifndef TARN_VIEW_ANNOUNCEMENT_H
#define TARN_VIEW_ANNOUNCEMENT_H

#include "schema/view/compiler.h"

/* Sets view->announcements. */
void announcements_compile(struct compiler *compiler, struct view_draft *draft);

#endif
