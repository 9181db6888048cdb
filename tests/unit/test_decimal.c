/* Whole numbers as digits, against printf. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "schema/base/decimal.h"

static void assert_digits(uint64_t value)
{
    char expected[DECIMAL_MAX + 2], signed_expected[DECIMAL_MAX + 2];
    uint8_t text[DECIMAL_MAX + 2], before[DECIMAL_MAX + 2];

    snprintf(expected, sizeof(expected), "%" PRIu64, value);
    snprintf(signed_expected, sizeof(signed_expected), "%" PRId64, (int64_t)value);
    *decimal_put(text, value) = '\0';
    assert_string_equal((char *)text, expected);
    *decimal_put_signed(text, (int64_t)value) = '\0';
    assert_string_equal((char *)text, signed_expected);
    before[DECIMAL_MAX] = '\0';
    assert_string_equal((char *)decimal_before(before + DECIMAL_MAX, value), expected);
}

static void every_length_has_its_digits(void **state)
{
    uint64_t power = 1;

    (void)state;
    for (int digits = 1; digits <= 20; digits++) {
        assert_digits(power - 1);
        assert_digits(power);
        assert_digits(power + 1);
        assert_digits(power / 10 * 37);
        assert_digits(0 - power);
        power *= 10;
    }
    assert_digits(UINT64_MAX);
    assert_digits((uint64_t)INT64_MAX);
    assert_digits((uint64_t)INT64_MIN);
    for (uint64_t value = 0; value < 11000; value++)
        assert_digits(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_has_its_digits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
