/* projector/projection_source.h - what `from`, `when` and `where` say about an event, evaluated. */
#ifndef TARN_PROJECTOR_PROJECTION_SOURCE_H
#define TARN_PROJECTOR_PROJECTION_SOURCE_H

#include "projector/projection_fault.h"
#include "projector/projection_number.h"
#include "schema/message/sealed.h"
#include "schema/view/plan.h"

/* What a source may look at. */
struct source_scope {
    const ProtobufCMessage *event;   /* NULL: a record with a null value; every path gives no value */
    const ProtobufCMessage *element; /* of `each`, or of the list that a rule looks through */
    int64_t time_ms;
    int32_t utc_offset_s;
    struct arena *arena;
    struct projection_fault *fault;
    uint64_t *work; /* spent on this event so far; NULL: nobody counts */
};

/* An event of a megabyte may hold 100,000 elements of `each`, to be looked for among as many, or each to take a copy of
 * all the rest: work and memory in the square of its size. So both are counted, in comparisons of elements; a message
 * that is copied counts for WORK_OF_MESSAGE. The limit is about a second, or 100 MB, and far from any honest event. Being a
 * count, it is the same on any machine. */
enum { EVENT_WORK_MAX = 1 << 25, WORK_OF_MESSAGE = 64, WORK_OF_ITEM = 8 };

/* ERR_INPUT: the event asks for more than EVENT_WORK_MAX. */
MUST_CHECK int source_spend(const struct source_scope *scope, uint64_t work);

enum sourced_kind {
    SOURCED_NOTHING, /* not set, or behind a message that isn't */
    SOURCED_VALUE,
    SOURCED_NUMBER,  /* a negated path: it may be too wide for a struct value */
    SOURCED_TIME,
    SOURCED_LIST,    /* a repeated field or a map */
};

struct sourced {
    enum sourced_kind kind;
    struct value value;
    struct number number;
    int64_t seconds; /* of SOURCED_TIME */
    int32_t nanos;
    const ProtobufCMessage *parent; /* of SOURCED_LIST: the message that holds it */
    const struct field_type *list;
};

/* Evaluates a source. ERR_INPUT: a day() or month() outside of the years 1 to 9999. Texts live as long as the event,
 * the plan and the arena. */
MUST_CHECK int source_read(const struct source *source, const struct source_scope *scope, struct sourced *ret_sourced);

static inline bool comparison_holds(enum comparison comparison, int order)
{
    switch (comparison) {
    case COMPARE_EQUAL:
        return order == 0;
    case COMPARE_NOT_EQUAL:
        return order != 0;
    case COMPARE_LESS:
        return order < 0;
    case COMPARE_LESS_EQUAL:
        return order <= 0;
    case COMPARE_GREATER:
        return order > 0;
    case COMPARE_GREATER_EQUAL:
        return order >= 0;
    }
    return false;
}

/* Of a condition that is_plain: no source to evaluate, and no NaN to heed. start is what its left side starts from, and
 * may be sealed. */
static inline bool condition_holds_plainly(const struct condition *condition, const ProtobufCMessage *start)
{
    union message_item room;
    const void *left = message_peek_item(start, condition->left.fields[0], &room);
    int64_t number = condition->is_plain_unsigned ? (int64_t) *(const uint32_t *)left : *(const int32_t *)left;

    return comparison_holds(condition->comparison, (number > condition->plain) - (number < condition->plain));
}

/* The value that a shortcut finds; it has bytes, and there is a value. */
static inline struct value shortcut_value(const struct shortcut *shortcut, const struct field_type *target,
                                          const ProtobufCMessage *start)
{
    const ProtobufCBinaryData *text = message_at(start, shortcut->from);

    if (target->kind == KIND_STRING)
        return (struct value){.kind = VALUE_STRING, .text = {text->data, text->len}};
    return message_get_item(target, text);
}

/* Whether all of them hold. A side that isn't set, or NaN, makes every comparison false but !=. */
MUST_CHECK int conditions_hold(const struct condition *conditions, size_t count, const struct source_scope *scope,
                               bool *ret_hold);

/* The value at the end of a path; absent when a message on the way is. The path doesn't end in a list. */
struct value path_value(const struct field_path *path, const ProtobufCMessage *start);

/* <0, 0, >0. A total order over values that `check` lets meet: absent first, then numbers by value, texts by their
 * bytes, false before true, enums by number (with a text: by name), Timestamps and Durations by time. */
int value_compare(struct value a, struct value b);

/* Seconds and nanoseconds of a Timestamp or Duration; false when the message isn't shaped like one. */
bool timestamp_read(const ProtobufCMessage *message, int64_t *ret_seconds, int32_t *ret_nanos);

#endif
