/* schema/store/dropped.h - the parked events that somebody decided to drop: a decision that binds every generation and
 * every replay, so it stands outside the stores, in DIR/control/dropped, a line `topic/partition@offset` each.
 *
 * Append-only; a line is on the disk before the store's transaction that forgets the event. A torn last line (a crash
 * while it was written) is a decision that wasn't made: it is left out and cut off by the next append. */
#ifndef TARN_STORE_DROPPED_H
#define TARN_STORE_DROPPED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/base/err.h"
#include "schema/base/span.h"

struct dropped; /* shared by the followers of all generations: any thread may call what is below */

struct dropped_event {
    const char *topic; /* its name: numbers differ between generations */
    int32_t partition;
    int64_t offset;
};

/* Loads the file; none is an empty one. ERR_BROKEN: a line that isn't one, other than a torn last. */
MUST_CHECK int dropped_open(const char *directory, struct dropped **ret_dropped, struct err *err);
void dropped_close(struct dropped **dropped);

bool dropped_contains(struct dropped *dropped, const struct dropped_event *event);
size_t dropped_count(const struct dropped *dropped);

/* Adds decisions and returns when they are on the disk: all of them, or none as far as this process sees. Those that
 * are there already aren't written again. Only for the holder of DIR/lock. */
MUST_CHECK int dropped_add(struct dropped *dropped, const struct dropped_event *events, size_t count, struct err *err);

#endif
