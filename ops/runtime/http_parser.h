/* ops/runtime/http_parser.h - requests of HTTP/1.0 and 1.1 as RFC 9112 writes them, and nothing else.
 *
 * Pure: bytes in, a request's head or a refusal out; no memory of its own, no clock, no socket. Strict where leniency
 * lets two servers read two different requests out of the same bytes (request smuggling): lines end in CRLF, no folded
 * lines, no blank before the colon, one length of the body and one way to say it.
 *
 * Incremental: the caller keeps the bytes of a request together and calls again with more of them; a scan remembers
 * how far it has looked, so that a client that drips costs no more than one that doesn't. */
#ifndef TARN_RUNTIME_HTTP_PARSER_H
#define TARN_RUNTIME_HTTP_PARSER_H

#include "ops/runtime/http_limits.h"
#include "ops/runtime/http_request.h"

enum http_parse { HTTP_PARSE_MORE, HTTP_PARSE_DONE, HTTP_PARSE_REFUSED };

/* What to answer, after which the connection must be closed: where the next request begins isn't known. */
struct http_refusal {
    int status;
    const char *detail;
};

static inline bool http_refuse(struct http_refusal *refusal, int status, const char *detail)
{
    *refusal = (struct http_refusal){status, detail};
    return false;
}

static inline enum http_parse http_refused(struct http_refusal *refusal, int status, const char *detail)
{
    *refusal = (struct http_refusal){status, detail};
    return HTTP_PARSE_REFUSED;
}

/* How far the end of the head has been looked for. Zeroed for each request. */
struct http_head_scan {
    uint32_t looked; /* bytes */
    uint32_t line;   /* where the line that isn't whole yet begins */
    uint32_t begin;  /* where the request line begins: behind an empty line that is skipped */
    uint32_t lines;
    bool is_whole; /* the end has been found: looked is behind it */
};

struct http_head {
    enum http_method method;
    struct span method_text;
    struct span path;
    struct span query;
    size_t field_count;
    size_t head_bytes; /* with the empty line at its end */
    bool is_http_1_0;
    bool keep_alive; /* what the client wants */
    bool expects_continue;
    bool is_chunked;
    size_t content_length; /* 0 when there is none, or chunked */
};

/* bytes begin where the request does. Spans in *ret_head and fields point into bytes; fields has room for
 * limits->header_fields. */
enum http_parse http_parse_head(struct http_head_scan *scan, struct span bytes, const struct http_limits *limits,
                                struct http_field *fields, struct http_head *ret_head,
                                struct http_refusal *ret_refusal);

/* One line `Name: value`, without its end. */
bool http_parse_field(struct span line, struct http_field *field, struct http_refusal *refusal);

#endif
