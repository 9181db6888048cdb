/* Preloaded: while there is a file $SLOW_SYNC, a disk that takes $SLOW_SYNC_MS for each sync of a data.mdb whose path has
 * $SLOW_SYNC_OF in it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_slow(int fd)
{
    char link[64], path[4096] = "";

    if (access(getenv("SLOW_SYNC"), F_OK) != 0)
        return 0;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    return readlink(link, path, sizeof(path) - 1) > 0 && strstr(path, "/data.mdb") != NULL &&
           strstr(path, getenv("SLOW_SYNC_OF")) != NULL;
}

static int slow(const char *name, int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);

    if (is_slow(fd))
        usleep((unsigned)atoi(getenv("SLOW_SYNC_MS")) * 1000);
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
