/* projector/intake.h - what a record is, before anybody looks into it: which event, which handlers, which bytes. Pure.
 *
 * Made once from the views and the generation's settings; immutable afterwards. */
#ifndef TARN_PROJECTOR_INTAKE_H
#define TARN_PROJECTOR_INTAKE_H

#include "projector/record_source.h"
#include "schema/store/generation.h"
#include "schema/store/layout.h"
#include "schema/view/plan.h"

/* An event on its way in: a record's, or one that was parked. All borrowed. */
struct incoming {
    struct parked_key at; /* where it stands in the log, and its unit's hash */
    bool has_key;
    bool is_null;
    bool is_news; /* what it changes is announced (announcing.h) */
    int64_t time_ms;
    struct span key;
    struct span type; /* empty: not known */
    struct span id;   /* empty: it has none, or ids don't count here */
    struct span value;
};

enum intake_verdict {
    INTAKE_EVENT,     /* plan and bytes are known */
    INTAKE_SKIP_TYPE, /* no handler names its type */
    INTAKE_SKIP_NULL, /* a null value, and no handler takes it */
    INTAKE_BAD,       /* reason, and a sentence in err; plan may be known */
};

struct intake_answer {
    enum intake_verdict verdict;
    const struct event_plan *plan; /* NULL: not known */
    struct span event;             /* the message's bytes, framing removed */
    enum park_reason reason;
};

struct intake;

/* ERR_INPUT: a stream of the schema without a topic, a topic without a stream, a topic type that isn't in the schema. */
MUST_CHECK int intake_new(const struct view_set *views, const struct generation_settings *settings,
                          struct intake **ret_intake, struct err *err);
void intake_free(struct intake **intake);

/* A record as an event on its way in, with its type and id as headers or settings have them. source NULL: without
 * headers. */
struct incoming intake_incoming(const struct intake *intake, const struct record_source *source,
                                const struct record *record, uint64_t unit_hash);

/* err is set when the verdict is INTAKE_BAD. */
struct intake_answer intake_judge(const struct intake *intake, const struct incoming *incoming, struct err *err);

enum framing intake_framing(const struct intake *intake);

/* The topic that brings a stream. */
uint16_t intake_topic_of(const struct intake *intake, const struct stream *stream);

/* The views that events of a topic feed: for events of which no more is known. */
const struct view *const *intake_topic_views(const struct intake *intake, uint16_t topic, size_t *ret_count);

#endif
