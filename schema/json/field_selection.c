/* `fields=a,b.c`: a tree beside the render tables, one node for each message that is taken in part. Taking a field whole
 * and a part of it is taking it whole. */
#include "schema/json/render_plan.h"

enum { SELECTION_DEPTH_MAX = 32 };

static const struct field_type *find_field(const struct message_type *type, struct span name)
{
    const struct field_type *field = message_type_field(type, name);

    for (size_t i = 0; field == NULL && i < type->field_count; i++) {
        if (span_equal_text(name, type->fields[i].json_name))
            field = &type->fields[i];
    }
    return field;
}

static struct field_selection *make_selection(const struct render_type *type, struct arena *arena)
{
    struct field_selection *selection = arena_alloc(arena, sizeof(*selection));

    selection->fields = arena_zero(arena, type->type->field_count * sizeof(*selection->fields));
    return selection;
}

/* Messages that JSON shows as an object of their fields. */
static bool has_parts(const struct render_field *field)
{
    return field->inner != NULL && !field->type->is_map && field->inner->type->well_known == WELL_KNOWN_NONE;
}

static int select_path(const struct render_type *type, struct field_selection *selection, struct span path,
                       struct arena *arena, struct err *err)
{
    const uint8_t *at = path.at;
    const uint8_t *end = at + path.len;

    for (int depth = 0;; depth++) {
        const uint8_t *dot = at < end ? memchr(at, '.', (size_t)(end - at)) : NULL;
        struct span name = span_of(at, (size_t)((dot != NULL ? dot : end) - at));
        const struct field_type *known = find_field(type->type, name);
        if (known == NULL || type->fields[known->index].form == FORM_HIDDEN || depth == SELECTION_DEPTH_MAX)
            return err_set(err, ERR_INPUT, "fields: there is no \"%.*s\"",
                           (int)(path.len < 200 ? path.len : 200), (const char *)path.at);

        const struct render_field *field = &type->fields[known->index];
        struct selected_field *selected = &selection->fields[known->index];
        bool was_whole = selected->is_selected && selected->inner == NULL;
        selected->is_selected = true;
        if (dot == NULL) {
            selected->inner = NULL;
            return 0;
        }
        if (!has_parts(field))
            return err_set(err, ERR_INPUT, "fields: \"%s\" can only be taken whole", known->name);

        /* Below a field that is taken whole, names are still looked up, and then forgotten. */
        struct field_selection *inner = (struct field_selection *)(uintptr_t)selected->inner;
        if (inner == NULL)
            inner = make_selection(field->inner, arena);
        if (!was_whole)
            selected->inner = inner;
        selection = inner;
        type = field->inner;
        at = dot + 1;
    }
}

int field_selection_parse(const struct render_plan *plan, struct span fields, struct arena *arena,
                          const struct field_selection **ret_selection, struct err *err)
{
    struct field_selection *selection = make_selection(plan->root, arena);
    const uint8_t *at = fields.at;
    const uint8_t *end = at + fields.len;

    if (plan->root->type->well_known != WELL_KNOWN_NONE)
        return err_set(err, ERR_INPUT, "fields: %s has none to choose from", plan->root->type->full_name);
    for (;;) {
        const uint8_t *comma = at < end ? memchr(at, ',', (size_t)(end - at)) : NULL;
        struct span path = span_of(at, (size_t)((comma != NULL ? comma : end) - at));
        int rc = select_path(plan->root, selection, path, arena, err);
        if (rc < 0)
            return rc;
        if (comma == NULL)
            break;
        at = comma + 1;
    }
    *ret_selection = selection;
    return 0;
}
