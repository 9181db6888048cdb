/* A handler has two halves: the way to its target (`into`, with brackets that pick elements of lists) and what is done
 * there. All brackets are evaluated before the way is walked, so that an event without a bracket value is refused
 * whatever the view holds. Two effects don't walk to one target: REMOVE goes to every match and makes nothing on its
 * way, DELETE is about the view itself. */
#include "projector/projection_effect.h"

#include <assert.h>

#include "projector/projection_convert.h"
#include "schema/message/sealed.h"

/* The values that pick an element, one for each bracket of a step. */
struct picked_step {
    const struct path_step *step;
    struct value *values;
};

typedef int effect_fn(const struct handler *handler, const struct source_scope *scope, ProtobufCMessage *target,
                      struct view_place place);

static effect_fn effect_merge;
static effect_fn effect_replace;
static effect_fn effect_add;

struct effect_row {
    bool makes_view;
    effect_fn *at_target; /* NULL: doesn't walk to one target */
};

static const struct effect_row effect_rows[] = {
    [EFFECT_MERGE] = {true, effect_merge},  [EFFECT_REPLACE] = {true, effect_replace},
    [EFFECT_UPSERT] = {true, effect_merge}, [EFFECT_REMOVE] = {false, NULL},
    [EFFECT_APPEND] = {true, effect_merge}, [EFFECT_ADD] = {true, effect_add},
    [EFFECT_DELETE] = {false, NULL},        [EFFECT_ERASE] = {false, NULL},
};

static int pick_steps(const struct handler *handler, const struct source_scope *scope, struct picked_step **ret_steps);
static ProtobufCMessage *walk(const struct handler *handler, const struct picked_step *steps, ProtobufCMessage *view,
                              struct view_place *place, struct touched *touched, const struct source_scope *scope);
static bool remove_matches(const struct picked_step *steps, size_t count, ProtobufCMessage *message,
                           struct touched *touched, const struct source_scope *scope);
static void delete_part(const struct handler *handler, ProtobufCMessage *view);

int effect_apply(const struct handler *handler, const struct source_scope *scope, ProtobufCMessage *view,
                 struct touched *touched, bool *ret_has_changed)
{
    struct picked_step *steps = NULL;

    *ret_has_changed = true;
    if (handler->effect == EFFECT_DELETE) {
        delete_part(handler, view);
        touched_add(touched, view, NULL);
        return 0;
    }
    int rc = pick_steps(handler, scope, &steps);
    if (rc < 0)
        return rc;
    if (handler->effect == EFFECT_REMOVE) {
        *ret_has_changed = remove_matches(steps, handler->into_count, view, touched, scope);
        return source_spend(scope, 0);
    }
    assert(effect_rows[handler->effect].at_target != NULL);
    struct view_place place = {1, handler->view->rules};
    ProtobufCMessage *target = walk(handler, steps, view, &place, touched, scope);
    if (handler->makes_all_due)
        touched_everything(touched);
    if (handler->makes_target_due)
        touched_add(touched, target, NULL);
    rc = source_spend(scope, 1);
    if (rc < 0)
        return rc;
    return effect_rows[handler->effect].at_target(handler, scope, target, place);
}

bool effect_makes_view(enum effect effect)
{
    return effect_rows[effect].makes_view;
}

/* False: the shortcut finds no value. */
static inline bool shortcut_has_value(const struct shortcut *shortcut, const ProtobufCMessage *start)
{
    return !shortcut->is_asked || *(const protobuf_c_boolean *)message_at(start, shortcut->from_has) != 0;
}

static inline void take_shortcut(const struct shortcut *shortcut, const ProtobufCMessage *start,
                                 ProtobufCMessage *target)
{
    const void *from = message_at(start, shortcut->from);
    void *to = message_at(target, shortcut->to);

    if (!shortcut_has_value(shortcut, start))
        return;
    if (shortcut->bytes == 16)
        memcpy(to, from, 16);
    else if (shortcut->bytes == 8)
        memcpy(to, from, 8);
    else
        memcpy(to, from, 4);
    if (shortcut->is_marked)
        *(protobuf_c_boolean *)message_at(target, shortcut->to_has) = 1;
}

/* --- the way --------------------------------------------------------------------------------------------------- */

static int pick_steps(const struct handler *handler, const struct source_scope *scope, struct picked_step **ret_steps)
{
    struct picked_step *steps = NULL;

    if (handler->into_count > 0)
        steps = arena_alloc(scope->arena, handler->into_count * sizeof(*steps));
    for (size_t i = 0; i < handler->into_count; i++) {
        const struct path_step *step = &handler->into[i];
        steps[i] = (struct picked_step){step, NULL};
        if (step->bracket_count > 0)
            steps[i].values = arena_alloc(scope->arena, step->bracket_count * sizeof(struct value));
        for (size_t n = 0; n < step->bracket_count; n++) {
            static const struct view_place nowhere = {0, NULL}; /* matters to messages only */
            const struct field_type *bracket = step->brackets[n].target;
            struct sourced sourced;
            const struct shortcut *shortcut = &step->brackets[n].shortcut;
            const ProtobufCMessage *start = step->brackets[n].source.from_element ? scope->element : scope->event;
            if (shortcut->bytes != 0 && start != NULL && shortcut_has_value(shortcut, start)) {
                steps[i].values[n] = shortcut_value(shortcut, bracket, start);
                continue;
            }
            int rc = source_read(&step->brackets[n].source, scope, &sourced);
            if (rc == 0)
                rc = convert_sourced(&sourced, bracket, nowhere, scope, &steps[i].values[n]);
            if (rc < 0)
                return err_prefix(scope->fault->err, "%s[%s]", step->field->name, bracket->name);
            if (steps[i].values[n].kind == VALUE_ABSENT)
                return projection_fault_set(scope->fault, PARK_BAD_VALUE, "%s[%s]: the event gives no value",
                                            step->field->name, bracket->name);
        }
    }
    *ret_steps = steps;
    return 0;
}

static inline bool is_match(const struct picked_step *picked, const ProtobufCMessage *element)
{
    for (size_t i = 0; i < picked->step->bracket_count; i++) {
        const struct field_type *bracket = picked->step->brackets[i].target;
        if (bracket->kind == KIND_STRING && bracket->presence == PRESENCE_IMPLICIT) { /* as nearly all of them are */
            union message_item room;
            const ProtobufCBinaryData *text = message_peek_item(element, bracket, &room);
            if (text->len != picked->values[i].text.len ||
                !span_equal(span_of(text->data, text->len), picked->values[i].text))
                return false;
        } else if (value_compare(message_peek(element, bracket), picked->values[i]) != 0) {
            return false;
        }
    }
    return true;
}

static ProtobufCMessage *append_element(ProtobufCMessage *message, const struct field_type *list, struct arena *arena)
{
    ProtobufCMessage *element = message_new(list->message, arena);

    *(ProtobufCMessage **)message_list_append(message, list, arena) = element;
    return element;
}

/* The first element that the brackets pick, added when there is none. Without brackets: a new one. */
static ProtobufCMessage *find_or_append(const struct picked_step *picked, ProtobufCMessage *message,
                                        struct touched *touched, const struct source_scope *scope)
{
    const struct field_type *list = picked->step->field;

    if (picked->step->bracket_count > 0) {
        ProtobufCMessage **items = (ProtobufCMessage **)*message_list_items(message, list);
        size_t count = *message_list_count(message, list);
        size_t at = 0;
        while (at < count && !is_match(picked, items[at]))
            at++;
        *scope->work += at; /* looked at by effect_apply() */
        if (at < count)
            return message_unseal(items[at]);
    }
    ProtobufCMessage *element = append_element(message, list, scope->arena);
    if (picked->step->rules != NULL)
        touched_add(touched, element, NULL);
    for (size_t i = 0; i < picked->step->bracket_count; i++) {
        const struct field_type *bracket = picked->step->brackets[i].target;
        struct value value = picked->values[i];
        if (value.kind == VALUE_STRING && bracket->presence == PRESENCE_IMPLICIT)
            *(ProtobufCBinaryData *)message_at(element, bracket->offset) =
                (ProtobufCBinaryData){value.text.len, value.text.len > 0 ? (uint8_t *)(uintptr_t)value.text.at : NULL};
        else
            message_set(element, bracket, value);
    }
    return element;
}

/* Every message on the way has its rules due: what they derive may lie deeper. */
static ProtobufCMessage *walk(const struct handler *handler, const struct picked_step *steps, ProtobufCMessage *view,
                              struct view_place *place, struct touched *touched, const struct source_scope *scope)
{
    ProtobufCMessage *at = view;

    for (size_t i = 0; i < handler->into_count; i++) {
        const struct field_type *field = steps[i].step->field;
        if (place->rules != NULL)
            touched_add(touched, at, field);
        *place = (struct view_place){place->depth + 1, steps[i].step->rules};
        if (field->presence == PRESENCE_REPEATED) {
            at = find_or_append(&steps[i], at, touched, scope);
        } else {
            bool is_new = message_get_message(at, field) == NULL;
            at = message_make_message(at, field, scope->arena);
            if (is_new && place->rules != NULL)
                touched_add(touched, at, NULL);
        }
    }
    return at;
}

/* --- what is done there ---------------------------------------------------------------------------------------- */

static int effect_merge(const struct handler *handler, const struct source_scope *scope, ProtobufCMessage *target,
                        struct view_place place)
{
    for (size_t i = 0; i < handler->assignment_count; i++) {
        const struct assignment *assignment = &handler->assignments[i];
        struct sourced sourced;
        const ProtobufCMessage *start = assignment->source.from_element ? scope->element : scope->event;
        if (assignment->shortcut.bytes != 0 && start != NULL) {
            take_shortcut(&assignment->shortcut, start, target);
            continue;
        }
        if (assignment->shortcut.is_behind && start != NULL &&
            *(void *const *)message_at(start, assignment->shortcut.from) == NULL)
            continue;
        int rc = source_read(&assignment->source, scope, &sourced);
        if (rc < 0)
            return err_prefix(scope->fault->err, "%s", assignment->target->name);
        rc = convert_into(&sourced, target, assignment->target, place, scope);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Nothing is read from the view, so clearing first and merging then is the same as clearing what wasn't given. */
static int effect_replace(const struct handler *handler, const struct source_scope *scope, ProtobufCMessage *target,
                          struct view_place place)
{
    for (size_t i = 0; i < handler->replaced_count; i++)
        message_clear(target, handler->replaced[i]);
    return effect_merge(handler, scope, target, place);
}

static int effect_add(const struct handler *handler, const struct source_scope *scope, ProtobufCMessage *target,
                      struct view_place place)
{
    (void)place;
    for (size_t i = 0; i < handler->assignment_count; i++) {
        const struct assignment *assignment = &handler->assignments[i];
        const struct field_type *field = assignment->target;
        struct sourced sourced;
        int rc = source_read(&assignment->source, scope, &sourced);
        if (rc < 0)
            return err_prefix(scope->fault->err, "%s", field->name);
        if (sourced.kind == SOURCED_NOTHING)
            continue;

        bool is_number = sourced.kind == SOURCED_NUMBER ||
                         (sourced.kind == SOURCED_VALUE && number_of_value(sourced.value, &sourced.number));
        if (!is_number)
            return projection_fault_set(scope->fault, PARK_BAD_VALUE, "%s: what is added isn't a number", field->name);

        /* Whole fields grow by whole numbers, in 128 bits: an unsigned field may shrink, and only the sum must fit. */
        struct number grown = {false, 0, 0};
        struct value value;
        (void)number_of_value(message_get(target, field), &grown); /* not set: 0 */
        if ((number_kind_is_whole(field->kind) && !number_make_whole(&sourced.number)) ||
            !number_add(grown, sourced.number, &grown) || !number_fit(grown, field->kind, &value))
            return projection_fault_set(scope->fault, PARK_OVERFLOW, "%s: the sum doesn't fit", field->name);
        message_set(target, field, value);
    }
    return 0;
}

/* --- REMOVE and DELETE ----------------------------------------------------------------------------------------- */

/* Whether there was one. */
static bool remove_elements(const struct picked_step *picked, ProtobufCMessage *message,
                            const struct source_scope *scope)
{
    ProtobufCMessage **items = (ProtobufCMessage **)*message_list_items(message, picked->step->field);
    size_t *count = message_list_count(message, picked->step->field);
    size_t kept = 0;

    for (size_t i = 0; i < *count; i++)
        if (!is_match(picked, items[i]))
            items[kept++] = items[i];
    *scope->work += *count;
    bool is_removed = kept < *count;
    *count = kept;
    return is_removed;
}

/* Recursion is as deep as `into` is long; REMOVE's last step is a list with brackets. Whether anything was removed: what
 * nothing was removed from isn't touched. */
static bool remove_matches(const struct picked_step *steps, size_t count, ProtobufCMessage *message,
                           struct touched *touched, const struct source_scope *scope)
{
    const struct field_type *field = steps->step->field;
    bool is_removed = false;

    if (field->presence != PRESENCE_REPEATED) {
        ProtobufCMessage *inner = message_get_message(message, field);
        if (inner != NULL)
            is_removed = remove_matches(steps + 1, count - 1, inner, touched, scope);
    } else if (count == 1) {
        is_removed = remove_elements(steps, message, scope);
    } else {
        ProtobufCMessage **items = (ProtobufCMessage **)*message_list_items(message, field);
        for (size_t i = 0; i < *message_list_count(message, field); i++)
            if (is_match(steps, items[i]))
                is_removed |= remove_matches(steps + 1, count - 1, message_unseal(items[i]), touched, scope);
    }
    if (is_removed)
        touched_add(touched, message, field);
    return is_removed;
}

static void delete_part(const struct handler *handler, ProtobufCMessage *view)
{
    const struct view *plan = handler->view;

    for (size_t i = 0; i < plan->type->field_count; i++)
        if (plan->field_streams[i] == handler->stream)
            message_clear(view, &plan->type->fields[i]);
}
