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

enum { FILE_BYTES_MAX = 64 << 10 };

static const struct number_field {
    const char *name;
    size_t offset;
} number_fields[] = {
    {"events_per_s", offsetof(struct live_generation, events_per_s)},
    {"time_left_s", offsetof(struct live_generation, time_left_s)},
    {"records", offsetof(struct live_generation, records)},
    {"lag", offsetof(struct live_generation, lag)},
    {"rate", offsetof(struct live_generation, rate)},
};

static const struct text_field {
    const char *name;
    size_t offset;
    size_t size;
} text_fields[] = {
    {"state", offsetof(struct live_generation, state), sizeof(((struct live_generation *)0)->state)},
    {"problem", offsetof(struct live_generation, problem), sizeof(((struct live_generation *)0)->problem)},
};

static int64_t *number_at(struct live_generation *generation, const struct number_field *field)
{
    return (int64_t *)(void *)((char *)generation + field->offset);
}

static int write_text(int fd, struct span text)
{
    ssize_t written = write(fd, text.at, text.len);

    if (written < 0)
        return errno;
    return (size_t)written == text.len ? 0 : ENOSPC;
}

static int replace(const char *folder, const char *path, struct span text);
static int write_over(const char *path, struct span text);

static void print_generation(const struct live_generation *shown, struct buf *text)
{
    struct live_generation generation = *shown;

    buf_add_format(text, "generation %s\n", generation.name);
    for (size_t i = 0; i < ARRAY_COUNT(number_fields); i++)
        buf_add_format(text, "%s %" PRId64 "\n", number_fields[i].name, *number_at(&generation, &number_fields[i]));
    for (size_t i = 0; i < ARRAY_COUNT(text_fields); i++)
        buf_add_format(text, "%s %s\n", text_fields[i].name, (char *)&generation + text_fields[i].offset);
}

int live_figures_write(const char *directory, const struct live_figures *figures, struct err *err)
{
    char *folder = mem_format("%s/control", directory);
    char *path = mem_format("%s/live", folder);
    struct buf text = BUF_INIT;
    int rc = 0;

    buf_add_format(&text, "written_at_ms %" PRId64 "\n", figures->written_at_ms);
    for (size_t i = 0; i < figures->count; i++)
        print_generation(&figures->generations[i], &text);
    int failure = replace(folder, path, buf_span(&text));
    if ((failure == ENOSPC || failure == EDQUOT) && write_over(path, buf_span(&text)) == 0)
        failure = 0;
    if (failure != 0)
        rc = err_set_errno(err, ERR_BROKEN, failure, "%s", path);
    buf_release(&text);
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

static void read_field(struct live_generation *generation, const char *name, const char *value)
{
    for (size_t i = 0; i < ARRAY_COUNT(number_fields); i++)
        if (strcmp(name, number_fields[i].name) == 0)
            *number_at(generation, &number_fields[i]) = strtoll(value, NULL, 10);
    for (size_t i = 0; i < ARRAY_COUNT(text_fields); i++)
        if (strcmp(name, text_fields[i].name) == 0)
            snprintf((char *)generation + text_fields[i].offset, text_fields[i].size, "%s", value);
}

/* `name value`; a line of a generation belongs to the one named last. */
static void read_line(struct live_figures *figures, char *line)
{
    char *value = strchr(line, ' ');

    if (value == NULL)
        return;
    *value++ = '\0';
    if (strcmp(line, "written_at_ms") == 0)
        figures->written_at_ms = strtoll(value, NULL, 10);
    else if (strcmp(line, "generation") == 0 && figures->count < LIVE_GENERATIONS_MAX)
        snprintf(figures->generations[figures->count++].name, sizeof(figures->generations[0].name), "%s", value);
    else if (figures->count > 0)
        read_field(&figures->generations[figures->count - 1], line, value);
}

int live_figures_read(const char *directory, int64_t now_ms, struct live_figures *ret_figures, struct err *err)
{
    char *folder = mem_format("%s/control", directory);
    struct buf bytes = BUF_INIT;
    struct live_figures figures = {0};

    int rc = durable_read(folder, "live", FILE_BYTES_MAX, &bytes, err);
    if (rc == 0) {
        char *rest = NULL;
        buf_text(&bytes);
        for (char *line = strtok_r((char *)bytes.at, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
            read_line(&figures, line);
        if (now_ms - figures.written_at_ms > LIVE_FIGURES_AGE_MS)
            rc = ERR_ABSENT;
    }
    if (rc == 0)
        *ret_figures = figures;
    buf_release(&bytes);
    free(folder);
    return rc;
}

const struct live_generation *live_figures_find(const struct live_figures *figures, const char *name)
{
    for (size_t i = 0; i < figures->count; i++)
        if (strcmp(figures->generations[i].name, name) == 0)
            return &figures->generations[i];
    return NULL;
}
