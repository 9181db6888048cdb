/* A connection reads into its loop's buffer, answers every whole request found there into the loop's other buffer, and
 * writes that with one send(): a request costs one recv and one send, pipelined requests share them, and a connection
 * that rests owns no buffer. Only what is left over is copied into buffers of its own: the begin of a request that
 * isn't whole yet, a request that waits, an answer that the socket didn't take.
 *
 * epoll is edge-triggered and armed once, at accept: no system call changes what is waited for. The price is that
 * `is_readable` must be remembered: a recv() that fills less than the buffer has emptied the socket, unless the client's
 * end has been announced behind it.
 *
 * While answers wait for the client, or a request for the handler, nothing more is read: the client's own TCP window
 * fills, and it waits. */
#include "ops/runtime/http_connection.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "schema/base/mem.h"

enum {
    OUT_HIGH_BYTES = 256 * 1024,  /* answers of pipelined requests that may pile up before they are sent */
    PROGRESS_BYTES = 16 * 1024,   /* a client that takes at least this much gets a new deadline */
    READS_PER_TURN = 4,           /* then the others' turn */
    SMALL_BUFFER_BYTES = 1 << 20, /* the loop's buffers may keep this much */
};

enum progress { GO_ON, STOP_HERE };

static bool run_input(struct http_loop *loop, struct http_connection *connection);
static bool take_requests(struct http_loop *loop, struct http_connection *connection, struct span bytes,
                          size_t *ret_taken);
static enum progress take_request(struct http_loop *loop, struct http_connection *connection, struct span bytes,
                                  size_t *ret_taken);
static enum progress call_handler(struct http_loop *loop, struct http_connection *connection,
                                  const struct http_head *head, struct span body);
static void refuse(struct http_loop *loop, struct http_connection *connection, const struct http_refusal *refusal);
static void write_answer(struct http_loop *loop, struct http_connection *connection, struct http_answer *answer,
                         bool is_head, bool keep_alive, bool is_http_1_0);
static bool flush(struct http_loop *loop, struct http_connection *connection);
static void settle(struct http_loop *loop, struct http_connection *connection);
static bool drain_closing(struct http_loop *loop, struct http_connection *connection);

struct http_connection *http_connection_open(struct http_loop *loop, int fd)
{
    struct http_connection *connection = mem_zero(1, sizeof(*connection));

    connection->fd = fd;
    connection->stage = HTTP_STAGE_COUNT; /* in no list yet */
    http_loop_stage(loop, connection, HTTP_STAGE_IDLE);
    return connection;
}

void http_connection_run(struct http_loop *loop, struct http_connection *connection, uint32_t events)
{
    if (events & (EPOLLERR | EPOLLHUP)) { /* both directions are gone: nobody is left to answer */
        http_connection_close(loop, connection);
        return;
    }
    if (events & (EPOLLIN | EPOLLRDHUP))
        connection->is_readable = true;
    if (events & EPOLLRDHUP)
        connection->is_ending = true;
    if (connection->stage == HTTP_STAGE_CLOSING) {
        if (!drain_closing(loop, connection))
            http_connection_close(loop, connection);
        return;
    }
    if (connection->out.len > 0 && !flush(loop, connection))
        return;
    if (connection->stage != HTTP_STAGE_WAITING && connection->out.len == 0 && !run_input(loop, connection))
        return;
    settle(loop, connection);
}

void http_connection_expire(struct http_loop *loop, struct http_connection *connection)
{
    static const struct http_refusal too_slow = {408, "the request did not come in time"};

    if (connection->stage == HTTP_STAGE_WAITING) {
        http_connection_resume(loop, connection, true);
        return;
    }
    loop->tally.timeouts += connection->stage == HTTP_STAGE_REQUEST || connection->stage == HTTP_STAGE_SENDING;
    if (connection->stage != HTTP_STAGE_REQUEST) {
        http_connection_close(loop, connection);
        return;
    }
    refuse(loop, connection, &too_slow);
    buf_release(&connection->in);
    if (flush(loop, connection))
        settle(loop, connection);
}

void http_connection_resume(struct http_loop *loop, struct http_connection *connection, bool is_last)
{
    connection->wait.is_again = true;
    connection->wait.is_last = is_last;
    if (run_input(loop, connection))
        settle(loop, connection);
}

void http_connection_close(struct http_loop *loop, struct http_connection *connection)
{
    http_loop_forget(loop, connection);
    close(connection->fd);
    buf_release(&connection->in);
    buf_release(&connection->out);
    free(connection);
    atomic_fetch_sub_explicit(loop->open_connections, 1, memory_order_relaxed);
    metric_add(&loop->counters->connections_open, -1);
}

/* --- input ---------------------------------------------------------------------------------------------------------- */

/* Answers what is there and what can be read. False when the connection is gone. */
static bool run_input(struct http_loop *loop, struct http_connection *connection)
{
    /* In stage REQUEST it is known that what is there isn't whole. */
    bool is_parsed = connection->in.len == 0 || connection->stage == HTTP_STAGE_REQUEST;
    int reads = 0;

    while (!connection->is_last && connection->out.len == 0) {
        size_t taken = 0;

        if (!is_parsed) {
            is_parsed = take_requests(loop, connection, buf_span(&connection->in), &taken);
            memmove(connection->in.at, connection->in.at + taken, connection->in.len - taken);
            connection->in.len -= taken;
            if (!flush(loop, connection))
                return false;
            continue;
        }
        if (!connection->is_readable || connection->stage == HTTP_STAGE_WAITING)
            break;
        if (reads++ == READS_PER_TURN) {
            http_loop_again(loop, connection);
            break;
        }

        ssize_t got = recv(connection->fd, loop->read_buffer, HTTP_READ_BYTES, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno != EAGAIN) {
            http_connection_close(loop, connection);
            return false;
        }
        connection->is_readable = got == HTTP_READ_BYTES || (got > 0 && connection->is_ending);
        connection->has_ended = got == 0;
        if (got <= 0)
            break;
        if (connection->in.len > 0) {
            buf_add(&connection->in, loop->read_buffer, (size_t)got);
            is_parsed = false;
            continue;
        }
        is_parsed = take_requests(loop, connection, span_of(loop->read_buffer, (size_t)got), &taken);
        buf_add(&connection->in, loop->read_buffer + taken, (size_t)got - taken);
        if (!flush(loop, connection))
            return false;
    }
    return true;
}

/* Takes whole requests from the begin of bytes and answers them into loop->out. True when what is left needs more
 * bytes, or the handler; false when there may be another whole request. */
static bool take_requests(struct http_loop *loop, struct http_connection *connection, struct span bytes,
                          size_t *ret_taken)
{
    size_t at = 0;

    while (at < bytes.len && !connection->is_last) {
        size_t taken = 0;
        if (loop->out.len > OUT_HIGH_BYTES) {
            *ret_taken = at;
            return false;
        }
        enum progress progress =
            take_request(loop, connection, span_of(span_bytes(bytes) + at, bytes.len - at), &taken);
        at += taken;
        if (progress == STOP_HERE)
            break;
    }
    *ret_taken = connection->is_last ? bytes.len : at;
    return true;
}

static enum progress take_request(struct http_loop *loop, struct http_connection *connection, struct span bytes,
                                  size_t *ret_taken)
{
    const struct http_limits *limits = &loop->options->limits;
    struct http_refusal refusal;
    struct http_head head;
    struct span body = {NULL, 0};
    size_t body_bytes = 0;
    enum http_stage stage = connection->stage;

    enum http_parse parsed = http_parse_head(&connection->head_scan, bytes, limits, loop->fields, &head, &refusal);
    if (parsed == HTTP_PARSE_DONE) {
        struct span rest = span_of(span_bytes(bytes) + head.head_bytes, bytes.len - head.head_bytes);
        body_bytes = head.content_length;
        if (head.is_chunked)
            parsed = http_parse_chunks(&connection->chunk_scan, rest, limits, &body_bytes, &refusal);
        else if (rest.len < body_bytes)
            parsed = HTTP_PARSE_MORE;
        if (parsed == HTTP_PARSE_MORE && head.expects_continue && !connection->has_continued && rest.len == 0) {
            connection->has_continued = true;
            buf_add_literal(&loop->out, "HTTP/1.1 100 Continue\r\n\r\n");
        }
        body = span_of(rest.at, body_bytes);
    }
    if (parsed == HTTP_PARSE_REFUSED) {
        refuse(loop, connection, &refusal);
        return STOP_HERE;
    }
    if (parsed == HTTP_PARSE_MORE) {
        if (stage != HTTP_STAGE_REQUEST) /* once: the deadline counts from the first byte */
            http_loop_stage(loop, connection, HTTP_STAGE_REQUEST);
        return STOP_HERE;
    }
    if (head.is_chunked) {
        uint8_t *joined = arena_copy(&loop->arena, body.at, body.len); /* the request may be parsed again */
        body.len = http_chunks_join(joined, body.len);
        body.at = joined;
    }
    if (call_handler(loop, connection, &head, body) == STOP_HERE)
        return STOP_HERE;
    *ret_taken = head.head_bytes + body_bytes;
    connection->head_scan = (struct http_head_scan){0};
    connection->chunk_scan = (struct http_chunk_scan){0};
    connection->has_continued = false;
    if (connection->stage != HTTP_STAGE_IDLE)
        http_loop_stage(loop, connection, HTTP_STAGE_IDLE);
    return GO_ON;
}

/* STOP_HERE: the request waits and stays where it is. */
static enum progress call_handler(struct http_loop *loop, struct http_connection *connection,
                                  const struct http_head *head, struct span body)
{
    struct http_answer answer = {.status = 200, .headers = &loop->headers, .body = &loop->body};
    struct http_request request = {
        .method = head->method,
        .method_text = head->method_text,
        .path = head->path,
        .query = head->query,
        .fields = loop->fields,
        .field_count = head->field_count,
        .body = body,
        .arena = &loop->arena,
    };
    bool is_again = connection->stage == HTTP_STAGE_WAITING;

    if (!is_again)
        connection->wait = (struct http_wait){.began_us = loop->now_us, .deadline_us = loop->now_us};
    connection->wait.now_us = loop->now_us;
    buf_clear(&loop->headers);
    buf_clear(&loop->body);
    enum http_outcome outcome = loop->options->handler(loop->state, &request, &connection->wait, &answer);
    if (outcome == HTTP_WAITING && connection->wait.is_last) {
        http_answer_problem(&answer, 503, "the answer did not come in time");
        outcome = HTTP_ANSWERED;
    }
    if (outcome == HTTP_ANSWERED)
        write_answer(loop, connection, &answer, head->method == HTTP_HEAD, head->keep_alive, head->is_http_1_0);
    else if (!is_again)
        http_loop_stage(loop, connection, HTTP_STAGE_WAITING);
    loop->tally.requests += !is_again;
    arena_reset(&loop->arena);
    return outcome == HTTP_ANSWERED ? GO_ON : STOP_HERE;
}

static void refuse(struct http_loop *loop, struct http_connection *connection, const struct http_refusal *refusal)
{
    struct http_answer answer = {.headers = &loop->headers, .body = &loop->body};

    buf_clear(&loop->headers);
    http_answer_problem(&answer, refusal->status, "%s", refusal->detail);
    write_answer(loop, connection, &answer, false, false, false);
}

/* --- output --------------------------------------------------------------------------------------------------------- */

static void write_answer(struct http_loop *loop, struct http_connection *connection, struct http_answer *answer,
                         bool is_head, bool keep_alive, bool is_http_1_0)
{
    int class = answer->status / 100;

    assert(class >= 2 && class <= 5);
    connection->is_last = answer->close || !keep_alive || http_loop_is_stopping(loop);
    http_answer_write(answer, is_head, connection->is_last, is_http_1_0, http_loop_date(loop), &loop->out);
    loop->tally.answers[class]++;
}

/* Sends connection->out, or what the loop has gathered for this connection. False when the connection is gone. */
static bool flush(struct http_loop *loop, struct http_connection *connection)
{
    bool is_own = connection->out.len > 0;
    struct span left = is_own ? span_of(connection->out.at + connection->sent, connection->out.len - connection->sent)
                              : buf_span(&loop->out);

    assert(!is_own || loop->out.len == 0);
    while (left.len > 0) {
        ssize_t sent = send(connection->fd, left.at, left.len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN)
            break;
        if (sent < 0) {
            buf_clear(&loop->out);
            http_connection_close(loop, connection);
            return false;
        }
        left = span_of(span_bytes(left) + sent, left.len - (size_t)sent);
        connection->progress += (size_t)sent;
        if (is_own)
            connection->sent += (size_t)sent;
    }
    if (left.len == 0) {
        if (is_own)
            buf_release(&connection->out);
        connection->sent = 0;
    } else if (!is_own) {
        buf_add_span(&connection->out, left);
        connection->progress = 0;
    }
    if (!is_own)
        buf_clear(&loop->out);
    if (loop->out.capacity > SMALL_BUFFER_BYTES)
        buf_release(&loop->out);
    if (loop->body.capacity > SMALL_BUFFER_BYTES)
        buf_release(&loop->body);
    return true;
}

/* Puts the connection into the stage that its state calls for. */
static void settle(struct http_loop *loop, struct http_connection *connection)
{
    if (connection->out.len > 0) {
        if (connection->stage != HTTP_STAGE_SENDING || connection->progress >= PROGRESS_BYTES) {
            connection->progress = 0;
            http_loop_stage(loop, connection, HTTP_STAGE_SENDING);
        }
        return;
    }
    if (connection->is_last) {
        if (connection->has_ended) {
            http_connection_close(loop, connection);
            return;
        }
        shutdown(connection->fd, SHUT_WR);
        buf_release(&connection->in);
        http_loop_stage(loop, connection, HTTP_STAGE_CLOSING);
        if (!drain_closing(loop, connection))
            http_connection_close(loop, connection);
        return;
    }
    if (connection->stage == HTTP_STAGE_WAITING)
        return;
    if (connection->has_ended) {
        http_connection_close(loop, connection);
        return;
    }
    if (connection->in.len > 0) {
        if (connection->stage != HTTP_STAGE_REQUEST)
            http_loop_stage(loop, connection, HTTP_STAGE_REQUEST);
        return;
    }
    buf_release(&connection->in);
    http_loop_stage(loop, connection, HTTP_STAGE_IDLE);
}

/* Throws away what still comes. False once the client has ended, too. */
static bool drain_closing(struct http_loop *loop, struct http_connection *connection)
{
    for (int reads = 0; connection->is_readable && reads < READS_PER_TURN; reads++) {
        ssize_t got = recv(connection->fd, loop->read_buffer, HTTP_READ_BYTES, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            return false;
        connection->is_readable = got == HTTP_READ_BYTES || (got > 0 && connection->is_ending);
    }
    return !connection->is_readable; /* one that still sends as fast as that is cut off */
}
