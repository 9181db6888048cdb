/* Who may touch what: a command makes files in requests/ and removes those in outcomes/; the projector moves requests
 * to taken/, makes outcomes and removes what it took. A move is one rename(), so that a request is either the
 * command's to withdraw or the projector's to carry out. This is the projector's side; control_command.c is the other.
 *
 * New requests are noticed by the folder's mtime. The clock behind an mtime ticks every few milliseconds: a folder
 * that changed just now may change again without a new mtime, so it is read again until its mtime has aged. On a machine
 * that is starved of CPU the tick itself may come late, so the folder is read once a second whatever its mtime
 * says. */
#include "schema/store/control.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "schema/base/mem.h"
#include "schema/store/control_files.h"
#include "schema/store/durable.h"

enum {
    KEPT_MS = 3600 * 1000, /* what nobody came for, or was left half written; nobody waits longer */
    MTIME_TICK_MS = 100,   /* more than any kernel's */
    LOOK_ANYWAY_MS = 1000,
};

struct control {
    char *requests;
    char *taken;
    char *outcomes;
    const struct clock_port *clock;
    char **names; /* of requests/, or of taken/ at first: what was found and not handed out yet */
    size_t name_count;
    size_t next_name;
    bool is_of_taken;     /* names are those of taken/ */
    bool must_look;       /* whatever the mtime says */
    struct timespec seen; /* mtime of requests/ when it was read */
    int64_t looked_us;    /* monotonic: when it was */
    int64_t cleaned_at_ms;
};

static void forget_names(struct control *control)
{
    durable_free_names(control->names, control->name_count);
    control->names = NULL;
    control->name_count = 0;
    control->next_name = 0;
}

static void remove_old(const char *folder, const char *name, int64_t now_ms)
{
    char *path = mem_format("%s/%s", folder, name);
    struct stat status;

    if (stat(path, &status) == 0 && (int64_t)status.st_mtim.tv_sec * 1000 < now_ms - KEPT_MS)
        unlink(path);
    free(path);
}

/* Hidden files: what a command was writing when it was killed. */
static void clean_half_written(const char *folder, int64_t now_ms)
{
    const struct dirent *entry;
    DIR *opened = opendir(folder);

    while (opened != NULL && (entry = readdir(opened)) != NULL)
        if (entry->d_name[0] == '.' && strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_old(folder, entry->d_name, now_ms);
    if (opened != NULL)
        closedir(opened);
}

/* Outcomes that nobody came for, requests that were never left whole. */
static void clean(struct control *control)
{
    struct err ignored = {0};
    char **names = NULL;
    size_t count = 0;
    int64_t now_ms = clock_wall_ms(control->clock);

    control->cleaned_at_ms = now_ms;
    clean_half_written(control->requests, now_ms);
    if (durable_list(control->outcomes, &names, &count, &ignored) < 0)
        return;
    for (size_t i = 0; i < count; i++)
        remove_old(control->outcomes, names[i], now_ms);
    durable_free_names(names, count);
}

int control_open(const char *directory, const struct clock_port *clock, struct control **ret_control, struct err *err)
{
    struct control *control = mem_zero(1, sizeof(*control));

    control->requests = control_subfolder(directory, "requests");
    control->taken = control_subfolder(directory, "taken");
    control->outcomes = control_subfolder(directory, "outcomes");
    control->clock = clock;
    control->must_look = true;
    control->is_of_taken = true;
    int rc = control_make_subfolders(directory, err);
    if (rc == 0)
        rc = durable_list(control->taken, &control->names, &control->name_count, err);
    if (rc < 0) {
        control_close(&control);
        return rc;
    }
    clean(control);
    *ret_control = control;
    return 0;
}

void control_close(struct control **control)
{
    if (*control == NULL)
        return;
    forget_names(*control);
    free((*control)->requests);
    free((*control)->taken);
    free((*control)->outcomes);
    free(*control);
    *control = NULL;
}

/* Reads requests/ when it may hold something new. */
static int look(struct control *control, struct err *err)
{
    struct timespec now;
    struct stat status;

    forget_names(control);
    control->is_of_taken = false;
    if (stat(control->requests, &status) != 0)
        return err_set_errno(err, ERR_BROKEN, errno, "%s", control->requests);
    int64_t now_us = clock_monotonic_us(control->clock);
    if (!control->must_look && status.st_mtim.tv_sec == control->seen.tv_sec &&
        status.st_mtim.tv_nsec == control->seen.tv_nsec && now_us - control->looked_us < LOOK_ANYWAY_MS * INT64_C(1000))
        return 0;
    control->looked_us = now_us;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t age_ms =
        ((int64_t)now.tv_sec - status.st_mtim.tv_sec) * 1000 + (now.tv_nsec - status.st_mtim.tv_nsec) / 1000000;
    control->must_look = age_ms < MTIME_TICK_MS;
    control->seen = status.st_mtim;
    return durable_list(control->requests, &control->names, &control->name_count, err);
}

void control_request_free(struct control_request **request)
{
    free((*request)->kind);
    json_decref((*request)->arguments);
    free(*request);
    *request = NULL;
}

static int write_outcome(struct control *control, const char *id, json_t *outcome, const struct err *failure,
                         struct err *err)
{
    json_t *content;

    if (failure != NULL)
        content = json_pack("{s:i, s:{s:i, s:s}}", "version", CONTROL_VERSION, "failure", "kind", failure->kind, "text",
                            failure->text);
    else if (outcome != NULL)
        content = json_pack("{s:i, s:O}", "version", CONTROL_VERSION, "outcome", outcome);
    else
        content = json_pack("{s:i, s:{}}", "version", CONTROL_VERSION, "outcome");
    int rc = control_write(control->outcomes, id, content, err);
    json_decref(content);
    if (rc == 0)
        rc = control_remove(control->taken, id, err);
    return rc == ERR_ABSENT ? 0 : rc;
}

/* Reads a request that is ours. ERR_INPUT: it can't be carried out, text says why. */
static int read_request(struct control *control, const char *id, bool was_taken, struct control_request **ret_request,
                        struct err *err)
{
    json_t *content = NULL;
    json_t *arguments = NULL;
    const char *kind = NULL;
    json_int_t expires_at_ms = 0;

    int rc = control_read(control->taken, id, &content, err);
    if (rc < 0)
        return rc;
    if (json_unpack(content, "{s:s, s?o, s:I}", "kind", &kind, "arguments", &arguments, "expires_at_ms",
                    &expires_at_ms) != 0)
        rc = err_set(err, ERR_INPUT, "request %s is not understood by this version", id);
    else if (!was_taken && expires_at_ms < clock_wall_ms(control->clock))
        rc = err_set(err, ERR_AGAIN, "request %s had expired before the projector saw it", id);
    if (rc == 0) {
        struct control_request *request = mem_zero(1, sizeof(*request));
        snprintf(request->id, sizeof(request->id), "%s", id);
        request->kind = mem_text(kind);
        request->arguments = json_is_object(arguments) ? json_incref(arguments) : json_object();
        *ret_request = request;
    }
    json_decref(content);
    return rc;
}

/* Makes a request ours. ERR_ABSENT: it was withdrawn. */
static int take(struct control *control, const char *id, struct err *err)
{
    char *from = mem_format("%s/%s.json", control->requests, id);
    char *to = mem_format("%s/%s.json", control->taken, id);
    int rc = 0;

    if (rename(from, to) != 0)
        rc = errno == ENOENT ? ERR_ABSENT : err_set_errno(err, ERR_BROKEN, errno, "%s: can't take", from);
    free(from);
    free(to);
    return rc == 0 ? durable_sync_folder(control->taken, err) : rc;
}

/* ERR_ABSENT: there was nothing to hand out behind this name. */
static int take_name(struct control *control, char *name, struct control_request **ret_request, struct err *err)
{
    struct err failure = {0};
    bool was_taken = control->is_of_taken;

    if (!control_id_of_name(name))
        return ERR_ABSENT;
    if (!was_taken) {
        int rc = take(control, name, err);
        if (rc < 0)
            return rc;
    } else if (control_is_there(control->outcomes, name)) { /* a crash came between it and the end of the request */
        int removed = control_remove(control->taken, name, err);
        return removed < 0 ? removed : ERR_ABSENT;
    }
    int rc = read_request(control, name, was_taken, ret_request, &failure);
    if (rc == ERR_INPUT || rc == ERR_AGAIN) {
        rc = write_outcome(control, name, NULL, &failure, err);
        return rc < 0 ? rc : ERR_ABSENT;
    }
    if (rc < 0)
        *err = failure;
    return rc;
}

int control_take(struct control *control, struct control_request **ret_request, struct err *err)
{
    if (control->next_name >= control->name_count) {
        int rc = look(control, err);
        if (rc < 0)
            return rc;
    }
    while (control->next_name < control->name_count) {
        int rc = take_name(control, control->names[control->next_name++], ret_request, err);
        if (rc != ERR_ABSENT)
            return rc;
    }
    return ERR_ABSENT;
}

int control_answer(struct control *control, struct control_request **request, json_t *outcome,
                   const struct err *failure, struct err *err)
{
    int rc = write_outcome(control, (*request)->id, outcome, failure, err);

    control_request_free(request);
    if (clock_wall_ms(control->clock) - control->cleaned_at_ms > KEPT_MS)
        clean(control);
    return rc;
}
