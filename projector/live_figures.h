/* projector/live_figures.h - what only the running projector knows, left for `status` in DIR/control/live: how fast it is
 * with each generation, and what keeps it from going on.
 *
 *     written_at_ms 1764000000000
 *     generation 7f3a9c-2
 *     state building
 *     events_per_s 120000
 *     ...
 *     generation 7f3a9c-1
 *     ...
 *
 * Replaced by rename about once a second; a reader ignores one that is older than LIVE_FIGURES_AGE_MS. */
#ifndef TARN_PROJECTOR_LIVE_FIGURES_H
#define TARN_PROJECTOR_LIVE_FIGURES_H

#include <stddef.h>
#include <stdint.h>

#include "schema/base/err.h"

enum { LIVE_FIGURES_AGE_MS = 5000, LIVE_GENERATIONS_MAX = 32 };

struct live_generation {
    char name[64];
    char state[16];       /* "building", "following" or "stopped" */
    int64_t events_per_s; /* records handled, over the last seconds */
    int64_t time_left_s;  /* to catch up at this rate; -1: not known, 0: caught up */
    int64_t records;      /* handled since it was opened */
    int64_t lag;          /* records; -1: not known */
    int64_t rate;         /* events/s that it is held to; 0: none */
    char problem[200];    /* "" or one sentence: what keeps it from going on */
};

struct live_figures {
    int64_t written_at_ms;
    struct live_generation generations[LIVE_GENERATIONS_MAX];
    size_t count;
};

MUST_CHECK int live_figures_write(const char *directory, const struct live_figures *figures, struct err *err);
/* ERR_ABSENT: none, or a stale one. */
MUST_CHECK int live_figures_read(const char *directory, int64_t now_ms, struct live_figures *ret_figures,
                                 struct err *err);
/* NULL: nothing is said of it. */
const struct live_generation *live_figures_find(const struct live_figures *figures, const char *name);

#endif
