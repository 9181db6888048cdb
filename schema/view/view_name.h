/* schema/view/view_name.h - what a view is called in URLs and commands. */
#ifndef TARN_VIEW_VIEW_NAME_H
#define TARN_VIEW_VIEW_NAME_H

#include "schema/base/buf.h"

enum { VIEW_NAME_MAX = 100 };

/* `GeneticResult` -> `genetic-result`, `HTTPStatus2` -> `http-status2` (appended). */
void view_name_default(const char *message_name, struct buf *name);

/* Letters, digits, '-' and '_', a letter or digit first, VIEW_NAME_MAX at most: stands in a URL as it is. */
bool view_name_is_good(struct span name);

#endif
