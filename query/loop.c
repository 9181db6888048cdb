/* A snapshot is begun at the first request of a turn that needs one and ended before epoll_wait: pages that a commit
 * frees are used again, and no answer waits for a writer. A generation is given up only between requests, together with
 * its reader, so that nothing points into a store that is gone. */
#include "query/loop.h"

#include <stdlib.h>

#include "ops/runtime/log.h"
#include "schema/base/mem.h"

static void give_up_generation(struct query_loop *loop);

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
    give_up_generation(*loop);
    buf_release(&(*loop)->key);
    buf_release(&(*loop)->owner);
    buf_release(&(*loop)->row_key);
    free(*loop);
    *loop = NULL;
}

bool query_loop_has_generation(struct query_loop *loop)
{
    struct err err;

    if (!served_has_changed(loop->query->served, loop->generation))
        return loop->generation != NULL;
    give_up_generation(loop);
    loop->generation = served_current(loop->query->served);
    if (loop->generation == NULL)
        return false;
    if (store_reader_open(loop->generation->store, &loop->reader, &err) < 0) {
        log_error("no reader can be opened: %s", err.text);
        served_generation_release(&loop->generation);
        return false;
    }
    loop->freshness = freshness_new(&loop->generation->generation->settings, loop->reader);
    return true;
}

int query_loop_snapshot(struct query_loop *loop, struct err *err)
{
    if (loop->has_snapshot)
        return 0;
    int rc = store_read_begin(loop->reader, err);
    loop->has_snapshot = rc == 0;
    return rc;
}

void query_loop_rest(struct query_loop *loop)
{
    if (!loop->has_snapshot)
        return;
    store_read_end(loop->reader);
    loop->has_snapshot = false;
}

static void give_up_generation(struct query_loop *loop)
{
    query_loop_rest(loop);
    freshness_free(&loop->freshness);
    store_reader_close(&loop->reader);
    served_generation_release(&loop->generation);
}
