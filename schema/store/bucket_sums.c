/* A flat array of all buckets for each view type that was ever touched: 24 KiB each, no hashing, and in order by
 * nature. Counts and sums are differences modulo 2^64 and 2^128, so going and coming need no signs. */
#include "schema/store/bucket_sums.h"

#include <stdlib.h>

#include "schema/base/mem.h"

enum { BUCKET_COUNT = 1 << BUCKET_BITS, WORD_BITS = 64 };

struct view_sums {
    struct digest changes[BUCKET_COUNT];
    uint64_t touched[BUCKET_COUNT / WORD_BITS];
};

void bucket_sums_release(struct bucket_sums *sums)
{
    for (size_t i = 0; i < sums->view_count; i++)
        free(sums->views[i]);
    free(sums->views);
    *sums = (struct bucket_sums){NULL, 0};
}

static struct view_sums *sums_of_view(struct bucket_sums *sums, uint16_t view_number)
{
    if (view_number >= sums->view_count) {
        size_t count = (size_t)view_number + 1;
        sums->views = mem_resize(sums->views, count, sizeof(struct view_sums *));
        memset(&sums->views[sums->view_count], 0, (count - sums->view_count) * sizeof(struct view_sums *));
        sums->view_count = count;
    }
    if (sums->views[view_number] == NULL)
        sums->views[view_number] = mem_zero(1, sizeof(struct view_sums));
    return sums->views[view_number];
}

static int change_of_row(struct bucket_sums *sums, struct span row_key, struct span value, struct digest **ret_change,
                         struct hash128 *ret_hash, struct err *err)
{
    struct stored_view view = {0};
    uint64_t owner_hash;
    uint16_t view_number;
    struct span key;

    int rc = layout_parse_view_key(row_key, &owner_hash, &view_number, &key, err);
    if (rc == 0)
        rc = layout_parse_view_value(value, &view, err);
    if (rc < 0)
        return rc;

    struct view_sums *of_view = sums_of_view(sums, view_number);
    unsigned bucket = owner_bucket(owner_hash);
    of_view->touched[bucket / WORD_BITS] |= UINT64_C(1) << bucket % WORD_BITS;
    *ret_change = &of_view->changes[bucket];
    *ret_hash = layout_view_hash(row_key, view);
    return 0;
}

int bucket_sums_add(struct bucket_sums *sums, struct span row_key, struct span value, struct err *err)
{
    struct digest *change;
    struct hash128 hash;

    int rc = change_of_row(sums, row_key, value, &change, &hash, err);
    if (rc < 0)
        return rc;
    change->count++;
    change->sum = hash128_plus(change->sum, hash);
    return 0;
}

int bucket_sums_take(struct bucket_sums *sums, struct span row_key, struct span value, struct err *err)
{
    struct digest *change;
    struct hash128 hash;

    int rc = change_of_row(sums, row_key, value, &change, &hash, err);
    if (rc < 0)
        return rc;
    change->count--;
    change->sum = hash128_minus(change->sum, hash);
    return 0;
}

bool bucket_sums_next(struct bucket_sums *sums, size_t *at, uint16_t *ret_view_number, unsigned *ret_bucket,
                      struct digest *ret_change)
{
    for (; *at < sums->view_count * BUCKET_COUNT; ++*at) {
        struct view_sums *of_view = sums->views[*at / BUCKET_COUNT];
        unsigned bucket = (unsigned)(*at % BUCKET_COUNT);
        if (of_view == NULL) {
            *at += BUCKET_COUNT - 1;
            continue;
        }
        uint64_t *word = &of_view->touched[bucket / WORD_BITS];
        if (*word >> bucket % WORD_BITS == 0) {
            *at += WORD_BITS - 1 - bucket % WORD_BITS;
            continue;
        }
        if ((*word >> bucket % WORD_BITS & 1) == 0)
            continue;
        *ret_view_number = (uint16_t)(*at / BUCKET_COUNT);
        *ret_bucket = bucket;
        *ret_change = of_view->changes[bucket];
        of_view->changes[bucket] = (struct digest){0, {0, 0}};
        *word &= ~(UINT64_C(1) << bucket % WORD_BITS);
        ++*at;
        return true;
    }
    return false;
}

void bucket_sums_clear(struct bucket_sums *sums)
{
    size_t at = 0;
    uint16_t view_number;
    unsigned bucket;
    struct digest change;

    while (bucket_sums_next(sums, &at, &view_number, &bucket, &change))
        ;
}
