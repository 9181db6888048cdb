/* Both states are read as far as the rules look into them (sealed.h): the rest of a large view costs nothing. Whether a
 * field has another value is told by its canonical bytes, which is one way for scalars, messages, lists and maps. */
#include "projector/announcement_rule.h"

#include "projector/projection_source.h"
#include "schema/message/sealed.h"

/* What a reader sees of a view. */
struct visible {
    const ProtobufCMessage *message; /* an empty one for what nobody can see */
    bool is_there;
};

enum { FIELD_ROOM_BYTES = 64 };

static int open_visible(const struct view *view, struct stored_view stored, struct message_seals *seals,
                        struct visible *ret_visible, struct err *err)
{
    ProtobufCMessage *message = NULL;

    if (!stored.is_made) {
        *ret_visible = (struct visible){message_new(view->type, seals->arena), false};
        return 0;
    }
    int rc = message_decode_sealed(view->type, stored.bytes, seals, &message, err);
    if (rc == 0)
        *ret_visible = (struct visible){message, true};
    return rc;
}

/* Without conditions, they always hold. */
static bool hold(const struct announcement *announcement, const struct visible *state, struct arena *arena)
{
    struct err ignored;
    struct projection_fault fault = {.err = &ignored};
    const struct source_scope scope = {.event = state->message, .arena = arena, .fault = &fault};
    bool is_held = false;

    if (announcement->when_count == 0)
        return true;
    return state->is_there && conditions_hold(announcement->when, announcement->when_count, &scope, &is_held) == 0 &&
           is_held;
}

/* Empty when the field isn't set, or a message on the way isn't. */
static struct span field_bytes(const struct field_path *path, const ProtobufCMessage *start, struct arena *arena)
{
    const ProtobufCMessage *parent = start;

    for (size_t i = 0; parent != NULL && i + 1 < path->count; i++)
        parent = message_get_message(parent, path->fields[i]);
    if (parent == NULL)
        return (struct span){NULL, 0};
    const struct field_type *field = path->fields[path->count - 1];
    ProtobufCMessage *alone = message_new(message_type_of(parent), arena);
    if (field->presence == PRESENCE_REPEATED) {
        *message_list_count(alone, field) = *message_list_count(parent, field);
        *message_list_items(alone, field) = *message_list_items(parent, field);
    } else {
        message_set(alone, field, message_get(parent, field));
    }
    return message_encode_in(alone, FIELD_ROOM_BYTES, arena);
}

static bool has_changed(const struct announcement *announcement, const struct visible *before,
                        const struct visible *after, struct arena *arena)
{
    for (size_t i = 0; i < announcement->changed_count; i++) {
        const struct field_path *path = &announcement->changed[i];
        if (!span_equal(field_bytes(path, before->message, arena), field_bytes(path, after->message, arena)))
            return true;
    }
    return false;
}

int announcement_rule_apply(const struct view *view, struct stored_view before, struct stored_view after,
                            struct arena *arena, bool *ret_is_made, struct err *err)
{
    struct message_seals seals = {.arena = arena};
    struct visible was = {NULL, false}, is = {NULL, false};

    for (size_t i = 0; i < view->announcement_count; i++)
        ret_is_made[i] = false;
    if (!after.is_made)
        return 0;
    int rc = open_visible(view, before, &seals, &was, err);
    if (rc == 0)
        rc = open_visible(view, after, &seals, &is, err);
    for (size_t i = 0; rc == 0 && i < view->announcement_count; i++) {
        const struct announcement *announcement = &view->announcements[i];
        ret_is_made[i] = hold(announcement, &is, arena) &&
                         (has_changed(announcement, &was, &is, arena) || !hold(announcement, &was, arena));
    }
    if (rc == 0 && seals.is_broken)
        rc = err_set(err, ERR_BROKEN, "a stored view of %s doesn't parse", view->name);
    return rc;
}
