/* Printing walks the table once. Rows of one name stand together, so HELP and TYPE are printed where the name changes.
 * Values are read one by one without a lock: a scrape may see one counter a moment later than another, which Prometheus
 * doesn't mind. */
#include "ops/runtime/metrics.h"

#include <inttypes.h>
#include <string.h>

static void print_value(double value, struct buf *out)
{
    /* 15 digits: the most that every double gives back as it was written. */
    buf_add_format(out, "%.15g\n", value);
}

static void print_name(const struct metric *metric, const char *suffix, const char *more_label, struct buf *out)
{
    const char *labels = metric->labels ? metric->labels : "";
    const char *comma = *labels != '\0' && *more_label != '\0' ? "," : "";

    buf_add_format(out, "%s%s", metric->name, suffix);
    if (*labels != '\0' || *more_label != '\0')
        buf_add_format(out, "{%s%s%s}", labels, comma, more_label);
    buf_add_byte(out, ' ');
}

static void print_histogram(const struct metric *metric, struct buf *out)
{
    struct metric_histogram *histogram = metric->histogram;
    uint64_t cumulative = 0;
    char label[64];

    for (size_t i = 0; i <= histogram->bound_count; i++) {
        cumulative += atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);
        if (i < histogram->bound_count)
            snprintf(label, sizeof(label), "le=\"%g\"", histogram->bounds[i]);
        else
            snprintf(label, sizeof(label), "le=\"+Inf\"");
        print_name(metric, "_bucket", label, out);
        buf_add_format(out, "%" PRIu64 "\n", cumulative);
    }
    print_name(metric, "_sum", "", out);
    print_value((double)atomic_load_explicit(&histogram->sum_us, memory_order_relaxed) / 1e6, out);
    print_name(metric, "_count", "", out);
    buf_add_format(out, "%" PRIu64 "\n", cumulative);
}

void metrics_print(const struct metric *metrics, size_t count, struct buf *out)
{
    static const char *const types[] = {
        [METRIC_COUNTER] = "counter",
        [METRIC_GAUGE] = "gauge",
        [METRIC_HISTOGRAM] = "histogram",
    };

    for (size_t i = 0; i < count; i++) {
        const struct metric *metric = &metrics[i];
        if (i == 0 || strcmp(metric->name, metrics[i - 1].name) != 0)
            buf_add_format(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name,
                           types[metric->kind]);
        if (metric->kind == METRIC_HISTOGRAM) {
            print_histogram(metric, out);
            continue;
        }
        print_name(metric, "", "", out);
        if (metric->scale != 0)
            print_value((double)metric_get(metric->value) * metric->scale, out);
        else
            buf_add_format(out, "%" PRId64 "\n", metric_get(metric->value));
    }
}

void metric_observe_us(struct metric_histogram *histogram, int64_t us)
{
    size_t bucket = metric_bucket_us(histogram->bounds, histogram->bound_count, us);

    atomic_fetch_add_explicit(&histogram->counts[bucket], 1, memory_order_relaxed);
    if (us > 0)
        atomic_fetch_add_explicit(&histogram->sum_us, (uint64_t)us, memory_order_relaxed);
}

size_t metric_bucket_us(const double *bounds, size_t bound_count, int64_t us)
{
    double seconds = (double)us / 1e6;
    size_t bucket = 0;

    while (bucket < bound_count && seconds > bounds[bucket])
        bucket++;
    return bucket;
}

void metrics_escape_label(struct span text, struct buf *out)
{
    const char *at = text.at;

    for (size_t i = 0; i < text.len; i++) {
        if (at[i] == '\n') {
            buf_add_literal(out, "\\n");
            continue;
        }
        if (at[i] == '"' || at[i] == '\\')
            buf_add_byte(out, '\\');
        buf_add_byte(out, (uint8_t)at[i]);
    }
}
