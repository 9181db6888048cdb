#include "isolated.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { READY_FD = 200 };

static void fail_in_child(const char *what)
{
    fprintf(stderr, "%s: %s (this test needs root or user namespaces)\n", what, strerror(errno));
    _exit(250);
}

static int exit_status(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static void run_in_child(enum isolation isolation, isolated_fn *run, void *argument)
{
    int with_user = geteuid() == 0 ? 0 : CLONE_NEWUSER;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (isolation == ISOLATED_MOUNTS) {
        if (unshare(CLONE_NEWNS | with_user) != 0)
            fail_in_child("no mounts of its own");
        if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
            fail_in_child("can't make its mounts private");
    }
    if (isolation == ISOLATED_PID_NAMESPACE) {
        if (unshare(CLONE_NEWPID | with_user) != 0)
            fail_in_child("no PID namespace of its own");
        /* The namespace begins with the next child, as its number 1. */
        pid_t first = fork();
        if (first < 0)
            fail_in_child("can't fork");
        if (first > 0)
            _exit(exit_status(first));
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getpid() != 1)
            _exit(251);
    }
    _exit(run(argument));
}

int isolated_run(enum isolation isolation, isolated_fn *run, void *argument)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        run_in_child(isolation, run, argument);
    return exit_status(pid);
}

void isolated_start(enum isolation isolation, isolated_fn *run, void *argument, struct isolated *ret_child)
{
    int ends[2];
    char byte;

    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], READY_FD);
        close(ends[0]);
        close(ends[1]);
        run_in_child(isolation, run, argument);
    }
    close(ends[1]);
    ret_child->pid = pid;
    ret_child->ready_fd = ends[0];
    /* The end of the pipe instead of a byte: the child is gone. */
    assert_int_equal(read(ends[0], &byte, 1), 1);
}

void isolated_ready_and_wait(void)
{
    if (write(READY_FD, "", 1) != 1)
        _exit(252);
    for (;;)
        pause();
}

/* The first process of a PID namespace goes with its parent (PR_SET_PDEATHSIG) and then is ours to reap (subreaper): only
 * a reaped process has surely let go of its locks; the end of the pipe comes a moment before. */
void isolated_kill(struct isolated *child)
{
    kill(child->pid, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
    close(child->ready_fd);
}
