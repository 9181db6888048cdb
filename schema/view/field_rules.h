/* schema/view/field_rules.h - the (tarn.field) options of one message type, checked and compiled.
 *
 * A type's rules are the same in whatever view it stands; what differs from view to view (the brackets that break ties,
 * what lies inside) is added by rules.h. */
#ifndef TARN_VIEW_FIELD_RULES_H
#define TARN_VIEW_FIELD_RULES_H

#include "schema/view/compiler.h"

struct type_facts {
    bool *is_derived; /* beside type->fields: follows a rule, never a handler's target */
    bool is_compiled; /* what follows is there */
    struct list_rule *lists; /* without brackets */
    size_t list_count;
    struct derived_field *derived;
    size_t derived_count;
    const struct field_type **hidden;
    size_t hidden_count;
    bool alters_serving; /* itself: hidden, or a limit */
};

/* Made at the first call, with is_derived alone. */
struct type_facts *type_facts(struct compiler *compiler, const struct message_type *type);

bool field_is_derived(struct compiler *compiler, const struct field_type *field);

/* Compiles a type's rules, once: mistakes are named where the type was met first, `place` being the way to it
 * ("GeneticResult.categories"). */
void field_rules_compile(struct compiler *compiler, const struct message_type *type, const char *place);

#endif
