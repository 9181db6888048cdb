/* The names are the C library's, so the linker takes ours for the whole process. Fortified headers would define them
 * inline. A file is known from its first write on; what it held before is on the disk. */
#undef _FORTIFY_SOURCE
#include "tests/unit/power_cut.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "schema/base/buf.h"
#include "schema/base/hash.h"
#include "schema/base/mem.h"

enum { SECTOR_BYTES = 512, FILES_MAX = 8 };

struct sector {
    uint64_t at;
    uint8_t bytes[SECTOR_BYTES]; /* as a whole: what isn't written of it is what was there */
};

struct file {
    dev_t device;
    ino_t inode;
    struct buf disk;        /* what is synced */
    struct buf seen;        /* what processes read */
    struct sector *pending; /* in the order of the writes */
    size_t pending_count, pending_capacity;
};

static struct {
    char *folder; /* NULL: none is watched */
    bool fails_next_sync;
    struct file files[FILES_MAX];
    size_t file_count;
    void (*look)(void *self);
    void *self;
} watched;

static pthread_mutex_t mutex;
static pthread_once_t mutex_is_made = PTHREAD_ONCE_INIT;

static void check(bool is_fine)
{
    if (!is_fine)
        abort();
}

/* Whoever looks makes such calls himself. */
static void make_mutex(void)
{
    pthread_mutexattr_t attributes;

    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

static void lock(void)
{
    pthread_once(&mutex_is_made, make_mutex);
    pthread_mutex_lock(&mutex);
}

static void unlock(void)
{
    pthread_mutex_unlock(&mutex);
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

static void read_file(const char *path, struct buf *bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got;

    check(fd >= 0);
    while ((got = read(fd, buf_reserve(bytes, 4096), 4096)) > 0)
        bytes->len += (size_t)got;
    check(got == 0);
    close(fd);
}

static void write_file(const char *path, struct span bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    check(fd >= 0);
    for (size_t at = 0; at < bytes.len;) {
        ssize_t written = write(fd, span_bytes(bytes) + at, bytes.len - at);
        check(written > 0);
        at += (size_t)written;
    }
    close(fd);
}

void power_cut_watch(const char *folder)
{
    power_cut_end();
    lock();
    watched.folder = mem_text(folder);
    unlock();
}

void power_cut_end(void)
{
    lock();
    for (size_t i = 0; i < watched.file_count; i++) {
        buf_release(&watched.files[i].disk);
        buf_release(&watched.files[i].seen);
        free(watched.files[i].pending);
    }
    free(watched.folder);
    memset(&watched, 0, sizeof(watched));
    unlock();
}

bool power_cut_takes_something(void)
{
    bool takes = false;

    lock();
    for (size_t i = 0; i < watched.file_count; i++)
        takes = takes || watched.files[i].pending_count > 0;
    unlock();
    return takes;
}

void power_cut_fail_next_sync(void)
{
    lock();
    watched.fails_next_sync = true;
    unlock();
}

void power_cut_at_each_call(void (*look)(void *self), void *self)
{
    lock();
    watched.look = look;
    watched.self = self;
    unlock();
}

/* --- a cut --- */

static struct file *find(const struct stat *status)
{
    for (size_t i = 0; i < watched.file_count; i++)
        if (watched.files[i].device == status->st_dev && watched.files[i].inode == status->st_ino)
            return &watched.files[i];
    return NULL;
}

static void write_image(const struct file *file, const char *path, uint64_t seed)
{
    struct buf image = BUF_INIT;

    buf_add_span(&image, buf_span(&file->disk));
    for (size_t i = 0; i < file->pending_count; i++) {
        const uint64_t question[] = {seed, i};
        if (hash64(span_of(question, sizeof(question))) & 1)
            put(&image, &file->pending[i]);
    }
    write_file(path, buf_span(&image));
    buf_release(&image);
}

/* Those that belong to what is seen and not to what is kept. */
static bool is_left_out(const char *name)
{
    return name[0] == '.' || strcmp(name, "lock.mdb") == 0;
}

static void remove_files(const char *folder)
{
    DIR *stream = opendir(folder);
    const struct dirent *entry;

    check(stream != NULL);
    while ((entry = readdir(stream)) != NULL)
        if (!is_left_out(entry->d_name))
            unlinkat(dirfd(stream), entry->d_name, 0);
    closedir(stream);
}

void power_cut_write(const char *folder, uint64_t seed)
{
    const struct dirent *entry;

    remove_files(folder);
    lock();
    DIR *stream = opendir(watched.folder);
    check(stream != NULL);
    while ((entry = readdir(stream)) != NULL) {
        struct stat status;
        char *from = mem_format("%s/%s", watched.folder, entry->d_name);
        char *to = mem_format("%s/%s", folder, entry->d_name);
        if (!is_left_out(entry->d_name) && stat(from, &status) == 0 && S_ISREG(status.st_mode)) {
            const struct file *file = find(&status);
            struct buf bytes = BUF_INIT;
            if (file != NULL) {
                write_image(file, to, seed);
            } else {
                read_file(from, &bytes);
                write_file(to, buf_span(&bytes));
            }
            buf_release(&bytes);
        }
        free(from);
        free(to);
    }
    closedir(stream);
    unlock();
}

/* --- the calls --- */

/* Before the call, so that what a file held then is known. NULL: it lies elsewhere. */
static struct file *watched_file(int fd)
{
    char link[64], path[1024];
    struct stat status;

    if (watched.folder == NULL || fstat(fd, &status) != 0)
        return NULL;
    /* By its path first: the inode of a file that was removed here may be another's elsewhere by now. */
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof(path) - 1);
    size_t folder_length = strlen(watched.folder);
    if (length <= (ssize_t)folder_length)
        return NULL;
    path[length] = '\0';
    if (memcmp(path, watched.folder, folder_length) != 0 || path[folder_length] != '/' ||
        is_left_out(path + folder_length + 1))
        return NULL;
    struct file *file = find(&status);
    if (file != NULL)
        return file;
    check(watched.file_count < FILES_MAX);
    file = &watched.files[watched.file_count++];
    file->device = status.st_dev;
    file->inode = status.st_ino;
    read_file(path, &file->disk);
    check(file->disk.len % SECTOR_BYTES == 0); /* LMDB's pages and the slots of a checkpoint are */
    buf_add_span(&file->seen, buf_span(&file->disk));
    return file;
}

static void note(struct file *file, int fd, const uint8_t *bytes, size_t count, uint64_t at)
{
    bool is_synced = (fcntl(fd, F_GETFL) & O_DSYNC) == O_DSYNC;

    while (count > 0) {
        struct sector sector = {.at = at - at % SECTOR_BYTES};
        size_t skipped = (size_t)(at % SECTOR_BYTES);
        size_t part = count < SECTOR_BYTES - skipped ? count : SECTOR_BYTES - skipped;
        grow(&file->seen, sector.at + SECTOR_BYTES);
        memcpy(sector.bytes, file->seen.at + sector.at, SECTOR_BYTES);
        memcpy(sector.bytes + skipped, bytes, part);
        put(&file->seen, &sector);
        if (is_synced) {
            put(&file->disk, &sector);
        } else {
            file->pending = mem_grow(file->pending, file->pending_count, &file->pending_capacity, sizeof(sector));
            file->pending[file->pending_count++] = sector;
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
    lock();
    struct file *file = watched_file(fd);
    ssize_t written = syscall(SYS_pwrite64, fd, bytes, count, at);

    if (written > 0 && file != NULL) {
        note(file, fd, bytes, (size_t)written, (uint64_t)at);
        look();
    }
    unlock();
    return written;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    lock();
    struct file *file = watched_file(fd);
    off_t at = file != NULL ? lseek(fd, 0, SEEK_CUR) : -1;
    ssize_t written = syscall(SYS_writev, fd, parts, count);
    size_t left = written > 0 && file != NULL ? (size_t)written : 0;

    for (int i = 0; left > 0 && i < count; i++) {
        size_t part = parts[i].iov_len < left ? parts[i].iov_len : left;
        note(file, fd, parts[i].iov_base, part, (uint64_t)at);
        at += (off_t)part;
        left -= part;
    }
    if (written > 0 && file != NULL)
        look();
    unlock();
    return written;
}

static int sync_file(int fd)
{
    struct file *file = watched_file(fd);

    if (file != NULL && watched.fails_next_sync) {
        watched.fails_next_sync = false;
        errno = EIO;
        return -1;
    }
    int rc = (int)syscall(SYS_fdatasync, fd);

    if (rc == 0 && file != NULL) {
        for (size_t i = 0; i < file->pending_count; i++)
            put(&file->disk, &file->pending[i]);
        file->pending_count = 0;
        look();
    }
    return rc;
}

int fdatasync(int fd)
{
    lock();
    int rc = sync_file(fd);
    unlock();
    return rc;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
