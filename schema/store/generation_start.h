/* schema/store/generation_start.h - where a generation begins to read: the setting `start`.
 *
 *     beginning
 *     time 1764000000000            the first records with this time (ms since 1970) or later
 *     offsets users/0@120,users/1@7 these; other partitions from their beginning
 *
 * One that begins later than the beginning is partial: it may lack what came before. */
#ifndef TARN_STORE_GENERATION_START_H
#define TARN_STORE_GENERATION_START_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/base/err.h"

enum start_kind { START_BEGINNING, START_TIME, START_OFFSETS };

struct start_offset {
    char *topic;
    int32_t partition;
    int64_t offset;
};

struct generation_start {
    enum start_kind kind;
    int64_t time_ms;
    struct start_offset *offsets;
    size_t offset_count;
};

/* ERR_INPUT: not such a text; it says where. */
MUST_CHECK int generation_start_read(const char *text, struct generation_start *ret_start, struct err *err);
void generation_start_release(struct generation_start *start);

static inline bool generation_start_is_partial(const struct generation_start *start)
{
    return start->kind != START_BEGINNING;
}

/* -1: from its beginning. */
int64_t generation_start_offset(const struct generation_start *start, const char *topic, int32_t partition);

#endif
