/* ops/runtime/http_loop.h - one thread's event loop: its connections, their deadlines and what they share. Internal to
 * the HTTP server. */
#ifndef TARN_RUNTIME_HTTP_LOOP_H
#define TARN_RUNTIME_HTTP_LOOP_H

#include <pthread.h>
#include <time.h>

#include "ops/runtime/http_parser.h"
#include "ops/runtime/http_server.h"
#include "ops/runtime/metrics.h"

struct http_connection;

/* What a connection is waiting for; each kind has one timeout, so a list in the order of arrival is in the order of
 * deadlines, and looking after a deadline costs two pointers. WAITING is the exception: its deadlines are the
 * handler's, and the list is walked. */
enum http_stage {
    HTTP_STAGE_IDLE,    /* for the first byte of a request */
    HTTP_STAGE_REQUEST, /* for the rest of a request: head, or body */
    HTTP_STAGE_WAITING, /* for the handler */
    HTTP_STAGE_SENDING, /* for the client to take what was sent */
    HTTP_STAGE_CLOSING, /* for the client's end, after a last answer: closing at once could destroy it on the way */
    HTTP_STAGE_COUNT,
};

struct http_list {
    struct http_connection *first, *last;
};

/* Counted here and added to the shared counters once per turn. */
struct http_tally {
    int64_t requests, timeouts;
    int64_t answers[6]; /* by the status' first digit */
};

struct http_loop {
    const struct http_server_options *options; /* the server's copy */
    struct http_counters *counters;
    _Atomic int64_t *open_connections; /* of all loops */
    void *state;                       /* the handler's */
    unsigned thread;
    pthread_t id;
    int epoll_fd;
    int wake_fd;
    int listen_fd;
    _Atomic int64_t stop_at_us; /* 0: go on; else finish until then. Set once */
    atomic_bool is_woken;

    int64_t now_us;
    int64_t accept_again_us; /* 0: accepting */
    int64_t next_poll_us;    /* of those that wait */
    time_t date_s;
    char date[40]; /* "Sun, 22 Nov 2026 14:00:00 GMT" */
    size_t date_len;
    struct http_list stages[HTTP_STAGE_COUNT];
    struct http_connection *again; /* have more to read: served next turn, so that one client doesn't starve the rest */
    struct http_tally tally;

    /* Shared by the connections of this loop, one at a time. */
    uint8_t *read_buffer;
    struct buf out;     /* answers, written with one send() */
    struct buf headers; /* of the answer that a handler writes */
    struct buf body;
    struct arena arena;
    struct http_field fields[HTTP_FIELDS_MAX];
};

enum { HTTP_READ_BYTES = 64 * 1024 };

/* Runs until stopped. */
void *http_loop_run(void *self);

/* Moves a connection to a stage, with the stage's deadline from now on. */
void http_loop_stage(struct http_loop *loop, struct http_connection *connection, enum http_stage stage);
/* Takes it out of every list. */
void http_loop_forget(struct http_loop *loop, struct http_connection *connection);
/* Has it run again in the next turn, whether epoll names it or not. */
void http_loop_again(struct http_loop *loop, struct http_connection *connection);
bool http_loop_is_stopping(const struct http_loop *loop);
struct span http_loop_date(struct http_loop *loop);

#endif
