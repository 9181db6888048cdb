/* schema/view/from.h - where a handler's values come from: `from`, and else the event's field of the same name. */
#ifndef TARN_VIEW_FROM_H
#define TARN_VIEW_FROM_H

#include "schema/view/resolve.h"

struct from_entry {
    struct span name;
    struct source_text source;
    bool is_used;
    bool is_bad; /* named already: not again for each place where the name is needed */
};

struct from_table {
    struct from_entry *entries;
    size_t count;
};

enum from_result { FROM_NONE, FROM_BOUND, FROM_MISTAKE };

void from_read(struct compiler *compiler, const Tarn__Handler *options, const char *place,
               struct from_table *ret_table);

/* The source of the field named so, converted to it. FROM_NONE: neither `from` nor the event gives one. */
enum from_result from_bind(struct from_table *from, const struct scope *scope, const struct field_type *target,
                           bool is_added, struct source *ret_source);

#endif
