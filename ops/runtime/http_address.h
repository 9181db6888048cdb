/* ops/runtime/http_address.h - where a server listens: parsed, bound, and locked against a forgotten server. */
#ifndef TARN_RUNTIME_HTTP_ADDRESS_H
#define TARN_RUNTIME_HTTP_ADDRESS_H

#include <stddef.h>

#include "schema/base/err.h"

struct http_address {
    int *listen_fds; /* one for each loop; the caller closes those that it has used up and sets them to -1 */
    size_t count;
    int lock_fd;
    char *text;      /* "127.0.0.1:43817": port 0 resolved */
    char *unix_path; /* to be removed, or NULL */
};

/* ERR_INPUT: malformed, taken, or not ours to bind. */
MUST_CHECK int http_address_bind(const char *text, size_t count, struct http_address *ret_address, struct err *err);
void http_address_release(struct http_address *address);

#endif
