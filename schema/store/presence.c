/* The file `namespace` in the generation's folder holds the name of the one PID namespace whose processes have the
 * store open. Its text counts for as long as somebody holds a shared lock on byte 1; whoever gets that lock alone
 * may write a new text. Byte 0 is held while deciding. The locks are the kernel's and go with the process: a killed one
 * blocks nobody. They are open-file-description locks, because POSIX ones end when any other descriptor of the file is
 * closed, and go by process id themselves. */
#include "schema/store/presence.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "schema/base/mem.h"
#include "schema/base/span.h"

enum { BYTE_DECIDING = 0, BYTE_PRESENT = 1, IDENTITY_MAX = 128, DECIDING_TRIES = 2000 };

struct presence {
    int fd;
};

static int set_lock(int fd, short type, off_t byte)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int rc;

    do
        rc = fcntl(fd, F_OFD_SETLK, &lock);
    while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : -errno;
}

static bool is_taken(int rc)
{
    return rc == -EAGAIN || rc == -EACCES;
}

/* Deciding takes microseconds; somebody who was stopped in the middle of it mustn't hang us forever. */
static int lock_deciding(int fd)
{
    int rc = set_lock(fd, F_WRLCK, BYTE_DECIDING);

    for (int tries = 0; is_taken(rc) && tries < DECIDING_TRIES; tries++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000L * 1000}, NULL);
        rc = set_lock(fd, F_WRLCK, BYTE_DECIDING);
    }
    return rc;
}

/* The boot id stands in it because namespaces are numbered anew after each boot, and a folder may outlive many. */
static int read_identity(char ret_identity[IDENTITY_MAX], struct err *err)
{
    char boot_id[64] = "";
    struct stat status;

    if (stat("/proc/self/ns/pid", &status) != 0)
        return err_set_errno(err, ERR_INPUT, errno,
                             "can't tell this process's PID namespace (/proc must be mounted): /proc/self/ns/pid");
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file != NULL) {
        if (fgets(boot_id, sizeof(boot_id), file) == NULL)
            boot_id[0] = '\0';
        boot_id[strcspn(boot_id, "\n")] = '\0';
        fclose(file);
    }
    snprintf(ret_identity, IDENTITY_MAX, "pid:[%llu] boot %s\n", (unsigned long long)status.st_ino, boot_id);
    return 0;
}

static int decide(int fd, const char *folder, const char *identity, struct err *err)
{
    char written[IDENTITY_MAX] = "";
    size_t length = strlen(identity);

    int rc = set_lock(fd, F_WRLCK, BYTE_PRESENT);
    if (rc == 0) {
        /* Nobody is there: what stands in the file is history. */
        if (ftruncate(fd, 0) != 0 || pwrite(fd, identity, length, 0) != (ssize_t)length)
            return err_set_errno(err, ERR_BROKEN, errno ? errno : ENOSPC, "%s/namespace: can't write", folder);
        rc = set_lock(fd, F_RDLCK, BYTE_PRESENT);
        return rc < 0 ? err_set_errno(err, ERR_BROKEN, -rc, "%s/namespace: can't lock", folder) : 0;
    }
    if (!is_taken(rc))
        return err_set_errno(err, ERR_BROKEN, -rc, "%s/namespace: can't lock", folder);
    rc = set_lock(fd, F_RDLCK, BYTE_PRESENT);
    if (rc < 0)
        return err_set_errno(err, ERR_BROKEN, -rc, "%s/namespace: can't lock", folder);

    ssize_t got = pread(fd, written, sizeof(written) - 1, 0);
    if (got == (ssize_t)length && memcmp(written, identity, length) == 0)
        return 0;
    return err_set(err, ERR_INPUT,
                   "%s is open in another PID namespace (another container?), from where its readers can't be seen: "
                   "let the processes share one (Kubernetes: shareProcessNamespace: true; Docker: "
                   "--pid=container:NAME)",
                   folder);
}

int presence_enter(const char *folder, struct presence **ret_presence, struct err *err)
{
    char identity[IDENTITY_MAX];

    int rc = read_identity(identity, err);
    if (rc < 0)
        return rc;

    char *path = mem_format("%s/namespace", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int open_errno = errno;
    free(path);
    if (fd < 0 && open_errno == EROFS)
        return err_set(err, ERR_INPUT,
                       "%s is mounted read-only, but readers too write there (to lock.mdb, so that the projector "
                       "leaves them their pages): mount it read-write; tarn-query changes nothing else",
                       folder);
    if (fd < 0 && open_errno == EACCES)
        return err_set(err, ERR_INPUT,
                       "%s: no permission to write, and readers too write to lock.mdb: run both programs as the "
                       "user who owns the folder",
                       folder);
    if (fd < 0)
        return err_set_errno(err, open_errno == ENOENT ? ERR_ABSENT : ERR_BROKEN, open_errno,
                             "%s/namespace: can't open", folder);

    rc = lock_deciding(fd);
    if (rc == 0)
        rc = decide(fd, folder, identity, err);
    else if (is_taken(rc))
        rc = err_set(err, ERR_AGAIN, "%s: another process is opening it and doesn't get on", folder);
    else
        rc = err_set_errno(err, ERR_BROKEN, -rc, "%s/namespace: can't lock", folder);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    set_lock(fd, F_UNLCK, BYTE_DECIDING);
    struct presence *presence = mem_zero(1, sizeof(*presence));
    presence->fd = fd;
    *ret_presence = presence;
    return 0;
}

void presence_leave(struct presence **presence)
{
    if (*presence == NULL)
        return;
    close((*presence)->fd);
    free(*presence);
    *presence = NULL;
}
