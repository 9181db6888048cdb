#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <endian.h>

#include "projector/frozen_sort.h"
#include "schema/base/mem.h"

enum { ROWS_MAX = 3000, KEY_BYTES = 10 };

static uint64_t state_of_random = 1;

static uint64_t next_random(void)
{
    uint64_t z = state_of_random += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static struct cache_frozen make(uint64_t order, uint16_t rest, enum store_table table)
{
    struct cache_row *row = mem_zero(1, sizeof(*row) + KEY_BYTES);
    uint64_t first = htobe64(order);
    uint16_t last = htobe16(rest);

    row->table = (uint8_t)table;
    row->key_len = KEY_BYTES;
    memcpy(row->key, &first, sizeof(first));
    memcpy(row->key + sizeof(first), &last, sizeof(last));
    return (struct cache_frozen){order, row, NULL, (uint8_t)table};
}

static bool is_before(const struct cache_frozen *a, const struct cache_frozen *b)
{
    if (a->table != b->table)
        return a->table < b->table;
    return span_compare(cache_row_key(a->row), cache_row_key(b->row)) < 0;
}

/* Sorts, sees that all keys are there, each once and in order, and frees them. */
static void expect_sorted(struct cache_frozen *items, size_t count)
{
    uint64_t sum_before = 0, sum_after = 0;

    for (size_t i = 0; i < count; i++)
        sum_before += (uintptr_t)items[i].row;
    frozen_sort(items, count);
    for (size_t i = 0; i < count; i++) {
        sum_after += (uintptr_t)items[i].row;
        assert_int_equal(items[i].table, items[i].row->table);
        if (i > 0)
            assert_true(is_before(&items[i - 1], &items[i]));
    }
    assert_int_equal(sum_before, sum_after);
    for (size_t i = 0; i < count; i++)
        free(items[i].row);
}

static void rows_come_by_table_and_key_whatever_their_number(void **state)
{
    static const size_t counts[] = {0, 1, 2, 17, 63, 64, 65, 127, 1000, ROWS_MAX};
    struct cache_frozen items[ROWS_MAX];

    (void)state;
    for (size_t table_count = 1; table_count <= 3; table_count++)
        for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
            for (size_t k = 0; k < counts[i]; k++)
                items[k] = make(next_random() >> 4 | 0x7000000000000000u, (uint16_t)k,
                                (enum store_table)(next_random() % table_count));
            expect_sorted(items, counts[i]);
        }
}

static void rows_of_one_owner_come_by_the_rest_of_their_keys(void **state)
{
    struct cache_frozen items[ROWS_MAX];

    (void)state;
    for (size_t k = 0; k < ROWS_MAX; k++)
        items[k] = make(42, (uint16_t)(k * 7919), TABLE_VIEWS);
    expect_sorted(items, ROWS_MAX);
}

static void keys_that_differ_in_their_last_or_first_bit_alone_are_sorted(void **state)
{
    struct cache_frozen items[ROWS_MAX];

    (void)state;
    for (size_t k = 0; k < ROWS_MAX; k++)
        items[k] = make((next_random() & 1) << (k % 2 ? 63 : 0), (uint16_t)(k * 7919), TABLE_VIEWS);
    expect_sorted(items, ROWS_MAX);
}

static void rows_that_crowd_one_bucket_are_sorted(void **state)
{
    struct cache_frozen items[ROWS_MAX];

    (void)state;
    for (size_t k = 0; k < ROWS_MAX; k++)
        items[k] = make(k == 0 ? UINT64_MAX : next_random() % 500, (uint16_t)k, TABLE_VIEWS);
    expect_sorted(items, ROWS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_by_table_and_key_whatever_their_number),
        cmocka_unit_test(rows_of_one_owner_come_by_the_rest_of_their_keys),
        cmocka_unit_test(keys_that_differ_in_their_last_or_first_bit_alone_are_sorted),
        cmocka_unit_test(rows_that_crowd_one_bucket_are_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
