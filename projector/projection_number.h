/* projector/projection_number.h - numbers between types: exact where they are whole, IEEE where they aren't.
 *
 * A whole number is kept in 128 bits: a negated uint64, a sum of as many 64-bit values as memory holds, an unsigned
 * field that shrinks - each is exact, and only the result must fit its field. */
#ifndef TARN_PROJECTOR_PROJECTION_NUMBER_H
#define TARN_PROJECTOR_PROJECTION_NUMBER_H

#include "schema/message/message.h"

__extension__ typedef __int128 whole_number;

/* Lives on the stack: an arena aligns to 8, which isn't enough for it. */
struct number {
    bool is_real;
    whole_number whole; /* when not is_real */
    double real;        /* when is_real */
};

/* False for a value that isn't a number. An enum counts as its number. */
bool number_of_value(struct value value, struct number *ret_number);

struct number number_negate(struct number number);

/* a + b: whole when both are. False: the sum of two finite numbers isn't finite. */
bool number_add(struct number a, struct number b, struct number *ret_sum);

/* The number as the value of a field of that kind. False when it doesn't fit: out of range, or a fraction, NaN or an
 * infinity for an integer. Whole to float or double, and double to float, is the nearest; a finite number never turns
 * into an infinity. */
bool number_fit(struct number number, enum field_kind kind, struct value *ret_value);

/* <0, 0, >0. A total order: NaN stands before everything and equals itself, -0 equals 0. */
int number_compare(struct number a, struct number b);

/* Turns a real number that is a whole one into a whole one. False: it has a fraction, or is NaN, infinite or huge. */
bool number_make_whole(struct number *number);

bool number_kind_is_whole(enum field_kind kind);

#endif
