/* One lock for all that is told: probes come a few times a second, and the loop tells about as often. */
#include "ops/runtime/admin_listener.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "ops/runtime/http_server.h"
#include "schema/base/clock.h"
#include "schema/base/mem.h"

enum { GRACE_MS = 200, CONNECTIONS_MAX = 64 };

struct admin_listener {
    struct admin_listener_options options;
    struct http_server *server;
    struct http_counters counters;
    pthread_mutex_t lock; /* of what follows */
    struct buf problem;
    struct buf metrics;
    bool is_ready;
    int64_t turned_at_us;
};

static enum http_outcome answer(void *loop_state, const struct http_request *request, struct http_wait *wait,
                                struct http_answer *ret_answer);

/* The one loop's state is the listener itself. */
static void *loop_start(void *self, struct http_loop *loop, unsigned thread)
{
    (void)loop;
    (void)thread;
    return self;
}

int admin_listener_open(const struct admin_listener_options *options, struct admin_listener **ret_listener,
                        struct err *err)
{
    struct admin_listener *listener = mem_zero(1, sizeof(*listener));
    struct http_server_options server = {
        .address = options->listen,
        .threads = 1,
        .limits = http_limits_default,
        .handler = answer,
        .loop_start = loop_start,
        .self = listener,
        .counters = &listener->counters,
    };

    server.limits.connections = CONNECTIONS_MAX;
    listener->options = *options;
    listener->turned_at_us = clock_monotonic_us(&clock_system);
    pthread_mutex_init(&listener->lock, NULL);
    int rc = http_server_start(&server, &listener->server, err);
    if (rc < 0) {
        admin_listener_close(&listener);
        return err_prefix(err, "--listen");
    }
    *ret_listener = listener;
    return 0;
}

void admin_listener_close(struct admin_listener **listener)
{
    struct admin_listener *self = *listener;

    if (self == NULL)
        return;
    if (self->server != NULL)
        http_server_stop(&self->server, GRACE_MS);
    pthread_mutex_destroy(&self->lock);
    buf_release(&self->problem);
    buf_release(&self->metrics);
    free(self);
    *listener = NULL;
}

const char *admin_listener_address(const struct admin_listener *listener)
{
    return http_server_address(listener->server);
}

void admin_listener_tell(struct admin_listener *listener, const struct admin_news *news)
{
    pthread_mutex_lock(&listener->lock);
    buf_clear(&listener->problem);
    buf_add_text(&listener->problem, news->problem != NULL ? news->problem : "");
    buf_clear(&listener->metrics);
    if (news->metrics != NULL)
        buf_add_span(&listener->metrics, buf_span(news->metrics));
    listener->is_ready = news->is_ready;
    listener->turned_at_us = news->turned_at_us;
    pthread_mutex_unlock(&listener->lock);
}

void admin_listener_turned(struct admin_listener *listener, int64_t turned_at_us)
{
    pthread_mutex_lock(&listener->lock);
    listener->turned_at_us = turned_at_us;
    pthread_mutex_unlock(&listener->lock);
}

/* --- answers: the listener's thread, with the lock ---------------------------------------------------------------- */

static void answer_health(struct admin_listener *listener, struct http_answer *ret_answer)
{
    int64_t silent_us = clock_monotonic_us(&clock_system) - listener->turned_at_us;

    if (silent_us > listener->options.hung_after_us) {
        http_answer_problem(ret_answer, 503, "the main loop hasn't turned for %" PRId64 " s", silent_us / 1000000);
        return;
    }
    http_answer_header(ret_answer, "Content-Type", "text/plain; charset=utf-8");
    buf_add_literal(ret_answer->body, "ok\n");
}

static void answer_readiness(struct admin_listener *listener, struct http_answer *ret_answer)
{
    if (!listener->is_ready) {
        http_answer_problem(ret_answer, 503, "%s",
                            listener->problem.len > 0 ? buf_text(&listener->problem) : "not ready yet");
        return;
    }
    http_answer_header(ret_answer, "Content-Type", "text/plain; charset=utf-8");
    buf_add_literal(ret_answer->body, "ready\n");
    if (listener->problem.len > 0) {
        buf_add_span(ret_answer->body, buf_span(&listener->problem));
        buf_add_byte(ret_answer->body, '\n');
    }
}

static void answer_metrics(struct admin_listener *listener, struct http_answer *ret_answer)
{
    http_answer_header(ret_answer, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    listener->options.print_metrics(listener->options.self, ret_answer->body);
    buf_add_span(ret_answer->body, buf_span(&listener->metrics));
}

static const struct {
    const char *path;
    void (*answer)(struct admin_listener *listener, struct http_answer *ret_answer);
} routes[] = {
    {"/healthz", answer_health},
    {"/readyz", answer_readiness},
    {"/metrics", answer_metrics},
};

static enum http_outcome answer(void *loop_state, const struct http_request *request, struct http_wait *wait,
                                struct http_answer *ret_answer)
{
    struct admin_listener *listener = loop_state;

    (void)wait;
    for (size_t i = 0; i < ARRAY_COUNT(routes); i++) {
        if (!span_equal_text(request->path, routes[i].path))
            continue;
        if (request->method != HTTP_GET && request->method != HTTP_HEAD) {
            http_answer_header(ret_answer, "Allow", "GET, HEAD");
            http_answer_problem(ret_answer, 405, "%s is read with GET", routes[i].path);
            return HTTP_ANSWERED;
        }
        pthread_mutex_lock(&listener->lock);
        routes[i].answer(listener, ret_answer);
        pthread_mutex_unlock(&listener->lock);
        return HTTP_ANSWERED;
    }
    http_answer_problem(ret_answer, 404, "here are /healthz, /readyz and /metrics");
    return HTTP_ANSWERED;
}
