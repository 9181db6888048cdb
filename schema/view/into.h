/* schema/view/into.h - `into`: the way from the view to what a handler changes. */
#ifndef TARN_VIEW_INTO_H
#define TARN_VIEW_INTO_H

#include "schema/view/from.h"

/* What a handler's `into` leads to. */
struct into {
    const struct path_step *steps; /* NULL for the view itself */
    size_t count;
    const struct message_type *target;
    bool ends_in_element; /* the last step is a list */
};

/* False: a mistake. An unwritten `into` is the view itself. */
bool into_resolve(struct compiler *compiler, const char *text, enum effect effect, const struct message_type *view,
                  struct from_table *from, const struct scope *scope, struct into *ret_into);

#endif
