/* query/read_ahead.h - reads newly opened stores into the page cache, in the background and one after the other. */
#ifndef TARN_QUERY_READ_AHEAD_H
#define TARN_QUERY_READ_AHEAD_H

#include "query/served_generation.h"

struct read_ahead;

/* bytes of each store; 0: nothing is read. Started and freed by one thread. */
struct read_ahead *read_ahead_new(uint64_t bytes);
void read_ahead_free(struct read_ahead **read_ahead); /* leaves off where it is */

/* Begins with this one, which is open, unless it has been begun with already. While another one is being read nothing
 * happens: ask again later. */
void read_ahead_start(struct read_ahead *read_ahead, struct served_generation *generation);

#endif
