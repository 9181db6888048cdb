/* schema/store/building.h - what a generation's folder says about its making, beside what shapes its results.
 *
 *     made_by    the id of the request that it was made for; stays, so that a request carried out again finds it
 *     building   is there until the generation was caught up for the first time and is whole on the disk
 *
 *     rate 5000           events/s at most; 0: as fast as the others bear
 *     beside 7f3a9c-1     the generation that was served when it was made
 *     syncs               it was copied from another, and every commit is synced from the first one on */
#ifndef TARN_STORE_BUILDING_H
#define TARN_STORE_BUILDING_H

#include <stdbool.h>

#include "schema/store/serving.h"

enum { MADE_BY_SIZE = 64 };

struct building {
    int64_t rate;
    char beside[GENERATION_NAME_MAX]; /* "": nothing was served */
    bool syncs;
};

/* folder: the generation's. ERR_ABSENT: it isn't under construction. */
MUST_CHECK int building_read(const char *folder, struct building *ret_building, struct err *err);
MUST_CHECK int building_write(const char *folder, const struct building *building, struct err *err);
MUST_CHECK int building_end(const char *folder, struct err *err);
bool building_is_there(const char *folder);

MUST_CHECK int made_by_write(const char *folder, const char *id, struct err *err);
/* "" when the folder doesn't say. */
void made_by_read(const char *folder, char ret_id[MADE_BY_SIZE]);

#endif
