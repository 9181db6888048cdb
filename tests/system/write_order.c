/* Preloaded: appends to the file $WRITE_ORDER a line for each call that concerns a data.mdb, in their order:
 * "WHAT PATH OFFSET BYTES", WHAT being write, piece (brought to the disk) or sync (of all BYTES of the file). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void note(const char *what, int fd, long long offset, long long bytes)
{
    char link[64], path[4096] = "", line[4200];

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    if (readlink(link, path, sizeof(path) - 1) <= 0 || strstr(path, "/data.mdb") == NULL)
        return;
    int length = snprintf(line, sizeof(line), "%s %s %lld %lld\n", what, path, offset, bytes);
    int order = open(getenv("WRITE_ORDER"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (order < 0 || write(order, line, (size_t)length) != length)
        abort();
    close(order);
}

static void note_sync(int fd)
{
    struct stat file;

    if (fstat(fd, &file) == 0)
        note("sync", fd, 0, (long long)file.st_size);
}

/* LMDB ends each commit with it: its meta page. */
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
    ssize_t (*real)(int, const void *, size_t, off_t) =
        (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");

    note("write", fd, (long long)offset, (long long)count);
    return real(fd, bytes, count, offset);
}

int sync_file_range(int fd, off64_t offset, off64_t count, unsigned flags)
{
    int (*real)(int, off64_t, off64_t, unsigned) =
        (int (*)(int, off64_t, off64_t, unsigned))dlsym(RTLD_NEXT, "sync_file_range");

    note("piece", fd, (long long)offset, (long long)count);
    return real(fd, offset, count, flags);
}

int fdatasync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");

    note_sync(fd);
    return real(fd);
}

int fsync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");

    note_sync(fd);
    return real(fd);
}
