/* A first start makes the folder, whole or not at all, and then names it in `serving`. A kill between the two leaves a
 * generation that nobody serves: the next start finds it and goes on with it. */
#include "projector/run_generation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "ops/runtime/log.h"
#include "projector/topic_map.h"
#include "schema/base/clock.h"
#include "schema/base/mem.h"

enum { SCHEMA_BYTES_MAX = 64 << 20 };

static int read_file(const char *path, struct buf *content, struct err *err)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return err_set_errno(err, ERR_INPUT, errno, "--schema %s", path);
    size_t got;
    do {
        uint8_t *at = buf_reserve(content, 64 << 10);
        got = fread(at, 1, 64 << 10, file);
        content->len += got;
    } while (got > 0 && content->len <= SCHEMA_BYTES_MAX);
    int code = ferror(file) ? errno : 0;
    fclose(file);
    if (code)
        return err_set_errno(err, ERR_INPUT, code, "--schema %s", path);
    if (content->len > SCHEMA_BYTES_MAX)
        return err_set(err, ERR_INPUT, "--schema %s: larger than %d MiB", path, SCHEMA_BYTES_MAX >> 20);
    return 0;
}

static int load_views(struct span schema, const char *name, struct view_set **ret_views, struct err *err)
{
    struct mistakes mistakes = {NULL, 0, 0};
    int rc = view_set_load(schema, ret_views, &mistakes, err);
    for (size_t i = 0; rc < 0 && i < mistakes.count; i++)
        log_error("%s: %s", name, mistakes.lines[i]);
    mistakes_release(&mistakes);
    return rc < 0 ? err_prefix(err, "%s", name) : 0;
}

static int read_pairs(const struct config_list *pairs, struct generation_settings *settings, struct err *err)
{
    settings->topic_types = mem_zero(pairs->count + 1, sizeof(*settings->topic_types));
    for (size_t i = 0; i < pairs->count; i++) {
        const char *equals = strchr(pairs->items[i], '=');
        struct span topic = equals ? span_of(pairs->items[i], (size_t)(equals - pairs->items[i])) : span_of(NULL, 0);
        if (!equals || generation_topic_number(settings, topic) < 0)
            return err_set(err, ERR_INPUT, "--topic-type %s: not TOPIC=FULL.NAME with a topic of --topics",
                           pairs->items[i]);
        settings->topic_types[settings->topic_type_count++] =
            (struct name_value){mem_text_of(topic), mem_text(equals + 1)};
    }
    return 0;
}

static int read_settings(const struct run_settings *settings, const struct view_set *views,
                         struct generation_settings *shaping, struct err *err)
{
    int rc = topic_map_read(&settings->topics, views, shaping, err);
    if (rc == 0)
        rc = read_pairs(&settings->topic_types, shaping, err);
    shaping->type_headers = mem_zero(settings->type_headers.count + 1, sizeof(*shaping->type_headers));
    for (size_t i = 0; i < settings->type_headers.count; i++)
        shaping->type_headers[shaping->type_header_count++] = mem_text(settings->type_headers.items[i]);
    shaping->dedupe_window = (uint64_t)settings->dedupe_window;
    shaping->id_headers = mem_zero(settings->id_headers.count + 1, sizeof(*shaping->id_headers));
    for (size_t i = 0; i < settings->id_headers.count; i++)
        shaping->id_headers[shaping->id_header_count++] = mem_text(settings->id_headers.items[i]);
    shaping->framing = strcmp(settings->framing, "confluent") == 0 ? FRAMING_CONFLUENT : FRAMING_NONE;
    shaping->max_view_bytes = (uint64_t)settings->max_view_bytes;
    shaping->projection_version = PROJECTION_VERSION;
    shaping->start = mem_text("beginning");
    return rc;
}

/* The one to go on with: the served one, else one that a kill left unserved, else none (ERR_ABSENT). */
static int open_existing(const char *directory, struct generation **ret_generation, struct err *err)
{
    struct serving serving;
    int rc = serving_read(directory, &serving, err);
    if (rc != ERR_ABSENT)
        return rc < 0 ? rc : generation_open(directory, serving_incumbent(&serving), ret_generation, err);

    char **names = NULL;
    size_t count = 0;
    rc = generation_list(directory, &names, &count, err);
    if (rc == 0 && count > 0)
        rc = generation_open(directory, names[count - 1], ret_generation, err);
    else if (rc == 0)
        rc = ERR_ABSENT;
    if (rc == 0) {
        serving_start(&serving, names[count - 1], clock_wall_ms(&clock_system));
        rc = serving_write(directory, &serving, err);
    }
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    if (rc < 0 && rc != ERR_ABSENT)
        generation_close(ret_generation);
    return rc;
}

static int make_first(const char *directory, struct span schema, const struct generation_settings *shaping,
                      struct generation **ret_generation, struct err *err)
{
    struct serving serving;
    int rc = generation_make(directory, schema, shaping, ret_generation, err);
    if (rc < 0)
        return rc;
    serving_start(&serving, (*ret_generation)->name, clock_wall_ms(&clock_system));
    rc = serving_write(directory, &serving, err);
    if (rc < 0)
        generation_close(ret_generation);
    else
        log_info("made generation %s", (*ret_generation)->name);
    return rc;
}

static void warn_of_differences(const struct generation *generation, struct span schema,
                                const struct generation_settings *shaping)
{
    struct generation_settings own = generation->settings;
    struct buf as_given = BUF_INIT;
    struct buf as_made = BUF_INIT;

    generation_settings_write(shaping, &as_given);
    generation_settings_write(&own, &as_made);
    const char *what = NULL;
    if (!span_equal(schema, buf_span(&generation->schema)))
        what = "--schema";
    else if (!topic_map_equal(shaping, &own))
        what = "--topics";
    else if (!span_equal(buf_span(&as_given), buf_span(&as_made)))
        what = "a setting that shapes results";
    if (what)
        log_warn("%s differs from what generation %s was made of: going on with the generation's own; `tarn-projector "
                 "rebuild` makes a generation of the new",
                 what, generation->name);
    buf_release(&as_given);
    buf_release(&as_made);
}

int run_generation_prepare(const struct run_settings *settings, struct err *err)
{
    struct buf schema = BUF_INIT;
    struct view_set *given = NULL;
    struct generation_settings shaping = {0};
    struct generation *generation = NULL;

    int rc = read_file(settings->schema, &schema, err);
    if (rc == 0)
        rc = load_views(buf_span(&schema), settings->schema, &given, err);
    if (rc == 0)
        rc = read_settings(settings, given, &shaping, err);
    if (rc == 0) {
        rc = open_existing(settings->store, &generation, err);
        if (rc == 0)
            warn_of_differences(generation, buf_span(&schema), &shaping);
        else if (rc == ERR_ABSENT)
            rc = make_first(settings->store, buf_span(&schema), &shaping, &generation, err);
    }
    generation_close(&generation);
    view_set_free(&given);
    generation_settings_release(&shaping);
    buf_release(&schema);
    return rc;
}
