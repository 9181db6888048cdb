/* A source is a path most of the time: walk singular messages, stop where one isn't set, read the last field. The rest
 * are small functions of what a path gives: the opposite number, the day or month of a Timestamp. */
#include "projector/projection_source.h"

#include <math.h>
#include <stdio.h>

static void path_read(const struct field_path *path, const ProtobufCMessage *start, struct sourced *ret_sourced);
static void sourced_time(int64_t time_ms, struct sourced *ret_sourced);
static int sourced_date(const struct source *source, const struct source_scope *scope, struct sourced *ret_sourced);
static bool condition_holds(enum comparison comparison, const struct sourced *left, const struct sourced *right);

int source_spend(const struct source_scope *scope, uint64_t work)
{
    if (scope->work == NULL)
        return 0;
    *scope->work += work;
    if (*scope->work <= EVENT_WORK_MAX)
        return 0;
    return projection_fault_set(scope->fault, PARK_TOO_LARGE, "the event asks for too much work: too many elements");
}

int source_read(const struct source *source, const struct source_scope *scope, struct sourced *ret_sourced)
{
    const ProtobufCMessage *start = source->from_element ? scope->element : scope->event;

    switch (source->kind) {
    case SOURCE_PATH:
        path_read(&source->path, start, ret_sourced);
        return 0;
    case SOURCE_NEGATED_PATH:
        path_read(&source->path, start, ret_sourced);
        if (ret_sourced->kind == SOURCED_VALUE && number_of_value(ret_sourced->value, &ret_sourced->number)) {
            ret_sourced->kind = SOURCED_NUMBER;
            ret_sourced->number = number_negate(ret_sourced->number);
        }
        return 0;
    case SOURCE_LITERAL:
        ret_sourced->kind = SOURCED_VALUE;
        ret_sourced->value = source->literal;
        return 0;
    case SOURCE_TIME:
        sourced_time(scope->time_ms, ret_sourced);
        return 0;
    case SOURCE_DAY:
    case SOURCE_MONTH:
        return sourced_date(source, scope, ret_sourced);
    }
    return projection_fault_set(scope->fault, PARK_BAD_VALUE, "a source of an unknown kind");
}

int conditions_hold(const struct condition *conditions, size_t count, const struct source_scope *scope,
                    bool *ret_hold)
{
    for (size_t i = 0; i < count; i++) {
        const struct condition *condition = &conditions[i];
        struct sourced left;
        struct sourced right;
        const ProtobufCMessage *start = condition->left_from_element ? scope->element : scope->event;

        if (condition->is_plain && start != NULL) {
            if (condition_holds_plainly(condition, start))
                continue;
            *ret_hold = false;
            return 0;
        }
        path_read(&condition->left, start, &left);
        int rc = source_read(&condition->right, scope, &right);
        if (rc < 0)
            return rc;
        if (!condition_holds(condition->comparison, &left, &right)) {
            *ret_hold = false;
            return 0;
        }
    }
    *ret_hold = true;
    return 0;
}

/* The message that holds the last field of the path, or NULL. */
static const ProtobufCMessage *path_parent(const struct field_path *path, const ProtobufCMessage *start)
{
    if (start != NULL)
        message_unseal((ProtobufCMessage *)(uintptr_t)start);
    for (size_t i = 0; start != NULL && i + 1 < path->count; i++)
        start = message_get_message(start, path->fields[i]);
    return start;
}

struct value path_value(const struct field_path *path, const ProtobufCMessage *start)
{
    if (path->count == 1)
        return message_peek(start, path->fields[0]);
    const ProtobufCMessage *parent = path_parent(path, start);
    if (parent == NULL)
        return (struct value){.kind = VALUE_ABSENT};
    return message_get(parent, path->fields[path->count - 1]);
}

int value_compare(struct value a, struct value b)
{
    struct number left, right;

    if (a.kind == VALUE_ABSENT || b.kind == VALUE_ABSENT)
        return (a.kind != VALUE_ABSENT) - (b.kind != VALUE_ABSENT);
    if (a.kind == b.kind && (a.kind == VALUE_INT || a.kind == VALUE_ENUM))
        return (a.integer > b.integer) - (a.integer < b.integer);
    if ((a.kind == VALUE_STRING || a.kind == VALUE_BYTES) && (b.kind == VALUE_STRING || b.kind == VALUE_BYTES))
        return span_compare(a.text, b.text);
    if (number_of_value(a, &left) && number_of_value(b, &right))
        return number_compare(left, right);
    if (a.kind == VALUE_BOOL && b.kind == VALUE_BOOL)
        return (int)a.boolean - (int)b.boolean;
    if (a.kind == VALUE_ENUM && b.kind == VALUE_STRING) {
        const char *name = enum_type_name(a.enumeration, (int32_t)a.integer);
        return span_compare(name ? span_of_text(name) : span_of(NULL, 0), b.text);
    }
    if (a.kind == VALUE_STRING && b.kind == VALUE_ENUM)
        return -value_compare(b, a);
    if (a.kind == VALUE_MESSAGE && b.kind == VALUE_MESSAGE) {
        int64_t a_seconds, b_seconds;
        int32_t a_nanos, b_nanos;
        if (timestamp_read(a.message, &a_seconds, &a_nanos) && timestamp_read(b.message, &b_seconds, &b_nanos)) {
            if (a_seconds != b_seconds)
                return a_seconds < b_seconds ? -1 : 1;
            return (a_nanos > b_nanos) - (a_nanos < b_nanos);
        }
    }
    return (a.kind > b.kind) - (a.kind < b.kind);
}

bool timestamp_read(const ProtobufCMessage *message, int64_t *ret_seconds, int32_t *ret_nanos)
{
    const struct message_type *type = message_type_of(message);
    if (type->well_known != WELL_KNOWN_TIMESTAMP && type->well_known != WELL_KNOWN_DURATION)
        return false;

    /* By number, and looked at: a descriptor set may bring a file of its own under this name. */
    const struct field_type *seconds = message_type_field_number(type, 1);
    const struct field_type *nanos = message_type_field_number(type, 2);
    if (seconds == NULL || seconds->kind != KIND_INT64 || seconds->presence == PRESENCE_REPEATED || nanos == NULL ||
        nanos->kind != KIND_INT32 || nanos->presence == PRESENCE_REPEATED)
        return false;
    struct value whole = message_peek(message, seconds);
    struct value part = message_peek(message, nanos);
    *ret_seconds = whole.kind == VALUE_INT ? whole.integer : 0;
    *ret_nanos = part.kind == VALUE_INT ? (int32_t)part.integer : 0;
    return true;
}

static void path_read(const struct field_path *path, const ProtobufCMessage *start, struct sourced *ret_sourced)
{
    const ProtobufCMessage *parent = path_parent(path, start);

    ret_sourced->kind = SOURCED_NOTHING;
    if (parent == NULL)
        return;
    const struct field_type *last = path->fields[path->count - 1];
    if (last->presence == PRESENCE_REPEATED) {
        ret_sourced->kind = SOURCED_LIST;
        ret_sourced->parent = parent;
        ret_sourced->list = last;
        return;
    }
    ret_sourced->value = message_get(parent, last);
    if (ret_sourced->value.kind != VALUE_ABSENT)
        ret_sourced->kind = SOURCED_VALUE;
}

static void sourced_time(int64_t time_ms, struct sourced *ret_sourced)
{
    int64_t seconds = time_ms / 1000;
    int64_t rest = time_ms % 1000;

    if (rest < 0) { /* before 1970: nanoseconds still count forward */
        seconds--;
        rest += 1000;
    }
    ret_sourced->kind = SOURCED_TIME;
    ret_sourced->seconds = seconds;
    ret_sourced->nanos = (int32_t)(rest * 1000000);
}

/* --- day() and month() ---------------------------------------------------------------------------------------- */

struct calendar_date {
    int year;
    int month;
    int day;
};

/* Days since 1970-01-01 to a date of the proleptic Gregorian calendar: years are begun in March, so that the leap day
 * is the last one, and counted in cycles of 400 years. */
static struct calendar_date date_of_days(int64_t days)
{
    int64_t shifted = days + 719468; /* since 0000-03-01 */
    int64_t cycle = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day_of_cycle = shifted - cycle * 146097;
    int64_t year = (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36524 - day_of_cycle / 146096) / 365;
    int64_t day_of_year = day_of_cycle - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * day_of_year + 2) / 153; /* 0 is March */

    return (struct calendar_date){
        .year = (int)(year + cycle * 400 + (month >= 10)),
        .month = (int)(month < 10 ? month + 3 : month - 9),
        .day = (int)(day_of_year - (153 * month + 2) / 5 + 1),
    };
}

static int sourced_date(const struct source *source, const struct source_scope *scope, struct sourced *ret_sourced)
{
    static const int64_t first_second = -62135596800; /* 0001-01-01T00:00:00 */
    static const int64_t last_second = 253402300799;  /* 9999-12-31T23:59:59 */
    const char *function = source->kind == SOURCE_DAY ? "day" : "month";
    int64_t seconds;
    int32_t nanos;

    path_read(&source->path, source->from_element ? scope->element : scope->event, ret_sourced);
    if (ret_sourced->kind == SOURCED_NOTHING)
        return 0;
    if (ret_sourced->kind != SOURCED_VALUE || ret_sourced->value.kind != VALUE_MESSAGE ||
        !timestamp_read(ret_sourced->value.message, &seconds, &nanos))
        return projection_fault_set(scope->fault, PARK_BAD_VALUE, "%s() of what isn't a Timestamp", function);
    if (seconds < first_second || seconds > last_second || seconds + scope->utc_offset_s < first_second ||
        seconds + scope->utc_offset_s > last_second)
        return projection_fault_set(scope->fault, PARK_OVERFLOW, "%s() of a Timestamp outside of the years 1 to 9999",
                                    function);

    int64_t local = seconds + scope->utc_offset_s;
    struct calendar_date date = date_of_days((local >= 0 ? local : local - 86399) / 86400);
    char text[40];
    int len = snprintf(text, sizeof(text), "%04d-%02d-%02d", date.year, date.month, date.day);
    if (source->kind == SOURCE_MONTH)
        len -= 3;
    ret_sourced->value = (struct value){.kind = VALUE_STRING,
                                        .text = span_of(arena_copy(scope->arena, text, (size_t)len), (size_t)len)};
    return 0;
}

/* --- conditions ------------------------------------------------------------------------------------------------ */

static bool is_nan(const struct sourced *sourced)
{
    if (sourced->kind == SOURCED_NUMBER)
        return sourced->number.is_real && isnan(sourced->number.real);
    return sourced->kind == SOURCED_VALUE &&
           (sourced->value.kind == VALUE_FLOAT || sourced->value.kind == VALUE_DOUBLE) && isnan(sourced->value.number);
}

static bool sourced_number(const struct sourced *sourced, struct number *ret_number)
{
    if (sourced->kind == SOURCED_NUMBER) {
        *ret_number = sourced->number;
        return true;
    }
    return sourced->kind == SOURCED_VALUE && number_of_value(sourced->value, ret_number);
}

static bool sourced_moment(const struct sourced *sourced, int64_t *ret_seconds, int32_t *ret_nanos)
{
    if (sourced->kind == SOURCED_TIME) {
        *ret_seconds = sourced->seconds;
        *ret_nanos = sourced->nanos;
        return true;
    }
    return sourced->kind == SOURCED_VALUE && sourced->value.kind == VALUE_MESSAGE &&
           timestamp_read(sourced->value.message, ret_seconds, ret_nanos);
}

static int sourced_compare(const struct sourced *left, const struct sourced *right)
{
    struct number a, b;
    int64_t a_seconds, b_seconds;
    int32_t a_nanos, b_nanos;

    if (left->kind == SOURCED_VALUE && right->kind == SOURCED_VALUE)
        return value_compare(left->value, right->value);
    if (sourced_number(left, &a) && sourced_number(right, &b))
        return number_compare(a, b);
    if (sourced_moment(left, &a_seconds, &a_nanos) && sourced_moment(right, &b_seconds, &b_nanos)) {
        if (a_seconds != b_seconds)
            return a_seconds < b_seconds ? -1 : 1;
        return (a_nanos > b_nanos) - (a_nanos < b_nanos);
    }
    return (left->kind > right->kind) - (left->kind < right->kind);
}

static bool condition_holds(enum comparison comparison, const struct sourced *left, const struct sourced *right)
{
    if (left->kind == SOURCED_NOTHING || right->kind == SOURCED_NOTHING || is_nan(left) || is_nan(right))
        return comparison == COMPARE_NOT_EQUAL;

    return comparison_holds(comparison, sourced_compare(left, right));
}
