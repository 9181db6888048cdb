/* The reason and the sentence are set together, so that no fault leaves here with one of them missing. */
#include "projector/projection_fault.h"

#include <stdio.h>

int projection_fault_set(struct projection_fault *fault, enum park_reason reason, const char *format, ...)
{
    char text[sizeof(fault->err->text)];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fault->reason = reason;
    return err_set(fault->err, ERR_INPUT, "%s", text);
}
