/* One turn: wait for events, accept, run the connections that have something, look after deadlines, let the handler's
 * side close its snapshot. Time is read once per turn; nothing in a turn blocks, so that is exact enough.
 *
 * Deadlines need no timer per connection: within a stage they are in the order of arrival (see http_loop.h), so only
 * heads of lists are looked at. Requests that wait are walked every wait_poll_ms, and only while there are some. */
#include "ops/runtime/http_loop.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ops/runtime/http_connection.h"
#include "ops/runtime/log.h"
#include "schema/base/clock.h"

enum {
    EVENTS_PER_TURN = 256,
    ACCEPTS_PER_TURN = 64,
    CLOSING_MS = 1000,     /* for the client to notice our end */
    ACCEPT_PAUSE_MS = 100, /* when descriptors have run out */
};

static void run_events(struct http_loop *loop, const struct epoll_event *events, int got);
static void run_again(struct http_loop *loop);
static void accept_connections(struct http_loop *loop);
static void look_after_deadlines(struct http_loop *loop);
static void poll_waiting(struct http_loop *loop);
static bool look_after_stop(struct http_loop *loop);
static int timeout_ms(const struct http_loop *loop);
static void count(struct http_loop *loop);

void *http_loop_run(void *self)
{
    struct http_loop *loop = self;
    struct epoll_event events[EVENTS_PER_TURN];

    loop->state = loop->options->loop_start != NULL ? loop->options->loop_start(loop->options->self, loop, loop->thread)
                                                    : loop->options->self;
    loop->now_us = clock_monotonic_us(&clock_system);
    do {
        count(loop);
        if (loop->options->before_wait != NULL)
            loop->options->before_wait(loop->state);
        int got = epoll_wait(loop->epoll_fd, events, EVENTS_PER_TURN, timeout_ms(loop));
        loop->now_us = clock_monotonic_us(&clock_system);
        if (got < 0 && errno != EINTR)
            log_error("epoll_wait: error %d", errno);
        run_again(loop);
        run_events(loop, events, got);
        poll_waiting(loop);
        look_after_deadlines(loop);
    } while (look_after_stop(loop));

    count(loop);
    if (loop->options->before_wait != NULL)
        loop->options->before_wait(loop->state);
    if (loop->options->loop_stop != NULL)
        loop->options->loop_stop(loop->options->self, loop->state);
    return NULL;
}

/* --- lists ---------------------------------------------------------------------------------------------------------- */

static void unlink_stage(struct http_loop *loop, struct http_connection *connection)
{
    if (connection->stage == HTTP_STAGE_COUNT)
        return;
    struct http_list *list = &loop->stages[connection->stage];
    *(connection->previous != NULL ? &connection->previous->next : &list->first) = connection->next;
    *(connection->next != NULL ? &connection->next->previous : &list->last) = connection->previous;
    connection->stage = HTTP_STAGE_COUNT;
}

static int64_t stage_timeout_ms(const struct http_loop *loop, enum http_stage stage)
{
    switch (stage) {
    case HTTP_STAGE_IDLE:
        return loop->options->limits.idle_timeout_ms;
    case HTTP_STAGE_REQUEST:
        return loop->options->limits.header_timeout_ms;
    case HTTP_STAGE_SENDING:
        return loop->options->limits.send_timeout_ms;
    case HTTP_STAGE_CLOSING:
        return CLOSING_MS;
    case HTTP_STAGE_WAITING:
    case HTTP_STAGE_COUNT:
        break;
    }
    return 0;
}

void http_loop_stage(struct http_loop *loop, struct http_connection *connection, enum http_stage stage)
{
    struct http_list *list = &loop->stages[stage];

    unlink_stage(loop, connection);
    connection->stage = stage;
    connection->deadline_us = stage == HTTP_STAGE_WAITING ? connection->wait.deadline_us
                                                          : loop->now_us + stage_timeout_ms(loop, stage) * 1000;
    connection->next = NULL;
    connection->previous = list->last;
    *(list->last != NULL ? &list->last->next : &list->first) = connection;
    list->last = connection;
}

void http_loop_forget(struct http_loop *loop, struct http_connection *connection)
{
    struct http_connection **link = &loop->again;

    unlink_stage(loop, connection);
    while (connection->is_again && *link != connection)
        link = &(*link)->again;
    if (connection->is_again)
        *link = connection->again;
}

void http_loop_again(struct http_loop *loop, struct http_connection *connection)
{
    if (connection->is_again)
        return;
    connection->is_again = true;
    connection->again = loop->again;
    loop->again = connection;
}

bool http_loop_is_stopping(const struct http_loop *loop)
{
    return atomic_load_explicit(&loop->stop_at_us, memory_order_relaxed) != 0;
}

struct span http_loop_date(struct http_loop *loop)
{
    time_t now = time(NULL);
    struct tm utc;

    if (now != loop->date_s) {
        gmtime_r(&now, &utc);
        loop->date_len = strftime(loop->date, sizeof(loop->date), "%a, %d %b %Y %H:%M:%S GMT", &utc);
        loop->date_s = now;
    }
    return span_of(loop->date, loop->date_len);
}

/* --- a turn --------------------------------------------------------------------------------------------------------- */

static void run_again(struct http_loop *loop)
{
    struct http_connection *connection = loop->again;

    loop->again = NULL;
    while (connection != NULL) {
        struct http_connection *next = connection->again;
        connection->is_again = false;
        http_connection_run(loop, connection, 0);
        connection = next;
    }
}

/* epoll names a connection once per turn, so one that closes here is in no later event of the same array. */
static void run_events(struct http_loop *loop, const struct epoll_event *events, int got)
{
    uint64_t ignored;

    for (int i = 0; i < got; i++) {
        if (events[i].data.ptr == &loop->listen_fd)
            accept_connections(loop);
        else if (events[i].data.ptr == &loop->wake_fd)
            (void)!read(loop->wake_fd, &ignored, sizeof(ignored));
        else
            http_connection_run(loop, events[i].data.ptr, events[i].events);
    }
}

/* Says so and closes: a client that is turned away shouldn't have to guess. */
static void turn_away(struct http_loop *loop, int fd)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n"
                                 "Connection: close\r\n\r\n";

    (void)!send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(fd, SHUT_WR);
    close(fd);
    metric_add(&loop->counters->connections_refused, 1);
}

static void pause_accepting(struct http_loop *loop)
{
    log_warn("no connection can be accepted: %s",
             errno == EMFILE ? "this process is out of file descriptors" : "the machine is out of them or of memory");
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, loop->listen_fd, NULL);
    loop->accept_again_us = loop->now_us + ACCEPT_PAUSE_MS * 1000;
}

static void accept_connections(struct http_loop *loop)
{
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(loop->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
            pause_accepting(loop);
        if (fd < 0 && errno != EINTR && errno != ECONNABORTED)
            return;
        if (fd < 0)
            continue;
        metric_add(&loop->counters->connections_total, 1);
        if (atomic_fetch_add_explicit(loop->open_connections, 1, memory_order_relaxed) >=
            (int64_t)loop->options->limits.connections) {
            atomic_fetch_sub_explicit(loop->open_connections, 1, memory_order_relaxed);
            turn_away(loop, fd);
            continue;
        }
        metric_add(&loop->counters->connections_open, 1);
        struct http_connection *connection = http_connection_open(loop, fd);
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = connection};
        if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
            http_connection_close(loop, connection);
    }
}

static void look_after_deadlines(struct http_loop *loop)
{
    static const enum http_stage timed[] = {HTTP_STAGE_IDLE, HTTP_STAGE_REQUEST, HTTP_STAGE_SENDING,
                                            HTTP_STAGE_CLOSING};

    for (size_t i = 0; i < ARRAY_COUNT(timed); i++) {
        struct http_connection *first;
        while ((first = loop->stages[timed[i]].first) != NULL && first->deadline_us <= loop->now_us)
            http_connection_expire(loop, first);
    }
    if (loop->accept_again_us != 0 && loop->accept_again_us <= loop->now_us && loop->listen_fd >= 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &loop->listen_fd};
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->listen_fd, &event);
        loop->accept_again_us = 0;
    }
}

/* Walks a list that changes under way: a request that goes on waiting stays, one that is answered leaves. */
static void poll_waiting(struct http_loop *loop)
{
    const struct http_server_options *options = loop->options;
    bool is_woken = atomic_exchange_explicit(&loop->is_woken, false, memory_order_acquire);
    bool is_time = options->wait_poll_ms > 0 && loop->now_us >= loop->next_poll_us;
    struct http_connection *next;

    if (loop->stages[HTTP_STAGE_WAITING].first == NULL)
        return;
    if (is_time)
        loop->next_poll_us = loop->now_us + options->wait_poll_ms * 1000;
    for (struct http_connection *at = loop->stages[HTTP_STAGE_WAITING].first; at != NULL; at = next) {
        next = at->next;
        if (at->deadline_us <= loop->now_us)
            http_connection_expire(loop, at);
        else if (is_woken ||
                 (is_time && (options->still_waits == NULL || !options->still_waits(loop->state, &at->wait))))
            http_connection_resume(loop, at, false);
    }
}

/* Something is under way that a stop waits for. */
static bool has_begun(const struct http_loop *loop)
{
    for (size_t i = 0; i < HTTP_STAGE_COUNT; i++)
        if (i != HTTP_STAGE_IDLE && loop->stages[i].first != NULL)
            return true;
    return false;
}

static int timeout_ms(const struct http_loop *loop)
{
    int64_t until_us = loop->now_us + 3600 * (int64_t)1000000;
    int64_t stop_at_us = atomic_load_explicit(&loop->stop_at_us, memory_order_relaxed);

    if (loop->again != NULL || (stop_at_us != 0 && !has_begun(loop)))
        return 0;
    for (size_t i = 0; i < HTTP_STAGE_COUNT; i++)
        if (i != HTTP_STAGE_WAITING && loop->stages[i].first != NULL && loop->stages[i].first->deadline_us < until_us)
            until_us = loop->stages[i].first->deadline_us;
    if (loop->stages[HTTP_STAGE_WAITING].first != NULL && loop->options->wait_poll_ms > 0 &&
        loop->next_poll_us < until_us)
        until_us = loop->next_poll_us;
    for (const struct http_connection *at = loop->stages[HTTP_STAGE_WAITING].first;
         at != NULL && loop->options->wait_poll_ms == 0; at = at->next)
        until_us = at->deadline_us < until_us ? at->deadline_us : until_us;
    if (loop->accept_again_us != 0 && loop->accept_again_us < until_us)
        until_us = loop->accept_again_us;
    if (stop_at_us != 0 && stop_at_us < until_us)
        until_us = stop_at_us;
    return until_us <= loop->now_us ? 0 : (int)((until_us - loop->now_us + 999) / 1000);
}

/* False when the loop is done. What has begun may end: requests under way, answers on their way out. */
static bool look_after_stop(struct http_loop *loop)
{
    int64_t stop_at_us = atomic_load_explicit(&loop->stop_at_us, memory_order_acquire);
    bool is_over = stop_at_us != 0 && loop->now_us >= stop_at_us;
    struct http_connection *first;

    if (stop_at_us == 0)
        return true;
    if (loop->listen_fd >= 0) {
        accept_connections(loop); /* the kernel has already told these clients that they are connected */
        close(loop->listen_fd);
        loop->listen_fd = -1;
        return true; /* one more turn for what they have sent */
    }
    while ((first = loop->stages[HTTP_STAGE_IDLE].first) != NULL)
        http_connection_close(loop, first);
    while (is_over && (first = loop->stages[HTTP_STAGE_WAITING].first) != NULL)
        http_connection_resume(loop, first, true);
    for (size_t i = 0; i < HTTP_STAGE_COUNT; i++)
        while (is_over && (first = loop->stages[i].first) != NULL)
            http_connection_close(loop, first);
    return has_begun(loop);
}

static void count(struct http_loop *loop)
{
    struct http_counters *counters = loop->counters;
    _Atomic int64_t *const classes[] = {
        NULL, NULL, &counters->answers_2xx, &counters->answers_3xx, &counters->answers_4xx, &counters->answers_5xx};

    if (loop->tally.requests > 0)
        metric_add(&counters->requests_total, loop->tally.requests);
    if (loop->tally.timeouts > 0)
        metric_add(&counters->timeouts_total, loop->tally.timeouts);
    for (size_t i = 2; i < ARRAY_COUNT(classes); i++)
        if (loop->tally.answers[i] > 0)
            metric_add(classes[i], loop->tally.answers[i]);
    loop->tally = (struct http_tally){0};
}
