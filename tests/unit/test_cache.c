#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "projector/cache.h"
#include "schema/base/buf.h"
#include "schema/base/mem.h"

enum { VIEW_BY_KEY, VIEW_BY_OWNER, VIEWS };

static struct cache *make_cache(size_t budget)
{
    static const bool by_owner[VIEWS] = {[VIEW_BY_OWNER] = true};

    return cache_new(budget, by_owner, VIEWS);
}

/* A row's key: the owner stands in the top bits too, so that owners fall into different ranges. */
static struct span row_key(uint64_t owner, uint16_t view, const char *key)
{
    static struct buf bytes;

    buf_clear(&bytes);
    layout_view_key(owner * 0x9e3779b97f4a7c15u, view, span_of_text(key), &bytes);
    return buf_span(&bytes);
}

static void expect_row(struct cache *cache, struct span key, const char *value)
{
    const struct cache_row *row = cache_find(cache, TABLE_VIEWS, key);

    assert_non_null(row);
    if (row == NULL)
        return;
    assert_int_equal(row->value == NULL, value == NULL);
    if (value != NULL)
        assert_true(span_equal_text(cache_row_value(row), value));
}

static void freeze_all(struct cache *cache, struct cache_frozen_list *list)
{
    for (unsigned range = 0; range < RANGE_COUNT; range++)
        cache_freeze(cache, range, list);
}

static void a_row_is_what_was_put_last_or_absent(void **state)
{
    struct cache *cache = make_cache(1 << 20);

    (void)state;
    assert_null(cache_find(cache, TABLE_VIEWS, row_key(1, 0, "a")));
    cache_add_clean(cache, TABLE_VIEWS, row_key(1, 0, "a"), true, (struct span){NULL, 0});
    expect_row(cache, row_key(1, 0, "a"), NULL);
    cache_put(cache, TABLE_VIEWS, row_key(1, 0, "a"), span_of_text("one"));
    expect_row(cache, row_key(1, 0, "a"), "one");
    cache_put(cache, TABLE_VIEWS, row_key(1, 0, "a"), span_of_text("a longer value than the chunk of the first"));
    expect_row(cache, row_key(1, 0, "a"), "a longer value than the chunk of the first");
    cache_put_absent(cache, TABLE_VIEWS, row_key(1, 0, "a"));
    expect_row(cache, row_key(1, 0, "a"), NULL);
    assert_null(cache_find(cache, TABLE_MARKS, row_key(1, 0, "a"))); /* another table's row */
    cache_free(&cache);
}

static void a_frozen_value_stays_while_its_row_goes_on(void **state)
{
    struct cache *cache = make_cache(1 << 20);
    struct cache_frozen_list list = {0};

    (void)state;
    cache_put(cache, TABLE_VIEWS, row_key(1, 0, "a"), span_of_text("old"));
    cache_put(cache, TABLE_VIEWS, row_key(2, 0, "b"), span_of_text("same"));
    freeze_all(cache, &list);
    assert_int_equal(list.count, 2);
    assert_int_equal(cache_dirty_rows(cache), 0);
    cache_put(cache, TABLE_VIEWS, row_key(1, 0, "a"), span_of_text("new"));
    assert_int_equal(cache_dirty_rows(cache), 1);
    for (size_t i = 0; i < list.count; i++)
        assert_true(list.items[i].value->bytes[0] == 'o' || list.items[i].value->bytes[0] == 's');

    cache_thaw(cache, &list);
    assert_int_equal(cache_find(cache, TABLE_VIEWS, row_key(1, 0, "a"))->state, ROW_DIRTY);
    assert_int_equal(cache_find(cache, TABLE_VIEWS, row_key(2, 0, "b"))->state, ROW_CLEAN);
    freeze_all(cache, &list);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.items[0].value->bytes[0], 'n');
    cache_thaw(cache, &list);
    free(list.items);
    cache_free(&cache);
}

static void only_clean_rows_are_evicted_least_recently_used_first(void **state)
{
    struct cache *cache = make_cache(0);
    struct cache_frozen_list list = {0};

    (void)state;
    cache_add_clean(cache, TABLE_VIEWS, row_key(1, 0, "clean"), false, span_of_text("x"));
    cache_put(cache, TABLE_VIEWS, row_key(2, 0, "frozen"), span_of_text("x"));
    freeze_all(cache, &list);
    cache_put(cache, TABLE_VIEWS, row_key(3, 0, "dirty"), span_of_text("x"));
    assert_false(cache_trim(cache));
    assert_null(cache_find(cache, TABLE_VIEWS, row_key(1, 0, "clean")));
    expect_row(cache, row_key(2, 0, "frozen"), "x");
    expect_row(cache, row_key(3, 0, "dirty"), "x");
    cache_thaw(cache, &list);
    cache_trim(cache);
    assert_null(cache_find(cache, TABLE_VIEWS, row_key(2, 0, "frozen")));
    expect_row(cache, row_key(3, 0, "dirty"), "x");
    free(list.items);
    cache_free(&cache);

    cache = make_cache(1 << 20);
    static char value[1000];
    for (unsigned i = 0; i < 2000; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%u", i);
        cache_add_clean(cache, TABLE_VIEWS, row_key(i, 0, key), false, span_of(value, sizeof(value)));
        assert_non_null(cache_find(cache, TABLE_VIEWS, row_key(0, 0, "0"))); /* used all the time */
        cache_trim(cache);
        assert_true(cache_bytes(cache) <= 1 << 20);
    }
    assert_non_null(cache_find(cache, TABLE_VIEWS, row_key(1999, 0, "1999")));
    assert_null(cache_find(cache, TABLE_VIEWS, row_key(1, 0, "1")));
    cache_free(&cache);
}

static void what_was_freed_counts_until_it_is_used_again(void **state)
{
    enum { BUDGET = 1 << 20 };
    static char value[5000];
    struct cache *cache = make_cache(BUDGET);

    (void)state;
    for (unsigned i = 0; i < 20000; i++) { /* every size comes and goes */
        char key[16];
        snprintf(key, sizeof(key), "%u", i);
        cache_add_clean(cache, TABLE_VIEWS, row_key(i, 0, key), false, span_of(value, i * 37 % sizeof(value)));
        cache_trim(cache);
        assert_true(cache_bytes(cache) <= BUDGET);
    }
    assert_true(cache_row_count(cache) > 50);
    cache_free(&cache);
}

/* By any number of owners and views, here or not: it reads no more than it may and changes nothing. */
static void asking_ahead_changes_nothing(void **state)
{
    struct cache *cache = make_cache(1 << 20);

    (void)state;
    for (unsigned i = 0; i < 3000; i++) {
        if (i % 3 != 0)
            cache_put(cache, TABLE_VIEWS, row_key(i, 0, "k"), span_of_text("v"));
        else if (i % 2 != 0)
            cache_put_absent(cache, TABLE_VIEWS, row_key(i, 0, "k"));
    }
    size_t bytes = cache_bytes(cache);
    for (unsigned i = 0; i < 6000; i++) {
        cache_prefetch(cache, i, 0, CACHE_PREFETCH_SLOT);
        cache_prefetch(cache, i, 0, CACHE_PREFETCH_ROW);
        cache_prefetch(cache, i, 0, CACHE_PREFETCH_VALUE);
        cache_prefetch(cache, i, 7, CACHE_PREFETCH_VALUE);
    }
    assert_int_equal(cache_bytes(cache), bytes);
    expect_row(cache, row_key(1, 0, "k"), "v");
    cache_free(&cache);
}

static void count_row(void *self, struct cache_row *row)
{
    size_t *count = self;

    assert_true(row->value != NULL);
    (*count)++;
}

static size_t count_owner(struct cache *cache, uint64_t owner, const char *prefix)
{
    size_t count = 0;
    struct span key = row_key(owner, VIEW_BY_OWNER, prefix);
    uint8_t *copy = mem_copy(key.at, key.len);

    cache_walk_owner(cache, span_of(copy, key.len), count_row, &count);
    free(copy);
    return count;
}

static void rows_are_walked_by_owner_view_and_prefix_whatever_came_and_went(void **state)
{
    struct cache *cache = make_cache(1 << 30);

    (void)state;
    for (unsigned owner = 1; owner <= 50; owner++)
        for (unsigned i = 0; i < owner; i++) {
            char key[16];
            snprintf(key, sizeof(key), "%c%u", i % 2 ? 'a' : 'b', i);
            cache_add_clean(cache, TABLE_VIEWS, row_key(owner, VIEW_BY_OWNER, key), false, span_of_text("x"));
            cache_add_clean(cache, TABLE_VIEWS, row_key(owner, VIEW_BY_KEY, key), false, span_of_text("x"));
        }
    for (unsigned owner = 1; owner <= 50; owner++) {
        assert_int_equal(count_owner(cache, owner, ""), owner);
        assert_int_equal(count_owner(cache, owner, "a"), owner / 2);
    }
    assert_int_equal(count_owner(cache, 51, ""), 0);
    cache_free(&cache);

    cache = make_cache(200 * 1024); /* rings lose members from all places */
    for (unsigned i = 0; i < 20000; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%u", i);
        cache_add_clean(cache, TABLE_VIEWS, row_key(i * 7919 % 100, VIEW_BY_OWNER, key), false, span_of_text("x"));
        cache_trim(cache);
    }
    size_t rows = 0;
    for (unsigned owner = 0; owner < 100; owner++)
        rows += count_owner(cache, owner, "");
    assert_int_equal(rows, cache_row_count(cache));
    cache_free(&cache);
}

/* Against a plain array, through growth, removal and freezing. */
static void a_long_history_leaves_every_row_as_it_should_be(void **state)
{
    enum { KEYS = 3000, STEPS = 200000 };
    struct cache *cache = make_cache(300 * 1024);
    int *expected = mem_zero(KEYS, sizeof(*expected)); /* 0: absent */
    struct cache_frozen_list list = {0};
    uint64_t seed = 7;

    (void)state;
    for (int i = 1; i <= STEPS; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        unsigned number = (unsigned)(seed >> 33) % KEYS;
        char key[16], value[200];
        snprintf(key, sizeof(key), "%u", number);
        int length = snprintf(value, sizeof(value), "%d%*s", expected[number], (int)(number % 150), "");
        struct cache_row *row = cache_find(cache, TABLE_VIEWS, row_key(number, 0, key));
        if (row == NULL)
            row = cache_add_clean(cache, TABLE_VIEWS, row_key(number, 0, key), expected[number] == 0,
                                  span_of(value, (size_t)length));
        if (expected[number] == 0)
            assert_null(row->value);
        else
            assert_true(span_equal(cache_row_value(row), span_of(value, (size_t)length)));

        expected[number] = seed >> 60 == 0 ? 0 : i;
        length = snprintf(value, sizeof(value), "%d%*s", i, (int)(number % 150), "");
        if (expected[number] == 0)
            cache_put_absent(cache, TABLE_VIEWS, row_key(number, 0, key));
        else
            cache_put(cache, TABLE_VIEWS, row_key(number, 0, key), span_of(value, (size_t)length));
        if (i % 100 == 0) {
            cache_thaw(cache, &list);
            freeze_all(cache, &list);
        }
        cache_trim(cache);
    }
    cache_thaw(cache, &list);
    assert_true(cache_evictions(cache) > KEYS);
    free(list.items);
    free(expected);
    cache_free(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_what_was_put_last_or_absent),
        cmocka_unit_test(a_frozen_value_stays_while_its_row_goes_on),
        cmocka_unit_test(only_clean_rows_are_evicted_least_recently_used_first),
        cmocka_unit_test(what_was_freed_counts_until_it_is_used_again),
        cmocka_unit_test(asking_ahead_changes_nothing),
        cmocka_unit_test(rows_are_walked_by_owner_view_and_prefix_whatever_came_and_went),
        cmocka_unit_test(a_long_history_leaves_every_row_as_it_should_be),
    };

    return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
