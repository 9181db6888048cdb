/* Texts are put together in a local array first: an argument may be the text that is being replaced. */
#include "schema/base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Appends as much of `more` as fits. */
static void append(char *text, size_t size, const char *more)
{
    size_t used = strlen(text);
    size_t length = strlen(more);

    if (length > size - 1 - used)
        length = size - 1 - used;
    memcpy(text + used, more, length);
    text[used + length] = '\0';
}

int err_set(struct err *err, int kind, const char *format, ...)
{
    char text[sizeof(err->text)];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    memcpy(err->text, text, sizeof(text));
    err->kind = kind;
    return kind;
}

int err_set_errno(struct err *err, int kind, int errno_value, const char *format, ...)
{
    char text[sizeof(err->text)];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    append(text, sizeof(text), ": ");
    append(text, sizeof(text), strerror(errno_value));
    memcpy(err->text, text, sizeof(text));
    err->kind = errno_value == ENOSPC || errno_value == EDQUOT || errno_value == EFBIG ? ERR_FULL : kind;
    return err->kind;
}

int err_prefix(struct err *err, const char *format, ...)
{
    char text[sizeof(err->text)];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    append(text, sizeof(text), ": ");
    append(text, sizeof(text), err->text);
    memcpy(err->text, text, sizeof(text));
    return err->kind;
}
