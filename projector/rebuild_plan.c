/* One step after the other, each for a few arguments; what isn't given is the incumbent's. A copy is what it is copied
 * from, whatever else was given. */
#include "projector/rebuild_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "projector/topic_map.h"
#include "schema/base/mem.h"
#include "schema/store/durable.h"
#include "schema/store/generation_start.h"

enum { SCHEMA_BYTES_MAX = 64 << 20, RATE_MAX = 1000 * 1000 * 1000 };

typedef int step_fn(struct rebuild_plan *plan, const json_t *arguments, struct err *err);

static step_fn find_beside, find_origin, read_schema, read_topics, read_type_headers, read_dedupe,
    read_topic_types, read_start, read_numbers, take_settings_of_origin;

/* Topics are read before what names them. */
static step_fn *const steps[] = {
    find_beside, find_origin,       read_schema,
    read_topics, read_type_headers, read_dedupe,             read_topic_types,
    read_start,  read_numbers,      take_settings_of_origin,
};

static int load_views(struct rebuild_plan *plan, struct err *err)
{
    struct mistakes mistakes = {NULL, 0, 0};

    int rc = view_set_load(buf_span(&plan->schema), &plan->views, &mistakes, err);
    mistakes_release(&mistakes);
    return rc < 0 ? err_prefix(err, "the schema") : 0;
}

static int copy_settings(struct rebuild_plan *plan, const struct generation *of, struct err *err)
{
    struct buf text = BUF_INIT;

    generation_settings_write(&of->settings, &text);
    generation_settings_release(&plan->settings);
    int rc = generation_settings_read(buf_span(&text), &plan->settings, err);
    buf_release(&text);
    return rc;
}

int rebuild_plan_read(struct rebuild_plan *plan, const char *directory, const json_t *arguments, struct err *err)
{
    int rc = 0;

    *plan = (struct rebuild_plan){.directory = directory, .schema = BUF_INIT};
    for (size_t i = 0; rc == 0 && i < ARRAY_COUNT(steps); i++)
        rc = steps[i](plan, arguments, err);
    return rc;
}

int rebuild_plan_repeat(struct rebuild_plan *plan, const char *directory, const struct generation *lost,
                        struct err *err)
{
    *plan = (struct rebuild_plan){.directory = directory, .schema = BUF_INIT};
    buf_add_span(&plan->schema, buf_span(&lost->schema));
    int rc = building_read(lost->folder, &plan->building, err);
    if (rc == ERR_ABSENT)
        rc = 0;
    if (rc == 0)
        rc = copy_settings(plan, lost, err);
    if (rc == 0)
        rc = load_views(plan, err);
    return rc == 0 ? find_beside(plan, NULL, err) : rc;
}

void rebuild_plan_release(struct rebuild_plan *plan)
{
    generation_settings_release(&plan->settings);
    view_set_free(&plan->views);
    buf_release(&plan->schema);
    generation_close(&plan->origin);
    generation_close(&plan->beside);
}

/* --- what is there ------------------------------------------------------------------------------------------------ */

static int find_beside(struct rebuild_plan *plan, const json_t *arguments, struct err *err)
{
    struct serving serving;
    (void)arguments;

    int rc = serving_read(plan->directory, &serving, err);
    if (rc == ERR_ABSENT)
        return err_set(err, ERR_ABSENT, "nothing is served yet: `tarn-projector run` makes the first generation");
    if (rc == 0)
        rc = generation_open(plan->directory, serving_incumbent(&serving), &plan->beside, err);
    if (rc == 0 && plan->building.beside[0] == '\0')
        snprintf(plan->building.beside, sizeof(plan->building.beside), "%s", plan->beside->name);
    return rc;
}

static int find_origin(struct rebuild_plan *plan, const json_t *arguments, struct err *err)
{
    const char *name = json_string_value(json_object_get(arguments, "from_generation"));

    int rc = name == NULL ? 0 : generation_open(plan->directory, name, &plan->origin, err);
    return rc == ERR_ABSENT ? err_set(err, ERR_INPUT, "there is no generation %s to copy", name) : rc;
}

/* Of the file that is named: DIR/control/uploads/NAME, or a path. */
static int read_schema_file(const struct rebuild_plan *plan, const char *file, struct buf *schema, struct err *err)
{
    const char *slash = strrchr(file, '/');
    const char *name = slash ? slash + 1 : file;
    char *folder =
        slash ? mem_text_of(span_of(file, (size_t)(slash - file))) : mem_format("%s/control/uploads", plan->directory);

    int rc = durable_read(folder, name, SCHEMA_BYTES_MAX, schema, err);
    if (rc == ERR_ABSENT)
        rc = err_set(err, ERR_INPUT, "%s/%s: there is no such schema", folder, name);
    free(folder);
    return rc;
}

static int read_schema(struct rebuild_plan *plan, const json_t *arguments, struct err *err)
{
    const char *file = json_string_value(json_object_get(arguments, "schema"));
    const struct generation *like = plan->origin ? plan->origin : plan->beside;
    int rc = 0;

    if (file != NULL)
        rc = read_schema_file(plan, file, &plan->schema, err);
    else
        buf_add_span(&plan->schema, buf_span(&like->schema));
    return rc == 0 ? load_views(plan, err) : rc;
}

/* --- lists -------------------------------------------------------------------------------------------------------- */

static void list_add(struct config_list *list, char *item)
{
    list->items = mem_resize(list->items, list->count + 1, sizeof(*list->items));
    list->items[list->count++] = item;
}

static void list_release(struct config_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
}

static int list_read(const json_t *arguments, const char *name, struct config_list *list, struct err *err)
{
    const json_t *items = json_object_get(arguments, name);
    for (size_t i = 0; i < json_array_size(items); i++) {
        const char *item = json_string_value(json_array_get(items, i));
        if (item == NULL)
            return err_set(err, ERR_INPUT, "%s is a list of texts", name);
        list_add(list, mem_text(item));
    }
    return 0;
}

/* The incumbent's topics as --topics would name them: those of streams that the schema has, or the one for all. */
static void list_topics(const struct rebuild_plan *plan, struct config_list *list)
{
    const struct generation_settings *former = &plan->beside->settings;

    if (former->topic_count == 1) {
        list_add(list, mem_text(former->topics[0]));
        return;
    }
    for (size_t i = 0; i < former->stream_count; i++)
        if (view_set_stream(plan->views, span_of_text(former->streams[i].stream)))
            list_add(list, mem_format("%s=%s", former->streams[i].stream, former->streams[i].topic));
}

static int read_topics(struct rebuild_plan *plan, const json_t *arguments, struct err *err)
{
    struct config_list list = {NULL, 0};

    int rc = list_read(arguments, "topics", &list, err);
    if (rc == 0 && list.count == 0)
        list_topics(plan, &list);
    if (rc == 0)
        rc = topic_map_read(&list, plan->views, &plan->settings, err);
    list_release(&list);
    return rc;
}

static void add_topic_type(struct generation_settings *settings, struct span topic, const char *type)
{
    settings->topic_types =
        mem_resize(settings->topic_types, settings->topic_type_count + 1, sizeof(*settings->topic_types));
    settings->topic_types[settings->topic_type_count++] = (struct name_value){mem_text_of(topic), mem_text(type)};
}

static int read_topic_types(struct rebuild_plan *plan, const json_t *arguments, struct err *err)
{
    const struct generation_settings *former = &plan->beside->settings;
    struct config_list list = {NULL, 0};

    int rc = list_read(arguments, "topic_types", &list, err);
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        const char *equals = strchr(list.items[i], '=');
        struct span topic = equals ? span_of(list.items[i], (size_t)(equals - list.items[i])) : span_of(NULL, 0);
        if (equals == NULL || generation_topic_number(&plan->settings, topic) < 0)
            rc =
                err_set(err, ERR_INPUT, "--topic-type %s: not TOPIC=FULL.NAME with a topic of --topics", list.items[i]);
        else
            add_topic_type(&plan->settings, topic, equals + 1);
    }
    for (size_t i = 0; rc == 0 && json_object_get(arguments, "topic_types") == NULL && i < former->topic_type_count;
         i++)
        if (generation_topic_number(&plan->settings, span_of_text(former->topic_types[i].name)) >= 0)
            add_topic_type(&plan->settings, span_of_text(former->topic_types[i].name), former->topic_types[i].value);
    list_release(&list);
    return rc;
}

static int read_type_headers(struct rebuild_plan *plan, const json_t *arguments, struct err *err)
{
    const struct generation_settings *former = &plan->beside->settings;
    struct config_list list = {NULL, 0};

    int rc = list_read(arguments, "type_headers", &list, err);
    for (size_t i = 0; list.count == 0 && i < former->type_header_count; i++)
        list_add(&list, mem_text(former->type_headers[i]));
    plan->settings.type_headers = list.items;
    plan->settings.type_header_count = list.count;
    return rc;
}

static int read_dedupe(struct rebuild_plan *plan, const json_t *arguments, struct err *err)
{
    const struct generation_settings *former = &plan->beside->settings;
    const json_t *window = json_object_get(arguments, "dedupe_window");
    struct config_list list = {NULL, 0};

    if (window != NULL &&
        (!json_is_integer(window) || json_integer_value(window) < 0 || json_integer_value(window) > DEDUPE_WINDOW_MAX))
        return err_set(err, ERR_INPUT, "--dedupe-window: 0 to %d records", DEDUPE_WINDOW_MAX);
    int rc = list_read(arguments, "id_headers", &list, err);
    for (size_t i = 0; list.count == 0 && i < former->id_header_count; i++)
        list_add(&list, mem_text(former->id_headers[i]));
    if (list.count == 0)
        list_add(&list, mem_text("id")); /* the served one takes no notice of ids */
    plan->settings.dedupe_window = window != NULL ? (uint64_t)json_integer_value(window) : former->dedupe_window;
    plan->settings.id_headers = list.items;
    plan->settings.id_header_count = list.count;
    return rc;
}

/* --- where it begins, and how it is read -------------------------------------------------------------------------- */

/* "beginning", "time:MS", {"topic/partition": offset, ...} -> the setting's text */
static int read_start(struct rebuild_plan *plan, const json_t *arguments, struct err *err)
{
    json_t *start = json_object_get(arguments, "start");
    struct buf text = BUF_INIT;
    const char *place;
    json_t *offset;
    int rc = 0;

    if (json_is_string(start) && strncmp(json_string_value(start), "time:", 5) == 0)
        buf_add_format(&text, "time %s", json_string_value(start) + 5);
    else if (json_is_string(start))
        buf_add_text(&text, json_string_value(start));
    else if (start == NULL)
        buf_add_literal(&text, "beginning");
    json_object_foreach(start, place, offset)
    {
        const char *slash = strrchr(place, '/');
        struct span topic = span_of(place, slash ? (size_t)(slash - place) : 0);
        if (!json_is_integer(offset) || generation_topic_number(&plan->settings, topic) < 0)
            rc = err_set(err, ERR_INPUT, "%s is not a partition of one of the generation's topics with an offset",
                         place);
        buf_add_format(&text, "%s%s@%" JSON_INTEGER_FORMAT, text.len ? "," : "offsets ", place,
                       json_integer_value(offset));
    }
    struct generation_start parsed;
    if (rc == 0)
        rc = generation_start_read(buf_text(&text), &parsed, err);
    if (rc == 0) {
        generation_start_release(&parsed);
        plan->settings.start = mem_text(buf_text(&text));
    }
    buf_release(&text);
    return rc;
}

static int read_numbers(struct rebuild_plan *plan, const json_t *arguments, struct err *err)
{
    json_int_t percent = json_integer_value(json_object_get(arguments, "sample_percent"));
    json_int_t rate = json_integer_value(json_object_get(arguments, "rate"));
    const char *framing = json_string_value(json_object_get(arguments, "framing"));

    if (percent < 0 || percent > 100)
        return err_set(err, ERR_INPUT, "a sample of %" JSON_INTEGER_FORMAT "%%: from 1 to 100", percent);
    if (rate < 0 || rate > RATE_MAX)
        return err_set(err, ERR_INPUT, "a rate of %" JSON_INTEGER_FORMAT " events/s", rate);
    if (framing != NULL && strcmp(framing, "none") != 0 && strcmp(framing, "confluent") != 0)
        return err_set(err, ERR_INPUT, "framing %s: none or confluent", framing);
    plan->settings.sample_percent = (unsigned)percent;
    plan->building.rate = rate;
    plan->settings.framing = framing == NULL                     ? plan->beside->settings.framing
                             : strcmp(framing, "confluent") == 0 ? FRAMING_CONFLUENT
                                                                 : FRAMING_NONE;
    plan->settings.max_view_bytes = plan->beside->settings.max_view_bytes;
    plan->settings.projection_version = PROJECTION_VERSION;
    return 0;
}

/* --- a copy ------------------------------------------------------------------------------------------------------- */

static int take_settings_of_origin(struct rebuild_plan *plan, const json_t *arguments, struct err *err)
{
    (void)arguments;
    if (plan->origin == NULL)
        return 0;
    if (!span_equal(buf_span(&plan->schema), buf_span(&plan->origin->schema)))
        return err_set(err, ERR_INPUT,
                       "%s has another schema: what it holds can only be copied for the same one; without "
                       "--from-generation it is read from Kafka",
                       plan->origin->name);
    plan->building.syncs = true;
    return copy_settings(plan, plan->origin, err);
}
