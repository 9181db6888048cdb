/* ops/runtime/http_limits.h - how much one client may ask of us. */
#ifndef TARN_RUNTIME_HTTP_LIMITS_H
#define TARN_RUNTIME_HTTP_LIMITS_H

#include <stddef.h>
#include <stdint.h>

struct http_limits {
    size_t header_bytes;       /* 16 KiB: request line and header fields together */
    size_t header_fields;      /* 100; at most HTTP_FIELDS_MAX */
    size_t url_bytes;          /* 4 KiB */
    size_t body_bytes;         /* 64 KiB */
    size_t connections;        /* 10,000 over all loops; one more is answered 503 and closed */
    int64_t header_timeout_ms; /* 10 s from the first byte to the last of a request's header; absolute */
    int64_t idle_timeout_ms;   /* 60 s: a kept-alive connection without a request */
    int64_t send_timeout_ms;   /* 10 s: a client that doesn't take what was sent */
};
extern const struct http_limits http_limits_default;

enum { HTTP_FIELDS_MAX = 256 };

#endif
