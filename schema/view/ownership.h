/* schema/view/ownership.h - which stream writes which field of a view, and what follows from it. */
#ifndef TARN_VIEW_OWNERSHIP_H
#define TARN_VIEW_OWNERSHIP_H

#include "schema/view/compiler.h"

/* Fills view->field_streams and what REPLACE clears; names fields that two streams write, DELETE outside of home, and
 * handlers without effect. Streams are made. */
void ownership_settle(struct compiler *compiler, struct view_draft *draft);

#endif
