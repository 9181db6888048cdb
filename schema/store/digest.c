/* Adding up a view's buckets reads one short stretch of TABLE_BUCKETS. The check goes the long way round, and so needs
 * nothing of what it checks but the rows themselves. */
#include "schema/store/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "schema/store/bucket_sums.h"

struct digest digest_plus(struct digest a, struct digest b)
{
    return (struct digest){a.count + b.count, hash128_plus(a.sum, b.sum)};
}

bool digest_equal(struct digest a, struct digest b)
{
    return a.count == b.count && a.sum.low == b.sum.low && a.sum.high == b.sum.high;
}

int digest_of_view(struct store_reader *reader, uint16_t view_number, struct digest *ret_digest, struct err *err)
{
    struct digest total = {0, {0, 0}};
    struct store_cursor *cursor = NULL;
    struct span key, value;
    const uint8_t prefix[2] = {(uint8_t)(view_number >> 8), (uint8_t)view_number};

    int rc = store_cursor_open(reader, TABLE_BUCKETS, span_of(prefix, sizeof(prefix)), span_of(NULL, 0), &cursor, err);
    if (rc < 0)
        return rc;
    while ((rc = store_cursor_next(cursor, &key, &value, err)) == 0) {
        struct digest bucket;
        rc = layout_parse_digest(value, &bucket, err);
        if (rc < 0)
            break;
        total = digest_plus(total, bucket);
    }
    store_cursor_close(&cursor);
    if (rc != ERR_ABSENT)
        return rc;
    *ret_digest = total;
    return 0;
}

void digest_hex(const struct digest *digest, char ret_text[DIGEST_HEX_SIZE])
{
    snprintf(ret_text, DIGEST_HEX_SIZE, "%016" PRIx64 "%016" PRIx64, digest->sum.high, digest->sum.low);
}

void digest_line(const char *view_name, const struct digest *digest, struct buf *out)
{
    char hex[DIGEST_HEX_SIZE];

    digest_hex(digest, hex);
    buf_add_format(out, "%s  %" PRIu64 "  %s\n", view_name, digest->count, hex);
}

static int count_rows(struct store_reader *reader, struct bucket_sums *sums, struct err *err)
{
    struct store_cursor *cursor = NULL;
    struct span key, value;

    int rc = store_cursor_open(reader, TABLE_VIEWS, span_of(NULL, 0), span_of(NULL, 0), &cursor, err);
    while (rc == 0 && (rc = store_cursor_next(cursor, &key, &value, err)) == 0)
        rc = bucket_sums_add(sums, key, value, err);
    store_cursor_close(&cursor);
    return rc == ERR_ABSENT ? 0 : rc;
}

int digest_check(struct store_reader *reader, struct err *err)
{
    struct bucket_sums sums = {NULL, 0};
    struct store_cursor *cursor = NULL;
    struct span key, value;
    struct digest counted, stored;
    uint16_t view_number, stored_view;
    unsigned bucket, stored_bucket;
    size_t at = 0;

    int rc = count_rows(reader, &sums, err);
    if (rc == 0)
        rc = store_cursor_open(reader, TABLE_BUCKETS, span_of(NULL, 0), span_of(NULL, 0), &cursor, err);
    while (rc == 0 && (rc = store_cursor_next(cursor, &key, &value, err)) == 0) {
        rc = layout_parse_bucket_key(key, &stored_view, &stored_bucket, err);
        if (rc == 0)
            rc = layout_parse_digest(value, &stored, err);
        if (rc == 0 && (!bucket_sums_next(&sums, &at, &view_number, &bucket, &counted) || view_number != stored_view ||
                        bucket != stored_bucket || !digest_equal(counted, stored)))
            rc = err_set(err, ERR_BROKEN, "view number %u, bucket %u: the digest is not that of its rows",
                         (unsigned)stored_view, stored_bucket);
    }
    if (rc == ERR_ABSENT)
        rc = bucket_sums_next(&sums, &at, &view_number, &bucket, &counted)
                 ? err_set(err, ERR_BROKEN, "view number %u, bucket %u: no digest, but rows", (unsigned)view_number,
                           bucket)
                 : 0;
    store_cursor_close(&cursor);
    bucket_sums_release(&sums);
    return rc;
}
