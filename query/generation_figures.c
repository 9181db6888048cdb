/* A fixed array: what isn't taken and was taken longest ago makes room. The mutex guards names and places; counters are
 * relaxed atomics, which the printing thread reads one by one. */
#include "query/generation_figures.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "schema/base/mem.h"

struct figures_table {
    pthread_mutex_t mutex;
    struct generation_figures items[SERVED_FIGURES_MAX];
    uint64_t takes;
};

/* Six to the decade, so that a 99th percentile that doubles shows; an answer takes some 10 us in here. */
static const double bounds[ANSWER_BOUNDS] = {0.00001, 0.000015, 0.00002, 0.00003, 0.00005, 0.00007, 0.0001, 0.00015,
                                             0.0002,  0.0003,   0.0005,  0.0007,  0.001,   0.0015,  0.002,  0.003,
                                             0.005,   0.007,    0.01,    0.015,   0.02,    0.03,    0.05,   0.07,
                                             0.1,     0.15,     0.2,     0.3,     0.5,     1,       2,      5};

struct figures_table *figures_table_new(void)
{
    struct figures_table *table = mem_zero(1, sizeof(*table));

    pthread_mutex_init(&table->mutex, NULL);
    return table;
}

void figures_table_free(struct figures_table **table)
{
    if (*table == NULL)
        return;
    pthread_mutex_destroy(&(*table)->mutex);
    free(*table);
    *table = NULL;
}

static void begin(struct generation_figures *figures, const char *name)
{
    memset(figures, 0, sizeof(*figures));
    figures->answer_seconds = (struct metric_histogram){bounds, ANSWER_BOUNDS, figures->answer_counts, 0};
    snprintf(figures->name, sizeof(figures->name), "%s", name);
    snprintf(figures->label, sizeof(figures->label), "generation=\"%s\"", name);
    for (int i = 0; i < ANSWER_CLASSES; i++)
        snprintf(figures->labels[i], sizeof(figures->labels[i]), "generation=\"%s\",class=\"%dxx\"", name, i + 2);
}

struct generation_figures *figures_take(struct figures_table *table, const char *name)
{
    struct generation_figures *found = NULL, *free_one = NULL;

    pthread_mutex_lock(&table->mutex);
    for (size_t i = 0; i < SERVED_FIGURES_MAX; i++) {
        struct generation_figures *item = &table->items[i];
        if (strcmp(item->name, name) == 0)
            found = item;
        else if (item->taken == 0 && (free_one == NULL || item->taken_last < free_one->taken_last))
            free_one = item;
    }
    if (found == NULL && free_one != NULL) {
        found = free_one;
        begin(found, name);
    }
    if (found != NULL) {
        found->taken++;
        found->taken_last = ++table->takes;
    }
    pthread_mutex_unlock(&table->mutex);
    return found;
}

void figures_give_back(struct figures_table *table, struct generation_figures *figures)
{
    if (figures == NULL)
        return;
    pthread_mutex_lock(&table->mutex);
    figures->taken--;
    pthread_mutex_unlock(&table->mutex);
}

void figures_set_shares(struct figures_table *table, const struct serving_shares *shares)
{
    pthread_mutex_lock(&table->mutex);
    for (size_t i = 0; i < SERVED_FIGURES_MAX; i++) {
        int64_t percent = 0;
        for (size_t j = 0; j < shares->count; j++)
            if (strcmp(shares->shares[j].name, table->items[i].name) == 0)
                percent = shares->shares[j].percent;
        metric_set(&table->items[i].share_percent, percent);
    }
    pthread_mutex_unlock(&table->mutex);
}

void figures_tally_answer(struct figures_tally *tally, int status, int64_t us)
{
    int class = status / 100 - 2;

    tally->answers[class >= 0 && class < ANSWER_CLASSES ? class : ANSWER_CLASSES - 1]++;
    tally->answer_counts[metric_bucket_us(bounds, ANSWER_BOUNDS, us)]++;
    tally->answer_us += us > 0 ? (uint64_t)us : 0;
}

void figures_tell(struct generation_figures *figures, struct figures_tally *tally)
{
    int64_t answers = 0;

    for (size_t i = 0; i < ANSWER_CLASSES; i++) {
        answers += tally->answers[i];
        if (tally->answers[i] > 0)
            metric_add(&figures->answers[i], tally->answers[i]);
    }
    if (answers == 0)
        return;
    for (size_t i = 0; i <= ANSWER_BOUNDS; i++)
        if (tally->answer_counts[i] > 0)
            atomic_fetch_add_explicit(&figures->answer_counts[i], tally->answer_counts[i], memory_order_relaxed);
    atomic_fetch_add_explicit(&figures->answer_seconds.sum_us, tally->answer_us, memory_order_relaxed);
    *tally = (struct figures_tally){0};
}

/* --- printing ------------------------------------------------------------------------------------------------------- */

/* Metrics that have one row a generation. */
static const struct {
    const char *name, *help;
    enum metric_kind kind;
    size_t offset;
    bool while_served;
} rows[] = {
    {"tarn_query_generation_views_absent_total", "Keys without a view, by generation.", METRIC_COUNTER,
     offsetof(struct generation_figures, views_absent), false},
    {"tarn_query_generation_views_incomplete_total", "Answers about keys with parked events, by generation.",
     METRIC_COUNTER, offsetof(struct generation_figures, views_incomplete), false},
    {"tarn_query_generation_share_percent", "Share of the traffic now; 0 when it is no longer served.", METRIC_GAUGE,
     offsetof(struct generation_figures, share_percent), false},
    {"tarn_query_generation_age_seconds", "Of those that are served: since it last knew itself caught up.",
     METRIC_GAUGE, offsetof(struct generation_figures, age_s), true},
};

static size_t add_answers(struct generation_figures *figures, struct metric *metrics)
{
    for (size_t i = 0; i < ANSWER_CLASSES; i++)
        metrics[i] = (struct metric){.name = "tarn_query_generation_answers_total",
                                     .labels = figures->labels[i],
                                     .kind = METRIC_COUNTER,
                                     .help = "Answers about keys by generation and class of status.",
                                     .value = &figures->answers[i]};
    return ANSWER_CLASSES;
}

static size_t add_seconds(struct generation_figures *figures, struct metric *metrics)
{
    metrics[0] = (struct metric){.name = "tarn_query_generation_answer_seconds",
                                 .labels = figures->label,
                                 .kind = METRIC_HISTOGRAM,
                                 .help = "From reading a request about a key to its answer, by generation; what waits "
                                         "for its Tarn-At-Least waits in here.",
                                 .histogram = &figures->answer_seconds};
    return 1;
}

void figures_print(struct figures_table *table, struct buf *out)
{
    struct metric metrics[SERVED_FIGURES_MAX * (ANSWER_CLASSES + 1 + ARRAY_COUNT(rows))];
    struct generation_figures *used[SERVED_FIGURES_MAX];
    size_t used_count = 0, count = 0;

    pthread_mutex_lock(&table->mutex);
    for (size_t i = 0; i < SERVED_FIGURES_MAX; i++)
        if (table->items[i].name[0] != '\0')
            used[used_count++] = &table->items[i];
    for (size_t i = 0; i < used_count; i++)
        count += add_answers(used[i], metrics + count);
    for (size_t i = 0; i < used_count; i++)
        count += add_seconds(used[i], metrics + count);
    for (size_t row = 0; row < ARRAY_COUNT(rows); row++) {
        for (size_t i = 0; i < used_count; i++) {
            if (rows[row].while_served && metric_get(&used[i]->share_percent) == 0)
                continue;
            metrics[count++] = (struct metric){.name = rows[row].name,
                                               .labels = used[i]->label,
                                               .kind = rows[row].kind,
                                               .help = rows[row].help,
                                               .value = (void *)((char *)used[i] + rows[row].offset)};
        }
    }
    metrics_print(metrics, count, out);
    pthread_mutex_unlock(&table->mutex);
}
