#include "schema/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *or_abort(void *at, size_t size)
{
    if (at == NULL && size != 0) {
        fprintf(stderr, "out of memory: %zu bytes could not be had\n", size);
        abort();
    }
    return at;
}

void *mem_alloc(size_t size)
{
    return or_abort(malloc(size ? size : 1), size);
}

void *mem_zero(size_t count, size_t size)
{
    return or_abort(calloc(count ? count : 1, size ? size : 1), size);
}

void *mem_resize(void *at, size_t count, size_t size)
{
    size_t total;

    if (__builtin_mul_overflow(count, size, &total))
        or_abort(NULL, SIZE_MAX);
    return or_abort(realloc(at, total ? total : 1), total);
}

void *mem_copy(const void *at, size_t size)
{
    if (size == 0)
        return NULL;
    return memcpy(mem_alloc(size), at, size);
}

char *mem_text(const char *text)
{
    return mem_copy(text, strlen(text) + 1);
}

char *mem_text_of(struct span span)
{
    char *text = mem_alloc(span.len + 1);

    if (span.len)
        memcpy(text, span.at, span.len);
    text[span.len] = '\0';
    return text;
}

char *mem_format(const char *format, ...)
{
    va_list args;
    char *text = NULL;

    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    return or_abort(length < 0 ? NULL : text, 1);
}

void *mem_grow(void *at, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return at;
    *capacity = *capacity ? *capacity * 2 : 8;
    return mem_resize(at, *capacity, size);
}
