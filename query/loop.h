/* query/loop.h - what one loop thread of the query server has: the generations that are served, a reader of each one's
 * store, at most one snapshot of each a turn, and buffers that are used again. */
#ifndef TARN_QUERY_LOOP_H
#define TARN_QUERY_LOOP_H

#include "ops/runtime/http_server.h"
#include "query/exposure.h"
#include "query/freshness.h"
#include "query/served.h"
#include "schema/base/clock.h"

/* What the answers are counted as; shared by all threads. */
struct query_counters {
    _Atomic int64_t views, views_not_modified, views_absent, views_incomplete;
    _Atomic int64_t waits, waits_in_vain;
    _Atomic int64_t faults;
};

/* What the threads share. */
struct query {
    struct served *served;
    struct figures_table *figures;
    struct exposures *exposures; /* NULL: nobody is told of */
    const struct clock_port *clock;
    int64_t unready_after_s; /* 0: never */
    atomic_bool is_draining;
    struct query_counters counters;
    struct http_counters http;
};

enum listener { LISTENER_PUBLIC = 1, LISTENER_ADMIN = 2 };

/* One served generation, as one thread reads it. */
struct query_side {
    struct served_generation *generation;
    struct store_reader *reader;
    struct freshness *freshness;
    bool has_snapshot;
    struct figures_tally tally; /* of this turn's answers */
};

struct query_loop {
    struct query *query;
    enum listener listener;
    struct served_set *set;                      /* NULL: none yet */
    struct query_side sides[SERVING_SHARES_MAX]; /* beside set->generations */

    /* The one side that the request under way is answered from, and what it has. */
    struct query_side *side;
    struct served_generation *generation;
    struct store_reader *reader;
    struct freshness *freshness;

    int64_t views_found; /* in this turn */

    struct exposure_queue *exposures; /* NULL: nobody is told of */
    int64_t fault_at_ms;              /* when one was logged last */
    struct buf key;                   /* of the request that is being answered */
    struct buf owner;
    struct buf row_key;
};

struct query_loop *query_loop_new(struct query *query, enum listener listener);
void query_loop_free(struct query_loop **loop);

/* At the begin of each request: takes up what is served now, and chooses the incumbent. False when there is none. */
bool query_loop_has_generation(struct query_loop *loop);
/* Chooses another side for the request: an index into sides. */
void query_loop_choose(struct query_loop *loop, size_t side);
/* Chooses the generation of this serial. False when it isn't served any more. */
bool query_loop_choose_serial(struct query_loop *loop, uint64_t serial);

/* The chosen side's snapshot of this turn, begun when it is first asked for. */
MUST_CHECK int query_loop_snapshot(struct query_loop *loop, struct err *err);
/* Ends the snapshots, tells what was counted, and takes up what is served now, so that a loop without work holds on to nothing old. The loop
 * calls this before it waits. */
void query_loop_rest(struct query_loop *loop);

static inline int64_t query_loop_now_ms(const struct query_loop *loop)
{
    return clock_wall_ms(loop->query->clock);
}

#endif
