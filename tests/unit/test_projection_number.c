/* Numbers between types: what fits, what is exact, what is in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>

#include "projector/projection_number.h"

static struct number whole(int64_t value)
{
    return (struct number){false, value, 0};
}

static struct number natural(uint64_t value)
{
    return (struct number){false, (whole_number)value, 0};
}

static struct number real(double value)
{
    return (struct number){true, 0, value};
}

static void a_number_fits_its_range_and_nothing_else(void **state)
{
    static const struct {
        enum field_kind kind;
        int64_t least;
        uint64_t greatest;
    } ranges[] = {
        {KIND_INT32, INT32_MIN, INT32_MAX}, {KIND_SINT32, INT32_MIN, INT32_MAX}, {KIND_SFIXED32, INT32_MIN, INT32_MAX},
        {KIND_INT64, INT64_MIN, INT64_MAX}, {KIND_SINT64, INT64_MIN, INT64_MAX}, {KIND_SFIXED64, INT64_MIN, INT64_MAX},
        {KIND_UINT32, 0, UINT32_MAX},       {KIND_FIXED32, 0, UINT32_MAX},       {KIND_UINT64, 0, UINT64_MAX},
        {KIND_FIXED64, 0, UINT64_MAX},      {KIND_ENUM, INT32_MIN, INT32_MAX},
    };
    struct value value;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(ranges); i++) {
        struct number below = whole(ranges[i].least), above = natural(ranges[i].greatest);
        assert_true(number_fit(below, ranges[i].kind, &value));
        assert_true(number_fit(above, ranges[i].kind, &value));
        assert_int_equal(value.kind, value_kind_of(ranges[i].kind));
        below.whole -= 1;
        above.whole += 1;
        assert_false(number_fit(below, ranges[i].kind, &value));
        assert_false(number_fit(above, ranges[i].kind, &value));
    }
}

static void a_fraction_or_what_is_not_finite_does_not_fit_an_integer(void **state)
{
    struct value value;

    (void)state;
    assert_true(number_fit(real(-3.0), KIND_INT32, &value));
    assert_int_equal(value.integer, -3);
    assert_true(number_fit(real(-0.0), KIND_UINT64, &value));
    assert_int_equal(value.natural, 0);
    assert_false(number_fit(real(0.5), KIND_INT64, &value));
    assert_false(number_fit(real(NAN), KIND_INT64, &value));
    assert_false(number_fit(real(INFINITY), KIND_UINT64, &value));
    assert_false(number_fit(real(-DBL_MAX), KIND_INT64, &value));
    assert_true(number_fit(real(0x1p63), KIND_UINT64, &value));
    assert_false(number_fit(real(0x1p63), KIND_INT64, &value));
    assert_false(number_fit(real(0x1p64), KIND_UINT64, &value));
}

static void float_is_the_nearest_but_never_an_infinity_of_its_own(void **state)
{
    struct value value;

    (void)state;
    assert_true(number_fit(real(0.1), KIND_FLOAT, &value));
    assert_true(value.number == (double)0.1f);
    assert_true(number_fit(whole(16777217), KIND_FLOAT, &value));
    assert_true(value.number == 16777216.0);
    assert_true(number_fit(whole(9007199254740993), KIND_DOUBLE, &value));
    assert_true(value.number == 9007199254740992.0);
    assert_false(number_fit(real(1e39), KIND_FLOAT, &value));
    assert_true(number_fit(real(INFINITY), KIND_FLOAT, &value));
    assert_true(number_fit(real(NAN), KIND_FLOAT, &value));
}

static void the_opposite_of_any_integer_is_exact(void **state)
{
    struct number sum;
    struct value value;

    (void)state;
    assert_true(number_add(natural(UINT64_MAX), number_negate(natural(UINT64_MAX)), &sum));
    assert_true(number_fit(sum, KIND_UINT64, &value));
    assert_int_equal(value.natural, 0);
    assert_true(number_fit(number_negate(whole(INT64_MIN)), KIND_UINT64, &value));
    assert_true(value.natural == (uint64_t)1 << 63);
    assert_false(number_fit(number_negate(natural(1)), KIND_UINT64, &value));
    assert_false(signbit(number_negate(real(0.0)).real)); /* no -0 */
}

static void a_sum_of_reals_may_not_leave_the_finite(void **state)
{
    struct number sum;

    (void)state;
    assert_false(number_add(real(DBL_MAX), real(DBL_MAX), &sum));
    assert_true(number_add(real(INFINITY), real(1), &sum));
    assert_true(isinf(sum.real));
    assert_true(number_add(whole(1), real(0.5), &sum));
    assert_true(sum.is_real && sum.real == 1.5);
    assert_true(number_add(natural(UINT64_MAX), natural(UINT64_MAX), &sum)); /* exact, in between */
    assert_true(number_add(sum, number_negate(natural(UINT64_MAX)), &sum));
    assert_true(number_compare(sum, natural(UINT64_MAX)) == 0);
}

static void numbers_of_all_kinds_are_in_one_order(void **state)
{
    const struct number ascending[] = {
        real(NAN),
        real(-INFINITY),
        real(-DBL_MAX),
        whole(INT64_MIN),
        real(-1.5),
        whole(-1),
        real(-0.5),
        whole(0),
        real(5e-324),
        real(0.5),
        whole(1),
        real(1.5),
        real(0x1p53),
        whole(9007199254740993),
        natural(UINT64_MAX),
        real(0x1p64),
        real(DBL_MAX),
        real(INFINITY),
    };

    (void)state;
    for (size_t a = 0; a < ARRAY_COUNT(ascending); a++) {
        for (size_t b = 0; b < ARRAY_COUNT(ascending); b++) {
            int order = number_compare(ascending[a], ascending[b]);
            assert_int_equal((order > 0) - (order < 0), (a > b) - (a < b));
        }
    }
    assert_int_equal(number_compare(real(-0.0), real(0.0)), 0);
    assert_int_equal(number_compare(real(2.0), whole(2)), 0);
}

static void only_numbers_and_enums_are_numbers(void **state)
{
    struct number number;

    (void)state;
    assert_true(number_of_value((struct value){.kind = VALUE_ENUM, .integer = 3}, &number));
    assert_true(number.whole == 3);
    assert_true(number_of_value((struct value){.kind = VALUE_UINT, .natural = UINT64_MAX}, &number));
    assert_true(number_of_value((struct value){.kind = VALUE_FLOAT, .number = 0.5}, &number));
    for (enum value_kind kind = VALUE_ABSENT; kind <= VALUE_MESSAGE; kind++) {
        bool is_number = kind == VALUE_INT || kind == VALUE_UINT || kind == VALUE_FLOAT || kind == VALUE_DOUBLE ||
                         kind == VALUE_ENUM;
        assert_int_equal(number_of_value((struct value){.kind = kind}, &number), is_number);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_fits_its_range_and_nothing_else),
        cmocka_unit_test(a_fraction_or_what_is_not_finite_does_not_fit_an_integer),
        cmocka_unit_test(float_is_the_nearest_but_never_an_infinity_of_its_own),
        cmocka_unit_test(the_opposite_of_any_integer_is_exact),
        cmocka_unit_test(a_sum_of_reals_may_not_leave_the_finite),
        cmocka_unit_test(numbers_of_all_kinds_are_in_one_order),
        cmocka_unit_test(only_numbers_and_enums_are_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
