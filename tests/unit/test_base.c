/* The smallest pieces: errors, buffers, arenas, spans, hashes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/base/arena.h"
#include "schema/base/buf.h"
#include "schema/base/clock.h"
#include "schema/base/err.h"
#include "schema/base/hash.h"
#include "schema/base/mem.h"

static void an_error_grows_on_the_way_up(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(err_set(&err, ERR_INPUT, "offset %d", 7), ERR_INPUT);
    assert_int_equal(err_prefix(&err, "partition %d", 3), ERR_INPUT);
    assert_int_equal(err_prefix(&err, "topic users"), ERR_INPUT);
    assert_string_equal(err.text, "topic users: partition 3: offset 7");
}

static void an_error_may_quote_itself(void **state)
{
    struct err err = {0};

    (void)state;
    err_set(&err, ERR_AGAIN, "first");
    assert_int_equal(err_set(&err, ERR_BROKEN, "after %s", err.text), ERR_BROKEN);
    assert_string_equal(err.text, "after first");
}

static void an_error_that_grows_too_long_is_cut_at_its_end(void **state)
{
    struct err err = {0};
    char long_text[2000];

    (void)state;
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    err_set(&err, ERR_INPUT, "%s", long_text);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    err_prefix(&err, "place");
    assert_memory_equal(err.text, "place: xxx", 10);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    err_set_errno(&err, ERR_BROKEN, EIO, "%s", long_text);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

static void a_full_disk_is_told_from_a_broken_one(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(err_set_errno(&err, ERR_BROKEN, ENOSPC, "write"), ERR_FULL);
    assert_int_equal(err_set_errno(&err, ERR_BROKEN, EDQUOT, "write"), ERR_FULL);
    assert_int_equal(err_set_errno(&err, ERR_BROKEN, EIO, "write"), ERR_BROKEN);
    assert_string_equal(err.text, "write: Input/output error");
}

static void a_buffer_grows_and_keeps_what_it_has(void **state)
{
    struct buf buf = BUF_INIT;

    (void)state;
    for (int i = 0; i < 1000; i++)
        buf_add_format(&buf, "%d,", i);
    assert_memory_equal(buf.at, "0,1,2,3,", 8);
    assert_int_equal(buf.len, 10 * 2 + 90 * 3 + 900 * 4);
    buf_clear(&buf);
    buf_add_literal(&buf, "text");
    assert_string_equal(buf_text(&buf), "text");
    assert_int_equal(buf.len, 4);
    buf_release(&buf);
    assert_null(buf.at);
}

static void an_arena_hands_out_aligned_pieces_that_do_not_overlap(void **state)
{
    struct arena arena = ARENA_INIT;
    uint8_t *pieces[300];

    (void)state;
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
            pieces[i] = arena_alloc(&arena, i);
            assert_int_equal((uintptr_t)pieces[i] % 8, 0);
            memset(pieces[i], (int)(i % 251), i);
        }
        for (size_t i = 0; i < ARRAY_COUNT(pieces); i++)
            for (size_t at = 0; at < i; at++)
                assert_int_equal(pieces[i][at], i % 251);
        arena_reset(&arena);
    }
    arena_release(&arena);
}

static void a_reset_arena_keeps_its_blocks_but_not_a_huge_one(void **state)
{
    struct arena arena = ARENA_INIT;

    (void)state;
    for (int i = 0; i < 100; i++)
        arena_alloc(&arena, 1000);
    size_t footprint = arena_footprint(&arena);
    for (int round = 0; round < 50; round++) {
        arena_reset(&arena);
        for (int i = 0; i < 100; i++)
            arena_alloc(&arena, 1000);
        assert_true(arena_footprint(&arena) <= footprint * 2);
    }
    arena_alloc(&arena, 64 << 20);
    arena_reset(&arena);
    assert_true(arena_footprint(&arena) <= 4 << 20);
    arena_release(&arena);
}

static void spans_compare_as_unsigned_bytes_and_a_prefix_comes_first(void **state)
{
    (void)state;
    assert_true(span_compare(SPAN_LITERAL("a"), SPAN_LITERAL("ab")) < 0);
    assert_true(span_compare(SPAN_LITERAL("\xff"), SPAN_LITERAL("a")) > 0);
    assert_int_equal(span_compare(SPAN_LITERAL("ab"), SPAN_LITERAL("ab")), 0);
    assert_true(span_compare(span_of(NULL, 0), SPAN_LITERAL("a")) < 0);
    assert_true(span_starts_with(SPAN_LITERAL("ab"), span_of(NULL, 0)));
    assert_false(span_starts_with(SPAN_LITERAL("a"), SPAN_LITERAL("ab")));
}

/* The format of every store rests on these numbers: XXH3 of xxHash 0.8, seed 0. */
static void the_hashes_of_the_format_do_not_change(void **state)
{
    (void)state;
    assert_true(hash64(span_of(NULL, 0)) == 0x2d06800538d394c2u);
    struct hash128 empty = hash128(span_of(NULL, 0));
    assert_true(empty.low == 0x6001c324468d497fu && empty.high == 0x99aa06d3014798d8u);
}

static void sums_of_hashes_come_back_to_where_they_were(void **state)
{
    struct hash128 sum = {UINT64_MAX, 7};
    struct hash128 more = hash128_pair(SPAN_LITERAL("key"), SPAN_LITERAL("value"));

    (void)state;
    struct hash128 back = hash128_minus(hash128_plus(sum, more), more);
    assert_true(back.low == sum.low && back.high == sum.high);
    struct hash128 carried = hash128_plus(sum, (struct hash128){1, 0});
    assert_true(carried.low == 0 && carried.high == 8);
}

static void a_pair_is_told_from_its_pieces_shifted(void **state)
{
    struct hash128 a = hash128_pair(SPAN_LITERAL("ab"), SPAN_LITERAL("c"));
    struct hash128 b = hash128_pair(SPAN_LITERAL("a"), SPAN_LITERAL("bc"));

    (void)state;
    assert_true(a.low != b.low || a.high != b.high);
}

static void the_clocks_of_the_machine_go(void **state)
{
    (void)state;
    assert_true(clock_wall_ms(&clock_system) > 1700000000000);
    int64_t before = clock_monotonic_us(&clock_system);
    assert_true(clock_monotonic_us(&clock_system) >= before);
}

static void memory_grows_by_doubling(void **state)
{
    size_t capacity = 0;
    int *numbers = NULL;

    (void)state;
    for (size_t count = 0; count < 1000; count++) {
        numbers = mem_grow(numbers, count, &capacity, sizeof(*numbers));
        numbers[count] = (int)count;
    }
    assert_int_equal(capacity, 1024);
    assert_int_equal(numbers[999], 999);
    free(numbers);
    char *text = mem_format("%s-%d", "a", 1);
    assert_string_equal(text, "a-1");
    free(text);
    text = mem_text_of(SPAN_LITERAL("xyz"));
    assert_string_equal(text, "xyz");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_grows_on_the_way_up),
        cmocka_unit_test(an_error_may_quote_itself),
        cmocka_unit_test(an_error_that_grows_too_long_is_cut_at_its_end),
        cmocka_unit_test(a_full_disk_is_told_from_a_broken_one),
        cmocka_unit_test(a_buffer_grows_and_keeps_what_it_has),
        cmocka_unit_test(an_arena_hands_out_aligned_pieces_that_do_not_overlap),
        cmocka_unit_test(a_reset_arena_keeps_its_blocks_but_not_a_huge_one),
        cmocka_unit_test(spans_compare_as_unsigned_bytes_and_a_prefix_comes_first),
        cmocka_unit_test(the_hashes_of_the_format_do_not_change),
        cmocka_unit_test(sums_of_hashes_come_back_to_where_they_were),
        cmocka_unit_test(a_pair_is_told_from_its_pieces_shifted),
        cmocka_unit_test(the_clocks_of_the_machine_go),
        cmocka_unit_test(memory_grows_by_doubling),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
