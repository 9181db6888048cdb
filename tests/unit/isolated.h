/* tests/unit/isolated.h - runs a piece of a test in a process of its own, with its own mounts or its own PID
 * namespace.
 *
 * As root, or with user namespaces; where the kernel allows neither the test fails and says so. What is mounted goes
 * with the process. */
#ifndef TARN_TEST_ISOLATED_H
#define TARN_TEST_ISOLATED_H

#include <sys/types.h>

/* Returns 0 when all is well; anything else fails the test that waits for it. It must not use cmocka's asserts. */
typedef int isolated_fn(void *argument);

enum isolation { ISOLATED_PROCESS, ISOLATED_MOUNTS, ISOLATED_PID_NAMESPACE };

/* Runs it and returns its exit status (0..255), or 256 and more when a signal ended it. */
int isolated_run(enum isolation isolation, isolated_fn *run, void *argument);

/* Starts it and returns when it has called isolated_ready_and_wait(). One at a time. */
struct isolated {
    pid_t pid;
    int ready_fd;
};
void isolated_start(enum isolation isolation, isolated_fn *run, void *argument, struct isolated *ret_child);
/* In the child: tells the parent, then waits to be killed. */
void isolated_ready_and_wait(void);
void isolated_kill(struct isolated *child);

#endif
