/* An event is applied to working copies: each view that a handler asks for is looked up and decoded once, changed by
 * the handlers in the order written, and brought back under its rules after each of them. Only when all has gone well
 * are the copies encoded and compared with what was there; a fault anywhere leaves no trace, which is how an event is
 * applied to all its views or to none. Erasures come first, whatever their place: they are final, so that what else the
 * event would do to a view that it erases is of no account, mistakes included. */
#include "projector/projection.h"

#include <assert.h>

#include "projector/projection_convert.h"
#include "projector/projection_effect.h"
#include "projector/projection_fault.h"
#include "projector/projection_rules.h"
#include "projector/projection_source.h"
#include "projector/working_set.h"
#include "schema/message/sealed.h"
#include "schema/view/key.h"

/* A whole key and one more field, each byte of which may be escaped, before it is found to be too long. */
enum { KEY_ROOM_BYTES = KEY_BYTES_MAX + 2 * KEY_BYTES_MAX + 2 };

/* Handlers that run oftener than this on an event's elements may make a view that is far larger than the event. */
enum { RUNS_BEFORE_MEASURING = 64 };

/* What an event mostly adds to a view at most. */
enum { GROWTH_BYTES = 1024 };

struct projection {
    const struct event_plan *plan;
    const struct record_facts *facts;
    const struct projection_limits *limits;
    const struct view_port *port;
    struct arena *arena;
    struct source_scope scope;
    struct projection_fault fault;
    struct working_set views;
    struct message_seals seals;
    struct working_view *touched; /* by the handler that is running: their rules are due */
    struct view_erasure *erasures;
    size_t erasure_count;
    size_t erasure_capacity;
    size_t erased_count;
    uint64_t work;
    size_t run_count; /* handlers run, elements counted */
};

static int run_handlers(struct projection *run, bool is_erase);
static int gather(struct projection *run, struct projection_effects *ret_effects);

int projection_apply(const struct event_plan *plan, const ProtobufCMessage *event, const struct record_facts *facts,
                     enum projection_part part, const struct projection_limits *limits, const struct view_port *views,
                     struct arena *arena, struct projection_effects *ret_effects, enum park_reason *ret_reason,
                     struct err *err)
{
    struct projection run = {
        .plan = plan,
        .facts = facts,
        .limits = limits,
        .port = views,
        .arena = arena,
        .fault = {.err = err},
        .seals = {.arena = arena},
    };
    run.scope = (struct source_scope){
        .event = event,
        .time_ms = facts->time_ms,
        .arena = arena,
        .fault = &run.fault,
        .work = &run.work,
    };
    working_set_init(&run.views, arena);

    int rc = 0;
    if (part != PROJECT_ALL_BUT_ERASURES && plan->has_erase)
        rc = run_handlers(&run, true);
    if (rc == 0 && part != PROJECT_ERASURES && !plan->only_erases)
        rc = run_handlers(&run, false);
    if (run.seals.is_broken)
        return err_set(err, ERR_BROKEN, "a stored view that %s changes doesn't parse", plan->event->full_name);
    if (rc == 0)
        rc = gather(&run, ret_effects);
    if (rc == ERR_INPUT)
        *ret_reason = run.fault.reason;
    return rc;
}

/* --- handlers -------------------------------------------------------------------------------------------------- */

static int run_handler(struct projection *run, const struct handler *handler);
static int run_on(struct projection *run, const struct handler *handler, struct working_view **shared);
static int run_erase(struct projection *run, const struct handler *handler);
static int find_view(struct projection *run, const struct handler *handler, struct working_view **ret_view);
static int resolve_key(struct projection *run, const struct handler *handler, struct value *values,
                       struct span *ret_key);

static int run_handlers(struct projection *run, bool is_erase)
{
    for (size_t i = 0; i < run->plan->handler_count; i++) {
        const struct handler *handler = run->plan->handlers[i];
        if ((handler->effect == EFFECT_ERASE) != is_erase || (run->scope.event == NULL && !handler->is_tombstone))
            continue;
        run->scope.utc_offset_s = handler->view->utc_offset_s;
        int rc = run_handler(run, handler);
        if (rc < 0) {
            err_prefix(run->fault.err, "%s.on[%zu] (%s)", handler->view->type->name, handler->ordinal,
                       handler->event->full_name);
            return rc;
        }
    }
    return 0;
}

/* True when all elements of `each` go to one view. */
static bool has_one_key(const struct handler *handler)
{
    for (size_t i = 0; i < handler->key_count; i++)
        if (handler->keys[i].source.from_element)
            return false;
    return true;
}

static int run_handler(struct projection *run, const struct handler *handler)
{
    int rc = 0;

    run->touched = NULL;
    run->scope.element = NULL;
    if (handler->each == NULL) {
        struct working_view *view = NULL;
        rc = run_on(run, handler, &view);
    } else if (run->scope.event != NULL) {
        ProtobufCMessage **elements = (ProtobufCMessage **)*message_list_items(run->scope.event, handler->each);
        size_t count = *message_list_count(run->scope.event, handler->each);
        bool is_shared = has_one_key(handler);
        struct working_view *view = NULL;
        for (size_t i = 0; i < count && rc == 0; i++) {
            run->scope.element = elements[i];
            if (!is_shared)
                view = NULL;
            rc = run_on(run, handler, &view);
        }
        run->scope.element = NULL;
    }

    for (struct working_view *view = run->touched; view != NULL && rc == 0; view = view->next_touched) {
        view->is_touched = false;
        rc = rules_apply(view->view->rules, view->message, &view->touched, &run->scope);
        touched_clear(&view->touched);
    }
    return rc;
}

/* Runs a handler on the event, or on one element. *shared: the view, when it is known already; else it is found, but
 * not before the conditions hold: what does nothing asks for no key. */
static int run_on(struct projection *run, const struct handler *handler, struct working_view **shared)
{
    bool hold;
    int rc = conditions_hold(handler->when, handler->when_count, &run->scope, &hold);
    if (rc < 0 || !hold)
        return rc;
    if (handler->effect == EFFECT_ERASE)
        return run_erase(run, handler);
    if (*shared == NULL) {
        rc = find_view(run, handler, shared);
        if (rc < 0)
            return rc;
    }

    struct working_view *view = *shared;
    if (view->is_erased)
        return 0;
    if (!view->is_touched) {
        view->is_touched = true;
        view->next_touched = run->touched;
        run->touched = view;
    }
    run->run_count++;
    bool has_changed = false;
    rc = effect_apply(handler, &run->scope, view->message, &view->touched, &has_changed);
    view->has_changed |= has_changed;
    if (rc == 0 && handler->is_home && (effect_makes_view(handler->effect) || handler->effect == EFFECT_DELETE))
        view->is_made = handler->effect != EFFECT_DELETE;
    return rc;
}

static int run_erase(struct projection *run, const struct handler *handler)
{
    struct value *values = arena_alloc(run->arena, handler->view->key_count * sizeof(*values));
    struct span key;
    int rc = resolve_key(run, handler, values, &key);
    if (rc < 0)
        return rc;

    if (run->erasure_count == run->erasure_capacity) {
        size_t capacity = run->erasure_capacity ? run->erasure_capacity * 2 : 4;
        struct view_erasure *grown = arena_alloc(run->arena, capacity * sizeof(*grown));
        if (run->erasure_count > 0)
            memcpy(grown, run->erasures, run->erasure_count * sizeof(*grown));
        run->erasures = grown;
        run->erasure_capacity = capacity;
    }
    run->erasures[run->erasure_count++] = (struct view_erasure){
        .view = handler->view,
        .key_prefix = key,
        .is_whole_key = (run->scope.event ? handler->key_count : 1) == handler->view->key_count,
    };
    return 0;
}

/* --- views ----------------------------------------------------------------------------------------------------- */

static int open_view(struct projection *run, const struct view *view, const struct value *values, struct span key,
                     struct working_view **ret_view);
static int forgive_erased(struct projection *run, const struct view *view, struct span prefix,
                          struct working_view **ret_view);

static bool is_erased_here(const struct projection *run, const struct view *view, struct span key)
{
    for (size_t i = 0; i < run->erasure_count; i++)
        if (run->erasures[i].view == view && span_starts_with(key, run->erasures[i].key_prefix))
            return true;
    return false;
}

static int find_view(struct projection *run, const struct handler *handler, struct working_view **ret_view)
{
    struct value *values = arena_alloc(run->arena, handler->view->key_count * sizeof(*values));
    struct span key = {NULL, 0};
    int rc = resolve_key(run, handler, values, &key);
    if (rc == ERR_INPUT && key.len > 0)
        return forgive_erased(run, handler->view, key, ret_view);
    if (rc < 0)
        return rc;

    *ret_view = working_set_find(&run->views, handler->view, key);
    return *ret_view != NULL ? 0 : open_view(run, handler->view, values, key, ret_view);
}

/* Later records for an erased key are dropped, bad ones too: one whose key isn't whole is for an erased view when the
 * fields that it does give are an erased prefix. */
static int forgive_erased(struct projection *run, const struct view *view, struct span prefix,
                          struct working_view **ret_view)
{
    struct err ignored;
    struct stored_view stored;
    bool is_erased = is_erased_here(run, view, prefix);

    if (!is_erased) {
        int rc = run->port->find(run->port->self, view, prefix, &stored, &is_erased, &ignored);
        if (rc < 0 && rc != ERR_ABSENT) {
            *run->fault.err = ignored;
            return rc;
        }
        if (!is_erased)
            return ERR_INPUT;
        run->erased_count++;
    }
    *ret_view = working_set_add(&run->views, view, prefix);
    (*ret_view)->is_erased = true;
    return 0;
}

static int open_view(struct projection *run, const struct view *view, const struct value *values, struct span key,
                     struct working_view **ret_view)
{
    struct stored_view stored = {false, {NULL, 0}};
    bool is_erased = false;
    ProtobufCMessage *message = NULL;

    int rc = run->port->find(run->port->self, view, key, &stored, &is_erased, run->fault.err);
    if (rc < 0 && rc != ERR_ABSENT)
        return rc;
    bool is_there = rc == 0 && !is_erased;
    if (is_there) {
        rc = message_decode_sealed(view->type, stored.bytes, &run->seals, &message, run->fault.err);
        if (rc < 0)
            return rc;
    } else if (!is_erased) {
        message = message_new(view->type, run->arena);
        for (size_t i = 0; i < view->key_count; i++)
            message_set(message, view->keys[i], values[i]);
    }

    run->erased_count += is_erased;
    struct working_view *opened = working_set_add(&run->views, view, key);
    opened->message = message;
    opened->before = stored;
    opened->was_there = is_there;
    opened->is_made = is_there && stored.is_made;
    opened->touched.is_everything = !is_there;
    opened->is_erased = is_erased || is_erased_here(run, view, key);
    *ret_view = opened;
    return 0;
}

/* The value of one key field; of a record with a null value only the owner is known. */
static int key_value(struct projection *run, const struct handler *handler, size_t index, struct value *ret_value)
{
    const struct field_type *field = handler->view->keys[index];

    if (run->scope.event == NULL) {
        int rc = key_parse_owner(field, run->facts->owner, ret_value, run->fault.err);
        if (rc == ERR_INPUT)
            run->fault.reason = run->facts->owner.len == 0 ? PARK_NO_KEY : PARK_FOREIGN_KEY;
        return rc;
    }

    const struct assignment *key = &handler->keys[index];
    const ProtobufCMessage *start = key->source.from_element ? run->scope.element : run->scope.event;
    if (key->shortcut.bytes != 0 && !key->shortcut.is_asked && start != NULL) {
        *ret_value = shortcut_value(&key->shortcut, field, start);
        return 0;
    }

    struct sourced sourced;
    int rc = source_read(&key->source, &run->scope, &sourced);
    if (rc == 0)
        rc = convert_sourced(&sourced, field, (struct view_place){1, NULL}, &run->scope, ret_value);
    if (rc == 0 && ret_value->kind == VALUE_ABSENT)
        return projection_fault_set(&run->fault, PARK_NO_KEY, "%s: the event gives no value for this key field",
                                    field->name);
    return rc;
}

/* An owner is in the record's key as it is in the event, or the record went to somebody else's partition. */
static int check_owner(struct projection *run, const struct handler *handler, struct value owner)
{
    const struct field_type *field = handler->view->keys[0];
    bool is_equal;

    if (owner.kind == VALUE_STRING || owner.kind == VALUE_BYTES) {
        is_equal = span_equal(owner.text, run->facts->owner);
    } else {
        struct value parsed;
        struct err ignored;
        is_equal = key_parse_owner(field, run->facts->owner, &parsed, &ignored) == 0 &&
                   value_compare(owner, parsed) == 0;
    }
    if (is_equal)
        return 0;
    return projection_fault_set(&run->fault, PARK_FOREIGN_KEY, "%s: the event has another one than the record's key",
                                field->name);
}

static int encode_key_field(struct projection *run, const struct field_type *field, struct value value,
                            struct buf *key)
{
    bool is_empty = (value.kind == VALUE_STRING || value.kind == VALUE_BYTES) && value.text.len == 0;

    int rc = key_encode_value(field, value, key, run->fault.err);
    if (rc == ERR_INPUT)
        run->fault.reason = is_empty ? PARK_NO_KEY : PARK_BAD_VALUE;
    return rc;
}

/* Evaluates, checks and encodes the key fields that the handler gives: all of the view's, or leading ones (ERASE).
 * When one behind the owner fails, *ret_key holds those before it. */
static int resolve_key(struct projection *run, const struct handler *handler, struct value *values,
                       struct span *ret_key)
{
    const struct view *view = handler->view;
    size_t count = run->scope.event ? handler->key_count : 1;
    uint8_t room[KEY_ROOM_BYTES];
    struct buf key = {room, 0, sizeof(room)}; /* never grows */
    int rc = 0;

    size_t whole = 0; /* length of the fields that are known to be good */
    for (size_t i = 0; i < count && rc == 0; i++) {
        whole = key.len;
        rc = key_value(run, handler, i, &values[i]);
        if (rc == 0)
            rc = encode_key_field(run, view->keys[i], values[i], &key);
        if (rc == 0 && i == 0 && run->scope.event != NULL)
            rc = check_owner(run, handler, values[0]);
    }
    if (rc == 0 && count < view->key_count && handler->effect != EFFECT_ERASE)
        rc = projection_fault_set(&run->fault, PARK_NO_KEY, "the record's key is not the whole key of the view");
    if (rc == 0)
        whole = key.len;
    if (whole > 0)
        *ret_key = span_of(arena_copy(run->arena, key.at, whole), whole);
    assert(key.at == room);
    return rc;
}

/* --- effects --------------------------------------------------------------------------------------------------- */

/* Whether anything is left beside the key and what rules derive: unwritten and derived fields have no stream. */
static bool holds_anything(const struct working_view *view)
{
    const struct message_type *type = view->view->type;

    for (size_t i = 0; i < type->field_count; i++)
        if (view->view->field_streams[i] != NULL && message_has(view->message, &type->fields[i]))
            return true;
    return false;
}

/* The limit is on what one stream brought, so that no stream can make another's events fail. The plan of a null value
 * may be put together from several events, and has neither a stream nor an event then. */
static int check_size(struct projection *run, const struct working_view *view, size_t size)
{
    const struct message_type *type = view->view->type;
    uint64_t part = 0;

    if (size <= run->limits->max_view_bytes || run->scope.event == NULL) /* a null value adds nothing */
        return 0;
    for (size_t i = 0; i < type->field_count; i++)
        if (view->view->field_streams[i] == run->plan->stream)
            part += message_field_encoded_size(view->message, &type->fields[i]);
    if (part <= run->limits->max_view_bytes)
        return 0;
    projection_fault_set(&run->fault, PARK_TOO_LARGE, "the part of stream %s would have more than %llu bytes",
                         run->plan->stream->name, (unsigned long long)run->limits->max_view_bytes);
    return err_prefix(run->fault.err, "%s (%s)", type->name, run->plan->event->full_name);
}

static int gather_view(struct projection *run, const struct working_view *view, struct projection_effects *effects)
{
    bool is_gone = !view->is_made && !holds_anything(view);

    effects->touched_count++;
    if (view->was_there && !view->has_changed && view->is_made == view->before.is_made)
        return 0;
    if (is_gone) {
        if (view->was_there)
            effects->changes[effects->change_count++] =
                (struct view_change){.view = view->view, .key = view->key, .is_gone = true};
        return 0;
    }
    /* Texts are shared until here: one that `each` has put into every element is written as often now. */
    if (run->run_count > RUNS_BEFORE_MEASURING) {
        int rc = check_size(run, view, message_encoded_size(view->message));
        if (rc < 0)
            return rc;
    }
    struct span bytes = message_encode_in(view->message, view->before.bytes.len + GROWTH_BYTES, run->arena);
    if (view->was_there && view->is_made == view->before.is_made && span_equal(bytes, view->before.bytes))
        return 0;
    int rc = check_size(run, view, bytes.len);
    if (rc < 0)
        return rc;
    effects->changes[effects->change_count++] = (struct view_change){
        .view = view->view,
        .key = view->key,
        .after = {view->is_made, bytes},
    };
    return 0;
}

static int gather(struct projection *run, struct projection_effects *ret_effects)
{
    struct projection_effects effects = {
        .erasures = run->erasures,
        .erasure_count = run->erasure_count,
        .erased_count = run->erased_count,
    };
    int rc = 0;

    effects.changes = arena_alloc(run->arena, run->views.count * sizeof(*effects.changes));
    for (const struct working_view *view = run->views.first; view != NULL && rc == 0; view = view->next)
        if (!view->is_erased)
            rc = gather_view(run, view, &effects);
    if (rc == 0)
        *ret_effects = effects;
    return rc;
}
