/* The store is opened anew for each look: whoever fills it may throw it away and make it again. A bar is drawn over itself on
 * a terminal; elsewhere there is a line now and then. */
#include "projector/rebuild_watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "ops/runtime/log.h"
#include "projector/opened_store.h"
#include "projector/rebuild_progress.h"
#include "schema/base/clock.h"
#include "schema/base/mem.h"
#include "schema/store/building.h"
#include "schema/store/lock.h"

enum { LOOK_MS = 250, LINE_EVERY_MS = 5000, COLUMNS_DEFAULT = 100 };

struct watch {
    const char *directory;
    const char *name;
    bool is_json;
    char *folder;
    bool is_terminal;
    struct rebuild_progress progress;
    int64_t told_ms;
    bool has_told_nobody_runs;
};

static size_t terminal_columns(void)
{
    struct winsize size;

    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : COLUMNS_DEFAULT;
}

static void tell(struct watch *watch, const struct positions *positions, char *const *topics, int64_t now_ms)
{
    const struct rebuild_progress *progress = &watch->progress;
    struct buf line = BUF_INIT;

    if (watch->is_terminal) {
        rebuild_progress_bar(progress, terminal_columns(), &line);
        printf("\r%s\033[K", buf_text(&line));
    } else if (now_ms - watch->told_ms >= LINE_EVERY_MS || progress->is_caught_up) {
        watch->told_ms = now_ms;
        if (watch->is_json)
            buf_add_format(&line,
                           "{\"handled\":%" PRId64 ",\"total\":%" PRId64 ",\"events_per_s\":%" PRId64
                           ",\"time_left_s\":%" PRId64 "}",
                           progress->handled, progress->total, progress->events_per_s, progress->time_left_s);
        else
            rebuild_progress_line(progress, positions, topics, &line);
        puts(buf_text(&line));
    }
    fflush(stdout);
    buf_release(&line);
}

static void tell_when_nobody_runs(struct watch *watch)
{
    struct lock_holder holder;
    struct err ignored;

    if (watch->has_told_nobody_runs || lock_find_holder(watch->directory, &holder, &ignored) != ERR_ABSENT)
        return;
    watch->has_told_nobody_runs = true;
    log_warn("no projector is running: %s is filled once `tarn-projector run` is started", watch->name);
}

/* Opened for one look: who fills it may throw it away and make it anew. ERR_ABSENT: nothing is in it yet. */
static int look(struct watch *watch, bool *ret_is_done, struct err *err)
{
    struct opened_store opened = {0};
    struct positions positions;
    int64_t now_ms = clock_wall_ms(&clock_system);

    *ret_is_done = false;
    int rc = opened_store_open(watch->directory, watch->name, STORE_READ_ONLY, &opened, err);
    if (rc < 0)
        return rc;
    positions_init(&positions, opened.generation->settings.topic_count);
    rc = positions_load(&positions, opened.reader, err);
    if (rc == 0) {
        rebuild_progress_look(&watch->progress, &positions, now_ms);
        /* The projector ends `building` when all of it is on the disk. */
        *ret_is_done = watch->progress.is_caught_up && !building_is_there(watch->folder);
        tell(watch, &positions, opened.generation->settings.topics, now_ms);
    }
    positions_release(&positions);
    opened_store_close(&opened);
    return rc;
}

int rebuild_watch(const char *directory, const char *name, bool is_json, struct err *err)
{
    struct watch watch = {.directory = directory,
                          .name = name,
                          .is_json = is_json,
                          .folder = mem_format("%s/generations/%s", directory, name),
                          .is_terminal = isatty(STDOUT_FILENO) != 0 && !is_json};
    bool is_done = false;
    int rc = 0;

    while (rc == 0 && !is_done) {
        if (access(watch.folder, F_OK) != 0)
            rc = err_set(err, ERR_BROKEN, "generation %s is gone: it was dropped or made anew; see `generations`", name);
        if (rc == 0)
            rc = look(&watch, &is_done, err);
        if (rc == ERR_ABSENT)
            rc = 0;
        tell_when_nobody_runs(&watch);
        if (rc == 0 && !is_done)
            nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
    }
    if (watch.is_terminal)
        printf("\n");
    free(watch.folder);
    return rc;
}
