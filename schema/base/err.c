#include "schema/base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int kind, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    err->kind = kind;
    return kind;
}

int err_set_errno(struct err *err, int kind, int errno_value, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);

    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof(err->text) - used, ": %s", strerror(errno_value));
    err->kind = errno_value == ENOSPC || errno_value == EDQUOT || errno_value == EFBIG ? ERR_FULL : kind;
    return err->kind;
}

int err_prefix(struct err *err, const char *format, ...)
{
    char grown[sizeof(err->text)];
    va_list args;

    va_start(args, format);
    int used = vsnprintf(grown, sizeof(grown), format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof(grown)) {
        snprintf(grown + used, sizeof(grown) - (size_t)used, ": %s", err->text);
        memcpy(err->text, grown, sizeof(grown));
    }
    return err->kind;
}
