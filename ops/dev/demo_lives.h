/* ops/dev/demo_lives.h - the life of some hundred people, over all example domains: reports and what science makes of them
 * later, loan offers that come one by one, payments, policies, balances, scores; now and then somebody is renamed, and
 * once in a while somebody is forgotten and a new person comes. The same lives in every run. */
#ifndef TARN_DEV_DEMO_LIVES_H
#define TARN_DEV_DEMO_LIVES_H

#include <jansson.h>
#include <stdint.h>

enum { DEMO_PEOPLE = 60, DEMO_FIRST_PERSON = 1001 };

/* Where events go. event: taken over; NULL is a null value, of the stream that type names then. */
typedef void demo_publish_fn(void *self, const char *key, const char *type, json_t *event);

struct demo_lives {
    demo_publish_fn *publish;
    void *self;
    uint64_t random;
    unsigned serial; /* numbers applications, reports, policies */
    int people[DEMO_PEOPLE];
    int next_person;
};

/* Publishes the catalogues and everybody's beginning. */
void demo_lives_begin(struct demo_lives *lives, demo_publish_fn *publish, void *self);

/* One more thing happens to somebody. */
void demo_lives_go_on(struct demo_lives *lives);

#endif
