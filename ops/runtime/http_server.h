/* ops/runtime/http_server.h - the HTTP/1.1 listener of both programs: an epoll loop per thread, a strict small parser,
 * hard limits, and handlers that answer at once or later.
 *
 * Why our own: ops/docs/decisions/http-stack.md. What isn't RFC 9112 is refused with 400 and the connection is closed;
 * a slow or hostile client costs only itself: absolute deadlines for the header, for idle connections and for a client that doesn't take its answer;
 * limits on header bytes and fields, URL length, pipelined requests and connections.
 *
 * Threads: each loop thread has its own SO_REUSEPORT socket; a handler runs on the loop that has the connection and
 * must not block. */
#ifndef TARN_RUNTIME_HTTP_SERVER_H
#define TARN_RUNTIME_HTTP_SERVER_H

#include <stdbool.h>

#include "schema/base/arena.h"
#include "schema/base/buf.h"
#include "schema/base/err.h"
#include "schema/base/span.h"

struct http_server;
struct http_loop; /* one thread's event loop */

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_OTHER };

struct http_field {
    struct span name; /* as sent; compare with http_request_header() */
    struct span value;
};

/* One request; borrowed: it lives until the handler has answered (a request that waits is kept by the server). */
struct http_request {
    enum http_method method;
    struct span method_text;
    struct span path;  /* before '?', still percent-encoded, begins with '/' */
    struct span query; /* behind '?', still percent-encoded; empty when there is none */
    const struct http_field *fields;
    size_t field_count;
    struct span body;
    struct arena *arena; /* for the handler; reset with the request */
};

/* Empty when there is none; several fields of one name are joined with ", ". */
struct span http_request_header(const struct http_request *request, const char *name);
bool http_request_has_header(const struct http_request *request, const char *name);

/* An answer being written. Content-Length, Date, Connection and the status line are the server's. */
struct http_answer {
    int status;             /* 200 unless the handler says otherwise */
    struct buf *headers;    /* "Name: value\r\n" lines */
    struct buf *body;       /* left out for HEAD, 204 and 304; Content-Length of a HEAD is the GET's */
    struct span body_borrowed; /* instead of body: bytes that live until the handler returns; the server copies what the
                                  socket doesn't take at once */
    bool close;
};

void http_answer_header(struct http_answer *answer, const char *name, const char *format, ...) PRINTF_LIKE(3, 4);

/* application/problem+json (RFC 9457): title from the status, detail printf-like. */
void http_answer_problem(struct http_answer *answer, int status, const char *detail, ...) PRINTF_LIKE(3, 4);

enum http_outcome {
    HTTP_ANSWERED,
    HTTP_WAITING, /* not yet: the handler is called again with the same request after each http_loop_wake() and when its
                     deadline (http_request_wait_until) has passed */
};

struct http_wait {
    int64_t deadline_us; /* monotonic; set by the handler when it first says HTTP_WAITING */
    bool is_again;       /* the handler has been called with this request before */
    bool is_last;        /* the deadline has passed: it must answer now */
};

/* loop_state is what http_loop_start made for this thread. */
typedef enum http_outcome http_handler_fn(void *loop_state, const struct http_request *request, struct http_wait *wait,
                                          struct http_answer *answer);

struct http_limits {
    size_t header_bytes;        /* 16 KiB */
    size_t header_fields;       /* 100 */
    size_t url_bytes;           /* 4 KiB */
    size_t body_bytes;          /* 1 MiB */
    size_t connections;         /* over all loops; one more is answered 503 and closed */
    int64_t header_timeout_ms;  /* from the first byte to the last of a request's header; absolute */
    int64_t idle_timeout_ms;    /* a kept-alive connection without a request */
    int64_t send_timeout_ms;    /* a client that doesn't take what was sent */
};
extern const struct http_limits http_limits_default;

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
    void *(*loop_start)(void *self, struct http_loop *loop, unsigned thread); /* before the first request of a thread */
    void (*loop_stop)(void *self, void *loop_state);
    /* Once per turn of the loop, before epoll_wait: the place to end read transactions. */
    void (*before_wait)(void *loop_state);
    void *self;
    struct http_counters *counters;
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

/* --- URLs --- */

/* Percent-decodes into the arena; false for a malformed escape. '+' stays as it is in paths, is a space in queries. */
bool url_decode(struct span encoded, bool is_query, struct arena *arena, struct span *ret_decoded);
/* The next `name=value` of a query, decoded; false at the end; *ret_ok false for a malformed escape. */
bool url_query_next(struct span *query, struct arena *arena, struct span *ret_name, struct span *ret_value,
                    bool *ret_ok);

#endif
