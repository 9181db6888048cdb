/* schema/json/json_text.h - text and bytes as JSON strings. */
#ifndef TARN_JSON_JSON_TEXT_H
#define TARN_JSON_JSON_TEXT_H

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "schema/base/buf.h"

/* With quotes; appended. False, and nothing appended, when it isn't UTF-8. */
MUST_CHECK bool json_add_string(struct buf *out, struct span text);

/* With quotes; the standard alphabet, padded; appended. */
void json_add_base64(struct buf *out, struct span bytes);

/* With quotes, to where JSON_TEXT_ROOM more bytes than the text has are free. NULL: it isn't ASCII throughout, something
 * in it must be escaped, or it ends within JSON_TEXT_AHEAD bytes before readable_end, up to which this may read;
 * json_add_string() does it then. Inline because most of what a view shows is such a text. */
enum { JSON_TEXT_ROOM = 32, JSON_TEXT_AHEAD = 16 };
static inline uint8_t *json_put_ascii(uint8_t *to, struct span text, const uint8_t *readable_end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');
    const __m128i space = _mm_set1_epi8(' ');
    const uint8_t *from = text.at;
    size_t left = text.len;

    if (readable_end - (from + left) < JSON_TEXT_AHEAD)
        return NULL;
    *to++ = '"';
    for (;;) {
        /* As signed numbers, bytes outside of ASCII are below the space, as control characters are. */
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)from);
        __m128i special = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)),
                                       _mm_cmplt_epi8(bytes, space));
        unsigned found = (unsigned)_mm_movemask_epi8(special);
        _mm_storeu_si128((__m128i *)(void *)to, bytes);
        if (left < 16) {
            if (found << (16 - left) & 0xffff)
                return NULL;
            break;
        }
        if (found != 0)
            return NULL;
        from += 16;
        to += 16;
        left -= 16;
    }
    to[left] = '"';
    return to + left + 1;
#else
    (void)to, (void)text, (void)readable_end;
    return NULL;
#endif
}

#endif
