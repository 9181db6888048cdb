/* query/at_least.h - read your writes: `Tarn-At-Least: topic/partition@offset, id=…`, the positions and the events that
 * the store must have before it answers. */
#ifndef TARN_QUERY_AT_LEAST_H
#define TARN_QUERY_AT_LEAST_H

#include "query/freshness.h"

enum { AT_LEAST_WAIT_MS = 500, AT_LEAST_WAIT_MAX_MS = 60000, AT_LEAST_ITEMS_MAX = 100 };

struct at_least {
    struct at_least_item {
        uint16_t topic;
        int32_t partition;
        int64_t offset;
        bool is_id;       /* an event's id instead: of the key's owner, in any partition */
        uint64_t id_hash;
    } * items; /* in the arena */
    size_t count;
    int64_t wait_ms;
};

/* Adds the items of one list. ERR_INPUT: malformed, an unknown topic, an id where none are kept, too many. */
MUST_CHECK int at_least_add(const struct generation_settings *settings, struct span list, struct arena *arena,
                            struct at_least *at_least, struct err *err);
/* Milliseconds in decimal. ERR_INPUT. */
MUST_CHECK int at_least_parse_wait(struct span text, int64_t *ret_wait_ms, struct err *err);

/* The first item that the store doesn't have yet for an owner in that range, or NULL. ERR_INPUT: an unknown
 * partition. */
MUST_CHECK int at_least_missing(const struct at_least *at_least, struct freshness *freshness,
                                const struct key_partitions *owner, const struct generation_settings *settings,
                                const struct at_least_item **ret_missing, struct err *err);

#endif
