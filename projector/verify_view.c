/* The projection asks for views through its port, as it does in the materializer; here they come straight from a snapshot
 * of the store, erasure marks included: what is erased stays so, whatever the write database still holds. */
#include "projector/verify_view.h"

#include "schema/base/hash.h"

enum { VIEW_BYTES_MAX = 512 << 20 };

struct finding {
    struct verify_view *verify;
    uint64_t owner_hash;
};

void verify_view_release(struct verify_view *verify)
{
    arena_release(&verify->arena);
    buf_release(&verify->key);
}

/* Marks of the view's owner: the whole key, or leading fields of it. */
static int is_marked(const struct finding *finding, const struct view *view, struct span key, bool *ret_is_marked,
                     struct err *err)
{
    struct buf prefix = BUF_INIT;
    struct store_cursor *cursor = NULL;
    struct span row_key, value;
    bool is_found = false;

    layout_view_key(finding->owner_hash, view->number, span_of(NULL, 0), &prefix);
    int rc = store_cursor_open(finding->verify->reader, TABLE_MARKS, buf_span(&prefix), span_of(NULL, 0), &cursor, err);
    while (rc == 0 && !is_found && (rc = store_cursor_next(cursor, &row_key, &value, err)) == 0) {
        struct span mark = span_of(span_bytes(row_key) + prefix.len, row_key.len - prefix.len);
        is_found = span_starts_with(key, mark);
    }
    store_cursor_close(&cursor);
    buf_release(&prefix);
    if (rc < 0 && rc != ERR_ABSENT)
        return rc;
    *ret_is_marked = is_found;
    return 0;
}

static int find_view(struct verify_view *verify, uint64_t owner_hash, const struct view *view, struct span key,
                     struct stored_view *ret_view, struct err *err)
{
    struct span value;

    buf_clear(&verify->key);
    layout_view_key(owner_hash, view->number, key, &verify->key);
    int rc = store_find(verify->reader, TABLE_VIEWS, buf_span(&verify->key), &value, err);
    return rc == 0 ? layout_parse_view_value(value, ret_view, err) : rc;
}

static int port_find(void *self, const struct view *view, struct span key, struct stored_view *ret_view,
                     bool *ret_is_erased, struct err *err)
{
    struct finding *finding = self;
    struct verify_view *verify = finding->verify;

    int rc = is_marked(finding, view, key, ret_is_erased, err);
    if (rc < 0)
        return rc;
    if (verify->touched != NULL)
        verify->touched(verify->touched_self, view, key);
    return find_view(verify, finding->owner_hash, view, key, ret_view, err);
}

static const struct type_pair *pair_of(const struct verify_view *verify, const struct view *view)
{
    for (size_t i = 0; i < verify->plan->view_count; i++)
        if (verify->plan->views[i].a == view)
            return verify->plan->views[i].type;
    return NULL;
}

static int tell(struct verify_view *verify, uint64_t owner_hash, const struct view_change *change,
                verify_difference_fn *difference, void *self, struct err *err)
{
    struct stored_view stored = {false, {NULL, 0}};
    struct differing_fields fields = {0};
    ProtobufCMessage *before = NULL, *after = NULL;
    struct view_difference shown = {.view = change->view, .key = change->key};

    int rc = find_view(verify, owner_hash, change->view, change->key, &stored, err);
    if (rc < 0 && rc != ERR_ABSENT)
        return rc;
    shown.is_missing = rc == ERR_ABSENT || !stored.is_made;
    if (!shown.is_missing) {
        rc = message_decode_own(change->view->type, stored.bytes, &verify->arena, &before, err);
        if (rc == 0)
            rc = message_decode_own(change->view->type, change->after.bytes, &verify->arena, &after, err);
        if (rc == 0)
            comparison_differs(pair_of(verify, change->view), before, after, ++verify->number, &fields);
    } else {
        rc = 0;
    }
    if (rc == 0)
        difference(self, &shown, &fields);
    differing_fields_release(&fields);
    return rc;
}

int verify_view_event(struct verify_view *verify, const struct handler *handler, struct span event, struct span owner,
                      verify_difference_fn *difference, void *difference_self, struct err *err)
{
    const struct event_plan *plan = view_set_event(verify->views, span_of_text(handler->event->full_name));
    struct record_facts facts = {.owner = owner, .owner_hash = hash64(owner)};
    struct finding finding = {verify, facts.owner_hash};
    struct view_port port = {port_find, &finding};
    struct projection_limits limits = {VIEW_BYTES_MAX};
    struct projection_effects effects = {0};
    enum park_reason reason;
    ProtobufCMessage *message = NULL;

    arena_reset(&verify->arena);
    int rc = message_decode(handler->event, event, &verify->arena, &message, err);
    if (rc == 0)
        rc = projection_apply(plan, message, &facts, PROJECT_ALL_BUT_ERASURES, &limits, &port, &verify->arena, &effects,
                              &reason, err);
    for (size_t i = 0; rc == 0 && i < effects.change_count; i++)
        rc = tell(verify, facts.owner_hash, &effects.changes[i], difference, difference_self, err);
    return rc;
}
