/* projector/shares_report.h - what promote and rollback tell: who is served now, and who was before. */
#ifndef TARN_PROJECTOR_SHARES_REPORT_H
#define TARN_PROJECTOR_SHARES_REPORT_H

#include <jansson.h>
#include <stdbool.h>

#include "schema/base/buf.h"
#include "schema/store/serving.h"

/* "7f3a9c-2 90%, 91bd0e-1 10%" */
void shares_text(const struct serving_shares *shares, struct buf *out);

/* outcome: {shares: [[name, percent]..], was: [..]} of a promote or rollback. As JSON on one line, or for people. */
void shares_report_print(const json_t *outcome, bool is_json);

#endif
