/* Made in protobuf's wire format by hand: the benchmark's producer needs no descriptor set, and no time to speak of. */
#include "ops/bench/bench_events.h"

#include <inttypes.h>
#include <stdio.h>

/* splitmix64: small, well mixed, the same everywhere. */
static uint64_t random_next(struct bench_events *events)
{
    uint64_t z = events->state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t random_below(struct bench_events *events, uint64_t bound)
{
    return random_next(events) % bound;
}

/* --- protobuf's wire format, as little of it as the three events need --- */

static void put_varint(struct buf *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        buf_add_byte(out, (uint8_t)(value | 0x80));
    buf_add_byte(out, (uint8_t)value);
}

static void put_number(struct buf *out, uint32_t field, uint64_t value)
{
    put_varint(out, field << 3);
    put_varint(out, value);
}

static void put_bytes(struct buf *out, uint32_t field, struct span bytes)
{
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len);
    buf_add_span(out, bytes);
}

static void put_text(struct buf *out, uint32_t field, const char *text)
{
    put_bytes(out, field, span_of_text(text));
}

static void put_double(struct buf *out, uint32_t field, double value)
{
    put_varint(out, field << 3 | 1);
    buf_add(out, &value, sizeof(value)); /* little-endian machines only, as x86 and ARM are */
}

/* --- the events, field numbers as in schema/examples/genetics/events.proto --- */

static const char *const categories[] = {"nutrition", "skin", "sleep", "fitness"};
static const char *const traits[] = {"Caffeine metabolism", "Vitamin D level", "Skin elasticity", "Deep sleep",
                                     "Lactose tolerance",   "Muscle recovery", "Alcohol flush",   "Sun sensitivity"};

static void put_marker(struct bench_events *events, uint32_t number, struct buf *scratch)
{
    char code[16];

    snprintf(code, sizeof(code), "rs%06" PRIu32, 100000 + number * 7919);
    buf_clear(scratch);
    put_text(scratch, 1, categories[number % ARRAY_COUNT(categories)]);
    put_text(scratch, 2, code);
    put_text(scratch, 3, traits[number % ARRAY_COUNT(traits)]);
    put_number(scratch, 4, random_below(events, 3));
    put_double(scratch, 5, (double)random_below(events, 1000) / 10);
    put_text(scratch, 6, "Ask your doctor before you change it.");
}

static const char *report_completed(struct bench_events *events, const char *user, struct buf *out)
{
    struct buf part = BUF_INIT;
    char report[32];

    snprintf(report, sizeof(report), "r-%08" PRIx64, random_next(events) & 0xffffffff);
    put_text(out, 1, user);
    put_text(out, 2, report);
    put_number(&part, 1, 1790000000 + random_below(events, 1000000));
    put_bytes(out, 3, buf_span(&part));
    for (uint32_t marker = 0; marker < 6; marker++) {
        put_marker(events, marker, &part);
        put_bytes(out, 5, buf_span(&part));
    }
    buf_release(&part);
    return "genetics.v1.AnalysisCompleted";
}

static const char *marker_reinterpreted(struct bench_events *events, const char *user, struct buf *out)
{
    uint32_t number = (uint32_t)random_below(events, 6);
    struct buf score = BUF_INIT;
    char code[16];

    snprintf(code, sizeof(code), "rs%06" PRIu32, 100000 + number * 7919);
    put_text(out, 1, user);
    put_text(out, 2, categories[number % ARRAY_COUNT(categories)]);
    put_text(out, 3, code);
    put_number(out, 4, random_below(events, 3));
    put_double(&score, 1, (double)random_below(events, 1000) / 10);
    put_bytes(out, 5, buf_span(&score));
    put_text(out, 6, "Newer studies see less of an effect; nothing to change.");
    buf_release(&score);
    return "genetics.v1.MarkerReinterpreted";
}

static const char *marker_withdrawn(struct bench_events *events, const char *user, struct buf *out)
{
    uint32_t number = (uint32_t)random_below(events, 12);
    char code[16];

    snprintf(code, sizeof(code), "rs%06" PRIu32, 100000 + number * 7919);
    put_text(out, 1, user);
    put_text(out, 2, categories[number % ARRAY_COUNT(categories)]);
    put_text(out, 3, code);
    return "genetics.v1.MarkerWithdrawn";
}

void bench_events_init(struct bench_events *events, uint64_t seed, uint64_t people)
{
    *events = (struct bench_events){.state = seed, .people = people, .value = BUF_INIT};
}

void bench_events_release(struct bench_events *events)
{
    buf_release(&events->value);
}

struct bench_event bench_events_next(struct bench_events *events)
{
    uint64_t person = random_below(events, events->people);
    uint64_t kind = random_below(events, 100);
    const char *type;

    snprintf(events->user, sizeof(events->user), "user-%08" PRIu64, person);
    buf_clear(&events->value);
    if (kind < 40)
        type = report_completed(events, events->user, &events->value);
    else if (kind < 60)
        type = marker_reinterpreted(events, events->user, &events->value);
    else
        type = marker_withdrawn(events, events->user, &events->value);
    return (struct bench_event){events->user, type, buf_span(&events->value)};
}

struct bench_event bench_events_report(struct bench_events *events, uint64_t person)
{
    snprintf(events->user, sizeof(events->user), "user-%08" PRIu64, person);
    buf_clear(&events->value);
    const char *type = report_completed(events, events->user, &events->value);
    return (struct bench_event){events->user, type, buf_span(&events->value)};
}
