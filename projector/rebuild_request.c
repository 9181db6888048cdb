/* The id is made of what is asked for and a number that counts complete generations of just that: no state is kept for
 * it, and a kill between any two steps leaves the same id to the next run. */
#include "projector/rebuild_request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "schema/base/hash.h"
#include "schema/base/mem.h"
#include "schema/store/building.h"
#include "schema/store/durable.h"
#include "schema/store/generation.h"

/* --- --from --- */

static bool parse_time(const char *text, int64_t *ret_ms)
{
    static const char *const formats[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d"};
    char *end;

    for (size_t i = 0; i < ARRAY_COUNT(formats); i++) {
        struct tm parts = {.tm_mday = 1};
        end = strptime(text, formats[i], &parts);
        if (end != NULL && *end == '\0') {
            *ret_ms = (int64_t)timegm(&parts) * 1000;
            return *ret_ms >= 0;
        }
    }
    errno = 0;
    long long number = strtoll(text, &end, 10);
    *ret_ms = number;
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0;
}

/* "topic/3@120": from that offset on. */
static bool parse_place(const char *text, size_t length, json_t *offsets)
{
    char *copy = mem_text_of(span_of(text, length));
    char *at = strrchr(copy, '@');
    char *slash = at != NULL ? memrchr(copy, '/', (size_t)(at - copy)) : NULL;
    bool is_place = slash != NULL && slash > copy && slash + 1 < at && at[1] != '\0' &&
                    strspn(slash + 1, "0123456789") == (size_t)(at - slash - 1) &&
                    strspn(at + 1, "0123456789") == strlen(at + 1) && strlen(at + 1) <= 18;

    if (is_place) {
        long long offset = strtoll(at + 1, NULL, 10);
        *at = '\0';
        is_place = json_object_get(offsets, copy) == NULL &&
                   json_object_set_new(offsets, copy, json_integer(offset)) == 0;
    }
    free(copy);
    return is_place;
}

int rebuild_parse_from(const char *text, json_t **ret_start, struct err *err)
{
    int64_t time_ms;

    if (strcmp(text, "beginning") == 0) {
        *ret_start = json_string("beginning");
        return 0;
    }
    if (parse_time(text, &time_ms)) {
        char *start = mem_format("time:%" PRId64, time_ms);
        *ret_start = json_string(start);
        free(start);
        return 0;
    }
    json_t *offsets = json_object();
    for (const char *at = text; offsets != NULL;) {
        size_t length = strcspn(at, ",");
        if (!parse_place(at, length, offsets)) {
            json_decref(offsets);
            return err_set(err, ERR_INPUT,
                           "--from %.*s is not `beginning`, a time (2026-11-22T09:00:00Z) or TOPIC/PARTITION@OFFSET, "
                           "each partition once",
                           (int)length, at);
        }
        if (at[length] == '\0')
            break;
        at += length + 1;
    }
    *ret_start = offsets;
    return 0;
}

int rebuild_parse_sample(const char *text, int64_t *ret_percent, struct err *err)
{
    char *end;
    long percent = strtol(text, &end, 10);

    if (end == text || (*end != '\0' && strcmp(end, "%") != 0) || percent < 1 || percent > 99)
        return err_set(err, ERR_INPUT, "--sample %s is not a whole number of percent from 1 to 99", text);
    *ret_percent = percent;
    return 0;
}

int rebuild_parse_window(const char *text, int64_t *ret_records, struct err *err)
{
    char *end;

    errno = 0;
    long records = strtol(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || records > DEDUPE_WINDOW_MAX)
        return err_set(err, ERR_INPUT, "--dedupe-window %s is not a number of records from 0 to %d", text,
                       DEDUPE_WINDOW_MAX);
    *ret_records = records;
    return 0;
}

/* --- the request's name --- */

/* Made by that id, and complete. */
static int is_complete(const char *directory, const char *id, bool *ret_is_complete, struct err *err)
{
    char **names = NULL;
    size_t count = 0;
    bool is_found = false;

    int rc = generation_list(directory, &names, &count, err);
    for (size_t i = 0; rc == 0 && !is_found && i < count; i++) {
        char *folder = mem_format("%s/generations/%s", directory, names[i]);
        char made_by[MADE_BY_SIZE];
        made_by_read(folder, made_by);
        is_found = strcmp(made_by, id) == 0 && !building_is_there(folder);
        free(folder);
    }
    if (rc == 0)
        *ret_is_complete = is_found;
    durable_free_names(names, count);
    return rc;
}

int rebuild_request_id(const char *directory, json_t *arguments, struct span schema, char **ret_id, struct err *err)
{
    char *text = json_dumps(arguments, JSON_COMPACT | JSON_SORT_KEYS);
    struct hash128 hash = hash128_pair(span_of_text(text != NULL ? text : ""), schema);
    char *id = NULL;
    bool is_taken = true;
    int rc = 0;

    free(text);
    for (unsigned number = 1; rc == 0 && is_taken; number++) {
        free(id);
        id = mem_format("%016" PRIx64 "-%u", hash.high, number);
        rc = is_complete(directory, id, &is_taken, err);
    }
    if (rc == 0)
        *ret_id = id;
    else
        free(id);
    return rc;
}

/* --- the schema --- */

int rebuild_upload(const char *directory, const char *id, struct span schema, struct err *err)
{
    char *control = mem_format("%s/control", directory);
    char *uploads = mem_format("%s/uploads", control);
    char *name = mem_format("%s.binpb", id);

    int rc = durable_make_folder(control, "uploads", err);
    if (rc == 0)
        rc = durable_write(uploads, name, schema, err);
    free(name);
    free(uploads);
    free(control);
    return rc;
}

void rebuild_forget_upload(const char *directory, const char *id)
{
    char *path = mem_format("%s/control/uploads/%s.binpb", directory, id);

    unlink(path); /* one that stays is harmless: the same request writes it anew */
    free(path);
}
