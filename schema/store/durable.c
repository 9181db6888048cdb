/* The temporary name is the same each time: what a crash leaves behind is written over by the next attempt, and needs
 * no broom. */
#include "schema/store/durable.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "schema/base/mem.h"

static int write_all(int fd, struct span bytes)
{
    const uint8_t *at = bytes.at;
    size_t left = bytes.len;

    while (left > 0) {
        ssize_t written = write(fd, at, left);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? -errno : -ENOSPC;
        at += written;
        left -= (size_t)written;
    }
    return fsync(fd) == 0 ? 0 : -errno;
}

static int write_file(const char *path, struct span bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        return -errno;
    int rc = write_all(fd, bytes);
    if (close(fd) != 0 && rc == 0)
        rc = -errno;
    return rc;
}

int durable_write(const char *folder, const char *name, struct span bytes, struct err *err)
{
    char *path = mem_format("%s/%s", folder, name);
    char *temporary = mem_format("%s/.%s.tmp", folder, name);

    int rc = write_file(temporary, bytes);
    if (rc == 0 && rename(temporary, path) != 0)
        rc = -errno;
    if (rc < 0) {
        unlink(temporary);
        rc = err_set_errno(err, ERR_BROKEN, -rc, "%s: can't write", path);
    } else {
        rc = durable_sync_folder(folder, err);
    }
    free(temporary);
    free(path);
    return rc;
}

static int read_all(int fd, size_t max_bytes, struct buf *bytes)
{
    size_t before = bytes->len;

    for (;;) {
        uint8_t *to = buf_reserve(bytes, 4096);
        ssize_t got = read(fd, to, 4096);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            return 0;
        bytes->len += (size_t)got;
        if (bytes->len - before > max_bytes)
            return -EMSGSIZE;
    }
}

int durable_read(const char *folder, const char *name, size_t max_bytes, struct buf *bytes, struct err *err)
{
    char *path = mem_format("%s/%s", folder, name);
    size_t before = bytes->len;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = fd < 0 ? -errno : read_all(fd, max_bytes, bytes);

    if (fd >= 0)
        close(fd);
    if (rc < 0)
        bytes->len = before;
    if (rc == -ENOENT || rc == -ENOTDIR)
        rc = ERR_ABSENT;
    else if (rc == -EMSGSIZE)
        rc = err_set(err, ERR_INPUT, "%s is larger than the %zu bytes that one may have", path, max_bytes);
    else if (rc < 0)
        rc = err_set_errno(err, ERR_BROKEN, -rc, "%s: can't read", path);
    free(path);
    return rc;
}

int durable_sync_folder(const char *folder, struct err *err)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return err_set_errno(err, ERR_BROKEN, errno, "%s: can't open", folder);
    int failure = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return failure != 0 ? err_set_errno(err, ERR_BROKEN, failure, "%s: can't sync", folder) : 0;
}

int durable_make_folder(const char *parent, const char *name, struct err *err)
{
    char *path = mem_format("%s/%s", parent, name);
    int rc = mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : err_set_errno(err, ERR_BROKEN, errno, "%s", path);

    free(path);
    return rc == 0 ? durable_sync_folder(parent, err) : rc;
}

static int by_name(const void *a, const void *b)
{
    char *const *left = a;
    char *const *right = b;

    return strcmp(*left, *right);
}

int durable_list(const char *folder, char ***ret_names, size_t *ret_count, struct err *err)
{
    char **names = NULL;
    size_t count = 0;
    size_t capacity = 0;
    DIR *stream = opendir(folder);

    if (stream == NULL)
        return errno == ENOENT ? ERR_ABSENT : err_set_errno(err, ERR_BROKEN, errno, "%s: can't open", folder);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        names = mem_grow(names, count, &capacity, sizeof(*names));
        names[count++] = mem_text(entry->d_name);
    }
    closedir(stream);
    if (count > 1)
        qsort(names, count, sizeof(*names), by_name);
    *ret_names = names;
    *ret_count = count;
    return 0;
}

void durable_free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}
