/* Servers of one version have the same buckets; one with others (an upgrade under way) counts for the rates, but not for
 * the times. */
#include "projector/guard_figures.h"

#include <math.h>

#include "projector/exposition.h"

#define METRIC_ANSWERS "tarn_query_generation_answers_total"
#define METRIC_BUCKET  "tarn_query_generation_answer_seconds_bucket"

static void read_answers(const struct exposition_sample *sample, struct guard_figures *figures)
{
    struct span class;

    if (!exposition_label(sample, "class", &class))
        return;
    figures->answers += sample->value;
    if (span_equal_text(class, "5xx"))
        figures->server_errors += sample->value;
    else if (span_equal_text(class, "4xx"))
        figures->client_errors += sample->value;
}

static void read_bucket(const struct exposition_sample *sample, struct guard_figures *figures)
{
    struct span le;
    double bound;

    if (!exposition_label(sample, "le", &le) || !exposition_number(le, &bound) || isnan(bound))
        return;
    if (isinf(bound)) {
        figures->timed = sample->value;
    } else if (figures->bucket_count < GUARD_BUCKETS_MAX &&
               (figures->bucket_count == 0 || bound > figures->bounds[figures->bucket_count - 1])) {
        figures->bounds[figures->bucket_count] = bound;
        figures->counts[figures->bucket_count++] = sample->value;
    }
}

void guard_figures_read(struct span page, const char *generation, struct guard_figures *ret_figures)
{
    struct guard_figures figures = {.answers = 0};
    struct exposition_sample sample;
    struct span name;

    while (exposition_next(&page, &sample)) {
        if (!exposition_label(&sample, "generation", &name) || !span_equal_text(name, generation) ||
            !isfinite(sample.value) || sample.value < 0)
            continue;
        if (span_equal_text(sample.name, METRIC_ANSWERS))
            read_answers(&sample, &figures);
        else if (span_equal_text(sample.name, METRIC_BUCKET))
            read_bucket(&sample, &figures);
    }
    *ret_figures = figures;
}

static bool has_same_buckets(const struct guard_figures *a, const struct guard_figures *b)
{
    return a->bucket_count == b->bucket_count &&
           memcmp(a->bounds, b->bounds, a->bucket_count * sizeof(a->bounds[0])) == 0;
}

void guard_figures_add_growth(struct guard_figures *sum, const struct guard_figures *before,
                              const struct guard_figures *now)
{
    static const struct guard_figures nothing = {.answers = 0};

    if (now->answers < before->answers || now->timed < before->timed)
        before = &nothing;
    sum->answers += now->answers - before->answers;
    sum->server_errors += fmax(now->server_errors - before->server_errors, 0);
    sum->client_errors += fmax(now->client_errors - before->client_errors, 0);
    if (sum->bucket_count == 0) {
        sum->bucket_count = now->bucket_count;
        memcpy(sum->bounds, now->bounds, sizeof(sum->bounds));
    }
    if (!has_same_buckets(sum, now) || (before->bucket_count != 0 && !has_same_buckets(before, now)))
        return;
    for (size_t i = 0; i < now->bucket_count; i++)
        sum->counts[i] += fmax(now->counts[i] - before->counts[i], 0);
    sum->timed += now->timed - before->timed;
}

double guard_figures_quantile(const struct guard_figures *figures, double part)
{
    double wanted = part * figures->timed;
    double below = 0, lower = 0;

    if (figures->timed <= 0 || figures->bucket_count == 0)
        return 0;
    for (size_t i = 0; i < figures->bucket_count; i++) {
        if (figures->counts[i] >= wanted) {
            double inside = figures->counts[i] - below;
            double share = inside > 0 ? (wanted - below) / inside : 1;
            return lower + (figures->bounds[i] - lower) * share;
        }
        below = figures->counts[i];
        lower = figures->bounds[i];
    }
    return lower;
}
