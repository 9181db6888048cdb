/* A snapshot is begun at the first request of a turn that needs one and ended before epoll_wait: pages that a commit
 * frees are used again, and no answer waits for a writer. A generation is given up only between requests, together with
 * its reader, so that nothing points into a store that is gone; one that goes on being served keeps its reader. */
#include "query/loop.h"

#include <stdlib.h>

#include "ops/runtime/log.h"
#include "schema/base/mem.h"

enum { FAULT_LOG_MS = 1000 };

static void take_up(struct query_loop *loop);
static void close_side(struct query_side *side);

struct query_loop *query_loop_new(struct query *query, enum listener listener)
{
    struct query_loop *loop = mem_zero(1, sizeof(*loop));

    loop->query = query;
    loop->listener = listener;
    return loop;
}

void query_loop_free(struct query_loop **loop)
{
    if (*loop == NULL)
        return;
    for (size_t i = 0; i < SERVING_SHARES_MAX; i++)
        close_side(&(*loop)->sides[i]);
    served_set_release(&(*loop)->set);
    buf_release(&(*loop)->key);
    buf_release(&(*loop)->owner);
    buf_release(&(*loop)->row_key);
    free(*loop);
    *loop = NULL;
}

bool query_loop_has_generation(struct query_loop *loop)
{
    if (served_has_changed(loop->query->served, loop->set))
        take_up(loop);
    if (loop->set == NULL)
        return false;
    query_loop_choose(loop, 0);
    return true;
}

void query_loop_choose(struct query_loop *loop, size_t side)
{
    loop->side = &loop->sides[side];
    loop->generation = loop->side->generation;
    loop->reader = loop->side->reader;
    loop->freshness = loop->side->freshness;
}

bool query_loop_choose_serial(struct query_loop *loop, uint64_t serial)
{
    for (size_t i = 0; loop->set != NULL && i < loop->set->shares.count; i++) {
        if (loop->sides[i].generation->serial == serial) {
            query_loop_choose(loop, i);
            return true;
        }
    }
    return false;
}

int query_loop_snapshot(struct query_loop *loop, struct err *err)
{
    if (loop->side->has_snapshot)
        return 0;
    int rc = store_read_begin(loop->side->reader, err);
    loop->side->has_snapshot = rc == 0;
    return rc;
}

static void end_snapshot(struct query_side *side)
{
    if (side->has_snapshot)
        store_read_end(side->reader);
    side->has_snapshot = false;
    if (side->generation != NULL)
        figures_tell(side->generation->figures, &side->tally);
}

void query_loop_rest(struct query_loop *loop)
{
    if (loop->views_found > 0)
        metric_add(&loop->query->counters.views, loop->views_found);
    loop->views_found = 0;
    for (size_t i = 0; i < SERVING_SHARES_MAX; i++)
        end_snapshot(&loop->sides[i]);
    if (served_has_changed(loop->query->served, loop->set))
        take_up(loop);
}

/* --- sides ---------------------------------------------------------------------------------------------------------- */

static int open_side(struct served_generation *generation, struct query_side *side, struct err *err)
{
    int rc = store_reader_open(generation->store, &side->reader, err);
    if (rc < 0)
        return rc;
    side->generation = generation;
    side->freshness = freshness_new(&generation->generation->settings, side->reader);
    return 0;
}

static void close_side(struct query_side *side)
{
    end_snapshot(side);
    freshness_free(&side->freshness);
    store_reader_close(&side->reader);
    side->generation = NULL;
}

static struct query_side *find_side(struct query_loop *loop, const struct served_generation *generation)
{
    for (size_t i = 0; i < SERVING_SHARES_MAX; i++)
        if (loop->sides[i].generation == generation)
            return &loop->sides[i];
    return NULL;
}

/* All of the new set or, when a reader can't be had, none: the former goes on, and the next request tries again. */
static void take_up(struct query_loop *loop)
{
    struct served_set *set = served_current(loop->query->served);
    size_t count = set != NULL ? set->shares.count : 0;
    struct query_side opened[SERVING_SHARES_MAX] = {0};
    struct err err;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count; i++)
        if (find_side(loop, set->generations[i]) == NULL)
            rc = open_side(set->generations[i], &opened[i], &err);
    if (rc < 0) {
        int64_t now_ms = query_loop_now_ms(loop);
        if (now_ms - loop->fault_at_ms >= FAULT_LOG_MS)
            log_error("no reader can be opened: %s", err.text);
        loop->fault_at_ms = now_ms;
        for (size_t i = 0; i < count; i++)
            close_side(&opened[i]);
        served_set_release(&set);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct query_side *kept = find_side(loop, set->generations[i]);
        if (kept != NULL) {
            opened[i] = *kept;
            *kept = (struct query_side){0};
        }
    }
    for (size_t i = 0; i < SERVING_SHARES_MAX; i++) {
        close_side(&loop->sides[i]);
        loop->sides[i] = opened[i];
    }
    served_set_release(&loop->set);
    loop->set = set;
}
