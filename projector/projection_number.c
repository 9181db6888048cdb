/* A table of ranges says what fits where; the only work is between whole numbers and doubles, where a cast that is out
 * of range would be undefined. */
#include "projector/projection_number.h"

#include <float.h>
#include <math.h>

struct whole_range {
    enum value_kind held_as; /* VALUE_ABSENT: not a whole kind */
    whole_number least;
    whole_number greatest;
};

static struct whole_range whole_range_of(enum field_kind kind);
static bool whole_of_real(double real, whole_number *ret_whole);

bool number_of_value(struct value value, struct number *ret_number)
{
    switch (value.kind) {
    case VALUE_INT:
    case VALUE_ENUM:
        *ret_number = (struct number){false, value.integer, 0};
        return true;
    case VALUE_UINT:
        *ret_number = (struct number){false, (whole_number)value.natural, 0};
        return true;
    case VALUE_FLOAT:
    case VALUE_DOUBLE:
        *ret_number = (struct number){true, 0, value.number};
        return true;
    case VALUE_ABSENT:
    case VALUE_BOOL:
    case VALUE_STRING:
    case VALUE_BYTES:
    case VALUE_MESSAGE:
        return false;
    }
    return false;
}

struct number number_negate(struct number number)
{
    /* 0 - x instead of -x: the opposite of nothing is nothing, not a "-0" on somebody's screen. */
    if (number.is_real)
        number.real = 0 - number.real;
    else
        number.whole = -number.whole;
    return number;
}

bool number_add(struct number a, struct number b, struct number *ret_sum)
{
    if (!a.is_real && !b.is_real) {
        *ret_sum = (struct number){false, a.whole + b.whole, 0};
        return true;
    }
    double left = a.is_real ? a.real : (double)a.whole;
    double right = b.is_real ? b.real : (double)b.whole;
    double sum = left + right;
    if (isinf(sum) && isfinite(left) && isfinite(right))
        return false;
    *ret_sum = (struct number){true, 0, sum};
    return true;
}

bool number_fit(struct number number, enum field_kind kind, struct value *ret_value)
{
    if (kind == KIND_DOUBLE) {
        *ret_value = (struct value){.kind = VALUE_DOUBLE,
                                    .number = number.is_real ? number.real : (double)number.whole};
        return true;
    }
    if (kind == KIND_FLOAT) {
        float nearest;
        if (number.is_real) {
            /* The cast is defined up to the halfway point behind FLT_MAX and rounds to infinity from there. */
            nearest = (float)number.real;
            if (isinf(nearest) && isfinite(number.real))
                return false;
        } else {
            nearest = (float)number.whole; /* below 2^127: never infinite */
        }
        *ret_value = (struct value){.kind = VALUE_FLOAT, .number = (double)nearest};
        return true;
    }

    struct whole_range range = whole_range_of(kind);
    if (range.held_as == VALUE_ABSENT || !number_make_whole(&number))
        return false;
    whole_number whole = number.whole;
    if (whole < range.least || whole > range.greatest)
        return false;
    *ret_value = (struct value){.kind = range.held_as};
    if (range.held_as == VALUE_UINT)
        ret_value->natural = (uint64_t)whole;
    else
        ret_value->integer = (int64_t)whole;
    return true;
}

static int compare_reals(double a, double b)
{
    if (isnan(a) || isnan(b))
        return (isnan(b) != 0) - (isnan(a) != 0);
    return (a > b) - (a < b);
}

/* The whole number against the double's whole part, then against its fraction. */
static int compare_whole_with_real(whole_number whole, double real)
{
    if (isnan(real))
        return 1;
    if (real >= 0x1p126)
        return -1;
    if (real <= -0x1p126)
        return 1;
    whole_number part = (whole_number)real;
    if (whole != part)
        return whole < part ? -1 : 1;
    return -compare_reals(real, trunc(real));
}

int number_compare(struct number a, struct number b)
{
    if (a.is_real && b.is_real)
        return compare_reals(a.real, b.real);
    if (a.is_real)
        return -compare_whole_with_real(b.whole, a.real);
    if (b.is_real)
        return compare_whole_with_real(a.whole, b.real);
    return (a.whole > b.whole) - (a.whole < b.whole);
}

bool number_make_whole(struct number *number)
{
    if (number->is_real) {
        whole_number whole;
        if (!whole_of_real(number->real, &whole))
            return false;
        *number = (struct number){false, whole, 0};
    }
    return true;
}

bool number_kind_is_whole(enum field_kind kind)
{
    return whole_range_of(kind).held_as != VALUE_ABSENT;
}

static struct whole_range whole_range_of(enum field_kind kind)
{
    switch (kind) {
    case KIND_INT32:
    case KIND_SINT32:
    case KIND_SFIXED32:
        return (struct whole_range){VALUE_INT, INT32_MIN, INT32_MAX};
    case KIND_INT64:
    case KIND_SINT64:
    case KIND_SFIXED64:
        return (struct whole_range){VALUE_INT, INT64_MIN, INT64_MAX};
    case KIND_UINT32:
    case KIND_FIXED32:
        return (struct whole_range){VALUE_UINT, 0, UINT32_MAX};
    case KIND_UINT64:
    case KIND_FIXED64:
        return (struct whole_range){VALUE_UINT, 0, (whole_number)UINT64_MAX};
    case KIND_ENUM:
        return (struct whole_range){VALUE_ENUM, INT32_MIN, INT32_MAX};
    case KIND_DOUBLE:
    case KIND_FLOAT:
    case KIND_BOOL:
    case KIND_STRING:
    case KIND_GROUP:
    case KIND_MESSAGE:
    case KIND_BYTES:
        break;
    }
    return (struct whole_range){VALUE_ABSENT, 0, 0};
}

static bool whole_of_real(double real, whole_number *ret_whole)
{
    if (!(fabs(real) < 0x1p126) || real != trunc(real)) /* NaN fails the first */
        return false;
    *ret_whole = (whole_number)real;
    return true;
}
