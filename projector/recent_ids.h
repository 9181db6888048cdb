/* projector/recent_ids.h - the ids that stood among the last records of a partition, for one owner range. Pure.
 *
 * An id belongs to an owner: the same one of two owners is two. Offsets only grow. */
#ifndef TARN_PROJECTOR_RECENT_IDS_H
#define TARN_PROJECTOR_RECENT_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct recent_id {
    uint64_t owner_hash;
    uint64_t id_hash;
    int64_t offset;   /* -1: it has stood elsewhere since, or is forgotten */
    uint32_t content; /* the caller's */
    uint32_t older;   /* how many entries before this one its owner has another; 0: none */
};

struct recent_ids {
    struct recent_id *ring; /* as they came; entry n at n & (capacity - 1) */
    size_t capacity;        /* a power of two; 0 while there was none */
    uint64_t begin, end;    /* entry numbers */
    uint32_t *by_id;        /* places in the ring, from 1; 0: free. 2 * capacity of them */
    uint32_t *by_owner;     /* of each owner's newest entry */
    size_t count;           /* ids that are known */
};

void recent_ids_release(struct recent_ids *ids);

/* NULL: not known. Dies with the next change. */
const struct recent_id *recent_ids_find(const struct recent_ids *ids, uint64_t owner_hash, uint64_t id_hash);

/* The id stands at that offset; where it stood before is forgotten. */
void recent_ids_add(struct recent_ids *ids, uint64_t owner_hash, uint64_t id_hash, int64_t offset, uint32_t content);

/* Takes out the oldest one if it stood before that offset; false when it didn't. */
bool recent_ids_take_before(struct recent_ids *ids, int64_t offset, struct recent_id *ret_id);

/* Takes out some id of the owner; false when none is known. */
bool recent_ids_take_of_owner(struct recent_ids *ids, uint64_t owner_hash, struct recent_id *ret_id);

size_t recent_ids_bytes(const struct recent_ids *ids);

#endif
