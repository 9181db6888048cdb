/* projector/same_positions.h - whether two snapshots are as of the same records: otherwise a comparison of them says nothing. */
#ifndef TARN_PROJECTOR_SAME_POSITIONS_H
#define TARN_PROJECTOR_SAME_POSITIONS_H

#include "projector/opened_store.h"
#include "schema/base/buf.h"

/* ERR_AGAIN: of a topic that both read, some range of owners is further in one than in the other; the text says where.
 * Otherwise what they are as of ("users/0@119, ...") is appended, of both, by topic and partition. */
MUST_CHECK int same_positions_check(const struct opened_store *a, const struct opened_store *b, struct buf *positions,
                                    struct err *err);

#endif
