#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/ioprio.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ops/runtime/thread_priority.h"

/* linux/sched/types.h has it, but can't be included beside pthread.h. */
struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

/* What the kernel says of the calling thread. */
struct seen {
    uint64_t turn_ns; /* 0: the kernel doesn't know of such turns */
    int nice;
    long disk;
};

static void look(struct seen *ret_seen)
{
    struct attributes attributes = {0};

    assert_int_equal(syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0), 0);
    ret_seen->turn_ns = attributes.runtime;
    ret_seen->nice = attributes.nice;
    ret_seen->disk = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0);
}

static void *look_from_a_thread(void *seen)
{
    look(seen);
    return NULL;
}

static void look_from_a_new_thread(struct seen *ret_seen)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, look_from_a_thread, ret_seen), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void *be_prompt(void *seen)
{
    thread_priority_prompt();
    look_from_a_new_thread(seen);
    return NULL;
}

static void *be_prompt_and_step_back(void *seen)
{
    thread_priority_prompt();
    thread_priority_background();
    look_from_a_new_thread(seen);
    return NULL;
}

/* In a thread of its own: nice and the disk's priority can't be taken back. */
static struct seen after(void *(*set)(void *))
{
    struct seen seen = {0};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, set, &seen), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return seen;
}

static void what_people_wait_for_has_short_turns_and_so_has_whatever_it_starts(void **state)
{
    struct seen before;

    (void)state;
    look(&before);
    struct seen now = after(be_prompt);
    assert_int_equal(now.nice, before.nice);
    assert_int_equal(now.disk, before.disk);
    if (before.turn_ns == 0) {
        print_message("this kernel is older than 6.12, and its turns can't be chosen\n");
        assert_int_equal(now.turn_ns, 0);
        return;
    }
    assert_true(now.turn_ns < before.turn_ns);
}

static void what_steps_back_has_the_least_share_and_the_usual_turns(void **state)
{
    struct seen before;

    (void)state;
    look(&before);
    struct seen now = after(be_prompt_and_step_back);
    assert_int_equal(now.nice, 19);
    assert_int_equal((int)IOPRIO_PRIO_CLASS(now.disk), IOPRIO_CLASS_IDLE);
    assert_int_equal(now.turn_ns, before.turn_ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_people_wait_for_has_short_turns_and_so_has_whatever_it_starts),
        cmocka_unit_test(what_steps_back_has_the_least_share_and_the_usual_turns),
    };

    return cmocka_run_group_tests_name("thread_priority", tests, NULL, NULL);
}
