/* projector/opened_store.h - a generation opened by a command: its settings, its views, its store. */
#ifndef TARN_PROJECTOR_OPENED_STORE_H
#define TARN_PROJECTOR_OPENED_STORE_H

#include "schema/store/generation.h"
#include "schema/store/store.h"
#include "schema/view/plan.h"

struct opened_store {
    struct generation *generation;
    struct view_set *views;
    struct store *store;
    struct store_reader *reader; /* has a snapshot */
};

/* name NULL: the served one. ERR_ABSENT: there is none (yet). */
MUST_CHECK int opened_store_open(const char *directory, const char *name, enum store_access access,
                                 struct opened_store *ret_opened, struct err *err);
void opened_store_close(struct opened_store *opened);

/* The position of a key's partitions as people see it: "topic/partition@offset", the last one handled, or -1. */
struct shown_position {
    uint16_t topic;
    int32_t partition;
    int64_t offset; /* -1: none yet */
};

/* For a key's range: one per topic where the partitioner is known, else all partitions. The caller frees the list. */
MUST_CHECK int opened_store_positions(const struct opened_store *opened, struct span owner,
                                      struct shown_position **ret_list, size_t *ret_count, struct err *err);

#endif
