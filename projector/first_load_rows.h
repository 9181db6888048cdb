/* projector/first_load_rows.h - a row of the write database becomes an event: columns carry the event's field names.
 *
 * `laboratory.name` as a column is a field inside a message. A column that the event doesn't have is a mistake, unless it
 * is the key column; so is a plain field (one without presence) that no column gives, as it would silently be zero. NULL
 * leaves a field unset, or zero. Nothing is rounded, cut off or guessed. Pure. */
#ifndef TARN_PROJECTOR_FIRST_LOAD_ROWS_H
#define TARN_PROJECTOR_FIRST_LOAD_ROWS_H

#include "projector/database.h"
#include "schema/view/plan.h"

struct row_mapping;

/* Of the result that this row belongs to. ERR_INPUT names every column and field that doesn't fit. */
MUST_CHECK int row_mapping_new(const struct first_load *load, const struct database_row *row,
                               struct row_mapping **ret_mapping, struct err *err);
void row_mapping_free(struct row_mapping **mapping);

/* The event, in the arena, and the text of its owner (appended), which is the record's key. ERR_INPUT names the column and
 * what is wrong with it, never its value. */
MUST_CHECK int row_mapping_event(const struct row_mapping *mapping, const struct database_row *row, struct arena *arena,
                                 ProtobufCMessage **ret_event, struct buf *owner, struct err *err);

/* The key column's cell. */
struct span row_mapping_key(const struct row_mapping *mapping, const struct database_row *row,
                            enum column_kind *ret_kind);

#endif
