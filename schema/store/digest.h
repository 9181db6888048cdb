/* schema/store/digest.h - what a store holds, in a line for each view type that can be compared with another store's.
 *
 * The store keeps the sums in TABLE_BUCKETS with each commit (store_put); here they are added up. Equal contents give
 * equal digests, whatever the order, batches and kills they came through; views that are kept unseen are in them. */
#ifndef TARN_STORE_DIGEST_H
#define TARN_STORE_DIGEST_H

#include "schema/store/layout.h"
#include "schema/store/store.h"

struct digest digest_plus(struct digest a, struct digest b);
bool digest_equal(struct digest a, struct digest b);

/* The digest of one view type in the reader's snapshot. A view without rows has count 0 and sum 0. */
MUST_CHECK int digest_of_view(struct store_reader *reader, uint16_t view_number, struct digest *ret_digest,
                              struct err *err);

/* 32 hex digits of the sum, high word first. */
enum { DIGEST_HEX_SIZE = 33 };
void digest_hex(const struct digest *digest, char ret_text[DIGEST_HEX_SIZE]);

/* Appends "VIEW  KEYS  HEX\n". */
void digest_line(const char *view_name, const struct digest *digest, struct buf *out);

/* Walks TABLE_VIEWS and compares every bucket with what it holds: proof that puts and deletes kept them exact. Takes as
 * long as reading the store does. ERR_BROKEN names the first bucket that differs. */
MUST_CHECK int digest_check(struct store_reader *reader, struct err *err);

#endif
