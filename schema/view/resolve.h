/* schema/view/resolve.h - names become fields: paths, sources and conditions against the messages they start from. */
#ifndef TARN_VIEW_RESOLVE_H
#define TARN_VIEW_RESOLVE_H

#include "schema/view/compiler.h"
#include "schema/view/expression.h"

/* Where paths start: an element of `each` (or of a list with a rule) before the event. Either may be NULL. */
struct scope {
    struct compiler *compiler;
    const struct message_type *element;
    const struct message_type *message;
    bool has_time; /* time() is known: there is a record */
    const char *place;
    const char *advice; /* put behind a source that doesn't fit its target, or NULL */
};

/* The field of that name; NULL is a mistake, named with a suggestion. */
const struct field_type *resolve_field(struct compiler *compiler, const struct message_type *type, struct span name,
                                       const char *place, const char *option);

/* The last field of the path, through single messages; NULL is a mistake. */
const struct field_type *resolve_path(const struct scope *scope, const struct path_text *text, const char *option,
                                      struct field_path *ret_path, bool *ret_from_element);

/* The source as the target takes it. is_added: of ADD. False: a mistake. Not for EXPRESSION_NONE. */
bool resolve_source(const struct scope *scope, const struct source_text *text, const struct field_type *target,
                    bool is_added, const char *option, struct source *ret_source);

/* Conditions; those with a mistake are left out. `option` is "when" or "where". */
const struct condition *resolve_conditions(const struct scope *scope, char *const *texts, size_t count,
                                           const char *option, size_t *ret_count);

#endif
