/* schema/view/suggestion.h - "did you mean": the name that was most likely meant. */
#ifndef TARN_VIEW_SUGGESTION_H
#define TARN_VIEW_SUGGESTION_H

#include "schema/view/compiler.h"

/* `; did you mean "user_id"?`, or "" when nothing is near. Lives as long as the compiler. */
const char *suggestion_field(struct compiler *compiler, const struct message_type *type, struct span name);
const char *suggestion_type(struct compiler *compiler, struct span full_name);

#endif
