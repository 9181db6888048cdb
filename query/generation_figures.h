/* query/generation_figures.h - what is counted for each generation: how many answers of which kind it gave, how fast,
 * and its share of the traffic. Two generations are compared by these, and one that does worse is taken back.
 *
 * Kept by name for the newest SERVED_FIGURES_MAX that this process has opened, also when they are served no longer: a
 * counter that began again with each promote and rollback would tell nothing, and no scrape grows for ever.
 *
 * Threads: any thread counts, one takes and gives back, one prints. */
#ifndef TARN_QUERY_GENERATION_FIGURES_H
#define TARN_QUERY_GENERATION_FIGURES_H

#include "ops/runtime/metrics.h"
#include "schema/store/serving.h"

enum { SERVED_FIGURES_MAX = 8, ANSWER_CLASSES = 4, ANSWER_BOUNDS = 32 };

struct generation_figures {
    _Atomic int64_t answers[ANSWER_CLASSES]; /* 2xx to 5xx */
    _Atomic int64_t views_absent, views_incomplete;
    _Atomic uint64_t answer_counts[ANSWER_BOUNDS + 1];
    struct metric_histogram answer_seconds;
    _Atomic int64_t share_percent, age_s;
    char name[GENERATION_NAME_MAX];
    char labels[ANSWER_CLASSES][GENERATION_NAME_MAX + 32]; /* generation="…",class="2xx" */
    char label[GENERATION_NAME_MAX + 16];                  /* generation="…" */
    unsigned taken;
    uint64_t taken_last; /* the higher the later */
};

/* What one thread has counted since it last told: threads that each added to the same cache line with every answer would
 * wait for each other. */
struct figures_tally {
    int64_t answers[ANSWER_CLASSES];
    uint64_t answer_counts[ANSWER_BOUNDS + 1];
    uint64_t answer_us;
};

struct figures_table;

struct figures_table *figures_table_new(void);
void figures_table_free(struct figures_table **table);

/* Those of this name, made anew when they were never there or have been pushed out since. NULL: all of them are taken.
 * They stay where they are until they are given back as often as they were taken. */
struct generation_figures *figures_take(struct figures_table *table, const char *name);
void figures_give_back(struct figures_table *table, struct generation_figures *figures);

/* The shares of now: 0 for those that aren't named. */
void figures_set_shares(struct figures_table *table, const struct serving_shares *shares);

/* One answer about a key. */
void figures_tally_answer(struct figures_tally *tally, int status, int64_t us);
/* Adds what was counted, and begins anew. */
void figures_tell(struct generation_figures *figures, struct figures_tally *tally);

void figures_print(struct figures_table *table, struct buf *out);

#endif
