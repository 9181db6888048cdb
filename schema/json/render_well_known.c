/* Timestamp, Duration, FieldMask and Any, as protobuf's JSON mapping has them. An Any is {"@type": ..., "value": the
 * bytes in base64}: its message may be of a type that isn't in the schema, and what a view shows must not depend on
 * that. */
#include <stdio.h>

#include "schema/json/json_text.h"
#include "schema/json/render_plan.h"

/* 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z, and 10,000 years. */
#define TIMESTAMP_SECONDS_MIN INT64_C(-62135596800)
#define TIMESTAMP_SECONDS_MAX INT64_C(253402300799)
#define DURATION_SECONDS_MAX INT64_C(315576000000)
enum { NANOS_MAX = 999999999 };

typedef int render_known_fn(const struct message_type *type, struct span bytes, struct buf *out, struct err *err);

static render_known_fn render_timestamp, render_duration, render_field_mask, render_any;

int render_well_known(const struct message_type *type, struct span bytes, struct buf *out, struct err *err)
{
    static render_known_fn *const renders[WELL_KNOWN_ANY + 1] = {
        [WELL_KNOWN_TIMESTAMP] = render_timestamp,
        [WELL_KNOWN_DURATION] = render_duration,
        [WELL_KNOWN_FIELD_MASK] = render_field_mask,
        [WELL_KNOWN_ANY] = render_any,
    };

    return renders[type->well_known](type, bytes, out, err);
}

/* Both have seconds = 1 and nanos = 2. */
static int read_time(const struct message_type *type, struct span bytes, int64_t *ret_seconds, int32_t *ret_nanos,
                     struct err *err)
{
    const uint8_t *at = bytes.at;
    const uint8_t *end = at + bytes.len;
    uint64_t values[3] = {0, 0, 0};

    while (at < end) {
        uint32_t number;
        enum wire_type wire;
        if (!wire_read_tag(&at, end, &number, &wire))
            return render_broken(err, type, "bytes that don't parse");
        bool is_read = wire == WIRE_VARINT && number <= 2 ? wire_read_varint(&at, end, &values[number])
                                                          : wire_skip(&at, end, number, wire, MESSAGE_DEPTH_MAX);
        if (!is_read)
            return render_broken(err, type, "bytes that don't parse");
    }
    *ret_seconds = (int64_t)values[1];
    *ret_nanos = (int32_t)(uint32_t)values[2];
    return 0;
}

static uint8_t *put_padded(uint8_t *to, unsigned value, int digits)
{
    for (int i = digits; i-- > 0; value /= 10)
        to[i] = (uint8_t)('0' + value % 10);
    return to + digits;
}

/* None, 3, 6 or 9 digits. */
static uint8_t *put_fraction(uint8_t *to, unsigned nanos)
{
    if (nanos == 0)
        return to;
    *to++ = '.';
    if (nanos % 1000000 == 0)
        return put_padded(to, nanos / 1000000, 3);
    if (nanos % 1000 == 0)
        return put_padded(to, nanos / 1000, 6);
    return put_padded(to, nanos, 9);
}

/* Days since 1970 to a date: eras of 400 years that begin on March 1st, so that the leap day comes last. */
static uint8_t *put_date(uint8_t *to, int64_t days)
{
    int64_t shifted = days + 719468; /* since 0000-03-01 */
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    unsigned day_of_era = (unsigned)(shifted - era * 146097);
    unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (5 * day_of_year + 2) / 153;
    unsigned day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    unsigned month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    unsigned year = (unsigned)(era * 400 + year_of_era) + (month <= 2 ? 1 : 0);

    to = put_padded(to, year, 4);
    *to++ = '-';
    to = put_padded(to, month, 2);
    *to++ = '-';
    return put_padded(to, day, 2);
}

static int render_timestamp(const struct message_type *type, struct span bytes, struct buf *out, struct err *err)
{
    int64_t seconds = 0;
    int32_t nanos = 0;

    int rc = read_time(type, bytes, &seconds, &nanos, err);
    if (rc < 0)
        return rc;
    if (seconds < TIMESTAMP_SECONDS_MIN || seconds > TIMESTAMP_SECONDS_MAX || nanos < 0 || nanos > NANOS_MAX)
        return err_set(err, ERR_INPUT, "%s: not a time from the year 1 to 9999", type->full_name);

    int64_t days = (seconds - TIMESTAMP_SECONDS_MIN) / 86400 + TIMESTAMP_SECONDS_MIN / 86400;
    unsigned second = (unsigned)(seconds - days * 86400);
    uint8_t *to = buf_reserve(out, 40);
    *to++ = '"';
    to = put_date(to, days);
    *to++ = 'T';
    to = put_padded(to, second / 3600, 2);
    *to++ = ':';
    to = put_padded(to, second / 60 % 60, 2);
    *to++ = ':';
    to = put_padded(to, second % 60, 2);
    to = put_fraction(to, (unsigned)nanos);
    *to++ = 'Z';
    *to++ = '"';
    out->len = (size_t)(to - out->at);
    return 0;
}

static int render_duration(const struct message_type *type, struct span bytes, struct buf *out, struct err *err)
{
    int64_t seconds = 0;
    int32_t nanos = 0;

    int rc = read_time(type, bytes, &seconds, &nanos, err);
    if (rc < 0)
        return rc;
    if (seconds < -DURATION_SECONDS_MAX || seconds > DURATION_SECONDS_MAX || nanos < -NANOS_MAX || nanos > NANOS_MAX ||
        (seconds < 0 && nanos > 0) || (seconds > 0 && nanos < 0))
        return err_set(err, ERR_INPUT, "%s: not a duration of at most 10,000 years", type->full_name);

    uint8_t *to = buf_reserve(out, 40);
    *to++ = '"';
    if (seconds < 0 || nanos < 0)
        *to++ = '-';
    to = decimal_put(to, (uint64_t)(seconds < 0 ? -seconds : seconds));
    to = put_fraction(to, (unsigned)(nanos < 0 ? -nanos : nanos));
    *to++ = 's';
    *to++ = '"';
    out->len = (size_t)(to - out->at);
    return 0;
}

/* one.two_three is one.twoThree. What has no way back, such as "a_1" or "aB", has no form in JSON. */
static bool add_camel_case(struct buf *text, struct span path)
{
    const uint8_t *at = path.at;

    for (size_t i = 0; i < path.len; i++) {
        uint8_t c = at[i];
        if (c >= 'A' && c <= 'Z')
            return false;
        if (c == '_') {
            if (++i == path.len || at[i] < 'a' || at[i] > 'z')
                return false;
            c = (uint8_t)(at[i] - 'a' + 'A');
        }
        buf_add_byte(text, c);
    }
    return true;
}

static int render_field_mask(const struct message_type *type, struct span bytes, struct buf *out, struct err *err)
{
    const uint8_t *at = bytes.at;
    const uint8_t *end = at + bytes.len;
    struct buf text = BUF_INIT;
    bool is_first = true;
    int rc = 0;

    while (at < end && rc == 0) {
        uint32_t number;
        enum wire_type wire;
        struct span path;
        if (!wire_read_tag(&at, end, &number, &wire) || number != 1 || wire != WIRE_LENGTH ||
            !wire_read_span(&at, end, &path)) {
            rc = render_broken(err, type, "bytes that don't parse");
            break;
        }
        if (!is_first)
            buf_add_byte(&text, ',');
        is_first = false;
        if (!add_camel_case(&text, path))
            rc = err_set(err, ERR_INPUT, "%s: a path without a JSON form", type->full_name);
    }
    if (rc == 0 && !json_add_string(out, buf_span(&text)))
        rc = render_broken(err, type, "a string that isn't UTF-8");
    buf_release(&text);
    return rc;
}

static int render_any(const struct message_type *type, struct span bytes, struct buf *out, struct err *err)
{
    const uint8_t *at = bytes.at;
    const uint8_t *end = at + bytes.len;
    struct span parts[3] = {{NULL, 0}, {NULL, 0}, {NULL, 0}};

    while (at < end) {
        uint32_t number;
        enum wire_type wire;
        if (!wire_read_tag(&at, end, &number, &wire) || number > 2 || wire != WIRE_LENGTH ||
            !wire_read_span(&at, end, &parts[number]))
            return render_broken(err, type, "bytes that don't parse");
    }
    if (bytes.len == 0) {
        buf_add_literal(out, "{}");
        return 0;
    }
    buf_add_literal(out, "{\"@type\":");
    if (!json_add_string(out, parts[1]))
        return render_broken(err, type, "a string that isn't UTF-8");
    buf_add_literal(out, ",\"value\":");
    json_add_base64(out, parts[2]);
    buf_add_byte(out, '}');
    return 0;
}
