/* ops/runtime/http_bytes.h - which bytes may stand where in a request. */
#ifndef TARN_RUNTIME_HTTP_BYTES_H
#define TARN_RUNTIME_HTTP_BYTES_H

#include "schema/base/span.h"

enum {
    HTTP_TOKEN = 1,  /* tchar of RFC 9110: methods and field names */
    HTTP_TARGET = 2, /* pchar, '/' and '?' of RFC 3986 */
    HTTP_VALUE = 4,  /* field-vchar, obs-text, blank, tab */
    HTTP_HOST = 8,   /* uri-host and port */
    HTTP_DIGIT = 16,
    HTTP_HEX = 32,
};

/* The classes of each byte. */
extern const uint8_t http_bytes[256];

/* Every byte is of that class; also when there is none. */
static inline bool http_all_of(struct span span, uint8_t class)
{
    const uint8_t *at = span.at;
    uint8_t common = class;

    for (size_t i = 0; i < span.len; i++)
        common &= http_bytes[at[i]];
    return common != 0;
}

#endif
