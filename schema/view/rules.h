/* schema/view/rules.h - the rules of everything that lies inside one view. */
#ifndef TARN_VIEW_RULES_H
#define TARN_VIEW_RULES_H

#include "schema/view/compiler.h"

/* Walks through all message types inside the view (draft->types, the view's first), refuses what no view can hold, and
 * compiles the field rules that haven't been met before. Before the handlers. */
void rules_walk(struct compiler *compiler, struct view_draft *draft);

/* Checks that all handlers name the elements of a list by the same brackets, and puts the view's rules together. Behind
 * the handlers. */
void rules_assemble(struct compiler *compiler, struct view_draft *draft);

#endif
