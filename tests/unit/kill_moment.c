/* The names are the C library's, so the linker takes ours for the whole process. Fortified headers would define them
 * inline. */
#undef _FORTIFY_SOURCE
#include "tests/unit/kill_moment.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_uint moments_left; /* until the kill; 0: none is due */

void kill_moment_set(unsigned number)
{
    atomic_store(&moments_left, number);
}

static void pass_moment(void)
{
    if (atomic_load(&moments_left) > 0 && atomic_fetch_sub(&moments_left, 1) == 1)
        kill(getpid(), SIGKILL);
}

/* The C library's headers name the parameters with names that are its own. */
/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at)
{
    pass_moment();
    ssize_t written = syscall(SYS_pwrite64, fd, bytes, count, at);
    pass_moment();
    return written;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    pass_moment();
    ssize_t written = syscall(SYS_writev, fd, parts, count);
    pass_moment();
    return written;
}

int fdatasync(int fd)
{
    pass_moment();
    int rc = (int)syscall(SYS_fdatasync, fd);
    pass_moment();
    return rc;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
