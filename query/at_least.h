/* query/at_least.h - read your writes: `Tarn-At-Least: topic/partition@offset, …`, the positions that the store must
 * have before it answers. */
#ifndef TARN_QUERY_AT_LEAST_H
#define TARN_QUERY_AT_LEAST_H

#include "query/freshness.h"

enum { AT_LEAST_WAIT_MS = 500, AT_LEAST_WAIT_MAX_MS = 60000, AT_LEAST_ITEMS_MAX = 100 };

struct at_least {
    struct at_least_item {
        uint16_t topic;
        int32_t partition;
        int64_t offset;
    } * items; /* in the arena */
    size_t count;
    int64_t wait_ms;
};

/* Adds the items of one list. ERR_INPUT: malformed, an unknown topic, too many: answer 400. ERR_AGAIN: an event's id,
 * which a later version knows: answer 501. */
MUST_CHECK int at_least_add(const struct generation_settings *settings, struct span list, struct arena *arena,
                            struct at_least *at_least, struct err *err);
/* Milliseconds in decimal. ERR_INPUT. */
MUST_CHECK int at_least_parse_wait(struct span text, int64_t *ret_wait_ms, struct err *err);

/* The first item that a range of the store doesn't have yet, or NULL. ERR_INPUT: an unknown partition. */
MUST_CHECK int at_least_missing(const struct at_least *at_least, struct freshness *freshness, unsigned range,
                                const struct generation_settings *settings, const struct at_least_item **ret_missing,
                                struct err *err);

#endif
