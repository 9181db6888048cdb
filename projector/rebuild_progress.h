/* projector/rebuild_progress.h - how far a generation under construction is, for `rebuild --wait`: read from its store, so
 * that it doesn't matter who fills it. */
#ifndef TARN_PROJECTOR_REBUILD_PROGRESS_H
#define TARN_PROJECTOR_REBUILD_PROGRESS_H

#include "projector/positions.h"
#include "schema/base/buf.h"

enum { PROGRESS_SPEEDS = 16 };

struct rebuild_progress {
    int64_t handled;      /* records' offsets passed, over all partitions */
    int64_t total;        /* those that the logs have now; 0: not known yet */
    int64_t events_per_s; /* over the last seconds */
    int64_t time_left_s;  /* -1: not known */
    bool is_caught_up;
    /* What was handled when, oldest first: the rate is that between the two ends. */
    struct {
        int64_t at_ms, handled;
    } seen[PROGRESS_SPEEDS];
    size_t seen_count;
};

/* Looks at the positions as they are now. */
void rebuild_progress_look(struct rebuild_progress *progress, const struct positions *positions, int64_t now_ms);

/* One line for a terminal of that many columns, without a newline:
 * [#######.............]  34%  152,300 events/s  1,020,500 of 3,000,000  13 s left */
void rebuild_progress_bar(const struct rebuild_progress *progress, size_t columns, struct buf *out);

/* One line for a log: the positions too. */
void rebuild_progress_line(const struct rebuild_progress *progress, const struct positions *positions,
                           char *const *topics, struct buf *out);

#endif
