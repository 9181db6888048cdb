/* projector/projection_fault.h - why an event can't be applied: a word for the store, a sentence for people. */
#ifndef TARN_PROJECTOR_PROJECTION_FAULT_H
#define TARN_PROJECTOR_PROJECTION_FAULT_H

#include "schema/base/err.h"
#include "schema/store/layout.h"

struct projection_fault {
    enum park_reason reason;
    struct err *err;
};

/* Returns ERR_INPUT. The sentence names fields and types, never values: those are personal data. */
int projection_fault_set(struct projection_fault *fault, enum park_reason reason, const char *format, ...)
    PRINTF_LIKE(3, 4);

#endif
