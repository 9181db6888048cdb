/* One static table, walked from the top: it is short, and the path that counts stands first. */
#include "query/routes.h"

#include "query/health.h"
#include "query/query_metrics.h"
#include "query/view_answer.h"

typedef enum http_outcome route_fn(struct query_loop *loop, const struct http_request *request, struct http_wait *wait,
                                   struct http_answer *answer);

struct route {
    struct span path;
    bool is_prefix;
    unsigned listeners;
    bool checks_method; /* itself; otherwise GET and HEAD are what there is */
    route_fn *answer;
};

static enum http_outcome answer_metrics(struct query_loop *loop, const struct http_request *request,
                                        struct http_wait *wait, struct http_answer *answer);
static enum http_outcome answer_openapi(struct query_loop *loop, const struct http_request *request,
                                        struct http_wait *wait, struct http_answer *answer);

#define PATH(text) {(text), sizeof(text) - 1}

static const struct route routes[] = {
    {PATH("/v1/"), true, LISTENER_PUBLIC, true, view_answer},
    {PATH("/healthz"), false, LISTENER_PUBLIC | LISTENER_ADMIN, false, health_answer_alive},
    {PATH("/readyz"), false, LISTENER_PUBLIC | LISTENER_ADMIN, false, health_answer_ready},
    {PATH("/metrics"), false, LISTENER_ADMIN, false, answer_metrics},
    {PATH("/openapi.json"), false, LISTENER_ADMIN, false, answer_openapi},
};

static bool fits(const struct route *route, enum listener listener, struct span path)
{
    if (!(route->listeners & listener))
        return false;
    return route->is_prefix ? span_starts_with(path, route->path) : span_equal(path, route->path);
}

enum http_outcome routes_answer(void *loop_state, const struct http_request *request, struct http_wait *wait,
                                struct http_answer *answer)
{
    struct query_loop *loop = loop_state;

    for (size_t i = 0; i < ARRAY_COUNT(routes); i++) {
        if (!fits(&routes[i], loop->listener, request->path))
            continue;
        if (!routes[i].checks_method && request->method != HTTP_GET && request->method != HTTP_HEAD) {
            http_answer_header(answer, "Allow", "GET, HEAD");
            http_answer_problem(answer, 405, "this is read with GET and HEAD");
            return HTTP_ANSWERED;
        }
        return routes[i].answer(loop, request, wait, answer);
    }
    http_answer_problem(answer, 404, "there is nothing here");
    return HTTP_ANSWERED;
}

static enum http_outcome answer_metrics(struct query_loop *loop, const struct http_request *request,
                                        struct http_wait *wait, struct http_answer *answer)
{
    (void)request;
    (void)wait;
    http_answer_header(answer, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    query_metrics_print(loop, answer->body);
    return HTTP_ANSWERED;
}

static enum http_outcome answer_openapi(struct query_loop *loop, const struct http_request *request,
                                        struct http_wait *wait, struct http_answer *answer)
{
    (void)request;
    (void)wait;
    if (!query_loop_has_generation(loop)) {
        http_answer_header(answer, "Retry-After", "1");
        http_answer_problem(answer, 503, "there is no store yet, and so no schema");
        return HTTP_ANSWERED;
    }
    http_answer_header(answer, "Content-Type", "application/json");
    http_answer_header(answer, "Tarn-Generation", "%s", loop->generation->generation->name);
    answer->body_borrowed = buf_span(&loop->generation->openapi);
    return HTTP_ANSWERED;
}
