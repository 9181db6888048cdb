/* ops/runtime/json_escape.h - any bytes as the inside of a JSON string. */
#ifndef TARN_RUNTIME_JSON_ESCAPE_H
#define TARN_RUNTIME_JSON_ESCAPE_H

#include "schema/base/buf.h"
#include "schema/base/span.h"

enum { JSON_ESCAPE_BYTES = 8 };

/* The next character of a text that isn't empty, escaped; the text moves behind it. What isn't UTF-8 becomes U+FFFD.
 * Returns the number of bytes written, at most JSON_ESCAPE_BYTES. */
size_t json_escape_next(struct span *text, char escaped[JSON_ESCAPE_BYTES]);

/* Appends the whole text. */
void json_escape(struct span text, struct buf *out);

#endif
