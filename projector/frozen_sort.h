/* projector/frozen_sort.h - rows of a job in the order in which the store takes them fastest. */
#ifndef TARN_PROJECTOR_FROZEN_SORT_H
#define TARN_PROJECTOR_FROZEN_SORT_H

#include "projector/cache.h"

/* By table, then key. */
void frozen_sort(struct cache_frozen *items, size_t count);

#endif
