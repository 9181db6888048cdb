/* The signals stay blocked and wait in a signalfd that nobody reads: once one has come the descriptor stays readable,
 * for every loop that polls it and however late it looks. No handler runs, so no system call is interrupted and nothing
 * has to be async-signal-safe. stop_request() sends the process the real signal, so that there is one way only. */
#include "ops/runtime/stop.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/signalfd.h>
#include <unistd.h>

static int signal_fd = -1;
static atomic_bool is_requested;

int stop_init(struct err *err)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    int rc = pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (rc != 0)
        return err_set_errno(err, ERR_BROKEN, rc, "blocking signals");
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return err_set_errno(err, ERR_BROKEN, errno, "ignoring SIGPIPE");
    if (signal_fd >= 0)
        return 0;
    int fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return err_set_errno(err, ERR_BROKEN, errno, "signalfd");
    signal_fd = fd;
    return 0;
}

int stop_fd(void)
{
    return signal_fd;
}

bool stop_requested(void)
{
    if (atomic_load_explicit(&is_requested, memory_order_relaxed))
        return true;

    struct pollfd readable = {.fd = signal_fd, .events = POLLIN};
    if (signal_fd < 0 || poll(&readable, 1, 0) <= 0)
        return false;
    atomic_store_explicit(&is_requested, true, memory_order_relaxed);
    return true;
}

void stop_request(void)
{
    atomic_store_explicit(&is_requested, true, memory_order_relaxed);
    kill(getpid(), SIGTERM);
}
