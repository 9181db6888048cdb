/* The names are the C library's, so the linker takes ours for the whole process. Fortified headers would define them
 * inline. */
#undef _FORTIFY_SOURCE
#include "tests/unit/power_cut.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "schema/base/buf.h"
#include "schema/base/hash.h"
#include "schema/base/mem.h"

enum { SECTOR_BYTES = 512 };

struct sector {
    uint64_t at;
    uint8_t bytes[SECTOR_BYTES]; /* as a whole: what isn't written of it is what was there */
};

static struct {
    bool is_on;
    bool fails_next_sync;
    dev_t device;
    ino_t inode;
    struct buf disk;        /* what is synced */
    struct buf seen;        /* what processes read */
    struct sector *pending; /* in the order of the writes */
    size_t pending_count, pending_capacity;
    void (*look)(void *self);
    void *self;
} watched;

static void check(bool is_fine)
{
    if (!is_fine)
        abort();
}

static void grow(struct buf *image, uint64_t bytes)
{
    static const uint8_t nothing[SECTOR_BYTES];

    while (image->len < bytes)
        buf_add(image, nothing, sizeof(nothing));
}

static void put(struct buf *image, const struct sector *sector)
{
    grow(image, sector->at + SECTOR_BYTES);
    memcpy(image->at + sector->at, sector->bytes, SECTOR_BYTES);
}

void power_cut_watch(const char *path)
{
    struct stat file;
    uint8_t bytes[SECTOR_BYTES] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    power_cut_end();
    check(fd >= 0 && fstat(fd, &file) == 0);
    while (read(fd, bytes, sizeof(bytes)) > 0) { /* LMDB's files are whole pages */
        buf_add(&watched.disk, bytes, sizeof(bytes));
        buf_add(&watched.seen, bytes, sizeof(bytes));
    }
    close(fd);
    watched.device = file.st_dev;
    watched.inode = file.st_ino;
    watched.is_on = true;
}

void power_cut_end(void)
{
    buf_release(&watched.disk);
    buf_release(&watched.seen);
    free(watched.pending);
    memset(&watched, 0, sizeof(watched));
}

bool power_cut_takes_something(void)
{
    return watched.pending_count > 0;
}

void power_cut_fail_next_sync(void)
{
    watched.fails_next_sync = true;
}

void power_cut_at_each_call(void (*look)(void *self), void *self)
{
    watched.look = look;
    watched.self = self;
}

void power_cut_write(const char *path, uint64_t seed)
{
    struct buf image = BUF_INIT;

    buf_add(&image, watched.disk.at, watched.disk.len);
    for (size_t i = 0; i < watched.pending_count; i++) {
        const uint64_t question[] = {seed, i};
        if (hash64(span_of(question, sizeof(question))) & 1)
            put(&image, &watched.pending[i]);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    check(fd >= 0);
    for (size_t at = 0; at < image.len;) {
        ssize_t written = write(fd, image.at + at, image.len - at);
        check(written > 0);
        at += (size_t)written;
    }
    close(fd);
    buf_release(&image);
}

/* --- the calls --- */

static bool is_watched(int fd)
{
    struct stat file;

    return watched.is_on && fstat(fd, &file) == 0 && file.st_dev == watched.device && file.st_ino == watched.inode;
}

static void note(int fd, const uint8_t *bytes, size_t count, uint64_t at)
{
    bool is_synced = (fcntl(fd, F_GETFL) & O_DSYNC) == O_DSYNC;

    while (count > 0) {
        struct sector sector = {.at = at - at % SECTOR_BYTES};
        size_t skipped = (size_t)(at % SECTOR_BYTES);
        size_t part = count < SECTOR_BYTES - skipped ? count : SECTOR_BYTES - skipped;
        grow(&watched.seen, sector.at + SECTOR_BYTES);
        memcpy(sector.bytes, watched.seen.at + sector.at, SECTOR_BYTES);
        memcpy(sector.bytes + skipped, bytes, part);
        put(&watched.seen, &sector);
        if (is_synced) {
            put(&watched.disk, &sector);
        } else {
            watched.pending =
                mem_grow(watched.pending, watched.pending_count, &watched.pending_capacity, sizeof(sector));
            watched.pending[watched.pending_count++] = sector;
        }
        bytes += part;
        at += part;
        count -= part;
    }
}

static void look(void)
{
    if (watched.look != NULL)
        watched.look(watched.self);
}

/* The C library's headers name the parameters with names that are its own. */
/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at)
{
    ssize_t written = syscall(SYS_pwrite64, fd, bytes, count, at);

    if (written > 0 && is_watched(fd)) {
        note(fd, bytes, (size_t)written, (uint64_t)at);
        look();
    }
    return written;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    off_t at = is_watched(fd) ? lseek(fd, 0, SEEK_CUR) : -1;
    ssize_t written = syscall(SYS_writev, fd, parts, count);
    size_t left = written > 0 && at >= 0 ? (size_t)written : 0;

    for (int i = 0; left > 0 && i < count; i++) {
        size_t part = parts[i].iov_len < left ? parts[i].iov_len : left;
        note(fd, parts[i].iov_base, part, (uint64_t)at);
        at += (off_t)part;
        left -= part;
    }
    if (written > 0 && at >= 0)
        look();
    return written;
}

int fdatasync(int fd)
{
    if (watched.fails_next_sync && is_watched(fd)) {
        watched.fails_next_sync = false;
        errno = EIO;
        return -1;
    }
    int rc = (int)syscall(SYS_fdatasync, fd);

    if (rc == 0 && is_watched(fd)) {
        for (size_t i = 0; i < watched.pending_count; i++)
            put(&watched.disk, &watched.pending[i]);
        watched.pending_count = 0;
        look();
    }
    return rc;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
