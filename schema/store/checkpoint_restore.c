/* Opening a folder that has a checkpoint. Whoever comes first after the machine went down mends it, under the file's lock,
 * and then there is no file any more: LMDB's meta pages are the checkpoint's, and all that these need is on the disk.
 * A second crash meanwhile finds the file and begins again. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "schema/base/mem.h"
#include "schema/store/checkpoint.h"
#include "schema/store/checkpoint_file.h"
#include "schema/store/environment.h"
#include "schema/store/file_system.h"

static int open_in(const char *folder, const char *name, int flags)
{
    char *path = mem_format("%s/%s", folder, name);
    int fd = open(path, flags | O_CLOEXEC);

    free(path);
    return fd;
}

/* Only a boot's id that isn't one could bring this about, or a disk that failed. LMDB's readers share a lock on the first
 * byte of its lock file; nobody in this process has it, as a folder is open once in a process. */
static int check_unused(const char *folder, struct err *err)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    int fd = open_in(folder, "lock.mdb", O_RDWR);

    if (fd < 0)
        return errno == ENOENT ? 0 : err_set_errno(err, ERR_BROKEN, errno, "%s/lock.mdb", folder);
    int failure = fcntl(fd, F_GETLK, &lock) == 0 ? 0 : errno;
    close(fd);
    if (failure != 0)
        return err_set_errno(err, ERR_BROKEN, failure, "%s/lock.mdb", folder);
    if (lock.l_type != F_UNLCK)
        return err_set(err, ERR_AGAIN,
                       "%s has to go back to its last commit that is on the disk, and process %ld has it open: end that "
                       "one first",
                       folder, (long)lock.l_pid);
    return 0;
}

static int put_back(const char *folder, struct span pages, struct err *err)
{
    int fd = open_in(folder, "data.mdb", O_RDWR);
    int failure = fd < 0 ? errno : 0;

    if (failure == 0) {
        ssize_t written = pwrite(fd, pages.at, pages.len, 0);
        if (written != (ssize_t)pages.len)
            failure = written < 0 ? errno : EIO;
        else if (fdatasync(fd) != 0)
            failure = errno;
    }
    if (fd >= 0)
        close(fd);
    return failure != 0 ? err_set_errno(err, ERR_BROKEN, failure,
                                        "%s/data.mdb: can't be set back to the last commit that is on the disk", folder)
                        : 0;
}

/* Looks again: another process may have been first, and a writer may have made a file of this boot since. */
static int restore_locked(const char *folder, const char *boot_id, struct buf *bytes, struct err *err)
{
    struct checkpoint_record record;

    int rc = checkpoint_file_read(folder, bytes, &record, err);
    if (rc == 0 && strcmp(record.boot_id, boot_id) == 0)
        return 0;
    if (rc == 0)
        rc = check_unused(folder, err);
    if (rc == 0)
        rc = put_back(folder, record.pages, err);
    return rc == 0 ? checkpoint_file_remove(folder, err) : rc;
}

static int restore(const char *folder, const char *boot_id, struct buf *bytes, struct err *err)
{
    struct stat file;
    int fd = open_in(folder, "checkpoint", O_RDWR);

    if (fd < 0)
        return errno == ENOENT ? 0
                               : err_set_errno(err, ERR_AGAIN, errno,
                                               "%s was in use when the machine went down, and who may write to it has "
                                               "to open it first (start tarn-projector): checkpoint",
                                               folder);
    int rc = 0;
    if (flock(fd, LOCK_EX) != 0 || fstat(fd, &file) != 0)
        rc = err_set_errno(err, ERR_BROKEN, errno, "%s/checkpoint: can't lock", folder);
    else if (file.st_nlink > 0) /* 0: removed by whoever had the lock */
        rc = restore_locked(folder, boot_id, bytes, err);
    close(fd);
    return rc;
}

int checkpoint_restore(const struct store_platform *platform, const char *folder, struct err *err)
{
    struct checkpoint_record record;
    struct buf bytes = BUF_INIT;
    char boot_id[STORE_BOOT_ID_SIZE];

    int rc = checkpoint_file_read(folder, &bytes, &record, err);
    if (rc == 0)
        rc = file_system_boot_id(platform, boot_id, err);
    if (rc == 0 && strcmp(record.boot_id, boot_id) != 0)
        rc = restore(folder, boot_id, &bytes, err);
    buf_release(&bytes);
    return rc == ERR_ABSENT ? 0 : rc;
}

int checkpoint_take_over(const char *folder, MDB_env *env, struct err *err)
{
    struct checkpoint_record record;
    struct buf bytes = BUF_INIT;

    int rc = checkpoint_file_read(folder, &bytes, &record, err);
    if (rc == 0) {
        int failure = mdb_env_sync(env, 1);
        int fd = failure != 0 ? open_in(folder, "checkpoint", O_RDWR) : -1;
        if (fd >= 0) {
            checkpoint_file_spoil(fd, record);
            close(fd);
        }
        if (failure != 0)
            rc = err_set_errno(err, ERR_BROKEN, failure, "%s: what a process that died has left can't be synced", folder);
    }
    if (rc == 0)
        rc = checkpoint_file_remove(folder, err);
    buf_release(&bytes);
    return rc == ERR_ABSENT ? 0 : rc;
}
