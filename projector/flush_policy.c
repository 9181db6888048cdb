/* The order of the questions is the policy: what is there to write at all, does somebody wait for it, which mode are we in,
 * and only then the clock. A range at a time is the choice whenever one transaction for everything would be so large that
 * LMDB gets slow (ops/docs, performance: from about 50,000 dirty pages on). */
#include "projector/flush_policy.h"

static enum flush_choice choose(const struct flush_policy *policy, const struct flush_figures *figures);
static void set_mode(struct flush_policy *policy, const struct flush_figures *figures);

enum flush_choice flush_policy_choose(struct flush_policy *policy, const struct flush_figures *figures)
{
    set_mode(policy, figures);
    enum flush_choice choice = choose(policy, figures);
    if (choice != FLUSH_NOTHING)
        policy->last_start_us = figures->now_us;
    if (choice != FLUSH_NOTHING && figures->has_news)
        policy->has_awaited_lag = true;
    return choice;
}

static void set_mode(struct flush_policy *policy, const struct flush_figures *figures)
{
    if (figures->lag < 0)
        return;
    policy->has_awaited_lag = true;
    if (policy->is_catching_up && figures->lag < FLUSH_LIVE_LAG)
        policy->is_catching_up = false;
    else if (!policy->is_catching_up && figures->lag > FLUSH_CATCH_UP_LAG)
        policy->is_catching_up = true;
}

static int64_t since_start_us(const struct flush_policy *policy, const struct flush_figures *figures)
{
    return policy->last_start_us == INT64_MIN ? INT64_MAX : figures->now_us - policy->last_start_us;
}

static int64_t live_interval_us(const struct flush_figures *figures)
{
    int64_t with_rest_us = figures->last_took_us + figures->last_took_us / 4;

    if (figures->last_took_us == 0 || with_rest_us > FLUSH_LIVE_INTERVAL_US)
        return FLUSH_LIVE_INTERVAL_US;
    return with_rest_us > FLUSH_LIVE_INTERVAL_MIN_US ? with_rest_us : FLUSH_LIVE_INTERVAL_MIN_US;
}

static enum flush_choice choose(const struct flush_policy *policy, const struct flush_figures *figures)
{
    const enum flush_choice much = figures->dirty_rows > FLUSH_ALL_ROWS ? FLUSH_OLDEST_RANGE : FLUSH_ALL;

    if (!figures->has_news && !figures->has_changed)
        return FLUSH_NOTHING;
    if (figures->is_hurried || figures->is_full)
        return much;
    if (!figures->has_news)
        return since_start_us(policy, figures) >= FLUSH_REFRESH_US ? FLUSH_ALL : FLUSH_NOTHING;

    int64_t age_us = figures->now_us - figures->oldest_dirty_us;
    if (!policy->has_awaited_lag && age_us < FLUSH_LAG_PATIENCE_US)
        return FLUSH_NOTHING;
    if (policy->is_catching_up) {
        int64_t age_max_us = figures->is_building ? FLUSH_BUILDING_AGE_US : FLUSH_CATCH_UP_AGE_US;
        bool is_due = figures->dirty_bytes > figures->budget_bytes / 2 || age_us >= age_max_us;
        return is_due ? FLUSH_OLDEST_RANGE : FLUSH_NOTHING;
    }
    if (since_start_us(policy, figures) < live_interval_us(figures))
        return FLUSH_NOTHING;
    return figures->is_drained || age_us >= FLUSH_LIVE_AGE_US ? much : FLUSH_NOTHING;
}

int64_t flush_policy_wait_us(const struct flush_policy *policy, const struct flush_figures *figures)
{
    int64_t left_us = FLUSH_WAIT_US;

    if (!figures->has_news && figures->has_changed)
        left_us = FLUSH_REFRESH_US - since_start_us(policy, figures);
    else if (figures->has_news && policy->has_awaited_lag && !policy->is_catching_up)
        left_us = live_interval_us(figures) - since_start_us(policy, figures);
    if (left_us < 0)
        left_us = 0;
    return left_us < FLUSH_WAIT_US ? left_us : FLUSH_WAIT_US;
}
