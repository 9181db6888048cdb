/* schema/view/shortcut.h - what a plan knows beforehand so that nothing is found out anew for each event. */
#ifndef TARN_VIEW_SHORTCUT_H
#define TARN_VIEW_SHORTCUT_H

#include "schema/view/plan.h"

/* Fills in the shortcuts of all handlers of a set without mistakes. */
void shortcuts_find(struct view_set *set);

/* Fills in whether a condition is plain. */
void shortcut_of_condition(struct condition *condition);

/* Fills in the shortcut of a derived field whose conditions have theirs. */
void shortcut_of_derived(struct derived_field *derived);

#endif
