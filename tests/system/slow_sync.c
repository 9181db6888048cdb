/* Preloaded: while the file $SLOW_SYNC is there, a disk that takes 100 ms for each sync. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static int slow(const char *name, int fd)
{
    const char *flag = getenv("SLOW_SYNC");
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);

    if (flag != NULL && access(flag, F_OK) == 0)
        usleep(100 * 1000);
    return real(fd);
}

int fdatasync(int fd)
{
    return slow("fdatasync", fd);
}

int fsync(int fd)
{
    return slow("fsync", fd);
}
