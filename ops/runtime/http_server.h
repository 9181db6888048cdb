/* ops/runtime/http_server.h - the HTTP/1.1 listener of both programs: an epoll loop per thread, a strict small parser,
 * hard limits, and handlers that answer at once or later.
 *
 * Why our own: ops/docs/decisions/http-stack.md. What isn't RFC 9112 is refused with 400 and the connection is closed;
 * a slow or hostile client costs only itself: absolute deadlines for the header, for idle connections and for a client
 * that doesn't take its answer; limits on header bytes and fields, URL length, pipelined requests and connections.
 *
 * Threads: each loop thread has its own SO_REUSEPORT socket; a handler runs on the loop that has the connection and
 * must not block. */
#ifndef TARN_RUNTIME_HTTP_SERVER_H
#define TARN_RUNTIME_HTTP_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "ops/runtime/http_answer.h"
#include "ops/runtime/http_limits.h"
#include "ops/runtime/http_request.h"
#include "ops/runtime/url.h"
#include "schema/base/arena.h"
#include "schema/base/buf.h"
#include "schema/base/err.h"
#include "schema/base/span.h"

struct http_server;
struct http_loop; /* one thread's event loop */

enum http_outcome {
    HTTP_ANSWERED,
    HTTP_WAITING, /* not yet: the handler is called again with the same request when still_waits() says no, after
                     http_server_wake(), and when its deadline has passed */
};

struct http_wait {
    int64_t now_us;      /* monotonic, of this turn of the loop */
    int64_t began_us;    /* the same of the turn in which the handler was first called */
    int64_t deadline_us; /* monotonic; set by the handler when it first says HTTP_WAITING */
    bool is_again;       /* the handler has been called with this request before */
    bool is_last;        /* the deadline has passed, or the server stops: it must answer now */
    int64_t note[4];     /* the handler's: what it waits for, kept between calls */
};

/* loop_state is what loop_start made for this thread. */
typedef enum http_outcome http_handler_fn(void *loop_state, const struct http_request *request, struct http_wait *wait,
                                          struct http_answer *answer);

/* What the server counts, for /metrics; relaxed atomics. */
struct http_counters {
    _Atomic int64_t connections_open;
    _Atomic int64_t connections_total;
    _Atomic int64_t connections_refused;
    _Atomic int64_t requests_total;
    _Atomic int64_t answers_2xx, answers_3xx, answers_4xx, answers_5xx;
    _Atomic int64_t timeouts_total;
};

struct http_server_options {
    const char *address; /* "127.0.0.1:8080", "[::1]:8080", ":8080" (all), "unix:/path"; port 0: the kernel's choice */
    unsigned threads;    /* loops */
    struct http_limits limits;
    http_handler_fn *handler;
    /* In each thread before its first request. NULL: loop_state is self. */
    void *(*loop_start)(void *self, struct http_loop *loop, unsigned thread);
    void (*loop_stop)(void *self, void *loop_state);
    /* Once per turn of the loop, before epoll_wait: the place to end read transactions. */
    void (*before_wait)(void *loop_state);
    /* Asked of each waiting request every wait_poll_ms (while there is one), cheaply, before the handler is called
     * again. NULL: the handler is. */
    bool (*still_waits)(void *loop_state, const struct http_wait *wait);
    int64_t wait_poll_ms; /* 0: only http_server_wake() and deadlines */
    void *self;
    struct http_counters *counters; /* NULL: not asked for */
};

/* Binds and starts the threads. ERR_INPUT: the address is malformed or taken (also by a forgotten server of ours: the
 * address is locked, as SO_REUSEPORT would share it without a word). */
MUST_CHECK int http_server_start(const struct http_server_options *options, struct http_server **ret_server,
                                 struct err *err);

/* "127.0.0.1:43817": what it is bound to, port 0 resolved. Lives as long as the server. */
const char *http_server_address(const struct http_server *server);

/* Has every loop look at its waiting requests again. From any thread. */
void http_server_wake(struct http_server *server);

/* Stops accepting, finishes what has begun within grace_ms, closes, joins the threads, frees. */
void http_server_stop(struct http_server **server, int64_t grace_ms);

#endif
