/* projector/parked_report.h - what is parked, for people and scripts. */
#ifndef TARN_PROJECTOR_PARKED_REPORT_H
#define TARN_PROJECTOR_PARKED_REPORT_H

#include "projector/materializer.h"
#include "projector/opened_store.h"

/* One event that could not be applied, and how many wait behind it. */
struct parked_report_row {
    struct parked_key at;
    struct parked_event event; /* spans point into the snapshot */
    size_t waiting;
};

/* All of them (selection NULL or is_all), or those of a unit, in order; also each of a unit's waiting ones when
 * with_waiting. The caller frees the list. */
MUST_CHECK int parked_report(const struct opened_store *opened, const struct parked_selection *selection,
                             bool with_waiting, struct parked_report_row **ret_rows, size_t *ret_count,
                             struct err *err);

/* [{topic, partition, offset, key, type, reason, time, waiting}]; with_message adds what is wrong. */
void parked_report_json(const struct opened_store *opened, const struct parked_report_row *rows, size_t count,
                        bool with_message, bool with_values, struct buf *out);
void parked_report_print(const struct opened_store *opened, const struct parked_report_row *rows, size_t count);

/* The unit's events one by one, with what is wrong; with_values the events themselves. */
void parked_report_print_unit(const struct opened_store *opened, const struct parked_report_row *rows, size_t count,
                              bool with_values);

#endif
