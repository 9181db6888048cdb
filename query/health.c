/* Ready once the incumbent has been caught up for the first time, and from then on whatever happens to Kafka or the
 * projector: stale screens beat no screens. Whoever disagrees says --unready-after. A candidate doesn't count: one that
 * falls behind would otherwise take all servers away from those whom it doesn't answer. */
#include "query/health.h"

#include <inttypes.h>

static enum http_outcome say(struct http_answer *answer, const char *word)
{
    http_answer_header(answer, "Content-Type", "text/plain; charset=utf-8");
    http_answer_header(answer, "Cache-Control", "no-store");
    buf_add_text(answer->body, word);
    return HTTP_ANSWERED;
}

static enum http_outcome say_unready(struct http_answer *answer, const char *why)
{
    http_answer_header(answer, "Cache-Control", "no-store");
    http_answer_problem(answer, 503, "%s", why);
    return HTTP_ANSWERED;
}

enum http_outcome health_answer_alive(struct query_loop *loop, const struct http_request *request,
                                      struct http_wait *wait, struct http_answer *answer)
{
    (void)loop;
    (void)request;
    (void)wait;
    return say(answer, "ok\n");
}

enum http_outcome health_answer_ready(struct query_loop *loop, const struct http_request *request,
                                      struct http_wait *wait, struct http_answer *answer)
{
    int64_t age_s = 0;
    struct err err;

    (void)request;
    (void)wait;
    if (atomic_load_explicit(&loop->query->is_draining, memory_order_relaxed))
        return say_unready(answer, "this server is stopping");
    if (!query_loop_has_generation(loop))
        return say_unready(answer, "there is no store yet");
    if (!atomic_load_explicit(&loop->generation->is_filled, memory_order_relaxed))
        return say_unready(answer, "the store is being filled for the first time");
    if (loop->query->unready_after_s > 0) {
        int rc = query_loop_snapshot(loop, &err);
        if (rc == 0)
            rc = freshness_whole_age_s(loop->freshness, query_loop_now_ms(loop), &age_s, &err);
        if (rc < 0)
            return say_unready(answer, "the store can't be read");
        if (age_s > loop->query->unready_after_s)
            return say_unready(answer, "the store has not been caught up for longer than --unready-after");
    }
    return say(answer, "ready\n");
}
