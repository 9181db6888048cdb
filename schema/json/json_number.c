/* Most doubles in views are short decimals: an amount, a rate, a score. Such a value is m / 10^k with m < 2^53, found
 * by trying thousandths, then k = 0, 1, 2, ...; since m and 10^k are exact, the division gives the double that a reader
 * would get, so equality proves the text. Only what is left goes through printf, with more and more digits. */
#include "schema/json/json_number.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { FRACTION_DIGITS_MAX = 17 };

static const double powers_of_ten[FRACTION_DIGITS_MAX + 1] = {1e0, 1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,
                                                              1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17};

/* mantissa / 10^fraction_digits, written out. */
static uint8_t *put_decimal(uint8_t *to, uint64_t mantissa, int fraction_digits)
{
    uint8_t digits[24];
    uint8_t *end = digits + sizeof(digits);
    uint8_t *from = decimal_before(end, mantissa);

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
        return decimal_put(to, (uint64_t)positive);
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
    uint64_t whole = thousandths / 1000;
    unsigned fraction = (unsigned)(thousandths - whole * 1000);

    to = decimal_put(to, whole);
    if (fraction == 0)
        return to;
    to[0] = '.';
    to[1] = (uint8_t)('0' + fraction / 100);
    memcpy(to + 2, &decimal_pairs[fraction % 100 * 2], 2);
    if (to[3] != '0')
        return to + 4;
    return to + (to[2] != '0' ? 3 : 2);
}

uint8_t *json_put_double(uint8_t *to, double value)
{
    double positive = fabs(value);

    if (positive < 1e9) { /* so neither NaN nor infinite */
        uint64_t thousandths = (uint64_t)(int64_t)(positive * 1000 + 0.5);
        if ((double)(int64_t)thousandths / 1000 == positive) {
            if (signbit(value)) {
                if (thousandths == 0)
                    return put_special(to, value);
                *to++ = '-';
            }
            return put_thousandths(to, thousandths);
        }
    }
    return is_special(value) ? put_special(to, value) : put_number(to, value, false);
}

uint8_t *json_put_float(uint8_t *to, float value)
{
    return is_special((double)value) ? put_special(to, (double)value) : put_number(to, (double)value, true);
}
