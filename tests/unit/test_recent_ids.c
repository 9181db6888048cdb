#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "projector/recent_ids.h"
#include "schema/base/compiler.h"

static void an_id_is_found_where_it_stood_last(void **state)
{
    struct recent_ids ids = {0};

    (void)state;
    assert_null(recent_ids_find(&ids, 1, 1));
    recent_ids_add(&ids, 1, 7, 10, 70);
    recent_ids_add(&ids, 2, 7, 11, 71);
    assert_int_equal(recent_ids_find(&ids, 1, 7)->offset, 10);
    assert_int_equal(recent_ids_find(&ids, 1, 7)->content, 70);
    assert_int_equal(recent_ids_find(&ids, 2, 7)->offset, 11); /* another owner's is another id */
    assert_null(recent_ids_find(&ids, 1, 8));
    assert_null(recent_ids_find(&ids, 3, 7));

    recent_ids_add(&ids, 1, 7, 15, 72);
    assert_int_equal(recent_ids_find(&ids, 1, 7)->offset, 15);
    assert_int_equal(ids.count, 2);
    recent_ids_release(&ids);
}

static void the_oldest_leave_first_and_one_that_came_again_stays(void **state)
{
    struct recent_ids ids = {0};
    struct recent_id gone;

    (void)state;
    for (int64_t i = 0; i < 10; i++)
        recent_ids_add(&ids, 1, (uint64_t)i, i, 0);
    recent_ids_add(&ids, 1, 0, 10, 0);
    assert_false(recent_ids_take_before(&ids, 0, &gone));
    assert_true(recent_ids_take_before(&ids, 3, &gone)); /* 0 stands at 10 now */
    assert_int_equal(gone.id_hash, 1);
    assert_true(recent_ids_take_before(&ids, 3, &gone));
    assert_int_equal(gone.id_hash, 2);
    assert_false(recent_ids_take_before(&ids, 3, &gone));
    assert_int_equal(recent_ids_find(&ids, 1, 0)->offset, 10);
    assert_null(recent_ids_find(&ids, 1, 2));
    assert_int_equal(ids.count, 8);
    recent_ids_release(&ids);
}

static void an_owner_s_ids_are_taken_out_and_nobody_else_s(void **state)
{
    struct recent_ids ids = {0};
    struct recent_id gone;
    unsigned taken = 0;

    (void)state;
    for (int64_t i = 0; i < 300; i++)
        recent_ids_add(&ids, (uint64_t)i % 3, (uint64_t)i / 6, i, 0); /* each id twice */
    while (recent_ids_take_before(&ids, 30, &gone))
        ;
    size_t before = ids.count;
    while (recent_ids_take_of_owner(&ids, 1, &gone)) {
        assert_int_equal(gone.owner_hash, 1);
        taken++;
    }
    assert_int_equal(taken, 45);
    assert_int_equal(ids.count, before - 45);
    assert_null(recent_ids_find(&ids, 1, 40));
    assert_non_null(recent_ids_find(&ids, 2, 40));
    assert_false(recent_ids_take_of_owner(&ids, 9, &gone));
    recent_ids_add(&ids, 1, 40, 300, 0);
    assert_int_equal(recent_ids_find(&ids, 1, 40)->offset, 300);
    recent_ids_release(&ids);
}

/* --- against a plain list --- */

enum { OWNERS = 5, IDS = 40, STEPS = 200000 };

struct plain {
    int64_t offset[OWNERS][IDS]; /* -1: not known */
};

static uint64_t draw(uint64_t *seed, uint64_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (*seed >> 33) % below;
}

static size_t plain_count(const struct plain *plain)
{
    size_t count = 0;

    for (size_t owner = 0; owner < OWNERS; owner++)
        for (size_t id = 0; id < IDS; id++)
            count += plain->offset[owner][id] >= 0;
    return count;
}

static void it_knows_what_a_plain_list_knows(void **state)
{
    struct recent_ids ids = {0};
    struct plain plain;
    uint64_t seed = 20261122;
    struct recent_id gone;
    int64_t offset = 0;

    (void)state;
    for (size_t owner = 0; owner < OWNERS; owner++)
        for (size_t id = 0; id < IDS; id++)
            plain.offset[owner][id] = -1;
    for (unsigned step = 0; step < STEPS; step++) {
        uint64_t owner = draw(&seed, OWNERS), id = draw(&seed, IDS), what = draw(&seed, 1000);
        int64_t window = step < STEPS / 2 ? 20 : 150; /* the ring grows in the middle of its life */
        offset += 1 + (int64_t)draw(&seed, 3);
        if (what == 0) {
            while (recent_ids_take_of_owner(&ids, owner, &gone)) {
                assert_int_equal(plain.offset[gone.owner_hash][gone.id_hash], gone.offset);
                plain.offset[gone.owner_hash][gone.id_hash] = -1;
            }
            for (size_t i = 0; i < IDS; i++)
                assert_int_equal(plain.offset[owner][i], -1);
        }
        const struct recent_id *found = recent_ids_find(&ids, owner, id);
        assert_int_equal(found != NULL ? found->offset : -1, plain.offset[owner][id]);
        recent_ids_add(&ids, owner, id, offset, 0);
        plain.offset[owner][id] = offset;
        while (recent_ids_take_before(&ids, offset - window, &gone)) {
            assert_int_equal(plain.offset[gone.owner_hash][gone.id_hash], gone.offset);
            assert_true(gone.offset < offset - window);
            plain.offset[gone.owner_hash][gone.id_hash] = -1;
        }
        assert_true(ids.end - ids.begin <= (uint64_t)window + 1);
        if (step % 100 == 0)
            assert_int_equal(ids.count, plain_count(&plain));
    }
    assert_int_equal(ids.capacity, 128); /* what is gone makes room */
    recent_ids_release(&ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_found_where_it_stood_last),
        cmocka_unit_test(the_oldest_leave_first_and_one_that_came_again_stays),
        cmocka_unit_test(an_owner_s_ids_are_taken_out_and_nobody_else_s),
        cmocka_unit_test(it_knows_what_a_plain_list_knows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
