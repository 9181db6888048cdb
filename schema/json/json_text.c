/* Most doubles in views are short decimals: an amount, a rate, a score. Such a value is m / 10^k with m < 2^53, found
 * by trying thousandths, then k = 0, 1, 2, ...; since m and 10^k are exact, the division gives the double that a reader
 * would get, so equality proves the text. Only what is left goes through printf, with more and more digits.
 *
 * Strings are copied in runs that need no escape, 16 bytes at a time; whether they hold anything but ASCII is noticed on
 * the way, and only then are they checked as UTF-8. */
#include "schema/json/json_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "schema/message/utf8.h"

static const char digit_pairs[] = "0001020304050607080910111213141516171819"
                                  "2021222324252627282930313233343536373839"
                                  "4041424344454647484950515253545556575859"
                                  "6061626364656667686970717273747576777879"
                                  "8081828384858687888990919293949596979899";

/* Writes the digits so that they end at `end`; returns where they begin. */
static uint8_t *digits_before(uint8_t *end, uint64_t value)
{
    while (value >= 100) {
        end -= 2;
        memcpy(end, &digit_pairs[value % 100 * 2], 2);
        value /= 100;
    }
    if (value >= 10) {
        end -= 2;
        memcpy(end, &digit_pairs[value * 2], 2);
        return end;
    }
    *--end = (uint8_t)('0' + value);
    return end;
}

uint8_t *json_put_uint(uint8_t *to, uint64_t value)
{
    uint8_t digits[20];

    if (value < 10) {
        *to = (uint8_t)('0' + value);
        return to + 1;
    }
    if (value < 100) {
        memcpy(to, &digit_pairs[value * 2], 2);
        return to + 2;
    }
    uint8_t *from = digits_before(digits + sizeof(digits), value);
    size_t length = (size_t)(digits + sizeof(digits) - from);

    memcpy(to, from, length);
    return to + length;
}

uint8_t *json_put_int(uint8_t *to, int64_t value)
{
    uint64_t natural = (uint64_t)value;

    if (value < 0) {
        *to++ = '-';
        natural = 0 - natural;
    }
    return json_put_uint(to, natural);
}

/* --- numbers with a fraction -------------------------------------------------------------------------------------- */

enum { FRACTION_DIGITS_MAX = 17 };

static const double powers_of_ten[FRACTION_DIGITS_MAX + 1] = {1e0, 1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,
                                                              1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17};

/* mantissa / 10^fraction_digits, written out. */
static uint8_t *put_decimal(uint8_t *to, uint64_t mantissa, int fraction_digits)
{
    uint8_t digits[24];
    uint8_t *end = digits + sizeof(digits);
    uint8_t *from = digits_before(end, mantissa);

    while (end - from <= fraction_digits)
        *--from = '0';
    size_t whole = (size_t)(end - from - fraction_digits);
    memcpy(to, from, whole);
    to += whole;
    if (fraction_digits > 0) {
        *to++ = '.';
        memcpy(to, from + whole, (size_t)fraction_digits);
        to += fraction_digits;
    }
    return to;
}

static uint8_t *put_literal(uint8_t *to, const char *text)
{
    size_t length = strlen(text);

    memcpy(to, text, length);
    return to + length;
}

static uint8_t *put_special(uint8_t *to, double value)
{
    if (isnan(value))
        return put_literal(to, "\"NaN\"");
    if (isinf(value))
        return put_literal(to, value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    return put_literal(to, "-0.0");
}

/* Neither NaN, infinite nor -0.0. Integers up to `exact_max` have no shorter form. */
static uint8_t *put_number(uint8_t *to, double value, bool is_float)
{
    double exact_max = is_float ? 16777216.0 : 9007199254740992.0;
    double positive = fabs(value);

    if (value < 0)
        *to++ = '-';
    if (positive <= exact_max && positive == (double)(uint64_t)positive)
        return json_put_uint(to, (uint64_t)positive);
    for (int k = 1; k <= FRACTION_DIGITS_MAX; k++) {
        double scaled = positive * powers_of_ten[k] + 0.5;
        if (scaled > 9007199254740992.0)
            break;
        uint64_t mantissa = (uint64_t)scaled;
        double back = (double)mantissa / powers_of_ten[k];
        if (is_float ? (float)back == (float)positive : back == positive)
            return put_decimal(to, mantissa, k);
    }

    int length = 0;
    for (int precision = is_float ? 1 : 15; precision <= 17; precision++) {
        length = snprintf((char *)to, JSON_NUMBER_MAX - 1, "%.*g", precision, positive);
        double back = strtod((const char *)to, NULL);
        if (is_float ? strtof((const char *)to, NULL) == (float)positive : back == positive)
            break;
    }
    return to + length;
}

static bool is_special(double value)
{
    return !isfinite(value) || (value == 0 && signbit(value));
}

/* Up to three digits behind the point, which is most of what views hold: found by one division. Thousandths are far
 * enough apart below 10^9 that no other decimal of as few digits reads as the same double. */
static inline uint8_t *put_thousandths(uint8_t *to, uint64_t thousandths)
{
    uint64_t fraction = thousandths % 1000;

    to = json_put_uint(to, thousandths / 1000);
    if (fraction == 0)
        return to;
    to[0] = '.';
    to[1] = (uint8_t)('0' + fraction / 100);
    memcpy(to + 2, &digit_pairs[fraction % 100 * 2], 2);
    return to + (fraction % 10 != 0 ? 4 : fraction % 100 != 0 ? 3 : 2);
}

uint8_t *json_put_double(uint8_t *to, double value)
{
    double positive = fabs(value);

    if (is_special(value))
        return put_special(to, value);
    if (positive < 1e9) {
        uint64_t thousandths = (uint64_t)(positive * 1000 + 0.5);
        if ((double)thousandths / 1000 == positive) {
            if (value < 0)
                *to++ = '-';
            return put_thousandths(to, thousandths);
        }
    }
    return put_number(to, value, false);
}

uint8_t *json_put_float(uint8_t *to, float value)
{
    return is_special((double)value) ? put_special(to, (double)value) : put_number(to, (double)value, true);
}

/* --- strings ------------------------------------------------------------------------------------------------------ */

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
    to = put_literal(to, "u00");
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
