/* projector/comparison_report.h - what a comparison found, for people and for programs. Keys and names; values only as
 * examples that were asked for. */
#ifndef TARN_PROJECTOR_COMPARISON_REPORT_H
#define TARN_PROJECTOR_COMPARISON_REPORT_H

#include "projector/comparison.h"

struct comparison_names {
    const char *a, *b;     /* the generations */
    const char *positions; /* "users/0@119, ..." */
};

void comparison_report_print(const struct comparison_names *names, const struct comparison_result *result);

/* {"a", "b", "positions", "differences", "keys_missing", "views": [{"view", "keys_a", "keys_b", "digest_a", "digest_b", "only_a", "only_b",
 * "different", "fields": [{"field", "views"}], "examples": [..]}], "not_compared": [..]} */
void comparison_report_json(const struct comparison_names *names, const struct comparison_result *result,
                            struct buf *out);

#endif
