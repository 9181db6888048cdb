/* The people of both sides are chosen by a hash, so what they ask for is alike: that the candidate answers 404 more often
 * than the incumbent is its own doing, once the difference is more than chance makes (three standard deviations of the
 * difference of two shares). Times of few answers say nothing about a 99th percentile. */
#include "projector/guard.h"

#include <math.h>
#include <stdlib.h>

#define CHANCE_DEVIATIONS 3.0
/* What histograms can't tell apart, and nobody notices: a factor of less than this is no reason. */
#define NEGLIGIBLE_S 0.001

static bool parse_number(const char *text, const char *unit, double *ret_number)
{
    char *end;
    double number = strtod(text, &end);

    if (end == text || strcmp(end, unit) != 0 || !isfinite(number) || number < 0)
        return false;
    *ret_number = number;
    return true;
}

static bool parse_item(const char *item, struct guard_limits *limits)
{
    static const char error_rate[] = "error-rate=", p99[] = "p99=";
    double number;

    if (strncmp(item, error_rate, sizeof(error_rate) - 1) == 0 &&
        parse_number(item + sizeof(error_rate) - 1, "%", &number) && number <= 100) {
        limits->error_rate = number / 100;
        return true;
    }
    if (strncmp(item, p99, sizeof(p99) - 1) != 0)
        return false;
    item += sizeof(p99) - 1;
    if (parse_number(item, "x", &number) && number >= 1)
        limits->p99_factor = number;
    else if (parse_number(item, "ms", &number) && number > 0)
        limits->p99_s = number / 1000;
    else if (parse_number(item, "s", &number) && number > 0)
        limits->p99_s = number;
    else
        return false;
    return true;
}

int guard_limits_parse(const struct config_list *items, struct guard_limits *ret_limits, struct err *err)
{
    struct guard_limits limits = {.error_rate = -1};

    for (size_t i = 0; i < items->count; i++)
        if (!parse_item(items->items[i], &limits))
            return err_set(err, ERR_INPUT,
                           "--guard: %s is not one of error-rate=PERCENT%%, p99=FACTORx, p99=TIMEms, p99=TIMEs",
                           items->items[i]);
    *ret_limits = limits;
    return 0;
}

static double rate(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

/* How much more of its answers are 4xx than the incumbent's, beyond chance. */
static double excess_of_client_errors(const struct guard_figures *candidate, const struct guard_figures *incumbent)
{
    double both = candidate->answers + incumbent->answers;

    if (candidate->answers <= 0 || incumbent->answers <= 0)
        return 0;
    double pooled = (candidate->client_errors + incumbent->client_errors) / both;
    double deviation = sqrt(pooled * (1 - pooled) * (1 / candidate->answers + 1 / incumbent->answers));
    double excess = rate(candidate->client_errors, candidate->answers) -
                    rate(incumbent->client_errors, incumbent->answers);
    return excess > CHANCE_DEVIATIONS * deviation ? excess : 0;
}

double guard_error_rate(const struct guard_figures *candidate, const struct guard_figures *incumbent)
{
    return rate(candidate->server_errors, candidate->answers) + excess_of_client_errors(candidate, incumbent);
}

static bool is_slow(const struct guard_limits *limits, const struct guard_figures *candidate,
                    const struct guard_figures *incumbent, struct buf *why)
{
    double own = guard_figures_quantile(candidate, 0.99), other = guard_figures_quantile(incumbent, 0.99);

    if (candidate->timed < GUARD_ANSWERS_LEAST)
        return false;
    if (limits->p99_s > 0 && own > limits->p99_s) {
        buf_add_format(why, "its p99 is %.3g ms, over %.3g ms", own * 1000, limits->p99_s * 1000);
        return true;
    }
    if (limits->p99_factor > 0 && incumbent->timed >= GUARD_ANSWERS_LEAST && own > limits->p99_factor * other &&
        own - other > NEGLIGIBLE_S) {
        buf_add_format(why, "its p99 is %.3g ms, over %gx the incumbent's %.3g ms", own * 1000, limits->p99_factor,
                       other * 1000);
        return true;
    }
    return false;
}

bool guard_is_well(const struct guard_limits *limits, const struct guard_figures *candidate,
                   const struct guard_figures *incumbent, struct buf *why)
{
    double errors = guard_error_rate(candidate, incumbent);

    if (limits->error_rate >= 0 && errors > limits->error_rate) {
        buf_add_format(why,
                       "its error rate is %.3g%%, over %.3g%% (%.0f answers: %.0f of 5xx, %.0f of 4xx; the incumbent's "
                       "%.0f: %.0f and %.0f)",
                       errors * 100, limits->error_rate * 100, candidate->answers, candidate->server_errors,
                       candidate->client_errors, incumbent->answers, incumbent->server_errors,
                       incumbent->client_errors);
        return false;
    }
    return !is_slow(limits, candidate, incumbent, why);
}
