/* System calls by number: glibc has functions for the scheduler's attributes only since 2.41, and none for a disk's
 * priorities. Attributes are read before they are set, as they are set all at once. */
#include "ops/runtime/thread_priority.h"

#include <linux/ioprio.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PROMPT_NS = 100 * 1000, /* the least that the kernel takes; several requests, or a commit of a few events */
    USUAL_NS = 0,           /* the kernel's own */
    NICE_LEAST = 19,
};

static void set_turn_ns(uint64_t turn_ns)
{
    struct sched_attr attributes = {0};

    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0) != 0)
        return;
    if (attributes.sched_policy != SCHED_NORMAL && attributes.sched_policy != SCHED_BATCH)
        return; /* somebody has given it another one, in which this field means something else */
    attributes.sched_runtime = turn_ns;
    syscall(SYS_sched_setattr, 0, &attributes, 0);
}

void thread_priority_prompt(void)
{
    set_turn_ns(PROMPT_NS);
}

void thread_priority_background(void)
{
    pid_t thread = (pid_t)syscall(SYS_gettid);

    set_turn_ns(USUAL_NS);
    setpriority(PRIO_PROCESS, (id_t)thread, NICE_LEAST);
    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, thread, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
}
