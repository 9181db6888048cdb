/* ops/runtime/circuit_breaker.h - keeps a process from hammering what is down.
 *
 * closed: calls go through. After `failures_to_open` failures in a row it is open: no call until retry_at_us, then one
 * (half-open), whose outcome closes it, or opens it again for twice as long, up to longest_us. Pure: the caller brings
 * the time. Not shared between threads, apart from what it shows. */
#ifndef TARN_RUNTIME_CIRCUIT_BREAKER_H
#define TARN_RUNTIME_CIRCUIT_BREAKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum circuit_state { CIRCUIT_CLOSED = 0, CIRCUIT_HALF_OPEN = 1, CIRCUIT_OPEN = 2 };

struct circuit_breaker {
    unsigned failures_to_open; /* at least 1 */
    int64_t shortest_us;       /* how long it stays open the first time */
    int64_t longest_us;

    enum circuit_state state;
    unsigned failures; /* in a row */
    int64_t open_us;   /* how long it stays open this time */
    int64_t retry_at_us;

    _Atomic int64_t shown_state;    /* for /metrics */
    _Atomic int64_t failures_total;
    _Atomic int64_t openings_total;
};

/* May a call be made now? Makes an open breaker half-open when its time has come. */
bool circuit_breaker_allows(struct circuit_breaker *breaker, int64_t now_us);
void circuit_breaker_succeeded(struct circuit_breaker *breaker);
void circuit_breaker_failed(struct circuit_breaker *breaker, int64_t now_us);

/* "closed", "half-open", "open" */
const char *circuit_state_name(enum circuit_state state);

#endif
