/* ops/runtime/http_connection.h - one client: bytes in, requests to the handler, answers out. Internal to the HTTP
 * server. */
#ifndef TARN_RUNTIME_HTTP_CONNECTION_H
#define TARN_RUNTIME_HTTP_CONNECTION_H

#include "ops/runtime/http_chunks.h"
#include "ops/runtime/http_loop.h"

/* About 250 bytes; buffers only while a request or an answer is under way. */
struct http_connection {
    int fd;
    enum http_stage stage;
    bool is_readable;   /* edge-triggered: there may be more to read */
    bool is_ending;     /* the client's end has been announced: a short read isn't the last one */
    bool has_ended;     /* the client sends no more */
    bool is_last;       /* close once what is in `out` is sent */
    bool is_again;      /* on loop->again */
    bool has_continued; /* 100 Continue has been sent for this request */
    int64_t deadline_us;
    struct http_connection *previous, *next; /* in loop->stages[stage] */
    struct http_connection *again;
    struct buf in;  /* of requests that aren't answered yet */
    struct buf out; /* not taken by the socket; from `sent` on */
    size_t sent;
    size_t progress; /* bytes taken since the deadline was set */
    struct http_head_scan head_scan;
    struct http_chunk_scan chunk_scan;
    struct http_wait wait;
};

struct http_connection *http_connection_open(struct http_loop *loop, int fd);
/* Reads, answers and writes as far as it goes without blocking. The connection may be gone afterwards. */
void http_connection_run(struct http_loop *loop, struct http_connection *connection, uint32_t events);
/* Its deadline has passed. The same. */
void http_connection_expire(struct http_loop *loop, struct http_connection *connection);
/* Calls the handler again for the request that waits. The same. */
void http_connection_resume(struct http_loop *loop, struct http_connection *connection, bool is_last);
void http_connection_close(struct http_loop *loop, struct http_connection *connection);

#endif
