/* From the last digit to the first, into a buffer of its own where the length isn't known yet. */
#include "schema/base/decimal.h"

#include <stddef.h>

const char decimal_pairs[200] __attribute__((nonstring)) = "0001020304050607080910111213141516171819"
                                                           "2021222324252627282930313233343536373839"
                                                           "4041424344454647484950515253545556575859"
                                                           "6061626364656667686970717273747576777879"
                                                           "8081828384858687888990919293949596979899";

uint8_t *decimal_before(uint8_t *end, uint64_t value)
{
    while (value >= 100) {
        end -= 2;
        memcpy(end, &decimal_pairs[value % 100 * 2], 2);
        value /= 100;
    }
    if (value >= 10) {
        end -= 2;
        memcpy(end, &decimal_pairs[value * 2], 2);
        return end;
    }
    *--end = (uint8_t)('0' + value);
    return end;
}

uint8_t *decimal_put_long(uint8_t *to, uint64_t value)
{
    uint8_t digits[DECIMAL_MAX];
    uint8_t *from = decimal_before(digits + sizeof(digits), value);
    size_t length = (size_t)(digits + sizeof(digits) - from);

    memcpy(to, from, length);
    return to + length;
}
