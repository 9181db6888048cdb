/* projector/foresight.h - the memory that the next records need, asked for while the ones before them are handled.
 *
 * A row of a cache of gigabytes is three misses, one behind the other: the table's slot, the row, its value. Each is
 * asked for a few records after the one that leads to it, so that all have come when the record's turn does. Nothing
 * depends on it but time. */
#ifndef TARN_PROJECTOR_FORESIGHT_H
#define TARN_PROJECTOR_FORESIGHT_H

#include "projector/cache.h"
#include "projector/intake.h"

enum { FORESIGHT_SLOT = 16, FORESIGHT_ROW = 10, FORESIGHT_VALUE = 5 }; /* records ahead */

struct routed;

/* A lane's part of a batch. */
struct foresight {
    const struct intake *intake;
    const struct cache *cache;
    const struct routed *records;
    size_t count;
};

/* Before the record of that index is handled; indexes are given one after the other. */
void foresight_look(const struct foresight *foresight, size_t index);

#endif
