/* There is no timer: an open breaker turns half-open when it is asked after its time. One that is half-open lets every
 * call through until one has ended; its owner makes one at a time. */
#include "ops/runtime/circuit_breaker.h"

static void enter(struct circuit_breaker *breaker, enum circuit_state state)
{
    breaker->state = state;
    atomic_store_explicit(&breaker->shown_state, (int64_t)state, memory_order_relaxed);
}

bool circuit_breaker_allows(struct circuit_breaker *breaker, int64_t now_us)
{
    if (breaker->state == CIRCUIT_OPEN && now_us >= breaker->retry_at_us)
        enter(breaker, CIRCUIT_HALF_OPEN);
    return breaker->state != CIRCUIT_OPEN;
}

void circuit_breaker_succeeded(struct circuit_breaker *breaker)
{
    breaker->failures = 0;
    breaker->open_us = 0;
    if (breaker->state != CIRCUIT_CLOSED)
        enter(breaker, CIRCUIT_CLOSED);
}

void circuit_breaker_failed(struct circuit_breaker *breaker, int64_t now_us)
{
    breaker->failures++;
    atomic_fetch_add_explicit(&breaker->failures_total, 1, memory_order_relaxed);
    if (breaker->state == CIRCUIT_CLOSED && breaker->failures < breaker->failures_to_open)
        return;

    int64_t twice_us = breaker->open_us * 2;
    breaker->open_us = twice_us < breaker->shortest_us  ? breaker->shortest_us
                       : twice_us > breaker->longest_us ? breaker->longest_us
                                                        : twice_us;
    breaker->retry_at_us = now_us + breaker->open_us;
    atomic_fetch_add_explicit(&breaker->openings_total, 1, memory_order_relaxed);
    enter(breaker, CIRCUIT_OPEN);
}

const char *circuit_state_name(enum circuit_state state)
{
    static const char *const names[] = {"closed", "half-open", "open"};

    return names[state];
}
