/* schema/base/buf.h - a growing byte buffer, owned by whoever initialized it. Not shared between threads. */
#ifndef TARN_BASE_BUF_H
#define TARN_BASE_BUF_H

#include <stdarg.h>

#include "schema/base/compiler.h"
#include "schema/base/span.h"

struct buf {
    uint8_t *at;
    size_t len;
    size_t capacity;
};

#define BUF_INIT ((struct buf){NULL, 0, 0})

void buf_release(struct buf *buf);

/* Grows so that `more` bytes fit behind len. Pointers into the buffer die with it. */
void buf_grow(struct buf *buf, size_t more);

static inline void buf_clear(struct buf *buf)
{
    buf->len = 0;
}

static inline struct span buf_span(const struct buf *buf)
{
    return (struct span){buf->at, buf->len};
}

/* Room for `more` bytes at the end; the caller writes there and adds to len what it used. */
static inline uint8_t *buf_reserve(struct buf *buf, size_t more)
{
    if (buf->capacity - buf->len < more)
        buf_grow(buf, more);
    return buf->at + buf->len;
}

static inline void buf_add(struct buf *buf, const void *at, size_t len)
{
    uint8_t *to = buf_reserve(buf, len);
    if (len)
        memcpy(to, at, len);
    buf->len += len;
}

static inline void buf_add_byte(struct buf *buf, uint8_t byte)
{
    *buf_reserve(buf, 1) = byte;
    buf->len++;
}

static inline void buf_add_span(struct buf *buf, struct span span)
{
    buf_add(buf, span.at, span.len);
}

static inline void buf_add_text(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

#define buf_add_literal(buf, text) buf_add((buf), (text), sizeof(text) - 1)

void buf_add_format(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);

/* The bytes as a NUL-terminated text that lives until the buffer changes; the NUL isn't counted. */
const char *buf_text(struct buf *buf);

#endif
