#include "schema/base/buf.h"

#include <stdio.h>
#include <stdlib.h>

#include "schema/base/mem.h"

void buf_release(struct buf *buf)
{
    free(buf->at);
    *buf = BUF_INIT;
}

void buf_grow(struct buf *buf, size_t more)
{
    size_t capacity = buf->capacity ? buf->capacity : 64;

    while (capacity - buf->len < more)
        capacity *= 2;
    buf->at = mem_resize(buf->at, capacity, 1);
    buf->capacity = capacity;
}

void buf_add_format(struct buf *buf, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length <= 0)
        return;

    char *to = (char *)buf_reserve(buf, (size_t)length + 1);
    va_start(args, format);
    vsnprintf(to, (size_t)length + 1, format, args);
    va_end(args);
    buf->len += (size_t)length;
}

const char *buf_text(struct buf *buf)
{
    *buf_reserve(buf, 1) = '\0';
    return (const char *)buf->at;
}
