/* schema/json/json_text.h - values as JSON text.
 *
 * The json_put_ functions write to `to`, where JSON_NUMBER_MAX bytes are free, and return where they ended; the
 * json_add_ functions append to a buffer. */
#ifndef TARN_JSON_JSON_TEXT_H
#define TARN_JSON_JSON_TEXT_H

#include "schema/base/buf.h"

enum { JSON_NUMBER_MAX = 40 };

uint8_t *json_put_uint(uint8_t *to, uint64_t value);
uint8_t *json_put_int(uint8_t *to, int64_t value);

/* Shortest text that reads back as the same double, or the same float. NaN and infinities as protobuf's strings. */
uint8_t *json_put_double(uint8_t *to, double value);
uint8_t *json_put_float(uint8_t *to, float value);

/* With quotes: text of ASCII that needs no escape, where JSON_PLAIN_ROOM more bytes than it has are free. NULL: it isn't
 * such a text, or it isn't known how to tell fast; json_add_string() does it then. Reads up to 15 bytes behind the text as
 * long as they are before readable_end. */
enum { JSON_PLAIN_ROOM = 32 };
uint8_t *json_put_plain(uint8_t *to, struct span text, const uint8_t *readable_end);

/* With quotes. False, and nothing appended, when it isn't UTF-8. */
MUST_CHECK bool json_add_string(struct buf *out, struct span text);

/* With quotes; the standard alphabet, padded. */
void json_add_base64(struct buf *out, struct span bytes);

#endif
