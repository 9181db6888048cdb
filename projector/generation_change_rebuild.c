/* A generation is prepared in the hidden folder, before the rename that makes it one: the id of the request, `building`,
 * and what it takes over - the erasure marks of the generation that is served, or the whole store that it is copied
 * from. So one that is seen has them, whatever crashed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "projector/generation_change.h"
#include "projector/inheritance.h"
#include "projector/rebuild_plan.h"
#include "schema/store/durable.h"
#include "schema/store/unsynced.h"

/* One generation in the making. */
struct rebuild {
    const struct changer *changer;
    const char *request;
    struct rebuild_plan plan;
};

/* ERR_ABSENT: no sound generation was made for the request; but_for: NULL, or one that doesn't count. */
static int find_made(const char *directory, const char *request, const char *but_for,
                     char ret_name[GENERATION_NAME_MAX], struct err *err)
{
    char **names = NULL;
    size_t count = 0;
    bool is_found = false;

    int rc = generation_list(directory, &names, &count, err);
    for (size_t i = 0; rc == 0 && !is_found && i < count; i++) {
        char made_by[MADE_BY_SIZE];
        char *folder = generation_folder(directory, names[i]);
        made_by_read(folder, made_by);
        free(folder);
        is_found = strcmp(made_by, request) == 0 && (but_for == NULL || strcmp(names[i], but_for) != 0);
        if (is_found)
            snprintf(ret_name, GENERATION_NAME_MAX, "%s", names[i]);
    }
    durable_free_names(names, count);
    return rc < 0 ? rc : is_found ? 0 : ERR_ABSENT;
}

/* --- made --- */

static int prepare(void *self, const char *folder, struct err *err)
{
    const struct rebuild *rebuild = self;
    const struct rebuild_plan *plan = &rebuild->plan;

    int rc = made_by_write(folder, rebuild->request, err);
    if (rc == 0)
        rc = building_write(folder, &plan->building, err);
    if (rc == 0)
        rc = plan->origin ? inherit_store(rebuild->changer, plan->origin, folder, err)
                          : inherit_marks(rebuild->changer, plan->beside, plan->views, folder, err);
    return rc;
}

static int make(struct rebuild *rebuild, char ret_name[GENERATION_NAME_MAX], struct err *err)
{
    const struct generation_preparation preparation = {prepare, rebuild};
    struct generation *made = NULL;

    int rc = generation_make_prepared(rebuild->changer->directory, buf_span(&rebuild->plan.schema),
                                      &rebuild->plan.settings, &preparation, &made, err);
    if (rc == 0)
        memcpy(ret_name, made->name, GENERATION_NAME_MAX);
    generation_close(&made);
    return rc;
}

int change_rebuild(const struct changer *changer, const json_t *arguments, json_t **ret_outcome, struct err *err)
{
    struct rebuild rebuild = {.changer = changer, .request = json_string_value(json_object_get(arguments, "request"))};
    char name[GENERATION_NAME_MAX];

    if (rebuild.request == NULL || rebuild.request[0] == '\0' || strlen(rebuild.request) >= MADE_BY_SIZE)
        return err_set(err, ERR_INPUT, "a rebuild needs an id of its request, of less than %d bytes", MADE_BY_SIZE);
    int rc = find_made(changer->directory, rebuild.request, NULL, name, err);
    if (rc == ERR_ABSENT) {
        rc = rebuild_plan_read(&rebuild.plan, changer->directory, arguments, err);
        if (rc == 0)
            rc = make(&rebuild, name, err);
        rebuild_plan_release(&rebuild.plan);
    }
    if (rc == 0)
        *ret_outcome = json_pack("{s:s}", "generation", name);
    return rc;
}

/* --- made again --- */

/* One that a reboot has left half synced, made again of its own schema and settings. */
static int make_again(const struct changer *changer, const char *name, char ret_name[GENERATION_NAME_MAX],
                      struct err *err)
{
    struct rebuild rebuild = {.changer = changer};
    struct generation *lost = NULL;
    char made_by[MADE_BY_SIZE] = "";

    int rc = generation_open(changer->directory, name, &lost, err);
    if (rc == 0) {
        made_by_read(lost->folder, made_by);
        rebuild.request = made_by;
        rc = rebuild_plan_repeat(&rebuild.plan, changer->directory, lost, err);
    }
    if (rc == 0)
        rc = make(&rebuild, ret_name, err);
    rebuild_plan_release(&rebuild.plan);
    generation_close(&lost);
    return rc;
}

/* Made again first and then thrown away: a crash in between finds both, and the one that counts by the request's id. */
static int throw_away(const struct changer *changer, const char *name, char *sentence, size_t size, struct err *err)
{
    char *folder = generation_folder(changer->directory, name);
    char made_by[MADE_BY_SIZE];
    char again[GENERATION_NAME_MAX] = "";
    struct serving serving;

    made_by_read(folder, made_by);
    free(folder);
    int rc = serving_read(changer->directory, &serving, err);
    if (rc == 0 && serving_percent(&serving, name) > 0)
        return err_set(err, ERR_BROKEN,
                       "generation %s is served, and was left half synced by a reboot: promote another one, or delete "
                       "the store and start anew",
                       name);
    if (rc == 0 && made_by[0] != '\0') {
        rc = find_made(changer->directory, made_by, name, again, err);
        if (rc == ERR_ABSENT)
            rc = make_again(changer, name, again, err);
    }
    if (rc == 0 || rc == ERR_ABSENT)
        rc = generation_drop(changer->directory, name, err);
    snprintf(sentence, size,
             "generation %s was being filled without syncing when the machine went down: thrown away%s%s", name,
             again[0] ? ", and made anew as " : "", again);
    return rc;
}

int change_clean_up(const struct changer *changer, void (*say)(void *self, const char *sentence), void *self,
                    struct err *err)
{
    char sentence[400];
    char **names = NULL;
    size_t count = 0;

    int rc = generation_clear_trash(changer->directory, err);
    if (rc == 0)
        rc = generation_list(changer->directory, &names, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        char *folder = generation_folder(changer->directory, names[i]);
        struct err torn = {0};
        rc = unsynced_check(NULL, folder, &torn);
        free(folder);
        if (rc == 0)
            continue;
        rc = throw_away(changer, names[i], sentence, sizeof(sentence), err);
        if (rc == 0)
            say(self, sentence);
    }
    durable_free_names(names, count);
    return rc;
}
