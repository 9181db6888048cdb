/* An open-file-description lock on DIR/lock: it ends with the descriptor, however the process ends, and is seen from
 * other PID namespaces too. The text in the file is for people: `name value` lines, written after the lock was taken,
 * never waited for. The file stays when the lock goes: removing it would let two processes lock two files. */
#include "schema/store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "schema/base/clock.h"
#include "schema/base/mem.h"
#include "schema/store/durable.h"

enum { LOCK_TEXT_MAX = 4096 };

struct lock {
    int fd;
};

static struct flock whole_file(short type)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET};
}

static void write_holder(int fd, const char *program)
{
    char host[65] = "";
    char text[512];

    gethostname(host, sizeof(host) - 1);
    int length = snprintf(text, sizeof(text), "program %s\nhost %s\npid %ld\nsince %" PRId64 "\n", program, host,
                          (long)getpid(), clock_wall_ms(&clock_system));
    /* A failure only makes another process's sentence poorer. */
    if (length > 0 && ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)length, 0) < 0)
        return;
}

static int describe_holder(const char *directory, struct err *err)
{
    struct lock_holder holder = {0};
    struct tm since;
    char when[32] = "";

    int rc = lock_find_holder(directory, &holder, err);
    if (rc < 0 && rc != ERR_ABSENT)
        return rc;
    if (rc == ERR_ABSENT || holder.pid == 0)
        return err_set(err, ERR_AGAIN, "another process writes %s", directory);
    time_t seconds = (time_t)(holder.since_ms / 1000);
    if (gmtime_r(&seconds, &since) != NULL)
        strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &since);
    return err_set(err, ERR_AGAIN, "%s (pid %" PRId64 " on %s, since %s) writes %s", holder.program, holder.pid,
                   holder.host, when, directory);
}

int lock_take(const char *directory, const char *program, struct lock **ret_lock, struct err *err)
{
    struct flock wanted = whole_file(F_WRLCK);
    char *path = mem_format("%s/lock", directory);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int failure = fd < 0 ? errno : 0;

    while (failure == 0 && fcntl(fd, F_OFD_SETLK, &wanted) != 0) {
        if (errno != EINTR)
            failure = errno;
    }
    if (failure != 0) {
        int rc = fd >= 0 && (failure == EAGAIN || failure == EACCES)
                     ? describe_holder(directory, err)
                     : err_set_errno(err, ERR_BROKEN, failure, "%s: can't lock", path);
        if (fd >= 0)
            close(fd);
        free(path);
        return rc;
    }
    free(path);
    write_holder(fd, program);
    struct lock *lock = mem_zero(1, sizeof(*lock));
    lock->fd = fd;
    *ret_lock = lock;
    return 0;
}

void lock_release(struct lock **lock)
{
    if (*lock == NULL)
        return;
    close((*lock)->fd);
    free(*lock);
    *lock = NULL;
}

/* The value behind `name `, or "" when there is none. */
static void find_line(const char *text, const char *name, char *ret_value, size_t size)
{
    size_t length = strlen(name);

    ret_value[0] = '\0';
    for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0 && line[length] == ' ') {
            snprintf(ret_value, size, "%.*s", (int)strcspn(line + length + 1, "\n"), line + length + 1);
            return;
        }
    }
}

static void parse_holder(const char *text, struct lock_holder *ret_holder)
{
    char number[32];

    find_line(text, "program", ret_holder->program, sizeof(ret_holder->program));
    find_line(text, "host", ret_holder->host, sizeof(ret_holder->host));
    find_line(text, "pid", number, sizeof(number));
    ret_holder->pid = strtoll(number, NULL, 10);
    find_line(text, "since", number, sizeof(number));
    ret_holder->since_ms = strtoll(number, NULL, 10);
}

int lock_find_holder(const char *directory, struct lock_holder *ret_holder, struct err *err)
{
    struct flock asked = whole_file(F_WRLCK);
    struct buf text = BUF_INIT;
    char *path = mem_format("%s/lock", directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = 0;

    if (fd < 0)
        rc = errno == ENOENT ? ERR_ABSENT : err_set_errno(err, ERR_BROKEN, errno, "%s: can't open", path);
    else if (fcntl(fd, F_OFD_GETLK, &asked) != 0)
        rc = err_set_errno(err, ERR_BROKEN, errno, "%s: can't ask who holds it", path);
    else if (asked.l_type == F_UNLCK)
        rc = ERR_ABSENT;
    if (fd >= 0)
        close(fd);
    free(path);
    if (rc < 0)
        return rc;
    rc = durable_read(directory, "lock", LOCK_TEXT_MAX, &text, err);
    if (rc == 0)
        parse_holder(buf_text(&text), ret_holder);
    buf_release(&text);
    return rc;
}
