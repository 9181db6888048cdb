#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "projector/crew.h"

enum { MEMBERS = 5, ROUNDS = 2000 };

struct work {
    size_t rounds[MEMBERS];
    size_t sum; /* written by the caller between rounds, read by all */
    size_t seen[MEMBERS];
    pthread_t threads[MEMBERS];
    bool has_moved; /* a number came from another thread than before */
};

static void do_work(void *self, unsigned number)
{
    struct work *work = self;

    if (work->rounds[number] > 0 && !pthread_equal(work->threads[number], pthread_self()))
        work->has_moved = true;
    work->threads[number] = pthread_self();
    work->rounds[number]++;
    work->seen[number] = work->sum;
}

static void every_member_works_once_a_round_and_all_is_seen_by_all(void **state)
{
    struct work work = {.sum = 0};
    struct crew *crew = NULL;
    struct err err;

    (void)state;
    assert_int_equal(crew_open(MEMBERS, &crew, &err), 0);
    for (size_t round = 1; round <= ROUNDS; round++) {
        work.sum += round;
        crew_run(crew, do_work, &work);
        for (unsigned i = 0; i < MEMBERS; i++) {
            assert_int_equal(work.rounds[i], round);
            assert_int_equal(work.seen[i], work.sum);
        }
    }
    assert_false(work.has_moved);
    assert_true(pthread_equal(work.threads[0], pthread_self()));
    crew_close(&crew);
    assert_null(crew);
}

static void a_crew_of_one_is_the_caller(void **state)
{
    struct work work = {.sum = 7};
    struct crew *crew = NULL;
    struct err err;

    (void)state;
    assert_int_equal(crew_open(1, &crew, &err), 0);
    crew_run(crew, do_work, &work);
    assert_int_equal(work.seen[0], 7);
    assert_int_equal(work.rounds[1], 0);
    crew_close(&crew);
}

static void a_crew_that_never_worked_goes(void **state)
{
    struct crew *crew = NULL;
    struct err err;

    (void)state;
    assert_int_equal(crew_open(MEMBERS, &crew, &err), 0);
    crew_close(&crew);
    crew_close(&crew);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member_works_once_a_round_and_all_is_seen_by_all),
        cmocka_unit_test(a_crew_of_one_is_the_caller),
        cmocka_unit_test(a_crew_that_never_worked_goes),
    };

    return cmocka_run_group_tests_name("crew", tests, NULL, NULL);
}
