/* Quality values are kept in thousandths, as the RFC writes them: no floating point, no locale. A malformed item counts
 * as not there. For each type that is offered the most specific range that covers it decides. */
#include "query/negotiation.h"

#include <strings.h>

#include "ops/runtime/http_request.h"

const char *const representation_types[REPRESENTATION_NONE] = {
    [REPRESENTATION_JSON] = "application/json",
    [REPRESENTATION_PROTOBUF] = "application/x-protobuf",
    [REPRESENTATION_EVENT_STREAM] = "text/event-stream",
};

enum { SPECIFIC_NONE, SPECIFIC_ANY, SPECIFIC_MAIN_TYPE, SPECIFIC_TYPE };

static struct span trim(struct span span)
{
    const char *at = span.at;
    size_t begin = 0, end = span.len;

    while (begin < end && (at[begin] == ' ' || at[begin] == '\t'))
        begin++;
    while (end > begin && (at[end - 1] == ' ' || at[end - 1] == '\t'))
        end--;
    return span_of(at + begin, end - begin);
}

/* Cuts at the first separator: what stands before it is returned, *rest keeps what stands behind. */
static struct span cut(struct span *rest, char separator)
{
    const char *at = rest->at;
    const char *found = rest->len > 0 ? memchr(at, separator, rest->len) : NULL;
    size_t len = found != NULL ? (size_t)(found - at) : rest->len;
    size_t skipped = found != NULL ? len + 1 : len;

    *rest = span_of(at + skipped, rest->len - skipped);
    return trim(span_of(at, len));
}

/* "0", "1.000", "0.25" in thousandths; -1 when it isn't one. */
static int parse_quality(struct span text)
{
    const char *at = text.at;
    int quality;

    if (text.len == 0 || text.len > 5 || (at[0] != '0' && at[0] != '1') || (text.len > 1 && at[1] != '.'))
        return -1;
    quality = (at[0] - '0') * 1000;
    for (size_t i = 2, weight = 100; i < text.len; i++, weight /= 10) {
        if (at[i] < '0' || at[i] > '9')
            return -1;
        quality += (at[i] - '0') * (int)weight;
    }
    return quality <= 1000 ? quality : -1;
}

static int coverage(struct span range, const char *type)
{
    size_t main_len = (size_t)(strchr(type, '/') - type) + 1;

    if (span_equal_text(range, "*/*"))
        return SPECIFIC_ANY;
    if (range.len == main_len + 1 && span_bytes(range)[main_len] == '*' && strncasecmp(range.at, type, main_len) == 0)
        return SPECIFIC_MAIN_TYPE;
    return http_name_equal(range, type) ? SPECIFIC_TYPE : SPECIFIC_NONE;
}

enum representation negotiate(struct span accept)
{
    int quality[REPRESENTATION_NONE] = {0}, specific[REPRESENTATION_NONE] = {0};
    enum representation best = REPRESENTATION_NONE;
    struct span item;

    if (accept.len == 0 || span_equal_text(accept, "*/*") || span_equal_text(accept, "application/json"))
        return REPRESENTATION_JSON;
    if (span_equal_text(accept, "application/x-protobuf"))
        return REPRESENTATION_PROTOBUF;
    while (http_list_next(&accept, &item)) {
        struct span range = cut(&item, ';');
        int q = 1000;
        while (item.len > 0) {
            struct span value = cut(&item, ';');
            struct span name = cut(&value, '=');
            if (http_name_equal(name, "q"))
                q = parse_quality(value);
        }
        for (int i = 0; q >= 0 && i < REPRESENTATION_NONE; i++) {
            int how = coverage(range, representation_types[i]);
            if (how > specific[i] || (how == specific[i] && how != SPECIFIC_NONE && q > quality[i])) {
                specific[i] = how;
                quality[i] = q;
            }
        }
    }
    for (int i = 0; i < REPRESENTATION_NONE; i++) {
        /* Nobody who accepts anything means a stream. */
        if (i == REPRESENTATION_EVENT_STREAM && specific[i] != SPECIFIC_TYPE)
            continue;
        if (quality[i] > (best == REPRESENTATION_NONE ? 0 : quality[best]))
            best = (enum representation)i;
    }
    return best;
}

bool etag_matches(struct span if_none_match, struct span etag)
{
    struct span item;

    if (span_equal_text(if_none_match, "*"))
        return true;
    while (http_list_next(&if_none_match, &item)) {
        if (span_starts_with(item, SPAN_LITERAL("W/")))
            item = span_of(span_bytes(item) + 2, item.len - 2);
        if (span_equal(item, etag))
            return true;
    }
    return false;
}
