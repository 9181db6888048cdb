/* schema/view/first_load.h - a view's `first_load`: SQL on the write database whose rows are events. */
#ifndef TARN_VIEW_FIRST_LOAD_H
#define TARN_VIEW_FIRST_LOAD_H

#include "schema/view/compiler.h"

/* Sets view->first_loads. The view's handlers are compiled. The SQL is the database's to judge. */
void first_load_compile(struct compiler *compiler, struct view_draft *draft);

#endif
