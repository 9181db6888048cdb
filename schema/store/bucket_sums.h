/* schema/store/bucket_sums.h - what one transaction changes of the digests, gathered until it commits.
 *
 * Differences only: the rows of TABLE_BUCKETS are read and written once for each bucket that was touched, at the
 * commit, in key order. */
#ifndef TARN_STORE_BUCKET_SUMS_H
#define TARN_STORE_BUCKET_SUMS_H

#include "schema/store/layout.h"

struct view_sums;

struct bucket_sums {
    struct view_sums **views; /* by view number; NULL where nothing was touched yet */
    size_t view_count;
};

void bucket_sums_release(struct bucket_sums *sums);

/* A row of TABLE_VIEWS comes or goes. ERR_BROKEN: key or value aren't layout.h's. */
MUST_CHECK int bucket_sums_add(struct bucket_sums *sums, struct span row_key, struct span value, struct err *err);
MUST_CHECK int bucket_sums_take(struct bucket_sums *sums, struct span row_key, struct span value, struct err *err);

/* Hands out one touched bucket and forgets it, in key order; false when none is left. Start with *at = 0. */
bool bucket_sums_next(struct bucket_sums *sums, size_t *at, uint16_t *ret_view_number, unsigned *ret_bucket,
                      struct digest *ret_change);
void bucket_sums_clear(struct bucket_sums *sums);

#endif
