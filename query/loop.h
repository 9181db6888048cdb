/* query/loop.h - what one loop thread of the query server has: the generation that it serves, a reader of its store, at
 * most one snapshot a turn, and buffers that are used again. */
#ifndef TARN_QUERY_LOOP_H
#define TARN_QUERY_LOOP_H

#include "ops/runtime/http_server.h"
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
    const struct clock_port *clock;
    int64_t unready_after_s; /* 0: never */
    atomic_bool is_draining;
    struct query_counters counters;
    struct http_counters http;
};

enum listener { LISTENER_PUBLIC = 1, LISTENER_ADMIN = 2 };

struct query_loop {
    struct query *query;
    enum listener listener;
    struct served_generation *generation; /* NULL: none yet */
    struct store_reader *reader;          /* of it */
    struct freshness *freshness;          /* of it */
    bool has_snapshot;
    int64_t fault_at_ms; /* when one was logged last */
    struct buf key;      /* of the request that is being answered */
    struct buf owner;
    struct buf row_key;
};

struct query_loop *query_loop_new(struct query *query, enum listener listener);
void query_loop_free(struct query_loop **loop);

/* At the begin of each request: takes up the generation that is served now. False when there is none. */
bool query_loop_has_generation(struct query_loop *loop);

/* The snapshot of this turn, begun when it is first asked for. */
MUST_CHECK int query_loop_snapshot(struct query_loop *loop, struct err *err);
/* Ends it; the loop calls this before it waits. */
void query_loop_rest(struct query_loop *loop);

static inline int64_t query_loop_now_ms(const struct query_loop *loop)
{
    return clock_wall_ms(loop->query->clock);
}

#endif
