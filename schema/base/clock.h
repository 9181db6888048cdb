/* schema/base/clock.h - the time, as a port, so that tests can set it. */
#ifndef TARN_BASE_CLOCK_H
#define TARN_BASE_CLOCK_H

#include <stdint.h>

typedef int64_t clock_read_fn(void *self);

struct clock_port {
    clock_read_fn *wall_ms;      /* since 1970, may jump */
    clock_read_fn *monotonic_us; /* never goes back; only differences mean something */
    void *self;
};

/* The machine's clocks. Usable from any thread. */
extern const struct clock_port clock_system;

static inline int64_t clock_wall_ms(const struct clock_port *port)
{
    return port->wall_ms(port->self);
}

static inline int64_t clock_monotonic_us(const struct clock_port *port)
{
    return port->monotonic_us(port->self);
}

#endif
