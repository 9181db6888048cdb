/* Which partitioner a topic's producers use, from its records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "projector/partitioner_guess.h"

enum { PARTITIONS = 6 };

static void see_many(struct partitioner_guess *guess, enum partitioner used, int from, int count)
{
    char key[16];
    for (int i = from; i < from + count; i++) {
        struct span span = span_of(key, (size_t)snprintf(key, sizeof(key), "user-%d", i));
        partitioner_guess_see(guess, span, partitioner_partition(used, span, PARTITIONS), PARTITIONS);
    }
}

static void each_partitioner_is_found_out(void **state)
{
    (void)state;
    for (unsigned used = PARTITIONER_MURMUR2; used <= PARTITIONER_FNV1A; used++) {
        struct partitioner_guess guess;
        partitioner_guess_init(&guess, PARTITIONER_UNKNOWN);
        see_many(&guess, (enum partitioner)used, 0, 200);
        assert_int_equal(guess.answer, used);
    }
}

static void nothing_is_told_before_it_is_certain(void **state)
{
    (void)state;
    struct partitioner_guess guess;
    partitioner_guess_init(&guess, PARTITIONER_UNKNOWN);
    see_many(&guess, PARTITIONER_MURMUR2, 0, 5);
    assert_int_equal(guess.answer, PARTITIONER_UNKNOWN);
}

static void records_that_agree_with_none_make_it_mixed_for_good(void **state)
{
    (void)state;
    struct partitioner_guess guess;
    partitioner_guess_init(&guess, PARTITIONER_UNKNOWN);
    see_many(&guess, PARTITIONER_MURMUR2, 0, 100);
    see_many(&guess, PARTITIONER_CRC32, 100, 2000); /* another producer: noticed by the samples */
    assert_int_equal(guess.answer, PARTITIONER_MIXED);
    see_many(&guess, PARTITIONER_MURMUR2, 0, 1000);
    assert_int_equal(guess.answer, PARTITIONER_MIXED);
}

static void one_partition_tells_nothing_about_more_of_them(void **state)
{
    (void)state;
    struct partitioner_guess guess;
    partitioner_guess_init(&guess, PARTITIONER_UNKNOWN);
    for (int i = 0; i < 100; i++)
        partitioner_guess_see(&guess, SPAN_LITERAL("user-1"), 0, 1);
    assert_int_equal(guess.answer, PARTITIONER_MURMUR2); /* any: all say 0 */
    see_many(&guess, PARTITIONER_CRC32, 0, 5);
    assert_int_equal(guess.answer, PARTITIONER_UNKNOWN);
    see_many(&guess, PARTITIONER_CRC32, 5, 100);
    assert_int_equal(guess.answer, PARTITIONER_CRC32);
}

static void what_an_earlier_run_found_out_holds_until_a_record_disagrees(void **state)
{
    (void)state;
    struct partitioner_guess guess;
    partitioner_guess_init(&guess, PARTITIONER_CRC32);
    assert_int_equal(guess.answer, PARTITIONER_CRC32);
    see_many(&guess, PARTITIONER_CRC32, 0, 1000);
    assert_int_equal(guess.answer, PARTITIONER_CRC32);
    see_many(&guess, PARTITIONER_MURMUR2, 0, 1000);
    assert_int_equal(guess.answer, PARTITIONER_MIXED);
}

static void what_a_flag_says_is_not_doubted(void **state)
{
    (void)state;
    struct partitioner_guess guess;
    partitioner_guess_fix(&guess, PARTITIONER_MURMUR2);
    see_many(&guess, PARTITIONER_CRC32, 0, 1000);
    assert_int_equal(guess.answer, PARTITIONER_MURMUR2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_partitioner_is_found_out),
        cmocka_unit_test(nothing_is_told_before_it_is_certain),
        cmocka_unit_test(records_that_agree_with_none_make_it_mixed_for_good),
        cmocka_unit_test(one_partition_tells_nothing_about_more_of_them),
        cmocka_unit_test(what_an_earlier_run_found_out_holds_until_a_record_disagrees),
        cmocka_unit_test(what_a_flag_says_is_not_doubted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
