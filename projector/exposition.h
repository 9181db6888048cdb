/* projector/exposition.h - Prometheus' text format, read. What isn't understood is passed over: a page holds far more than
 * anybody asks of it. Pure. */
#ifndef TARN_PROJECTOR_EXPOSITION_H
#define TARN_PROJECTOR_EXPOSITION_H

#include "schema/base/span.h"

struct exposition_sample {
    struct span name;
    struct span labels; /* between the braces */
    double value;
};

/* Hands out one sample and moves *at behind its line; false when none is left. */
bool exposition_next(struct span *at, struct exposition_sample *ret_sample);

/* A label's value as it is written, escapes left in. False: the sample has no such label. */
bool exposition_label(const struct exposition_sample *sample, const char *name, struct span *ret_value);

/* "0.005", "+Inf". False: not a number. */
bool exposition_number(struct span text, double *ret_number);

#endif
