/* Each change is a few durable steps of which one decides: `serving` replaced (promote, rollback), a folder renamed
 * (rebuild, drop). What a crash leaves before that step is cleared away by the next start, what it leaves behind it is
 * made good when the request is carried out again.
 *
 * Rolling back is the one change that isn't idempotent by itself: twice would be one step too far. So it notes first
 * which state it takes back for whom, in DIR/control/rollback, and finds when it comes again that this was done. */
#include "projector/generation_change.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "projector/positions.h"
#include "schema/base/mem.h"
#include "schema/store/building.h"
#include "schema/store/durable.h"
#include "schema/store/generation_start.h"
#include "schema/store/unsynced.h"

enum { INTENT_BYTES_MAX = 512 };

/* --- what is known of a generation --- */

/* Closed with close_looked(). */
struct looked {
    struct store *own; /* opened for this look; NULL: somebody else's */
    struct store_reader *reader;
};

static void close_looked(struct looked *looked)
{
    store_reader_close(&looked->reader);
    store_close(&looked->own);
}

static int look_into(const struct changer *changer, const struct generation *generation, struct looked *looked,
                     struct err *err)
{
    struct store_options options = {.access = STORE_READ_ONLY};
    struct store *store = changer->open_store ? changer->open_store(changer->self, generation->name) : NULL;
    int rc = 0;

    if (store == NULL) {
        rc = store_open(generation->folder, &options, &looked->own, err);
        store = looked->own;
    }
    if (rc == 0)
        rc = store_reader_open(store, &looked->reader, err);
    if (rc == 0)
        rc = store_read_begin(looked->reader, err);
    return rc;
}

static bool was_caught_up(const struct positions *positions)
{
    for (size_t i = 0; i < positions->count; i++) {
        const struct partition *partition = positions->partitions[i];
        for (unsigned range = 0; range < RANGE_COUNT; range++)
            if (partition->row.state == PARTITION_FOLLOWING &&
                !layout_has_caught_up(&partition->stored[range], &partition->row))
                return false;
    }
    return positions->count > 0;
}

static int look_at_positions(const struct changer *changer, const struct generation *generation, bool *ret_is_caught_up,
                             struct err *err)
{
    struct looked looked = {NULL, NULL};
    struct positions positions;

    positions_init(&positions, generation->settings.topic_count);
    int rc = look_into(changer, generation, &looked, err);
    if (rc == 0)
        rc = positions_load(&positions, looked.reader, err);
    if (rc == 0)
        *ret_is_caught_up = was_caught_up(&positions) && !building_is_there(generation->folder);
    if (rc == ERR_ABSENT) { /* nothing was ever stored */
        *ret_is_caught_up = false;
        rc = 0;
    }
    close_looked(&looked);
    positions_release(&positions);
    return rc;
}

int change_look(const struct changer *changer, const char *name, struct change_facts *ret_facts, struct err *err)
{
    struct generation *generation = NULL;
    struct generation_start start = {.kind = START_BEGINNING};
    struct change_facts facts = {.is_caught_up = false};

    int rc = generation_open(changer->directory, name, &generation, err);
    if (rc == 0)
        rc = generation_start_read(generation->settings.start, &start, err);
    if (rc == 0)
        rc = look_at_positions(changer, generation, &facts.is_caught_up, err);
    if (rc == 0) {
        facts.is_partial = generation_start_is_partial(&start);
        facts.sample_percent = generation->settings.sample_percent;
        facts.dedupe_window = generation->settings.dedupe_window;
        facts.is_whole = !unsynced_is_marked(generation->folder);
        *ret_facts = facts;
    }
    generation_start_release(&start);
    generation_close(&generation);
    return rc;
}

/* --- promote and rollback --- */

static json_t *shares_json(const struct serving_shares *shares)
{
    json_t *list = json_array();
    for (size_t i = 0; i < shares->count; i++)
        json_array_append_new(list, json_pack("[s,i]", shares->shares[i].name, (int)shares->shares[i].percent));
    return list;
}

static json_t *served_json(const struct serving *now, const struct serving *before)
{
    return json_pack("{s:o,s:o}", "shares", shares_json(&now->now), "was", shares_json(&before->now));
}

static int check_may_be_served(const struct changer *changer, const char *name, bool is_forced, struct err *err)
{
    struct change_facts facts;

    int rc = change_look(changer, name, &facts, err);
    if (rc < 0)
        return rc;
    if (facts.sample_percent > 0)
        return err_set(err, ERR_INPUT, "%s holds %u%% of the owners, a sample: it can't be promoted", name,
                       facts.sample_percent);
    if (!facts.is_caught_up && !is_forced)
        return err_set(err, ERR_INPUT, "%s hasn't caught up with Kafka yet: wait for it, or promote it with --force",
                       name);
    if (facts.is_partial && !is_forced)
        return err_set(err, ERR_INPUT,
                       "%s starts later than the beginning and may lack what came before: promote it with --force if "
                       "that is meant",
                       name);
    return 0;
}

/* A store that is served survives a power cut. */
static int make_whole(const struct changer *changer, const char *name, struct err *err)
{
    char *folder = generation_folder(changer->directory, name);
    struct store *store = NULL;
    int rc = 0;

    if (unsynced_is_marked(folder)) {
        struct store_options options = {.access = STORE_READ_WRITE};
        if (changer->open_store && changer->open_store(changer->self, name))
            rc = err_set(err, ERR_AGAIN, "%s isn't synced to the disk yet", name);
        if (rc == 0)
            rc = store_open(folder, &options, &store, err);
        if (rc == 0)
            rc = store_make_whole(store, err);
        store_close(&store);
    }
    if (rc == 0)
        rc = building_end(folder, err);
    free(folder);
    return rc;
}

static int read_serving(const struct changer *changer, struct serving *ret_serving, struct err *err)
{
    int rc = serving_read(changer->directory, ret_serving, err);
    return rc == ERR_ABSENT ? err_set(err, ERR_ABSENT,
                                      "nothing is served yet: `tarn-projector run` makes the first "
                                      "generation")
                            : rc;
}

static int64_t number_of(const json_t *arguments, const char *name, int64_t fallback)
{
    const json_t *value = json_object_get(arguments, name);
    return json_is_integer(value) ? json_integer_value(value) : fallback;
}

static int name_of(const json_t *arguments, const char **ret_name, struct err *err)
{
    const char *name = json_string_value(json_object_get(arguments, "generation"));
    if (name == NULL || !generation_is_name(name))
        return err_set(err, ERR_INPUT, "%s is not a generation's name", name ? name : "nothing");
    *ret_name = name;
    return 0;
}

int change_promote(const struct changer *changer, const json_t *arguments, json_t **ret_outcome, struct err *err)
{
    struct serving serving, before;
    const char *name = NULL;
    int64_t percent = number_of(arguments, "percent", 100);
    int64_t retain_ms = number_of(arguments, "retain_ms", 0);
    int64_t now_ms = clock_wall_ms(changer->clock);

    int rc = name_of(arguments, &name, err);
    if (rc == 0 && (percent < 0 || percent > 100))
        rc = err_set(err, ERR_INPUT, "a share of %" PRId64 "%%: from 0 to 100", percent);
    if (rc == 0)
        rc = read_serving(changer, &serving, err);
    if (rc < 0)
        return rc;
    before = serving;
    if (serving_percent(&serving, name) == 0) {
        rc = check_may_be_served(changer, name, json_is_true(json_object_get(arguments, "force")), err);
        if (rc == 0)
            rc = make_whole(changer, name, err);
    }
    if (rc == 0)
        rc = serving_promote(&serving, name, (unsigned)percent, now_ms, retain_ms > 0 ? now_ms + retain_ms : 0, err);
    if (rc == 0 && (retain_ms > 0 || memcmp(&serving.now, &before.now, sizeof(before.now)) != 0))
        rc = serving_write(changer->directory, &serving, err);
    if (rc == 0)
        *ret_outcome = served_json(&serving, &before);
    return rc;
}

/* "ID SINCE_MS": what was noted for a request. False: for another one, or nothing sound. */
static bool find_noted(const char *noted, const char *request, int64_t *ret_since_ms)
{
    size_t length = strlen(request);
    char *end;

    if (strncmp(noted, request, length) != 0 || noted[length] != ' ')
        return false;
    errno = 0;
    long long since_ms = strtoll(noted + length + 1, &end, 10);
    if (errno != 0 || end == noted + length + 1 || strcmp(end, "\n") != 0)
        return false;
    *ret_since_ms = since_ms;
    return true;
}

/* Whether the state that is served now is what this very request left, carried out before a crash. */
static int note_roll_back(const struct changer *changer, const char *request, int64_t since_ms, bool *ret_is_done,
                          struct err *err)
{
    char *control = mem_format("%s/control", changer->directory);
    struct buf noted = BUF_INIT;
    int64_t noted_since_ms = 0;
    int rc = 0;

    if (strlen(request) >= MADE_BY_SIZE)
        rc = err_set(err, ERR_INPUT, "the id of a request has less than %d bytes", MADE_BY_SIZE);
    if (rc == 0)
        rc = durable_read(control, "rollback", INTENT_BYTES_MAX, &noted, err);
    if (rc == 0 && find_noted(buf_text(&noted), request, &noted_since_ms)) {
        *ret_is_done = noted_since_ms != since_ms;
    } else if (rc == 0 || rc == ERR_ABSENT) {
        char *text = mem_format("%s %" PRId64 "\n", request, since_ms);
        rc = durable_write(control, "rollback", span_of_text(text), err);
        *ret_is_done = false;
        free(text);
    }
    buf_release(&noted);
    free(control);
    return rc;
}

static int check_is_there(const struct changer *changer, const char *name, struct err *err)
{
    struct generation *generation = NULL;

    int rc = generation_open(changer->directory, name, &generation, err);
    generation_close(&generation);
    return rc == ERR_ABSENT
               ? err_set(err, ERR_INPUT, "%s, which was served before, is gone: promote one that is there", name)
               : rc;
}

int change_roll_back(const struct changer *changer, const json_t *arguments, json_t **ret_outcome, struct err *err)
{
    const char *request = json_string_value(json_object_get(arguments, "request"));
    struct serving serving, before;
    bool is_done = false;

    int rc = read_serving(changer, &serving, err);
    if (rc < 0)
        return rc;
    before = serving;
    rc = serving_roll_back(&serving, clock_wall_ms(changer->clock), err);
    if (rc == 0 && serving.now.since_ms <= before.now.since_ms)
        serving.now.since_ms = before.now.since_ms + 1; /* a clock that was put back: the two must differ */
    for (size_t i = 0; rc == 0 && i < serving.now.count; i++)
        rc = check_is_there(changer, serving.now.shares[i].name, err);
    struct err trouble = *err;
    if (request != NULL && (rc == 0 || rc == ERR_ABSENT || rc == ERR_INPUT)) {
        int noted = note_roll_back(changer, request, before.now.since_ms, &is_done, err);
        if (noted < 0)
            return noted;
        if (is_done) {
            *ret_outcome = served_json(&before, &before);
            return 0;
        }
        *err = trouble;
    }
    if (rc == 0)
        rc = serving_write(changer->directory, &serving, err);
    if (rc == 0)
        *ret_outcome = served_json(&serving, &before);
    return rc;
}

/* --- drop --- */

/* No trace in `serving`. */
static int forget(const struct changer *changer, const char *name, struct err *err)
{
    struct serving serving, before;

    int rc = serving_read(changer->directory, &serving, err);
    if (rc == ERR_ABSENT)
        return 0;
    before = serving;
    if (rc == 0)
        rc = serving_forget(&serving, name, err);
    if (rc == 0 && (serving.past_count != before.past_count || serving.retained_count != before.retained_count))
        rc = serving_write(changer->directory, &serving, err);
    return rc;
}

int change_drop(const struct changer *changer, const json_t *arguments, json_t **ret_outcome, struct err *err)
{
    const char *name = NULL;

    int rc = name_of(arguments, &name, err);
    if (rc == 0)
        rc = forget(changer, name, err);
    if (rc == 0)
        rc = generation_drop(changer->directory, name, err);
    if (rc == 0)
        *ret_outcome = json_object();
    return rc;
}

bool change_find_expired(const struct serving *serving, int64_t now_ms, char ret_name[GENERATION_NAME_MAX])
{
    for (size_t i = 0; i < serving->retained_count; i++) {
        const struct serving_retained *retained = &serving->retained[i];
        if (retained->until_ms == 0 || retained->until_ms > now_ms)
            continue;
        memcpy(ret_name, retained->name, GENERATION_NAME_MAX);
        return true;
    }
    return false;
}
