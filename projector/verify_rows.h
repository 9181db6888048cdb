/* projector/verify_rows.h - what the write database has of one owner for one view, kept as the bytes of its rows' events:
 * equal bytes, equal rows, as far as the view is concerned. */
#ifndef TARN_PROJECTOR_VERIFY_ROWS_H
#define TARN_PROJECTOR_VERIFY_ROWS_H

#include "projector/database.h"
#include "projector/outbox.h"
#include "schema/view/plan.h"

/* Reads them as of now, or of the transaction that is open. */
MUST_CHECK int verify_rows_read(const struct database *database, const struct view *view, struct span owner,
                                struct buf *rows, struct err *err);

/* Takes the first event off `left`; false when there is none. The event points into it. */
bool verify_rows_next(struct span *left, const struct view *view, const struct first_load **ret_load,
                      struct span *ret_event);

/* The owner's rows, and whether the outbox has one of the key, as of one snapshot. */
MUST_CHECK int verify_rows_look(const struct database *database, const struct outbox *outbox, const struct view *view,
                                struct span owner, struct buf *rows, bool *ret_has_outbox_row, struct err *err);

#endif
