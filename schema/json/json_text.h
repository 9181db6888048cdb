/* schema/json/json_text.h - values as JSON text.
 *
 * The json_put_ functions write to `to`, where JSON_NUMBER_MAX bytes are free, and return where they ended; the
 * json_add_ functions append to a buffer. */
#ifndef TARN_JSON_JSON_TEXT_H
#define TARN_JSON_JSON_TEXT_H

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "schema/base/buf.h"

enum { JSON_NUMBER_MAX = 40 };

uint8_t *json_put_uint(uint8_t *to, uint64_t value);
uint8_t *json_put_int(uint8_t *to, int64_t value);

/* Shortest text that reads back as the same double, or the same float. NaN and infinities as protobuf's strings. */
uint8_t *json_put_double(uint8_t *to, double value);
uint8_t *json_put_float(uint8_t *to, float value);

/* With quotes: text of ASCII that needs no escape, where JSON_PLAIN_ROOM more bytes than it has are free. NULL: it
 * isn't such a text, or it isn't known how to tell fast; json_add_string() does it then. Reads up to 15 bytes behind the
 * text as long as they are before readable_end. Inline because most of what a view shows is such a text. */
enum { JSON_PLAIN_ROOM = 32 };
static inline uint8_t *json_put_plain(uint8_t *to, struct span text, const uint8_t *readable_end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');
    const __m128i space = _mm_set1_epi8(' ');
    const uint8_t *from = text.at;

    if ((size_t)(readable_end - from) < ((text.len + 15) & ~(size_t)15))
        return NULL;
    *to++ = '"';
    for (size_t done = 0; done < text.len; done += 16) {
        /* As signed numbers, bytes outside of ASCII are below the space, as control characters are. */
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(from + done));
        __m128i special = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)),
                                       _mm_cmplt_epi8(bytes, space));
        unsigned found = (unsigned)_mm_movemask_epi8(special);
        if (text.len - done < 16)
            found &= (1u << (text.len - done)) - 1;
        if (found != 0)
            return NULL;
        _mm_storeu_si128((__m128i *)(void *)(to + done), bytes);
    }
    to[text.len] = '"';
    return to + text.len + 1;
#else
    (void)to, (void)text, (void)readable_end;
    return NULL;
#endif
}

/* With quotes. False, and nothing appended, when it isn't UTF-8. */
MUST_CHECK bool json_add_string(struct buf *out, struct span text);

/* With quotes; the standard alphabet, padded. */
void json_add_base64(struct buf *out, struct span bytes);

#endif
