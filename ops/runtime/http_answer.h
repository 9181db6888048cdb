/* ops/runtime/http_answer.h - the answer to one HTTP request, while a handler writes it. */
#ifndef TARN_RUNTIME_HTTP_ANSWER_H
#define TARN_RUNTIME_HTTP_ANSWER_H

#include <stdbool.h>

#include "schema/base/buf.h"
#include "schema/base/span.h"

/* Content-Length, Date, Connection and the status line are the server's. */
struct http_answer {
    int status;                /* 200 unless the handler says otherwise */
    struct buf *headers;       /* "Name: value\r\n" lines */
    struct buf *body;          /* left out for HEAD, 204 and 304; Content-Length of a HEAD is the GET's */
    struct span body_borrowed; /* instead of body: bytes that live until the handler returns; the server copies what the
                                  socket doesn't take at once */
    bool close;
};

void http_answer_header(struct http_answer *answer, const char *name, const char *format, ...) PRINTF_LIKE(3, 4);

/* application/problem+json (RFC 9457): title from the status, detail printf-like. What the body held before goes;
 * headers stay. */
void http_answer_problem(struct http_answer *answer, int status, const char *detail, ...) PRINTF_LIKE(3, 4);

/* "Not Found"; "Unknown" for a number without a name. */
const char *http_status_text(int status);

/* Appends the whole answer as it goes over the wire. date is the value of the Date header. */
void http_answer_write(const struct http_answer *answer, bool is_head, bool is_close, bool is_http_1_0,
                       struct span date, struct buf *out);

#endif
