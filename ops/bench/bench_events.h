/* ops/bench/bench_events.h - the benchmark's events: the same ones for the same seed, on every machine.
 *
 * The mix of a genetics service, 306 bytes on average: 40% whole reports (~670 bytes), 40% withdrawn markers (~40, half of
 * them of markers that a report has), 20% markers that mean something else now (~110), each person as likely as any
 * other. */
#ifndef TARN_BENCH_EVENTS_H
#define TARN_BENCH_EVENTS_H

#include "schema/base/buf.h"

struct bench_events {
    uint64_t state; /* of the random numbers */
    uint64_t people;
    struct buf value;
    char user[32];
};

/* Borrowed until the next one is made. */
struct bench_event {
    const char *user; /* the record's key */
    const char *type;
    struct span value;
};

void bench_events_init(struct bench_events *events, uint64_t seed, uint64_t people);
void bench_events_release(struct bench_events *events);

struct bench_event bench_events_next(struct bench_events *events);
/* A whole report of this one: one of each person fills a store. */
struct bench_event bench_events_report(struct bench_events *events, uint64_t person);

#endif
