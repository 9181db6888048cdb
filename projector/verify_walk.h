/* projector/verify_walk.h - one walk over the write database's rows and one over the store: whose views may differ.
 *
 * Suspects are rows whose event would change the stored view, and stored views without a row. */
#ifndef TARN_PROJECTOR_VERIFY_WALK_H
#define TARN_PROJECTOR_VERIFY_WALK_H

#include "projector/database.h"
#include "projector/opened_store.h"
#include "projector/verify_scope.h"
#include "projector/verify_view.h"

struct suspect {
    const struct view *view;
    struct span owner; /* lives as long as the list */
};

struct suspects {
    struct suspect *items;
    size_t count, capacity;
    size_t count_max;
    bool is_cut; /* there are more: the walk was ended */
    struct arena kept;
};
void suspects_release(struct suspects *suspects);

struct verify_walk {
    const struct database *database;
    struct opened_store *opened;
    const struct verify_scope *scope;
    struct verify_view *view_check;
    size_t chunk_rows;
};

/* Adds each suspect once, by view and owner. *ret_rows: how many rows the database had. */
MUST_CHECK int verify_walk(const struct verify_walk *walk, struct suspects *suspects, int64_t *ret_rows,
                           struct err *err);

#endif
