/* projector/rebuild_watch.h - `rebuild --wait`: looks on while a generation is filled, by whichever process does it. */
#ifndef TARN_PROJECTOR_REBUILD_WATCH_H
#define TARN_PROJECTOR_REBUILD_WATCH_H

#include <stdbool.h>

#include "schema/base/err.h"

/* Returns when the generation has caught up and all of it is on the disk; prints a bar on a terminal, lines elsewhere,
 * objects with is_json. ERR_BROKEN: it is gone. */
MUST_CHECK int rebuild_watch(const char *directory, const char *name, bool is_json, struct err *err);

#endif
