/* Strings are copied in runs that need no escape, 16 bytes at a time; whether they hold anything but ASCII is noticed on
 * the way, and only then are they checked as UTF-8. */
#include "schema/json/json_text.h"

#include "schema/message/utf8.h"

static bool needs_escape(uint8_t byte)
{
    return byte < 0x20 || byte == '"' || byte == '\\';
}

/* Does one of the eight bytes need an escape? Each term raises the top bit of such a byte; a borrow may raise it of a byte
 * beside it too, which only costs time. */
static inline bool has_special(uint64_t eight)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t quote = eight ^ (ones * '"');
    uint64_t backslash = eight ^ (ones * '\\');
    uint64_t special = ((eight - ones * 0x20) & ~eight) | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash);

    return (special & (ones * 0x80)) != 0;
}

/* Copies what needs no escape, up to `len`, and returns how much that was. *seen collects all bits met. */
static size_t copy_plain(uint8_t *to, const uint8_t *from, size_t len, uint8_t *seen)
{
    size_t done = 0;

#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');
    const __m128i last_control = _mm_set1_epi8(0x1f);
    for (; len - done >= 16; done += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(from + done));
        __m128i special = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)),
                                       _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes));
        if (_mm_movemask_epi8(special) != 0)
            break;
        *seen |= _mm_movemask_epi8(bytes) != 0 ? 0x80 : 0;
        _mm_storeu_si128((__m128i *)(void *)(to + done), bytes);
    }
#endif
    for (; len - done >= 8; done += 8) {
        uint64_t eight;
        memcpy(&eight, from + done, 8);
        if (has_special(eight))
            break;
        *seen |= (eight & UINT64_C(0x8080808080808080)) != 0 ? 0x80 : 0;
        memcpy(to + done, &eight, 8);
    }
    /* The last few bytes once more, with those before them: overlapping costs less than going one by one. */
    if (len >= 8 && len - done > 0 && len - done < 8) {
        uint64_t eight;
        memcpy(&eight, from + len - 8, 8);
        if (!has_special(eight)) {
            *seen |= (eight & UINT64_C(0x8080808080808080)) != 0 ? 0x80 : 0;
            memcpy(to + len - 8, &eight, 8);
            return len;
        }
    }
    for (; done < len && !needs_escape(from[done]); done++) {
        to[done] = from[done];
        *seen |= from[done];
    }
    return done;
}

static uint8_t *put_escape(uint8_t *to, uint8_t byte)
{
    static const char hex[] = "0123456789abcdef";
    static const char shorts[0x60] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r', ['"'] = '"', ['\\'] = '\\'};

    *to++ = '\\';
    if (shorts[byte] != '\0') {
        *to++ = (uint8_t)shorts[byte];
        return to;
    }
    memcpy(to, "u00", 3);
    to += 3;
    *to++ = (uint8_t)hex[byte >> 4];
    *to++ = (uint8_t)hex[byte & 0xf];
    return to;
}

bool json_add_string(struct buf *out, struct span text)
{
    const uint8_t *from = text.len > 0 ? text.at : (const void *)"";
    size_t start = out->len;
    size_t done = 0;
    uint8_t seen = 0;
    uint8_t *to = buf_reserve(out, text.len + 8);

    *to++ = '"';
    for (;;) {
        size_t plain = copy_plain(to, from + done, text.len - done, &seen);
        to += plain;
        done += plain;
        if (done == text.len)
            break;
        to = put_escape(to, from[done++]);
        out->len = (size_t)(to - out->at);
        to = buf_reserve(out, text.len - done + 8);
    }
    *to++ = '"';
    out->len = (size_t)(to - out->at);
    if (seen >= 0x80 && !utf8_is_valid(text)) {
        out->len = start;
        return false;
    }
    return true;
}

void json_add_base64(struct buf *out, struct span bytes)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *from = bytes.at;
    size_t left = bytes.len;
    uint8_t *to = buf_reserve(out, left / 3 * 4 + 6);

    *to++ = '"';
    for (; left >= 3; left -= 3, from += 3) {
        uint32_t three = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2];
        *to++ = (uint8_t)alphabet[three >> 18];
        *to++ = (uint8_t)alphabet[three >> 12 & 63];
        *to++ = (uint8_t)alphabet[three >> 6 & 63];
        *to++ = (uint8_t)alphabet[three & 63];
    }
    if (left > 0) {
        uint32_t rest = (uint32_t)from[0] << 16 | (left > 1 ? (uint32_t)from[1] << 8 : 0);
        *to++ = (uint8_t)alphabet[rest >> 18];
        *to++ = (uint8_t)alphabet[rest >> 12 & 63];
        *to++ = left > 1 ? (uint8_t)alphabet[rest >> 6 & 63] : '=';
        *to++ = '=';
    }
    *to++ = '"';
    out->len = (size_t)(to - out->at);
}
