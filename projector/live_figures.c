/* A few `name value` lines, written beside and renamed; not synced, as nobody needs it after a crash. On a full disk
 * there is no room beside, and that is when people look: the file that is there has a block, and is written over. */
#include "projector/live_figures.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "schema/base/mem.h"
#include "schema/store/durable.h"

enum { FILE_BYTES_MAX = 1024 };

static int write_text(int fd, struct span text)
{
    ssize_t written = write(fd, text.at, text.len);

    if (written < 0)
        return errno;
    return (size_t)written == text.len ? 0 : ENOSPC;
}

static int replace(const char *folder, const char *path, struct span text);
static int write_over(const char *path, struct span text);

int live_figures_write(const char *directory, const struct live_figures *figures, struct err *err)
{
    char *folder = mem_format("%s/control", directory);
    char *path = mem_format("%s/live", folder);
    char text[FILE_BYTES_MAX];
    int rc = 0;

    int len = snprintf(
        text, sizeof(text),
        "written_at_ms %" PRId64 "\nevents_per_s %" PRId64 "\ntime_left_s %" PRId64 "\ngeneration %s\nproblem %s\n",
        figures->written_at_ms, figures->events_per_s, figures->time_left_s, figures->generation, figures->problem);
    int failure = replace(folder, path, span_of(text, (size_t)len));
    if ((failure == ENOSPC || failure == EDQUOT) && write_over(path, span_of(text, (size_t)len)) == 0)
        failure = 0;
    if (failure != 0)
        rc = err_set_errno(err, ERR_BROKEN, failure, "%s", path);
    free(path);
    free(folder);
    return rc;
}

/* Both return 0 or an errno. */
static int replace(const char *folder, const char *path, struct span text)
{
    char *beside = mem_format("%s/.live.tmp", folder);
    int failure = 0;

    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 && errno == ENOENT && mkdir(folder, 0700) == 0)
        fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        failure = errno;
    else
        failure = write_text(fd, text);
    if (failure == 0 && rename(beside, path) < 0)
        failure = errno;
    if (fd >= 0)
        close(fd);
    free(beside);
    return failure;
}

static int write_over(const char *path, struct span text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return errno;
    int failure = write_text(fd, text);
    if (failure == 0 && ftruncate(fd, (off_t)text.len) < 0)
        failure = errno;
    close(fd);
    return failure;
}

/* The rest of the line that begins with the name, or "". */
static void find_line(const char *text, const char *name, char *ret_value, size_t size)
{
    size_t name_len = strlen(name);

    ret_value[0] = '\0';
    for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, name_len) != 0 || line[name_len] != ' ')
            continue;
        snprintf(ret_value, size, "%.*s", (int)strcspn(line + name_len + 1, "\n"), line + name_len + 1);
        return;
    }
}

static int64_t find_number(const char *text, const char *name)
{
    char value[32];

    find_line(text, name, value, sizeof(value));
    return strtoll(value, NULL, 10);
}

int live_figures_read(const char *directory, int64_t now_ms, struct live_figures *ret_figures, struct err *err)
{
    char *folder = mem_format("%s/control", directory);
    struct buf bytes = BUF_INIT;
    struct live_figures figures = {0};

    int rc = durable_read(folder, "live", FILE_BYTES_MAX, &bytes, err);
    if (rc == 0) {
        const char *text = buf_text(&bytes);
        figures.written_at_ms = find_number(text, "written_at_ms");
        figures.events_per_s = find_number(text, "events_per_s");
        figures.time_left_s = find_number(text, "time_left_s");
        find_line(text, "generation", figures.generation, sizeof(figures.generation));
        find_line(text, "problem", figures.problem, sizeof(figures.problem));
        if (now_ms - figures.written_at_ms > LIVE_FIGURES_AGE_MS)
            rc = ERR_ABSENT;
    }
    if (rc == 0)
        *ret_figures = figures;
    buf_release(&bytes);
    free(folder);
    return rc;
}
