/* projector/progress.h - how fast records are handled and how long catching up takes; the line that people watch.
 * Pure. */
#ifndef TARN_PROJECTOR_PROGRESS_H
#define TARN_PROJECTOR_PROGRESS_H

#include <stdint.h>

#include "schema/base/buf.h"

enum { PROGRESS_SAMPLES = 24, PROGRESS_EVERY_US = 250 * 1000 };

struct progress_sample {
    int64_t at_us;
    int64_t handled;
};

struct progress {
    struct progress_sample samples[PROGRESS_SAMPLES]; /* a ring: the last 6 s */
    unsigned next;
    unsigned count;
    int64_t handled;
    int64_t lag; /* -1: not known */
};

/* Call as often as one likes: a sample is kept every PROGRESS_EVERY_US. */
void progress_note(struct progress *progress, int64_t now_us, int64_t handled, int64_t lag);

int64_t progress_rate(const struct progress *progress);        /* records a second; 0 before there is one */
int64_t progress_time_left_s(const struct progress *progress); /* -1: can't be told; 0: caught up */

/* "catching up: 1,234,567 records behind, 151,000/s, 8 s left" */
void progress_line(const struct progress *progress, struct buf *line);

/* 1234567 as "1,234,567". */
void progress_number(int64_t number, struct buf *text);

#endif
