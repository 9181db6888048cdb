/* An attempt decodes, projects and installs, in that order, so that an event which fails anywhere has changed nothing.
 * ERASE handlers run on their own when the event itself can't be applied yet: erasures are never parked and overtake what
 * waits. What they make pointless goes with them: parked events of the owner, of any topic, whose views are all erased;
 * what is left of theirs is tried again at once. */
#include "projector/applier.h"

#include <stdlib.h>

#include "projector/producer_hint.h"
#include "schema/base/mem.h"

/* An event and what the tables say about it. */
struct attempt {
    const struct incoming *incoming;
    const struct event_plan *plan;
    struct span event;
    struct applier *applier;
};

static int find_view(void *self, const struct view *view, struct span key, struct stored_view *ret_view,
                     bool *ret_is_erased, struct err *err);
static int attempt(struct attempt *event, enum projection_part part, bool is_dry_run,
                   struct projection_effects *ret_effects, enum park_reason *ret_reason, struct err *err);
static int take_new(struct applier *applier, const struct incoming *incoming, const struct intake_answer *answer,
                    enum outcome *ret_outcome, enum park_reason *ret_reason, struct err *reason_text, struct err *err);
static int overtake(struct attempt *event, enum outcome *ret_outcome, bool *ret_is_applied, struct err *err);
static int is_all_erased(struct applier *applier, const struct incoming *incoming, const struct intake_answer *answer,
                         bool *ret_is_erased, struct err *err);
static int is_pointless(struct applier *applier, const struct incoming *incoming, const struct intake_answer *answer,
                        bool *ret_is_pointless, struct err *err);
static int forget_erased(struct applier *applier, uint64_t owner_hash, struct err *err);
static int forget_ids(struct applier *applier, const struct incoming *incoming, struct err *err);
static int park(struct applier *applier, const struct incoming *incoming, enum park_reason reason,
                const struct err *reason_text, enum outcome *ret_outcome, struct err *err);

void applier_init(struct applier *applier, const struct intake *intake, struct rows *rows, struct erasures *erasures,
                  struct parked_units *parked, struct dedupe *dedupe, struct projection_limits limits)
{
    *applier = (struct applier){.intake = intake,
                                .rows = rows,
                                .erasures = erasures,
                                .parked = parked,
                                .dedupe = dedupe,
                                .limits = limits,
                                .arena = ARENA_INIT,
                                .key = BUF_INIT,
                                .value = BUF_INIT};
}

void applier_release(struct applier *applier)
{
    arena_release(&applier->arena);
    buf_release(&applier->key);
    buf_release(&applier->value);
}

/* --- records --- */

int applier_take(struct applier *applier, const struct incoming *incoming, enum outcome *ret_outcome,
                 enum park_reason *ret_reason, struct err *reason_text, struct err *err)
{
    struct intake_answer answer = intake_judge(applier->intake, incoming, reason_text);
    int rc = 0;

    if (answer.verdict == INTAKE_SKIP_TYPE || answer.verdict == INTAKE_SKIP_NULL) {
        *ret_outcome = answer.verdict == INTAKE_SKIP_TYPE ? OUTCOME_SKIPPED_TYPE : OUTCOME_SKIPPED_NULL;
        return 0;
    }
    if (incoming->has_key && erasures_know(applier->erasures, incoming->at.unit_hash)) {
        bool is_erased = false;
        rc = is_all_erased(applier, incoming, &answer, &is_erased, err);
        if (rc < 0 || is_erased) {
            *ret_outcome = OUTCOME_ERASED;
            return rc;
        }
    }
    if (!dedupe_concerns(applier->dedupe, incoming))
        return take_new(applier, incoming, &answer, ret_outcome, ret_reason, reason_text, err);

    enum dedupe_finding finding = dedupe_find(applier->dedupe, incoming);
    if (finding == DEDUPE_NEW)
        rc = take_new(applier, incoming, &answer, ret_outcome, ret_reason, reason_text, err);
    else
        *ret_outcome = finding == DEDUPE_DUPLICATE ? OUTCOME_DUPLICATE : OUTCOME_REUSED_ID;
    /* Behind all else, so that an erasure, which takes its owner's ids, leaves its own. */
    if (rc == 0 && *ret_outcome != OUTCOME_PARTITION_FULL)
        dedupe_note(applier->dedupe, incoming);
    return rc;
}

void applier_pass_dropped(struct applier *applier, const struct incoming *incoming)
{
    if (dedupe_concerns(applier->dedupe, incoming))
        dedupe_note(applier->dedupe, incoming);
}

/* One that isn't a duplicate. */
static int take_new(struct applier *applier, const struct incoming *incoming, const struct intake_answer *answer,
                    enum outcome *ret_outcome, enum park_reason *ret_reason, struct err *reason_text, struct err *err)
{
    struct attempt event = {incoming, answer->plan, answer->event, applier};
    enum projection_part part = PROJECT_ALL;
    struct projection_effects effects;
    enum outcome outcome = OUTCOME_APPLIED;
    int rc = 0;

    if (answer->verdict == INTAKE_BAD) {
        *ret_reason = answer->reason;
        return park(applier, incoming, answer->reason, reason_text, ret_outcome, err);
    }

    if (parked_find(applier->parked, incoming->at.unit_hash, incoming->at.topic) != NULL) {
        bool is_applied = false;
        if (event.plan->has_erase)
            rc = overtake(&event, &outcome, &is_applied, err);
        if (rc < 0 || (is_applied && event.plan->only_erases)) {
            *ret_outcome = outcome;
            return rc;
        }
        if (parked_find(applier->parked, incoming->at.unit_hash, incoming->at.topic) != NULL) {
            bool is_erased = false;
            if (erasures_know(applier->erasures, incoming->at.unit_hash))
                rc = is_pointless(applier, incoming, answer, &is_erased, err);
            if (rc < 0 || is_erased) {
                *ret_outcome = OUTCOME_ERASED;
                return rc;
            }
            *ret_reason = PARK_WAITING;
            return park(applier, incoming, PARK_WAITING, NULL, ret_outcome, err);
        }
        part = is_applied ? PROJECT_ALL_BUT_ERASURES : PROJECT_ALL;
    }

    rc = attempt(&event, part, false, &effects, ret_reason, reason_text);
    if (rc == ERR_INPUT) {
        bool is_applied = false;
        rc = 0;
        if (event.plan->has_erase && part == PROJECT_ALL)
            rc = overtake(&event, &outcome, &is_applied, err);
        if (rc == 0 && !(is_applied && event.plan->only_erases))
            rc = park(applier, incoming, *ret_reason, reason_text, &outcome, err);
    } else if (rc < 0) {
        *err = *reason_text;
    } else if (effects.touched_count == 0 && effects.erased_count > 0 && effects.erasure_count == 0) {
        outcome = OUTCOME_ERASED;
    }
    if (rc == 0)
        *ret_outcome = outcome;
    return rc;
}

/* Only what ERASE handlers do. An event that can't even be read erases nothing, and is parked like any other. */
static int overtake(struct attempt *event, enum outcome *ret_outcome, bool *ret_is_applied, struct err *err)
{
    struct projection_effects effects;
    enum park_reason reason;
    struct err why;

    int rc = attempt(event, PROJECT_ERASURES, false, &effects, &reason, &why);
    if (rc < 0 && rc != ERR_INPUT) {
        *err = why;
        return rc;
    }
    *ret_is_applied = rc == 0;
    *ret_outcome = OUTCOME_APPLIED;
    return 0;
}

static int park(struct applier *applier, const struct incoming *incoming, enum park_reason reason,
                const struct err *reason_text, enum outcome *ret_outcome, struct err *err)
{
    int rc = parked_put(applier->parked, incoming, reason, reason_text != NULL ? reason_text->text : "", err);

    if (rc == ERR_FULL) {
        *ret_outcome = OUTCOME_PARTITION_FULL;
        return 0;
    }
    *ret_outcome = reason == PARK_WAITING ? OUTCOME_WAITS : OUTCOME_PARKED;
    return rc;
}

/* --- one attempt --- */

static int find_view(void *self, const struct view *view, struct span key, struct stored_view *ret_view,
                     bool *ret_is_erased, struct err *err)
{
    const struct attempt *event = self;
    struct applier *applier = event->applier;
    uint64_t owner_hash = event->incoming->at.unit_hash;
    bool is_erased = false;
    struct cache_row *row;
    int rc = 0;

    if (erasures_know(applier->erasures, owner_hash))
        rc = erasures_find(applier->erasures, view, owner_hash, key, &is_erased, err);
    if (rc < 0)
        return rc;
    *ret_is_erased = is_erased;
    if (is_erased)
        return ERR_ABSENT;
    buf_clear(&applier->key);
    layout_view_key(owner_hash, view->number, key, &applier->key);
    rc = rows_find(applier->rows, TABLE_VIEWS, buf_span(&applier->key), &row, err);
    if (rc < 0)
        return rc;
    return row->value == NULL ? ERR_ABSENT : layout_parse_view_value(cache_row_value(row), ret_view, err);
}

static int install(struct attempt *event, const struct projection_effects *effects, struct err *err)
{
    struct applier *applier = event->applier;
    uint64_t owner_hash = event->incoming->at.unit_hash;

    for (size_t i = 0; i < effects->change_count; i++) {
        const struct view_change *change = &effects->changes[i];
        if (event->incoming->is_news) {
            int rc = announcing_note(applier->rows, &event->incoming->at, event->incoming->time_ms, change,
                                     &applier->arena, err);
            if (rc < 0)
                return rc;
        }
        buf_clear(&applier->key);
        layout_view_key(owner_hash, change->view->number, change->key, &applier->key);
        if (change->is_gone) {
            cache_put_absent(applier->rows->cache, TABLE_VIEWS, buf_span(&applier->key));
            continue;
        }
        buf_clear(&applier->value);
        layout_view_value(applier->key.len, change->after, &applier->value);
        cache_put(applier->rows->cache, TABLE_VIEWS, buf_span(&applier->key), buf_span(&applier->value));
    }
    if (effects->erasure_count == 0)
        return 0;

    bool is_new = false;
    applier->erasure_count++;
    int rc = erasures_apply(applier->erasures, owner_hash, event->incoming->time_ms, effects->erasures,
                            effects->erasure_count, &is_new, err);
    if (rc == 0 && is_new)
        rc = forget_erased(applier, owner_hash, err);
    return rc == 0 && is_new ? forget_ids(applier, event->incoming, err) : rc;
}

static int attempt(struct attempt *event, enum projection_part part, bool is_dry_run,
                   struct projection_effects *ret_effects, enum park_reason *ret_reason, struct err *err)
{
    struct applier *applier = event->applier;
    const struct incoming *incoming = event->incoming;
    const struct record_facts facts = {incoming->time_ms, incoming->key, incoming->at.unit_hash};
    const struct view_port port = {find_view, event};
    ProtobufCMessage *message = NULL;
    struct arena *arena = &applier->arena;

    if (!incoming->is_null && intake_topic_of(applier->intake, event->plan->stream) != incoming->at.topic) {
        *ret_reason = PARK_WRONG_TOPIC;
        return err_set(err, ERR_INPUT, "stream %s comes from another topic", event->plan->stream->name);
    }
    arena_reset(arena);
    if (!incoming->is_null && message_decode(event->plan->event, event->event, arena, &message, err) < 0) {
        *ret_reason = PARK_UNPARSEABLE;
        producer_hint_add(intake_framing(applier->intake), incoming, PARK_UNPARSEABLE, err);
        return ERR_INPUT;
    }
    int rc = projection_apply(event->plan, message, &facts, part, &applier->limits, &port, arena, ret_effects,
                              ret_reason, err);
    if (rc == ERR_INPUT)
        producer_hint_add(intake_framing(applier->intake), incoming, *ret_reason, err);
    if (rc == 0 && !is_dry_run)
        rc = install(event, ret_effects, err);
    return rc;
}

/* --- erased owners --- */

/* Whether nothing is left that the event could feed. Of an event that isn't understood only its topic is known. */
static int is_all_erased(struct applier *applier, const struct incoming *incoming, const struct intake_answer *answer,
                         bool *ret_is_erased, struct err *err)
{
    size_t count;
    const struct view *const *views = intake_topic_views(applier->intake, incoming->at.topic, &count);
    bool is_erased = true;
    int rc = 0;

    if (answer->plan != NULL)
        count = answer->plan->handler_count;
    for (size_t i = 0; rc == 0 && is_erased && i < count; i++) {
        const struct view *view = answer->plan != NULL ? answer->plan->handlers[i]->view : views[i];
        rc = erasures_find_owner(applier->erasures, view, incoming->at.unit_hash, incoming->key, &is_erased, err);
    }
    if (rc == 0)
        *ret_is_erased = is_erased && count > 0;
    return rc;
}

/* The same for an event that is parked, or is to wait: it is read when its owner isn't erased as a whole, for the views
 * with more key fields. */
static int is_pointless(struct applier *applier, const struct incoming *incoming, const struct intake_answer *answer,
                        bool *ret_is_pointless, struct err *err)
{
    struct projection_effects effects;
    enum park_reason reason;
    struct err why;
    bool is_erased = false;
    int rc = 0;

    if (incoming->has_key)
        rc = is_all_erased(applier, incoming, answer, &is_erased, err);
    if (rc == 0 && !is_erased && answer->verdict == INTAKE_EVENT) {
        struct attempt event = {incoming, answer->plan, answer->event, applier};
        rc = attempt(&event, PROJECT_ALL_BUT_ERASURES, true, &effects, &reason, &why);
        is_erased = rc == 0 && effects.touched_count == 0 && effects.erased_count > 0;
        if (rc < 0 && rc != ERR_INPUT)
            *err = why;
        rc = rc == ERR_INPUT ? 0 : rc;
    }
    if (rc == 0)
        *ret_is_pointless = is_erased;
    return rc;
}

static int is_parked_pointless(struct applier *applier, const struct parked_key *key, bool *ret_is_pointless,
                               struct err *err)
{
    struct incoming incoming;
    struct parked_event parked;
    struct err why;

    int rc = parked_read(applier->parked, key, &incoming, &parked, err);
    if (rc < 0)
        return rc;
    struct intake_answer answer = intake_judge(applier->intake, &incoming, &why);
    return is_pointless(applier, &incoming, &answer, ret_is_pointless, err);
}

/* Takes out the owner's parked events that have lost their views, then tries the others: what made one fail may have been
 * a view that is erased now, and had the erasure come first, as it may in a replay, it wouldn't have failed. A retry that
 * erases comes back here, and doesn't try once more what is being tried; it finds the unit anew after each event, so the
 * lists may change under it. */
static int forget_erased(struct applier *applier, uint64_t owner_hash, struct err *err)
{
    size_t count = 0, ignored;
    struct parked_key *keys = NULL;
    int rc = 0;

    if (applier->parked->event_count == 0)
        return 0;
    for (size_t topic = 0; topic < applier->parked->positions->topic_count; topic++) {
        const struct parked_unit *unit = parked_find(applier->parked, owner_hash, (uint16_t)topic);
        if (unit == NULL)
            continue;
        count = unit->count;
        keys = mem_resize(keys, count, sizeof(*keys));
        for (size_t i = 0; i < count; i++)
            keys[i] = parked_key_of(unit, i);
        bool is_first_gone = false;
        for (size_t i = 0; rc == 0 && i < count; i++) {
            bool is_gone = false;
            rc = is_parked_pointless(applier, &keys[i], &is_gone, err);
            if (rc == 0 && is_gone)
                parked_remove(applier->parked, &keys[i]);
            is_first_gone |= i == 0 && is_gone;
        }
        if (rc == 0 && (is_first_gone || !applier->is_retrying))
            rc = applier_retry_unit(applier, owner_hash, (uint16_t)topic, &ignored, err);
        if (rc < 0)
            break;
    }
    free(keys);
    return rc;
}

/* An owner's ids are forgotten in the topics none of whose events can feed anything of his any more: what comes of
 * those is dropped before anybody asks whether it is a duplicate. */
static int forget_ids(struct applier *applier, const struct incoming *incoming, struct err *err)
{
    const struct intake_answer not_understood = {.plan = NULL};
    int rc = 0;

    for (size_t topic = 0; rc == 0 && topic < applier->dedupe->topic_count; topic++) {
        const struct incoming any = {.at = {.unit_hash = incoming->at.unit_hash, .topic = (uint16_t)topic},
                                     .has_key = true,
                                     .key = incoming->key};
        bool is_erased = false;
        rc = is_all_erased(applier, &any, &not_understood, &is_erased, err);
        if (rc == 0 && is_erased)
            dedupe_forget_owner(applier->dedupe, incoming->at.unit_hash, (uint16_t)topic);
    }
    return rc;
}

/* --- parked events --- */

int applier_retry_unit(struct applier *applier, uint64_t unit_hash, uint16_t topic, size_t *ret_applied,
                       struct err *err)
{
    const struct parked_unit *unit;
    struct buf copy = BUF_INIT;
    size_t applied = 0;
    int rc = 0;

    while (rc == 0 && (unit = parked_find(applier->parked, unit_hash, topic)) != NULL) {
        struct parked_key key = parked_key_of(unit, 0);
        struct incoming incoming;
        struct parked_event parked;
        struct projection_effects effects;
        enum park_reason reason = PARK_UNPARSEABLE;
        struct err why = {0};

        rc = parked_read(applier->parked, &key, &incoming, &parked, err);
        if (rc < 0)
            break;
        struct intake_answer answer = intake_judge(applier->intake, &incoming, &why);
        int outcome = 0;
        if (answer.verdict == INTAKE_BAD) {
            outcome = ERR_INPUT;
            reason = answer.reason;
        } else if (answer.verdict == INTAKE_EVENT) {
            /* The row may go while the event is being applied: its bytes are copied. */
            buf_clear(&copy);
            buf_add_span(&copy, incoming.key);
            buf_add_span(&copy, answer.event);
            incoming.key = span_of(copy.at, incoming.key.len);
            struct attempt event = {&incoming, answer.plan, span_of(copy.at + incoming.key.len, answer.event.len),
                                    applier};
            const bool was_retrying = applier->is_retrying;
            applier->is_retrying = true;
            outcome = attempt(&event, PROJECT_ALL, false, &effects, &reason, &why);
            applier->is_retrying = was_retrying;
        }
        unit = parked_find(applier->parked, unit_hash, topic);
        bool is_there = unit != NULL && parked_key_of(unit, 0).offset == key.offset;
        if (outcome == 0 && is_there) {
            parked_remove(applier->parked, &key);
            applied++;
        } else if (outcome == ERR_INPUT) {
            if (is_there)
                rc = parked_read(applier->parked, &key, &incoming, &parked, err);
            if (is_there && rc == 0)
                parked_put_reason(applier->parked, &incoming, reason, why.text);
            break;
        } else if (outcome < 0) {
            *err = why;
            rc = outcome;
        }
    }
    buf_release(&copy);
    if (rc == 0)
        *ret_applied = applied;
    return rc;
}
