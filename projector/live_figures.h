/* projector/live_figures.h - what only the running projector knows, left for `status` in DIR/control/live: how fast it
 * is. Replaced by rename about once a second; a reader ignores one that is older than LIVE_FIGURES_AGE_MS. */
#ifndef TARN_PROJECTOR_LIVE_FIGURES_H
#define TARN_PROJECTOR_LIVE_FIGURES_H

#include <stdint.h>

#include "schema/base/err.h"

enum { LIVE_FIGURES_AGE_MS = 5000 };

struct live_figures {
    int64_t written_at_ms;
    int64_t events_per_s;  /* records handled, over the last seconds */
    int64_t time_left_s;   /* to catch up at this rate; -1: not known, 0: caught up */
    char generation[64];
    char problem[200];     /* "" or one sentence: what keeps it from going on */
};

MUST_CHECK int live_figures_write(const char *directory, const struct live_figures *figures, struct err *err);
/* ERR_ABSENT: none, or a stale one. */
MUST_CHECK int live_figures_read(const char *directory, int64_t now_ms, struct live_figures *ret_figures,
                                 struct err *err);

#endif
