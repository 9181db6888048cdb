/* People who open a screen each at a planned moment, and what each of them saw.
 *
 *     crowd PORT CONNECTIONS <plan >what-they-saw
 *
 * A line of the plan is a person:      NUMBER DUE_US PATH PLACE OFFSET TEXT
 * and what that person saw is a line:  NUMBER VERDICT STATUS DUE_US LATENCY_US
 *
 * DUE_US is by CLOCK_MONOTONIC. The plan may grow while people come: whoever hears of an announcement adds a line for its
 * reader. It is open-loop: nobody comes later because the server is slow. Who is due while every connection is taken waits,
 * and the latency counts from the moment that was planned. A verdict is "new" when the answer is 200, Tarn-Position says
 * that PLACE (topic/partition) is handled up to OFFSET, TEXT is in the body, and nothing of the key is parked; PLACE "-"
 * leaves the position out. Ends with the plan, once everybody has an answer.
 *
 * One thread: the plan is a heap by due time, beside it a stack of idle connections. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "schema/base/buf.h"
#include "schema/base/clock.h"
#include "schema/base/mem.h"

enum { ANSWER_BYTES = 65536, EVENTS = 256, PATIENCE_US = 60 * 1000 * 1000 };

struct visit {
    int64_t due_us;
    int64_t offset;
    char *line; /* owned; the texts point into it */
    const char *number, *path, *place, *text;
};

struct connection {
    int fd;
    bool is_asked;
    struct visit visit; /* while asked */
    size_t got;
    char answer[ANSWER_BYTES + 1];
};

struct crowd {
    int epoll;
    uint16_t port;
    struct connection *connections;
    struct connection **idle;
    size_t count, idle_count;
    struct visit *heap; /* the next one due is first */
    size_t heap_count, heap_capacity;
    struct buf plan; /* what was read of stdin and isn't a whole line yet */
    bool is_plan_over;
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "crowd: %s: %s\n", what, why);
    exit(1);
}

/* --- the plan ------------------------------------------------------------------------------------------------------ */

static void heap_add(struct crowd *crowd, struct visit visit)
{
    crowd->heap = mem_grow(crowd->heap, crowd->heap_count, &crowd->heap_capacity, sizeof(*crowd->heap));
    size_t at = crowd->heap_count++;
    for (; at > 0 && crowd->heap[(at - 1) / 2].due_us > visit.due_us; at = (at - 1) / 2)
        crowd->heap[at] = crowd->heap[(at - 1) / 2];
    crowd->heap[at] = visit;
}

static struct visit heap_take(struct crowd *crowd)
{
    struct visit first = crowd->heap[0];
    struct visit last = crowd->heap[--crowd->heap_count];
    size_t at = 0;

    for (size_t child; (child = 2 * at + 1) < crowd->heap_count; at = child) {
        if (child + 1 < crowd->heap_count && crowd->heap[child + 1].due_us < crowd->heap[child].due_us)
            child++;
        if (crowd->heap[child].due_us >= last.due_us)
            break;
        crowd->heap[at] = crowd->heap[child];
    }
    crowd->heap[at] = last;
    return first;
}

static void plan_line(struct crowd *crowd, const char *bytes, size_t len)
{
    struct visit visit = {.line = mem_text_of(span_of(bytes, len))};
    char *rest = visit.line;

    visit.number = strsep(&rest, " ");
    const char *due = strsep(&rest, " ");
    visit.path = strsep(&rest, " ");
    visit.place = strsep(&rest, " ");
    const char *offset = strsep(&rest, " ");
    visit.text = rest;
    if (visit.text == NULL)
        fail("plan", "a line isn't NUMBER DUE_US PATH PLACE OFFSET TEXT");
    visit.due_us = strtoll(due, NULL, 10);
    visit.offset = strtoll(offset, NULL, 10);
    heap_add(crowd, visit);
}

static void plan_read(struct crowd *crowd)
{
    ssize_t got = read(STDIN_FILENO, buf_reserve(&crowd->plan, 65536), 65536);

    if (got < 0 && errno != EAGAIN && errno != EINTR)
        fail("plan", strerror(errno));
    if (got == 0) {
        crowd->is_plan_over = true;
        (void)epoll_ctl(crowd->epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
    }
    if (got <= 0)
        return;
    crowd->plan.len += (size_t)got;

    const char *at = (const char *)crowd->plan.at;
    const char *end = at + crowd->plan.len;
    for (const char *newline; (newline = memchr(at, '\n', (size_t)(end - at))) != NULL; at = newline + 1)
        plan_line(crowd, at, (size_t)(newline - at));
    crowd->plan.len = (size_t)(end - at);
    memmove(crowd->plan.at, at, crowd->plan.len);
}

/* --- connections --------------------------------------------------------------------------------------------------- */

static void connection_open(struct crowd *crowd, struct connection *connection)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(crowd->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = connection}};
    int one = 1;

    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 || connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
        epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, connection->fd, &event) < 0)
        fail("connection", strerror(errno));
    crowd->idle[crowd->idle_count++] = connection;
}

static void tell(struct connection *connection, const char *verdict, int status)
{
    const struct visit *visit = &connection->visit;

    printf("%s %s %d %" PRId64 " %" PRId64 "\n", visit->number, verdict, status, visit->due_us,
           clock_monotonic_us(&clock_system) - visit->due_us);
    free(connection->visit.line);
    connection->is_asked = false;
}

static void ask(struct connection *connection, struct visit visit)
{
    char request[1024];

    int len = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", visit.path);
    connection->visit = visit;
    connection->is_asked = true;
    connection->got = 0;
    /* What can't be sent is answered by nobody: connection_read() sees the end. */
    if (len < 0 || (size_t)len >= sizeof(request) || send(connection->fd, request, (size_t)len, MSG_NOSIGNAL) != len)
        (void)shutdown(connection->fd, SHUT_RDWR);
}

/* --- answers ------------------------------------------------------------------------------------------------------- */

/* Is PLACE@OFFSET, or a later offset, among the positions of the header? */
static bool is_handled(const char *header, const struct visit *visit)
{
    const char *at = strstr(header, "\r\nTarn-Position: ");
    const char *end = at != NULL ? strstr(at + 2, "\r\n") : NULL;
    size_t len = strlen(visit->place);

    if (strcmp(visit->place, "-") == 0)
        return true;
    while (at != NULL && (at = strstr(at, visit->place)) != NULL && at < end) {
        if (at[-1] == ' ' && at[len] == '@')
            return strtoll(at + len + 1, NULL, 10) >= visit->offset;
        at += len;
    }
    return false;
}

static const char *verdict_of(const char *header, const char *body, int status, const struct visit *visit)
{
    if (status == 404)
        return "absent";
    if (status != 200)
        return "refused";
    if (strstr(header, "\r\nTarn-Incomplete:") != NULL)
        return "incomplete";
    if (!is_handled(header, visit))
        return "old-position";
    return strstr(body, visit->text) != NULL ? "new" : "old-result";
}

static void judge(struct crowd *crowd, struct connection *connection)
{
    static const char length[] = "\r\nContent-Length: ";
    char *answer = connection->answer;

    answer[connection->got] = '\0';
    char *body = strstr(answer, "\r\n\r\n");
    if (body == NULL)
        return;
    body[2] = '\0'; /* the header is a text of its own, each line of it ended */
    body += 4;
    const char *length_at = strstr(answer, length);
    size_t whole = (size_t)(body - answer) + (length_at ? strtoull(length_at + sizeof(length) - 1, NULL, 10) : 0);
    if (whole > ANSWER_BYTES)
        fail("answer", "larger than this program takes");
    if (connection->got < whole) {
        body[-2] = '\r';
        return;
    }
    int status = atoi(answer + strcspn(answer, " "));
    tell(connection, verdict_of(answer, body, status, &connection->visit), status);
    crowd->idle[crowd->idle_count++] = connection;
}

static void connection_lost(struct crowd *crowd, struct connection *connection)
{
    if (connection->is_asked) {
        tell(connection, "broken", 0);
        close(connection->fd);
        connection_open(crowd, connection);
        return;
    }
    close(connection->fd); /* an idle one, which the server has ended: its place in the stack stays */
    crowd->idle_count--;
    for (size_t i = 0; i < crowd->idle_count; i++)
        if (crowd->idle[i] == connection)
            crowd->idle[i] = crowd->idle[crowd->idle_count];
    connection_open(crowd, connection);
}

static void connection_read(struct crowd *crowd, struct connection *connection)
{
    ssize_t got = recv(connection->fd, connection->answer + connection->got, ANSWER_BYTES - connection->got, 0);

    if (got <= 0 || !connection->is_asked) {
        connection_lost(crowd, connection);
        return;
    }
    connection->got += (size_t)got;
    judge(crowd, connection);
}

/* --- all of it ------------------------------------------------------------------------------------------------------ */

static void ask_due(struct crowd *crowd, int64_t now_us)
{
    while (crowd->idle_count > 0 && crowd->heap_count > 0 && crowd->heap[0].due_us <= now_us)
        ask(crowd->idle[--crowd->idle_count], heap_take(crowd));
}

static struct timespec until_due(const struct crowd *crowd, int64_t now_us)
{
    int64_t us = crowd->heap_count > 0 && crowd->idle_count > 0 ? crowd->heap[0].due_us - now_us : 100000;

    us = us < 0 ? 0 : us > 100000 ? 100000 : us;
    return (struct timespec){.tv_nsec = (long)us * 1000};
}

static void check_patience(const struct crowd *crowd, int64_t now_us)
{
    for (size_t i = 0; i < crowd->count; i++)
        if (crowd->connections[i].is_asked && now_us - crowd->connections[i].visit.due_us > PATIENCE_US)
            fail("answer", "missing a minute after it was due");
}

static void run(struct crowd *crowd)
{
    struct epoll_event events[EVENTS];

    for (;;) {
        int64_t now_us = clock_monotonic_us(&clock_system);
        ask_due(crowd, now_us);
        if (crowd->is_plan_over && crowd->heap_count == 0 && crowd->idle_count == crowd->count)
            return;
        struct timespec pause = until_due(crowd, now_us);
        int count = epoll_pwait2(crowd->epoll, events, EVENTS, &pause, NULL);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL)
                plan_read(crowd);
            else
                connection_read(crowd, events[i].data.ptr);
        }
        if (count == 0) {
            fflush(stdout);
            check_patience(crowd, now_us);
        }
    }
}

int main(int argc, char **argv)
{
    struct crowd crowd = {.epoll = epoll_create1(EPOLL_CLOEXEC)};
    struct epoll_event plan = {.events = EPOLLIN, .data = {.ptr = NULL}};

    if (argc != 3) {
        fprintf(stderr, "usage: crowd PORT CONNECTIONS <plan >what-they-saw\n");
        return 2;
    }
    crowd.port = (uint16_t)strtoul(argv[1], NULL, 10);
    crowd.count = strtoull(argv[2], NULL, 10);
    crowd.connections = mem_zero(crowd.count, sizeof(*crowd.connections));
    crowd.idle = mem_zero(crowd.count, sizeof(*crowd.idle));
    for (size_t i = 0; i < crowd.count; i++)
        connection_open(&crowd, &crowd.connections[i]);
    if (fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) < 0 || epoll_ctl(crowd.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &plan) < 0)
        fail("plan: a pipe", strerror(errno));
    run(&crowd);

    for (size_t i = 0; i < crowd.count; i++)
        close(crowd.connections[i].fd);
    close(crowd.epoll);
    buf_release(&crowd.plan);
    free(crowd.heap);
    free(crowd.connections);
    free(crowd.idle);
    return ferror(stdout) || fclose(stdout) == EOF;
}
