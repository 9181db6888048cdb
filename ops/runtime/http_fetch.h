/* ops/runtime/http_fetch.h - one GET of a small page from a server that is trusted not to be a stranger, but not to be up:
 * for commands. Blocks, at most timeout_ms in all (finding the host's address aside). */
#ifndef TARN_RUNTIME_HTTP_FETCH_H
#define TARN_RUNTIME_HTTP_FETCH_H

#include <stdint.h>

#include "schema/base/buf.h"
#include "schema/base/err.h"

/* http://HOST[:PORT][/PATH]. ERR_INPUT: it isn't one. */
MUST_CHECK int http_fetch_check(const char *url, struct err *err);

/* Appends the body of a 200. ERR_AGAIN: no connection, no answer in time, or another status; ERR_INPUT: the URL, or an
 * answer that isn't HTTP/1.x with a plain body of at most max_bytes. */
MUST_CHECK int http_fetch(const char *url, int64_t timeout_ms, size_t max_bytes, struct buf *body, struct err *err);

#endif
