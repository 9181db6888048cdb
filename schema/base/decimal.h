/* schema/base/decimal.h - whole numbers as decimal digits, two at a time: what printf does in ten times the
 * instructions. */
#ifndef TARN_BASE_DECIMAL_H
#define TARN_BASE_DECIMAL_H

#include <stdint.h>
#include <string.h>

enum { DECIMAL_MAX = 20 }; /* digits of a uint64_t, or of an int64_t with its sign */

/* "00" to "99", one behind the other. */
extern const char decimal_pairs[200];

/* Writes the digits so that they end at `end`, where DECIMAL_MAX bytes are free before; returns where they begin. */
uint8_t *decimal_before(uint8_t *end, uint64_t value);

/* Writes to `to`, where DECIMAL_MAX bytes are free; returns where the digits end. */
uint8_t *decimal_put_long(uint8_t *to, uint64_t value);

static inline uint8_t *decimal_put(uint8_t *to, uint64_t value)
{
    if (value < 10) {
        *to = (uint8_t)('0' + value);
        return to + 1;
    }
    if (value < 100) {
        memcpy(to, &decimal_pairs[value * 2], 2);
        return to + 2;
    }
    return decimal_put_long(to, value);
}

static inline uint8_t *decimal_put_signed(uint8_t *to, int64_t value)
{
    if (value >= 0)
        return decimal_put(to, (uint64_t)value);
    *to++ = '-';
    return decimal_put(to, 0 - (uint64_t)value);
}

#endif
