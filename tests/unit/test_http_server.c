/* The listener with real sockets on ports that the kernel gives: what clients send, how they misbehave, and that none
 * of them costs another one anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "ops/runtime/http_server.h"
#include "ops/runtime/metrics.h"
#include "schema/base/clock.h"
#include "tests/unit/http_client.h"

static struct fixture {
    struct http_server *server;
    struct http_counters counters;
    atomic_bool is_open;     /* what /wait waits for */
    _Atomic int64_t wait_us; /* how long it does */
    _Atomic int waits;       /* requests that have begun to */
    _Atomic int polls;
    _Atomic int turns;
} fixture;

static char large[8 << 20];

/* /echo answers with method, path, query and body; /large with 8 MB; /wait when fixture.is_open; the rest 404. */
static enum http_outcome handle(void *state, const struct http_request *request, struct http_wait *wait,
                                struct http_answer *answer)
{
    (void)state;
    if (span_starts_with(request->path, SPAN_LITERAL("/echo"))) {
        buf_add_format(answer->body, "%.*s %.*s?%.*s %.*s", SPAN_ARGS(request->method_text), SPAN_ARGS(request->path),
                       SPAN_ARGS(request->query), SPAN_ARGS(request->body));
        http_answer_header(answer, "Content-Type", "text/plain");
        answer->close = http_request_header(request, "Please-Close").at != NULL;
        return HTTP_ANSWERED;
    }
    if (span_equal_text(request->path, "/large")) {
        answer->body_borrowed = span_of(large, sizeof(large));
        return HTTP_ANSWERED;
    }
    if (span_equal_text(request->path, "/not-modified")) {
        answer->status = 304;
        return HTTP_ANSWERED;
    }
    if (span_equal_text(request->path, "/wait") && !fixture.is_open && !wait->is_last) {
        wait->note[0] = 42;
        if (!wait->is_again) {
            wait->deadline_us = wait->now_us + fixture.wait_us;
            fixture.waits++;
        }
        return HTTP_WAITING;
    }
    if (span_equal_text(request->path, "/wait")) {
        buf_add_text(answer->body, fixture.is_open ? "open" : "late");
        return HTTP_ANSWERED;
    }
    http_answer_problem(answer, 404, "there is no \"%.*s\"\n", SPAN_ARGS(request->path));
    return HTTP_ANSWERED;
}

static bool still_waits(void *state, const struct http_wait *wait)
{
    (void)state;
    fixture.polls++;
    return wait->note[0] == 42 && !fixture.is_open;
}

static void before_wait(void *state)
{
    (void)state;
    fixture.turns++;
}

static void start(const struct http_limits *limits, unsigned threads, int64_t wait_poll_ms)
{
    struct err err;
    struct http_server_options options = {
        .address = "127.0.0.1:0",
        .threads = threads,
        .limits = *limits,
        .handler = handle,
        .before_wait = before_wait,
        .still_waits = still_waits,
        .wait_poll_ms = wait_poll_ms,
        .counters = &fixture.counters,
    };

    memset(&fixture.counters, 0, sizeof(fixture.counters));
    fixture.is_open = false;
    fixture.wait_us = 60 * 1000 * 1000;
    fixture.waits = fixture.polls = 0;
    if (http_server_start(&options, &fixture.server, &err) != 0)
        fail_msg("%s", err.text);
}

static int start_default(void **state)
{
    (void)state;
    start(&http_limits_default, 2, 0);
    return 0;
}

/* Everything short, so that tests of deadlines are. */
static int start_impatient(void **state)
{
    struct http_limits limits = http_limits_default;

    (void)state;
    limits.header_timeout_ms = 150;
    limits.idle_timeout_ms = 300;
    limits.send_timeout_ms = 150;
    start(&limits, 1, 0);
    return 0;
}

static int start_small(void **state)
{
    struct http_limits limits = http_limits_default;

    (void)state;
    limits.connections = 4;
    start(&limits, 1, 0);
    return 0;
}

static int start_polling(void **state)
{
    (void)state;
    start(&http_limits_default, 1, 1);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    http_server_stop(&fixture.server, 0);
    return 0;
}

/* Until it holds: however busy the machine is, but not for ever. */
#define AWAIT(condition)                                                                                               \
    do {                                                                                                               \
        for (int tries = 0; !(condition) && tries < 10000; tries++)                                                    \
            usleep(1000);                                                                                              \
        assert_true(condition);                                                                                        \
    } while (0)

/* Until the server has nothing left to do. */
static void settle(void)
{
    int turns;

    do {
        turns = fixture.turns;
        usleep(100000);
    } while (fixture.turns != turns);
}

static int connect_to_server(void)
{
    return client_connect(http_server_address(fixture.server));
}

static void ask(const char *request, struct http_reply *reply)
{
    client_ask(http_server_address(fixture.server), request, reply);
}

#define HOST_END " HTTP/1.1\r\nHost: a\r\n\r\n"

static void a_request_is_answered(void **state)
{
    struct http_reply reply = {0};

    (void)state;
    ask("GET /echo/x?y" HOST_END, &reply);
    assert_int_equal(reply.status, 200);
    assert_string_equal((char *)reply.body.at, "GET /echo/x?y ");
    assert_string_equal(reply_field(&reply, "Content-Type"), "text/plain");
    assert_int_equal(strlen(reply_field(&reply, "Date")), strlen("Sun, 22 Nov 2026 14:00:00 GMT"));
    assert_null(reply_field(&reply, "Connection"));
    reply_release(&reply);
}

static void head_has_the_length_of_get_and_no_body(void **state)
{
    struct http_reply reply = {0};
    int fd = connect_to_server();

    (void)state;
    client_send(fd, "HEAD /large" HOST_END "GET /echo" HOST_END);
    client_read(fd, true, &reply);
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply_field(&reply, "Content-Length"), "8388608");
    client_read(fd, false, &reply);
    assert_string_equal((char *)reply.body.at, "GET /echo? ");
    client_send(fd, "GET /not-modified" HOST_END "GET /echo" HOST_END);
    client_read(fd, false, &reply);
    assert_int_equal(reply.status, 304);
    assert_null(reply_field(&reply, "Content-Length"));
    client_read(fd, false, &reply);
    assert_int_equal(reply.status, 200);
    close(fd);
    reply_release(&reply);
}

static void a_problem_is_json_whatever_stands_in_it(void **state)
{
    struct http_reply reply = {0};

    (void)state;
    ask("GET /a'b" HOST_END, &reply);
    assert_int_equal(reply.status, 404);
    assert_string_equal(reply_field(&reply, "Content-Type"), "application/problem+json");
    assert_string_equal((char *)reply.body.at, "{\"title\":\"Not Found\",\"status\":404,"
                                               "\"detail\":\"there is no \\\"/a'b\\\"\\u000a\"}\n");
    reply_release(&reply);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct buf requests = BUF_INIT;
    struct http_reply reply = {0};
    int fd = connect_to_server();
    char expected[64];

    (void)state;
    for (int i = 0; i < 3000; i++)
        buf_add_format(&requests, "POST /echo/%d HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n%04d", i, i);
    client_send(fd, buf_text(&requests));
    for (int i = 0; i < 3000; i++) {
        client_read(fd, false, &reply);
        snprintf(expected, sizeof(expected), "POST /echo/%d? %04d", i, i);
        assert_string_equal((char *)reply.body.at, expected);
    }
    close(fd);
    buf_release(&requests);
    reply_release(&reply);
}

static void a_request_may_come_in_pieces(void **state)
{
    static const char request[] = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                                  "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    struct http_reply reply = {0};
    int fd = connect_to_server();
    char piece[2] = "";

    (void)state;
    for (size_t i = 0; i + 1 < sizeof(request); i++) {
        piece[0] = request[i];
        client_send(fd, piece);
        usleep(100);
    }
    client_read(fd, false, &reply);
    assert_string_equal((char *)reply.body.at, "POST /echo? abcde");
    close(fd);
    reply_release(&reply);
}

static void a_client_may_wait_for_100_continue(void **state)
{
    struct http_reply reply = {0};
    int fd = connect_to_server();

    (void)state;
    client_send(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    client_read(fd, true, &reply);
    assert_int_equal(reply.status, 100);
    client_send(fd, "abc");
    client_read(fd, false, &reply);
    assert_string_equal((char *)reply.body.at, "POST /echo? abc");
    client_send(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n");
    client_read(fd, false, &reply);
    assert_int_equal(reply.status, 413);
    close(fd);
    reply_release(&reply);
}

static void what_is_not_a_request_is_refused_and_the_connection_closed(void **state)
{
    struct http_reply reply = {0};
    int fd = connect_to_server();

    (void)state;
    client_send(fd, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "0\r\n\r\nGET /echo/smuggled" HOST_END);
    client_read(fd, false, &reply);
    assert_int_equal(reply.status, 400);
    assert_string_equal(reply_field(&reply, "Connection"), "close");
    assert_true(client_is_closed(fd));
    close(fd);
    reply_release(&reply);
}

static void the_connection_ends_when_either_side_says_so(void **state)
{
    static const struct {
        const char *request;
        const char *connection;
    } rows[] = {
        {"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "close"},
        {"GET /echo HTTP/1.1\r\nHost: a\r\nPlease-Close: 1\r\n\r\n", "close"},
        {"GET /echo HTTP/1.0\r\n\r\n", "close"},
        {"GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "keep-alive"},
    };
    struct http_reply reply = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        int fd = connect_to_server();
        client_send(fd, rows[i].request);
        client_read(fd, false, &reply);
        assert_string_equal(reply_field(&reply, "Connection"), rows[i].connection);
        if (i < 3)
            assert_true(client_is_closed(fd));
        close(fd);
    }
    reply_release(&reply);
}

static void a_client_that_has_sent_its_last_byte_gets_its_answers(void **state)
{
    struct http_reply reply = {0};
    int fd = connect_to_server();

    (void)state;
    client_send(fd, "GET /echo/1" HOST_END "GET /echo/2" HOST_END "GET /half");
    shutdown(fd, SHUT_WR);
    client_read(fd, false, &reply);
    client_read(fd, false, &reply);
    assert_string_equal((char *)reply.body.at, "GET /echo/2? ");
    assert_true(client_is_closed(fd));
    close(fd);
    reply_release(&reply);
}

static void a_slow_reader_gets_everything_and_holds_nobody_up(void **state)
{
    struct http_reply reply = {0};
    int slow = connect_to_server();

    (void)state;
    client_send(slow, "GET /large" HOST_END "GET /large" HOST_END "GET /echo" HOST_END);
    usleep(50000);
    for (int i = 0; i < 100; i++) {
        ask("GET /echo" HOST_END, &reply);
        assert_int_equal(reply.status, 200);
    }
    client_read(slow, false, &reply);
    assert_int_equal(reply.body.len, sizeof(large));
    assert_memory_equal(reply.body.at, large, sizeof(large));
    client_read(slow, false, &reply);
    assert_int_equal(reply.body.len, sizeof(large));
    client_read(slow, false, &reply);
    assert_string_equal((char *)reply.body.at, "GET /echo? ");
    close(slow);
    reply_release(&reply);
}

static void a_header_that_drips_is_cut_off_at_an_absolute_deadline(void **state)
{
    struct http_reply reply = {0};
    int fd = connect_to_server();
    char byte[1];
    int sent;

    (void)state;
    client_send(fd, "GET /echo HTTP/1.1\r\nX: ");
    for (sent = 0; sent < 100; sent++) {
        if (send(fd, "x", 1, MSG_NOSIGNAL) != 1)
            break;
        if (recv(fd, byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1)
            break;
        usleep(20000);
    }
    client_read(fd, false, &reply);
    assert_int_equal(reply.status, 408);
    assert_true(sent < 100);
    AWAIT(metric_get(&fixture.counters.timeouts_total) == 1);
    close(fd);
    reply_release(&reply);
}

static void an_idle_connection_is_closed_without_a_word(void **state)
{
    struct http_reply reply = {0};
    int fd = connect_to_server();

    (void)state;
    client_send(fd, "GET /echo" HOST_END);
    client_read(fd, false, &reply);
    assert_true(client_is_closed(fd));
    close(fd);
    reply_release(&reply);
}

static void a_client_that_takes_nothing_is_cut_off(void **state)
{
    int fd = connect_to_server();
    size_t total = 0;
    char bytes[65536];
    ssize_t got;

    (void)state;
    client_send(fd, "GET /large" HOST_END);
    AWAIT(metric_get(&fixture.counters.timeouts_total) == 1);
    while ((got = recv(fd, bytes, sizeof(bytes), 0)) > 0)
        total += (size_t)got;
    assert_true(total < sizeof(large));
    close(fd);
}

static void one_connection_too_many_is_answered_503(void **state)
{
    struct http_reply reply = {0};
    int fds[5];

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        fds[i] = connect_to_server();
        client_send(fds[i], "GET /echo" HOST_END);
        client_read(fds[i], false, &reply);
        assert_int_equal(reply.status, 200);
    }
    fds[4] = connect_to_server();
    client_read(fds[4], false, &reply);
    assert_int_equal(reply.status, 503);
    AWAIT(metric_get(&fixture.counters.connections_refused) == 1);
    AWAIT(metric_get(&fixture.counters.connections_open) == 4);
    for (size_t i = 0; i < 5; i++)
        close(fds[i]);
    reply_release(&reply);
}

static void a_request_that_waits_is_answered_when_woken(void **state)
{
    struct http_reply reply = {0};
    int fd = connect_to_server();

    (void)state;
    client_send(fd, "GET /wait" HOST_END "GET /echo" HOST_END);
    AWAIT(fixture.waits == 1);
    fixture.is_open = true;
    http_server_wake(fixture.server);
    client_read(fd, false, &reply);
    assert_string_equal((char *)reply.body.at, "open");
    client_read(fd, false, &reply);
    assert_string_equal((char *)reply.body.at, "GET /echo? ");
    AWAIT(metric_get(&fixture.counters.requests_total) == 2);
    close(fd);
    reply_release(&reply);
}

static void a_request_that_waits_is_answered_at_its_deadline(void **state)
{
    struct http_reply reply = {0};
    int64_t begin_us = clock_monotonic_us(&clock_system);

    (void)state;
    fixture.wait_us = 200 * 1000;
    ask("GET /wait" HOST_END, &reply);
    assert_string_equal((char *)reply.body.at, "late");
    assert_true(clock_monotonic_us(&clock_system) - begin_us >= 200 * 1000);
    reply_release(&reply);
}

static void waiting_requests_are_polled_and_only_while_there_are_some(void **state)
{
    struct http_reply reply = {0};
    int fd = connect_to_server();

    (void)state;
    AWAIT(metric_get(&fixture.counters.connections_open) == 1);
    settle();
    assert_int_equal(fixture.polls, 0);
    client_send(fd, "GET /wait" HOST_END);
    AWAIT(fixture.polls > 2);
    fixture.is_open = true; /* and nobody wakes the server */
    client_read(fd, false, &reply);
    assert_string_equal((char *)reply.body.at, "open");
    settle();
    close(fd);
    reply_release(&reply);
}

static void a_stop_finishes_what_has_begun(void **state)
{
    struct http_reply reply = {0};
    int idle = connect_to_server(), half = connect_to_server(), waiting = connect_to_server();

    (void)state;
    client_send(idle, "GET /echo" HOST_END);
    client_read(idle, false, &reply);
    fixture.wait_us = 1000 * 1000;
    client_send(half, "GET /echo HTTP/1.1\r\n");
    client_send(waiting, "GET /wait" HOST_END);
    AWAIT(fixture.waits == 1);
    settle();
    pid_t sender = fork();
    if (sender == 0) {
        usleep(50000);
        (void)!send(half, "Host: a\r\n\r\n", 11, MSG_NOSIGNAL);
        _exit(0);
    }
    http_server_stop(&fixture.server, 10000);
    assert_true(client_is_closed(idle));
    client_read(half, false, &reply);
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply_field(&reply, "Connection"), "close");
    client_read(waiting, false, &reply);
    assert_string_equal((char *)reply.body.at, "late");
    close(idle);
    close(half);
    close(waiting);
    reply_release(&reply);
}

static void a_stop_waits_no_longer_than_its_grace(void **state)
{
    int half = connect_to_server();

    (void)state;
    client_send(half, "GET /echo HTTP/1.1\r\n");
    AWAIT(metric_get(&fixture.counters.connections_open) == 1);
    settle();
    int64_t begin_us = clock_monotonic_us(&clock_system);
    http_server_stop(&fixture.server, 100);
    assert_in_range(clock_monotonic_us(&clock_system) - begin_us, 90 * 1000, 5000 * 1000);
    close(half);
}

static void an_address_that_is_taken_is_refused(void **state)
{
    struct http_server_options options = {.threads = 1, .limits = http_limits_default, .handler = handle};
    struct http_server *second = NULL;
    char all[64];
    struct err err;

    (void)state;
    options.address = http_server_address(fixture.server);
    assert_int_equal(http_server_start(&options, &second, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "another Tarn server has locked it"));
    snprintf(all, sizeof(all), ":%s", strrchr(options.address, ':') + 1);
    options.address = all;
    assert_int_equal(http_server_start(&options, &second, &err), ERR_INPUT);
    assert_null(second);
}

static void an_address_that_is_none_is_refused(void **state)
{
    static const char *const rows[] = {"",      "8080",   "localhost",   "::1:80", "a:b",      "127.0.0.1:65536",
                                       "[::1]", "[::1]:", "1.2.3.4.5:1", "unix:",  "8.8.8.8:0"};
    struct http_server_options options = {.threads = 1, .limits = http_limits_default, .handler = handle};
    struct http_server *server = NULL;
    struct err err;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        options.address = rows[i];
        assert_int_equal(http_server_start(&options, &server, &err), ERR_INPUT);
        assert_null(server);
    }
}

static void a_unix_socket_is_removed_at_the_end_and_taken_over_from_the_dead(void **state)
{
    struct http_server_options options = {.threads = 2, .limits = http_limits_default, .handler = handle};
    struct http_server *server = NULL, *second = NULL;
    char path[64];
    struct err err;

    (void)state;
    snprintf(path, sizeof(path), "unix:/tmp/tarn-http-%d", (int)getpid());
    options.address = path;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(http_server_start(&options, &server, &err), 0);
        assert_string_equal(http_server_address(server), path);
        assert_int_equal(http_server_start(&options, &second, &err), ERR_INPUT);
        http_server_stop(&server, 0);
        assert_int_equal(access(path + 5, F_OK), -1);
    }
}

#define WITH(test, setup) cmocka_unit_test_setup_teardown(test, setup, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(a_request_is_answered, start_default),
        WITH(head_has_the_length_of_get_and_no_body, start_default),
        WITH(a_problem_is_json_whatever_stands_in_it, start_default),
        WITH(pipelined_requests_are_answered_in_order, start_default),
        WITH(a_request_may_come_in_pieces, start_default),
        WITH(a_client_may_wait_for_100_continue, start_default),
        WITH(what_is_not_a_request_is_refused_and_the_connection_closed, start_default),
        WITH(the_connection_ends_when_either_side_says_so, start_default),
        WITH(a_client_that_has_sent_its_last_byte_gets_its_answers, start_default),
        WITH(a_slow_reader_gets_everything_and_holds_nobody_up, start_default),
        WITH(a_header_that_drips_is_cut_off_at_an_absolute_deadline, start_impatient),
        WITH(an_idle_connection_is_closed_without_a_word, start_impatient),
        WITH(a_client_that_takes_nothing_is_cut_off, start_impatient),
        WITH(one_connection_too_many_is_answered_503, start_small),
        WITH(a_request_that_waits_is_answered_when_woken, start_default),
        WITH(a_request_that_waits_is_answered_at_its_deadline, start_default),
        WITH(waiting_requests_are_polled_and_only_while_there_are_some, start_polling),
        WITH(a_stop_finishes_what_has_begun, start_default),
        WITH(a_stop_waits_no_longer_than_its_grace, start_default),
        WITH(an_address_that_is_taken_is_refused, start_default),
        cmocka_unit_test(an_address_that_is_none_is_refused),
        cmocka_unit_test(a_unix_socket_is_removed_at_the_end_and_taken_over_from_the_dead),
    };
    memset(large, 'x', sizeof(large));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
