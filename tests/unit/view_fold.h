/* tests/unit/view_fold.h - views in memory, into which a test folds events one by one. */
#ifndef TARN_TESTS_VIEW_FOLD_H
#define TARN_TESTS_VIEW_FOLD_H

#include "projector/projection.h"

struct folded_row;

struct fold {
    struct view_set *set;
    struct folded_row *rows; /* views and erasure marks */
    size_t row_count;
    struct arena arena; /* of the event that was applied last */
    struct projection_limits limits;
    enum projection_part part;
    int64_t time_ms; /* of the next record */
    int find_failure; /* what the port answers when it isn't 0 */
    size_t finds;     /* how often it was asked */
    /* what came of the last event */
    struct projection_effects effects;
    enum park_reason reason;
    struct err err;
};

/* Loads build/protos/<name>.binpb. */
void fold_open(struct fold *fold, const char *name);
void fold_close(struct fold *fold);

/* Applies an event, written as JSON with single quotes (NULL: a record with a null value), from a record with that
 * key. 0 or what projection_apply() returned. */
int fold_event(struct fold *fold, const char *owner, const char *event, const char *json);

/* Asserts what a view holds; json NULL: there is no such view. A view that its home stream hasn't made is written with
 * "unseen" in front. Key fields are separated by '/'. */
void fold_expect(struct fold *fold, const char *view, const char *key, const char *json);

size_t fold_count(const struct fold *fold); /* views */

#endif
