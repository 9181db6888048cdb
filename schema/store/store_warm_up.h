/* schema/store/store_warm_up.h - reads a store into the page cache, in order, on a thread of its own. LMDB is told to read no
 * more than it is asked for, so a cold store is read a page at a time, in no order: a catch-up over a million views that
 * the kernel had dropped took 38 s instead of 8 (ops/docs/decisions/read-ahead.md). */
#ifndef TARN_STORE_STORE_WARM_UP_H
#define TARN_STORE_STORE_WARM_UP_H

#include "schema/store/store.h"

struct warm_up;

/* Begins with the first max_bytes of the data file. The store is borrowed, and may be in use. NULL when there is nothing
 * to be read, or no thread to be had: the store is slower at first, and nothing else. */
struct warm_up *warm_up_start(const struct store *store, uint64_t max_bytes);

bool warm_up_is_done(const struct warm_up *warm_up);

/* Leaves off where it is, done or not, within a piece of 128 KiB. NULL is fine. */
void warm_up_end(struct warm_up **warm_up);

#endif
