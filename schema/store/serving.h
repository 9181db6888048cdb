/* schema/store/serving.h - DIR/serving: which generations are served, in which shares of the traffic.
 *
 *     tarn-serving 1
 *     7f3a9c-2 100
 *
 * For now one generation with all of it; what a later version adds (several, what was served before) this one refuses
 * by its line. Replaced by rename: a reader sees the old file or the new one. */
#ifndef TARN_STORE_SERVING_H
#define TARN_STORE_SERVING_H

#include "schema/base/err.h"

/* A generation's name: short hash of schema, settings and start, with an ordinal: "7f3a9c-2". */
enum { GENERATION_NAME_MAX = 32 };

struct serving {
    char name[GENERATION_NAME_MAX];
};

/* ERR_ABSENT: none (yet). ERR_INPUT: of another version. */
MUST_CHECK int serving_read(const char *directory, struct serving *ret_serving, struct err *err);
/* By the holder of DIR/lock. */
MUST_CHECK int serving_write(const char *directory, const struct serving *serving, struct err *err);

#endif
