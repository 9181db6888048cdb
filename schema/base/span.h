/* schema/base/span.h - borrowed bytes.
 *
 * A span never owns what it points at: whoever hands one out says how long it lives. A span of length 0 may have any
 * address, NULL included. Spans are passed by value. */
#ifndef TARN_BASE_SPAN_H
#define TARN_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const void *at;
    size_t len;
};

/* printf("%.*s", SPAN_ARGS(span)) */
#define SPAN_ARGS(span) (int)(span).len, (const char *)((span).len ? (span).at : "")
/* A span of a string literal. */
#define SPAN_LITERAL(text) ((struct span){(text), sizeof(text) - 1})

static inline struct span span_of(const void *at, size_t len)
{
    return (struct span){at, len};
}

static inline struct span span_of_text(const char *text)
{
    return (struct span){text, strlen(text)};
}

static inline const uint8_t *span_bytes(struct span span)
{
    return span.at;
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static inline bool span_equal_text(struct span a, const char *text)
{
    return span_equal(a, span_of_text(text));
}

/* Orders as unsigned bytes, a prefix before what it begins: the order of LMDB's keys. */
static inline int span_compare(struct span a, struct span b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.at, b.at, common) : 0;
    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

static inline bool span_starts_with(struct span span, struct span prefix)
{
    return span.len >= prefix.len && (prefix.len == 0 || memcmp(span.at, prefix.at, prefix.len) == 0);
}

#endif
