/* Headers are text lines in a buffer: no map, no order to look after, and lines that hold for many answers can be kept
 * by the handler and added in one piece. Values come from us or were checked before, so nothing is escaped here; a
 * value with a line break would be our own bug and is asserted against where it is cheap: in http_answer_header(). */
#include "ops/runtime/http_answer.h"

#include <assert.h>
#include <stdio.h>

#include "ops/runtime/json_escape.h"
#include "schema/base/decimal.h"

static const struct {
    int status;
    const char *text;
} statuses[] = {
    {200, "OK"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
};

void http_answer_header(struct http_answer *answer, const char *name, const char *format, ...)
{
    char value[1024];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(value, sizeof(value), format, args);
    va_end(args);
    assert(len >= 0 && (size_t)len < sizeof(value) && strpbrk(value, "\r\n") == NULL);
    buf_add_text(answer->headers, name);
    buf_add_literal(answer->headers, ": ");
    buf_add(answer->headers, value, (size_t)len);
    buf_add_literal(answer->headers, "\r\n");
}

void http_answer_problem(struct http_answer *answer, int status, const char *detail, ...)
{
    char text[1024];
    va_list args;

    va_start(args, detail);
    vsnprintf(text, sizeof(text), detail, args);
    va_end(args);

    answer->status = status;
    answer->body_borrowed = (struct span){NULL, 0};
    buf_clear(answer->body);
    buf_add_literal(answer->headers, "Content-Type: application/problem+json\r\n");
    buf_add_format(answer->body, "{\"title\":\"%s\",\"status\":%d,\"detail\":\"", http_status_text(status), status);
    json_escape(span_of_text(text), answer->body);
    buf_add_literal(answer->body, "\"}\n");
}

const char *http_status_text(int status)
{
    for (size_t i = 0; i < ARRAY_COUNT(statuses); i++)
        if (statuses[i].status == status)
            return statuses[i].text;
    return "Unknown";
}

static void add_number(size_t number, struct buf *out)
{
    out->len = (size_t)(decimal_put(buf_reserve(out, DECIMAL_MAX), number) - out->at);
}

void http_answer_write(const struct http_answer *answer, bool is_head, bool is_close, bool is_http_1_0,
                       struct span date, struct buf *out)
{
    struct span body = answer->body_borrowed.at != NULL ? answer->body_borrowed : buf_span(answer->body);
    bool has_length = answer->status != 204 && answer->status != 304;

    buf_reserve(out, 256 + answer->headers->len + body.len);
    if (answer->status == 200) {
        buf_add_literal(out, "HTTP/1.1 200 OK\r\nDate: ");
    } else {
        buf_add_literal(out, "HTTP/1.1 ");
        add_number((size_t)answer->status, out);
        buf_add_byte(out, ' ');
        buf_add_text(out, http_status_text(answer->status));
        buf_add_literal(out, "\r\nDate: ");
    }
    buf_add_span(out, date);
    if (has_length) {
        buf_add_literal(out, "\r\nContent-Length: ");
        add_number(body.len, out);
    }
    if (is_close)
        buf_add_literal(out, "\r\nConnection: close");
    else if (is_http_1_0)
        buf_add_literal(out, "\r\nConnection: keep-alive");
    buf_add_literal(out, "\r\n");
    buf_add_span(out, buf_span(answer->headers));
    buf_add_literal(out, "\r\n");
    if (has_length && !is_head)
        buf_add_span(out, body);
}
