/* projector/comparison.h - two generations compared: keys in one only, views that differ, and where.
 *
 * Both are read as of one snapshot each; that the snapshots are of the same positions is the caller's. The sums that the
 * store keeps for each view and stretch of owners (digest.h) say which stretches are equal: those aren't read. */
#ifndef TARN_PROJECTOR_COMPARISON_H
#define TARN_PROJECTOR_COMPARISON_H

#include "projector/comparison_plan.h"
#include "schema/store/digest.h"
#include "schema/store/generation_settings.h"
#include "schema/store/store.h"

struct comparison_side {
    const struct view_set *views;
    const struct generation_settings *settings;
    struct store_reader *reader; /* has a snapshot */
};

enum example_kind { EXAMPLE_ONLY_A, EXAMPLE_ONLY_B, EXAMPLE_DIFFERENT };

/* A view that differs; JSON of its values only when asked for. */
struct comparison_example {
    enum example_kind kind;
    char *key;  /* as `get` takes it, joined by '/' */
    char *a, *b; /* JSON, or NULL */
};

struct compared_view {
    const struct view_pair *pair;
    struct digest a, b;
    uint64_t only_a, only_b, different;
    struct differing_fields fields;
    struct comparison_example *examples;
    size_t example_count;
};

struct comparison_result {
    struct comparison_plan plan;
    struct compared_view *views; /* beside plan.views */
    uint64_t keys_missing;       /* of views of A that B doesn't have, or has under another key */
    uint64_t differences;        /* those, keys in one only, and views that differ */
    uint64_t buckets_read;       /* stretches of owners that had to be read */
    uint64_t rows_read;          /* of both sides */
};

struct comparison_options {
    size_t examples_max; /* of each view */
    bool with_values;
};

MUST_CHECK int comparison_make(const struct comparison_side *a, const struct comparison_side *b,
                               const struct comparison_options *options, struct comparison_result *ret_comparison,
                               struct err *err);
void comparison_release(struct comparison_result *comparison);

static inline bool compared_view_differs(const struct compared_view *view)
{
    return view->only_a + view->only_b + view->different > 0;
}

#endif
