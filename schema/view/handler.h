/* schema/view/handler.h - one `on` of a view, compiled as far as its own text goes. What depends on other handlers
 * (streams, home, what REPLACE clears) is filled in by stream.h and ownership.h. */
#ifndef TARN_VIEW_HANDLER_H
#define TARN_VIEW_HANDLER_H

#include "schema/view/compiler.h"

/* draft->handler is filled, draft->is_whole says whether there were no mistakes. has_keys: the view's key is whole. */
void handler_compile(struct compiler *compiler, const struct view *view, bool has_keys, struct handler_draft *draft);

#endif
