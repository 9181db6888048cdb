/* Who may touch what: a command makes files in requests/ and removes those in outcomes/; the projector moves requests
 * to taken/, makes outcomes and removes what it took. A move is one rename(), so that a request is either the
 * command's to withdraw or the projector's to carry out. Ids begin with the time, so that names in order are requests
 * in order.
 *
 * New requests are noticed by the folder's mtime. The clock behind an mtime ticks every few milliseconds: a folder
 * that changed just now may change again without a new mtime, so it is read again until its mtime has aged. On a machine
 * that is starved of CPU the tick itself may come late, so the folder is read once a second whatever its mtime
 * says. */
#include "schema/store/control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "schema/base/mem.h"
#include "schema/store/durable.h"
#include "schema/store/lock.h"

enum {
    CONTROL_VERSION = 1,
    REQUEST_BYTES_MAX = 1 << 20,
    OUTCOME_KEPT_MS = 3600 * 1000, /* for commands that wait; nobody waits longer */
    LOOK_AGAIN_MS = 10,
    MTIME_TICK_MS = 100, /* more than any kernel's */
    LOOK_ANYWAY_MS = 1000,
};

static char *subfolder(const char *directory, const char *name)
{
    return mem_format("%s/control/%s", directory, name);
}

static int make_subfolders(const char *directory, struct err *err)
{
    static const char *const names[] = {"requests", "taken", "outcomes"};
    char *control = mem_format("%s/control", directory);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < ARRAY_COUNT(names); i++)
        rc = durable_make_folder(control, names[i], err);
    free(control);
    return rc;
}

static int write_json(const char *folder, const char *id, json_t *content, struct err *err)
{
    char *name = mem_format("%s.json", id);
    char *text = json_dumps(content, JSON_COMPACT | JSON_SORT_KEYS);

    int rc = text == NULL ? err_set(err, ERR_INPUT, "%s: what it says can't be written as JSON", id)
                          : durable_write(folder, name, span_of_text(text), err);
    free(text);
    free(name);
    return rc;
}

/* ERR_ABSENT: no such file. ERR_INPUT: not an object of this version. */
static int read_json(const char *folder, const char *id, json_t **ret_content, struct err *err)
{
    char *name = mem_format("%s.json", id);
    struct buf text = BUF_INIT;
    json_t *content = NULL;
    json_int_t version = 0;

    int rc = durable_read(folder, name, REQUEST_BYTES_MAX, &text, err);
    if (rc == 0) {
        content = json_loadb(text.len ? (const char *)text.at : "", text.len, JSON_REJECT_DUPLICATES, NULL);
        if (json_unpack(content, "{s:I}", "version", &version) != 0 || version != CONTROL_VERSION)
            rc = err_set(err, ERR_INPUT, "%s/%s is not understood by this version", folder, name);
    }
    if (rc == 0)
        *ret_content = content;
    else
        json_decref(content);
    buf_release(&text);
    free(name);
    return rc;
}

static int remove_json(const char *folder, const char *id, struct err *err)
{
    char *path = mem_format("%s/%s.json", folder, id);
    int rc = 0;

    if (unlink(path) != 0)
        rc = errno == ENOENT ? ERR_ABSENT : err_set_errno(err, ERR_BROKEN, errno, "%s: can't remove", path);
    free(path);
    return rc;
}

/* "0000019a...-1f2e3d4c5b6a7988" */
static bool is_id(const char *text)
{
    size_t digits = strspn(text, "0123456789abcdef-");

    return digits > 0 && digits < CONTROL_ID_SIZE && text[digits] == '\0';
}

/* Cuts ".json" off; false for a file that isn't ours. */
static bool id_of_name(char *name)
{
    size_t length = strlen(name);

    if (length < 5 || strcmp(name + length - 5, ".json") != 0)
        return false;
    name[length - 5] = '\0';
    return is_id(name);
}

/* --- the command's side --- */

int control_submit(const char *directory, const char *kind, json_t *arguments, int64_t expires_ms,
                   char ret_id[CONTROL_ID_SIZE], struct err *err)
{
    int64_t now_ms = clock_wall_ms(&clock_system);
    char id[CONTROL_ID_SIZE];
    uint64_t random;

    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return err_set_errno(err, ERR_BROKEN, errno, "no random number for a request's id");
    snprintf(id, sizeof(id), "%016" PRIx64 "-%016" PRIx64, (uint64_t)now_ms, random);

    int rc = make_subfolders(directory, err);
    if (rc < 0)
        return rc;
    char *requests = subfolder(directory, "requests");
    json_t *request = json_pack("{s:i, s:s, s:O?, s:I, s:I}", "version", CONTROL_VERSION, "kind", kind, "arguments",
                                arguments, "submitted_at_ms", (json_int_t)now_ms, "expires_at_ms",
                                (json_int_t)now_ms + expires_ms);
    rc = write_json(requests, id, request, err);
    json_decref(request);
    free(requests);
    if (rc == 0)
        memcpy(ret_id, id, sizeof(id));
    return rc;
}

/* What the request ended with; *ret_is_there says whether it has ended, which no kind of failure can. */
static int take_outcome(const char *outcomes, const char *id, bool *ret_is_there, json_t **ret_outcome,
                        struct err *err)
{
    json_t *content = NULL;
    json_t *outcome = NULL;
    const char *text = NULL;
    int kind = 0;

    int rc = read_json(outcomes, id, &content, err);
    *ret_is_there = rc != ERR_ABSENT;
    if (rc < 0)
        return rc;
    if (json_unpack(content, "{s:{s:i, s:s}}", "failure", "kind", &kind, "text", &text) == 0 && kind < 0)
        rc = err_set(err, kind, "%s", text);
    else if (json_unpack(content, "{s:O}", "outcome", &outcome) != 0)
        rc = err_set(err, ERR_INPUT, "the outcome of request %s is not understood by this version", id);
    json_decref(content);

    /* It was told; that its file stays an hour longer would be no fault. */
    struct err ignored = {0};
    int removed = remove_json(outcomes, id, &ignored);
    (void)removed;
    if (rc == 0)
        *ret_outcome = outcome;
    return rc;
}

int control_wait(const char *directory, const char *id, int64_t timeout_ms, json_t **ret_outcome, struct err *err)
{
    char *outcomes = subfolder(directory, "outcomes");
    int64_t end_us = clock_monotonic_us(&clock_system) + timeout_ms * 1000;
    struct lock_holder holder;
    bool is_there;
    int rc;

    for (;;) {
        int held = lock_find_holder(directory, &holder, err);
        /* Asked after the lock: a projector that answered and then went has left its answer. */
        rc = take_outcome(outcomes, id, &is_there, ret_outcome, err);
        if (is_there)
            break;
        if (held < 0) {
            rc = held == ERR_ABSENT ? err_set(err, ERR_AGAIN, "the projector is gone") : held;
            break;
        }
        if (clock_monotonic_us(&clock_system) >= end_us) {
            rc = err_set(err, ERR_AGAIN, "no outcome from %s within %" PRId64 " ms", holder.program, timeout_ms);
            break;
        }
        nanosleep(&(struct timespec){.tv_nsec = LOOK_AGAIN_MS * 1000L * 1000}, NULL);
    }
    free(outcomes);
    return rc;
}

int control_withdraw(const char *directory, const char *id, struct err *err)
{
    char *requests = subfolder(directory, "requests");
    int rc = remove_json(requests, id, err);

    if (rc == 0)
        rc = durable_sync_folder(requests, err);
    free(requests);
    return rc;
}

bool control_is_begun(const char *directory, const char *id)
{
    char *path = mem_format("%s/control/taken/%s.json", directory, id);
    bool is_there = access(path, F_OK) == 0;

    free(path);
    return is_there;
}

/* --- the projector's side --- */

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

/* Outcomes that nobody came for. */
static void clean_outcomes(struct control *control)
{
    struct err ignored = {0};
    char **names = NULL;
    size_t count = 0;
    int64_t now_ms = clock_wall_ms(control->clock);

    if (durable_list(control->outcomes, &names, &count, &ignored) < 0)
        return;
    for (size_t i = 0; i < count; i++) {
        char *path = mem_format("%s/%s", control->outcomes, names[i]);
        struct stat status;
        if (stat(path, &status) == 0 && (int64_t)status.st_mtim.tv_sec * 1000 < now_ms - OUTCOME_KEPT_MS)
            unlink(path);
        free(path);
    }
    durable_free_names(names, count);
    control->cleaned_at_ms = now_ms;
}

int control_open(const char *directory, const struct clock_port *clock, struct control **ret_control, struct err *err)
{
    struct control *control = mem_zero(1, sizeof(*control));

    control->requests = subfolder(directory, "requests");
    control->taken = subfolder(directory, "taken");
    control->outcomes = subfolder(directory, "outcomes");
    control->clock = clock;
    control->must_look = true;
    control->is_of_taken = true;
    int rc = make_subfolders(directory, err);
    if (rc == 0)
        rc = durable_list(control->taken, &control->names, &control->name_count, err);
    if (rc < 0) {
        control_close(&control);
        return rc;
    }
    clean_outcomes(control);
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
    int64_t age_ms = ((int64_t)now.tv_sec - status.st_mtim.tv_sec) * 1000 +
                     (now.tv_nsec - status.st_mtim.tv_nsec) / 1000000;
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
    int rc = write_json(control->outcomes, id, content, err);
    json_decref(content);
    if (rc == 0)
        rc = remove_json(control->taken, id, err);
    return rc == ERR_ABSENT ? 0 : rc;
}

/* Whether a crash came between an outcome and the end of its request. */
static bool has_outcome(const struct control *control, const char *id)
{
    char *path = mem_format("%s/%s.json", control->outcomes, id);
    bool is_there = access(path, F_OK) == 0;

    free(path);
    return is_there;
}

/* Reads a request that is ours. ERR_INPUT: it can't be carried out, text says why. */
static int read_request(struct control *control, const char *id, bool was_taken, struct control_request **ret_request,
                        struct err *err)
{
    json_t *content = NULL;
    json_t *arguments = NULL;
    const char *kind = NULL;
    json_int_t expires_at_ms = 0;

    int rc = read_json(control->taken, id, &content, err);
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

    if (!id_of_name(name))
        return ERR_ABSENT;
    if (!was_taken) {
        int rc = take(control, name, err);
        if (rc < 0)
            return rc;
    } else if (has_outcome(control, name)) {
        int removed = remove_json(control->taken, name, err);
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
    if (clock_wall_ms(control->clock) - control->cleaned_at_ms > OUTCOME_KEPT_MS)
        clean_outcomes(control);
    return rc;
}
