/* ops/runtime/http_request.h - one HTTP request as a handler sees it. */
#ifndef TARN_RUNTIME_HTTP_REQUEST_H
#define TARN_RUNTIME_HTTP_REQUEST_H

#include <stdbool.h>
#include <strings.h>

#include "schema/base/arena.h"
#include "schema/base/span.h"

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

/* Names of fields compare without regard to case. */
static inline bool http_name_equal(struct span name, const char *text)
{
    return strlen(text) == name.len && strncasecmp(name.at, text, name.len) == 0;
}

/* Several fields of one name are joined with ", ". `at` is NULL when there is none. Inline for the names' lengths. */
struct span http_request_find(const struct http_request *request, const char *name, size_t name_len);
static inline struct span http_request_header(const struct http_request *request, const char *name)
{
    return http_request_find(request, name, strlen(name));
}

/* The next item of a comma-separated list, blanks around it trimmed, empty items skipped; commas inside quoted strings
 * don't separate. False at the end. */
bool http_list_next(struct span *list, struct span *ret_item);

#endif
