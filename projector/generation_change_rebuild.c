/* A generation is prepared in the hidden folder, before the rename that makes it one: the id of the request, `building`,
 * and what it takes over - the erasure marks of the generation that is served, or the whole store that it is copied
 * from. So one that is seen has them, whatever crashed. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "projector/generation_change.h"
#include "projector/topic_map.h"
#include "schema/base/mem.h"
#include "schema/store/building.h"
#include "schema/store/durable.h"
#include "schema/store/generation_start.h"
#include "schema/store/layout.h"
#include "schema/store/store_copy.h"
#include "schema/store/unsynced.h"
#include "schema/view/plan.h"

enum { SCHEMA_BYTES_MAX = 64 << 20, RATE_MAX = 1000 * 1000 * 1000 };

/* One generation in the making. */
struct rebuild {
    const struct changer *changer;
    const char *request;
    struct generation *beside; /* the incumbent */
    struct generation *origin; /* --from-generation: the one to copy; NULL: none */
    struct buf schema;
    struct view_set *views;
    struct generation_settings settings;
    struct building building;
    struct store *own; /* of the generation that something is taken over from, when it was opened for that */
};

static void release(struct rebuild *rebuild)
{
    store_close(&rebuild->own);
    generation_settings_release(&rebuild->settings);
    view_set_free(&rebuild->views);
    buf_release(&rebuild->schema);
    generation_close(&rebuild->origin);
    generation_close(&rebuild->beside);
}

/* --- the same request again --- */

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

/* --- what is asked for --- */

/* DIR/control/uploads/NAME, or a path. */
static int read_schema(const struct changer *changer, const json_t *arguments, struct buf *schema, struct err *err)
{
    const char *file = json_string_value(json_object_get(arguments, "schema"));
    char *folder = mem_format("%s/control/uploads", changer->directory);
    char *path = file ? mem_text(file) : NULL;
    const char *name = path;

    if (path != NULL && strrchr(path, '/') != NULL) {
        free(folder);
        folder = mem_text_of(span_of(path, (size_t)(strrchr(path, '/') - path)));
        name = strrchr(path, '/') + 1;
    }
    int rc = name == NULL ? ERR_ABSENT : durable_read(folder, name, SCHEMA_BYTES_MAX, schema, err);
    if (rc == ERR_ABSENT && name != NULL)
        rc = err_set(err, ERR_INPUT, "%s/%s: there is no such schema", folder, name);
    free(path);
    free(folder);
    return rc;
}

static int load_views(struct span schema, struct view_set **ret_views, struct err *err)
{
    struct mistakes mistakes = {NULL, 0, 0};

    int rc = view_set_load(schema, ret_views, &mistakes, err);
    mistakes_release(&mistakes);
    return rc < 0 ? err_prefix(err, "the schema") : 0;
}

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
static void list_topics(const struct rebuild *rebuild, struct config_list *list)
{
    const struct generation_settings *former = &rebuild->beside->settings;

    if (former->topic_count == 1) {
        list_add(list, mem_text(former->topics[0]));
        return;
    }
    for (size_t i = 0; i < former->stream_count; i++)
        if (view_set_stream(rebuild->views, span_of_text(former->streams[i].stream)))
            list_add(list, mem_format("%s=%s", former->streams[i].stream, former->streams[i].topic));
}

static int read_topics(struct rebuild *rebuild, const json_t *arguments, struct err *err)
{
    struct config_list list = {NULL, 0};

    int rc = list_read(arguments, "topics", &list, err);
    if (rc == 0 && list.count == 0)
        list_topics(rebuild, &list);
    if (rc == 0)
        rc = topic_map_read(&list, rebuild->views, &rebuild->settings, err);
    list_release(&list);
    return rc;
}

static void add_topic_type(struct generation_settings *settings, struct span topic, const char *type)
{
    settings->topic_types =
        mem_resize(settings->topic_types, settings->topic_type_count + 1, sizeof(*settings->topic_types));
    settings->topic_types[settings->topic_type_count++] = (struct name_value){mem_text_of(topic), mem_text(type)};
}

static int read_topic_types(struct rebuild *rebuild, const json_t *arguments, struct err *err)
{
    const struct generation_settings *former = &rebuild->beside->settings;
    struct config_list list = {NULL, 0};

    int rc = list_read(arguments, "topic_types", &list, err);
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        const char *equals = strchr(list.items[i], '=');
        struct span topic = equals ? span_of(list.items[i], (size_t)(equals - list.items[i])) : span_of(NULL, 0);
        if (equals == NULL || generation_topic_number(&rebuild->settings, topic) < 0)
            rc = err_set(err, ERR_INPUT, "--topic-type %s: not TOPIC=FULL.NAME with a topic of --topics", list.items[i]);
        else
            add_topic_type(&rebuild->settings, topic, equals + 1);
    }
    for (size_t i = 0; rc == 0 && json_object_get(arguments, "topic_types") == NULL && i < former->topic_type_count; i++)
        if (generation_topic_number(&rebuild->settings, span_of_text(former->topic_types[i].name)) >= 0)
            add_topic_type(&rebuild->settings, span_of_text(former->topic_types[i].name),
                           former->topic_types[i].value);
    list_release(&list);
    return rc;
}

static int read_type_headers(struct rebuild *rebuild, const json_t *arguments, struct err *err)
{
    const struct generation_settings *former = &rebuild->beside->settings;
    struct config_list list = {NULL, 0};

    int rc = list_read(arguments, "type_headers", &list, err);
    for (size_t i = 0; list.count == 0 && i < former->type_header_count; i++)
        list_add(&list, mem_text(former->type_headers[i]));
    rebuild->settings.type_headers = list.items;
    rebuild->settings.type_header_count = list.count;
    return rc;
}

/* "beginning", "time:MS", {"topic/partition": offset, ...} -> the setting's text */
static int read_start(struct rebuild *rebuild, const json_t *arguments, struct err *err)
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
        if (!json_is_integer(offset) || generation_topic_number(&rebuild->settings, topic) < 0)
            rc = err_set(err, ERR_INPUT, "%s is not a partition of one of the generation's topics with an offset", place);
        buf_add_format(&text, "%s%s@%" JSON_INTEGER_FORMAT, text.len ? "," : "offsets ", place,
                       json_integer_value(offset));
    }
    struct generation_start parsed;
    if (rc == 0)
        rc = generation_start_read(buf_text(&text), &parsed, err);
    if (rc == 0) {
        generation_start_release(&parsed);
        rebuild->settings.start = mem_text(buf_text(&text));
    }
    buf_release(&text);
    return rc;
}

static int read_numbers(struct rebuild *rebuild, const json_t *arguments, struct err *err)
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
    rebuild->settings.sample_percent = (unsigned)percent;
    rebuild->building.rate = rate;
    rebuild->settings.framing = framing == NULL ? rebuild->beside->settings.framing
                                : strcmp(framing, "confluent") == 0 ? FRAMING_CONFLUENT
                                                                    : FRAMING_NONE;
    rebuild->settings.max_view_bytes = rebuild->beside->settings.max_view_bytes;
    rebuild->settings.projection_version = PROJECTION_VERSION;
    return 0;
}

/* A copy is what it is copied from: schema, settings and positions. */
static int read_origin(struct rebuild *rebuild, const json_t *arguments, struct err *err)
{
    const char *name = json_string_value(json_object_get(arguments, "from_generation"));
    struct buf text = BUF_INIT;

    if (name == NULL)
        return 0;
    int rc = generation_open(rebuild->changer->directory, name, &rebuild->origin, err);
    if (rc == ERR_ABSENT)
        return err_set(err, ERR_INPUT, "there is no generation %s to copy", name);
    if (rc < 0)
        return rc;
    if (!span_equal(buf_span(&rebuild->schema), buf_span(&rebuild->origin->schema)))
        return err_set(err, ERR_INPUT,
                       "%s has another schema: what it holds can only be copied for the same one; without "
                       "--from-generation it is read from Kafka",
                       name);
    generation_settings_write(&rebuild->origin->settings, &text);
    generation_settings_release(&rebuild->settings);
    rc = generation_settings_read(buf_span(&text), &rebuild->settings, err);
    buf_release(&text);
    rebuild->building.syncs = true;
    return rc;
}

static int read_arguments(struct rebuild *rebuild, const json_t *arguments, struct err *err)
{
    const char *origin = json_string_value(json_object_get(arguments, "from_generation"));
    struct serving serving;

    int rc = serving_read(rebuild->changer->directory, &serving, err);
    if (rc == ERR_ABSENT)
        return err_set(err, ERR_ABSENT, "nothing is served yet: `tarn-projector run` makes the first generation");
    if (rc == 0)
        rc = generation_open(rebuild->changer->directory, serving_incumbent(&serving), &rebuild->beside, err);
    if (rc < 0)
        return rc;
    snprintf(rebuild->building.beside, sizeof(rebuild->building.beside), "%s", rebuild->beside->name);
    rc = read_schema(rebuild->changer, arguments, &rebuild->schema, err);
    if (rc == ERR_ABSENT && origin != NULL) {
        struct generation *copied = NULL;
        rc = generation_open(rebuild->changer->directory, origin, &copied, err);
        if (rc == 0)
            buf_add_span(&rebuild->schema, buf_span(&copied->schema));
        generation_close(&copied);
        if (rc == ERR_ABSENT)
            rc = err_set(err, ERR_INPUT, "there is no generation %s to copy", origin);
    } else if (rc == ERR_ABSENT) {
        buf_add_span(&rebuild->schema, buf_span(&rebuild->beside->schema));
        rc = 0;
    }
    if (rc == 0)
        rc = load_views(buf_span(&rebuild->schema), &rebuild->views, err);
    if (rc == 0)
        rc = read_topics(rebuild, arguments, err);
    if (rc == 0)
        rc = read_type_headers(rebuild, arguments, err);
    if (rc == 0)
        rc = read_topic_types(rebuild, arguments, err);
    if (rc == 0)
        rc = read_start(rebuild, arguments, err);
    if (rc == 0)
        rc = read_numbers(rebuild, arguments, err);
    if (rc == 0)
        rc = read_origin(rebuild, arguments, err);
    return rc;
}

/* --- what is taken over --- */

/* The store of a generation that stays as it is: this process's own, or opened for as long as the change takes. */
static int borrow_store(struct rebuild *rebuild, const struct generation *generation, struct store **ret_store,
                        struct err *err)
{
    const struct changer *changer = rebuild->changer;
    struct store_options options = {.access = STORE_READ_ONLY};
    struct store *store = changer->open_store ? changer->open_store(changer->self, generation->name) : NULL;
    int rc = 0;

    if (store == NULL) {
        store_close(&rebuild->own);
        rc = store_open(generation->folder, &options, &rebuild->own, err);
        store = rebuild->own;
    }
    if (rc == 0)
        *ret_store = store;
    return rc;
}

/* The view of the new set that a former one's marks hold for: the same name, and keys of the same kinds. */
static const struct view *find_heir(const struct view_set *views, const struct view *former)
{
    const struct view *heir = view_set_find(views, span_of_text(former->name));

    if (heir == NULL || heir->key_count != former->key_count)
        return NULL;
    for (size_t i = 0; i < heir->key_count; i++)
        if (heir->keys[i]->kind != former->keys[i]->kind)
            return NULL;
    return heir;
}

static int copy_marks(struct store_reader *reader, struct store_writer *writer, const struct view_set *former,
                      const struct view_set *views, struct err *err)
{
    const struct span all = {NULL, 0};
    struct store_cursor *cursor = NULL;
    struct buf heirs_key = BUF_INIT;
    struct span key, value, view_key;
    uint64_t owner_hash;
    uint16_t number;

    int rc = store_cursor_open(reader, TABLE_MARKS, all, all, &cursor, err);
    while (rc == 0 && (rc = store_cursor_next(cursor, &key, &value, err)) == 0) {
        rc = layout_parse_view_key(key, &owner_hash, &number, &view_key, err);
        const struct view *heir =
            rc == 0 && number < former->view_count ? find_heir(views, &former->views[number]) : NULL;
        if (heir == NULL)
            continue;
        buf_clear(&heirs_key);
        layout_view_key(owner_hash, heir->number, view_key, &heirs_key);
        rc = store_put(writer, TABLE_MARKS, buf_span(&heirs_key), value, err);
    }
    store_cursor_close(&cursor);
    buf_release(&heirs_key);
    return rc == ERR_ABSENT ? 0 : rc;
}

/* Erased is erased: a generation made later must not bring back those whose erasure Kafka no longer tells. */
static int take_over_marks(struct rebuild *rebuild, const char *folder, struct err *err)
{
    struct store_options options = {.access = STORE_READ_WRITE};
    struct view_set *former = NULL;
    struct store *from = NULL, *to = NULL;
    struct store_reader *reader = NULL;
    struct store_writer *writer = NULL;

    int rc = borrow_store(rebuild, rebuild->beside, &from, err);
    if (rc == ERR_ABSENT)
        return 0; /* it holds nothing yet */
    if (rc == 0)
        rc = load_views(buf_span(&rebuild->beside->schema), &former, err);
    if (rc == 0)
        rc = store_reader_open(from, &reader, err);
    if (rc == 0)
        rc = store_read_begin(reader, err);
    if (rc == 0)
        rc = store_open(folder, &options, &to, err);
    if (rc == 0)
        rc = store_write_begin(to, &writer, err);
    if (rc == 0)
        rc = copy_marks(reader, writer, former, rebuild->views, err);
    if (rc == 0)
        rc = store_commit(&writer, err);
    store_abort(&writer);
    store_close(&to);
    store_reader_close(&reader);
    view_set_free(&former);
    return rc;
}

static int copy_origin(struct rebuild *rebuild, const char *folder, struct err *err)
{
    struct store *from = NULL;

    int rc = borrow_store(rebuild, rebuild->origin, &from, err);
    return rc == 0 ? store_copy(from, folder, err) : rc;
}

static int prepare(void *self, const char *folder, struct err *err)
{
    struct rebuild *rebuild = self;

    int rc = made_by_write(folder, rebuild->request, err);
    if (rc == 0)
        rc = building_write(folder, &rebuild->building, err);
    if (rc == 0)
        rc = rebuild->origin ? copy_origin(rebuild, folder, err) : take_over_marks(rebuild, folder, err);
    return rc;
}

/* --- the changes --- */

static int make(struct rebuild *rebuild, char ret_name[GENERATION_NAME_MAX], struct err *err)
{
    const struct generation_preparation preparation = {prepare, rebuild};
    struct generation *made = NULL;

    int rc = generation_make_prepared(rebuild->changer->directory, buf_span(&rebuild->schema), &rebuild->settings,
                                      &preparation, &made, err);
    if (rc == 0)
        memcpy(ret_name, made->name, GENERATION_NAME_MAX);
    generation_close(&made);
    return rc;
}

int change_rebuild(const struct changer *changer, const json_t *arguments, json_t **ret_outcome, struct err *err)
{
    struct rebuild rebuild = {.changer = changer,
                              .request = json_string_value(json_object_get(arguments, "request")),
                              .schema = BUF_INIT};
    char name[GENERATION_NAME_MAX];

    if (rebuild.request == NULL || rebuild.request[0] == '\0' || strlen(rebuild.request) >= MADE_BY_SIZE)
        return err_set(err, ERR_INPUT, "a rebuild needs an id of its request, of less than %d bytes", MADE_BY_SIZE);
    int rc = find_made(changer->directory, rebuild.request, NULL, name, err);
    if (rc == ERR_ABSENT) {
        rc = read_arguments(&rebuild, arguments, err);
        if (rc == 0)
            rc = make(&rebuild, name, err);
        release(&rebuild);
    }
    if (rc == 0)
        *ret_outcome = json_pack("{s:s}", "generation", name);
    return rc;
}

/* One that a reboot has left half synced, made again of its own schema and settings. */
static int make_again(const struct changer *changer, const char *name, char ret_name[GENERATION_NAME_MAX],
                      struct err *err)
{
    struct rebuild rebuild = {.changer = changer, .schema = BUF_INIT};
    struct generation *lost = NULL;
    struct serving serving;
    struct buf text = BUF_INIT;
    char made_by[MADE_BY_SIZE] = "";

    int rc = generation_open(changer->directory, name, &lost, err);
    if (rc == 0) {
        made_by_read(lost->folder, made_by);
        rebuild.request = made_by;
        buf_add_span(&rebuild.schema, buf_span(&lost->schema));
        generation_settings_write(&lost->settings, &text);
        rc = building_read(lost->folder, &rebuild.building, err);
    }
    if (rc == ERR_ABSENT)
        rc = 0;
    if (rc == 0)
        rc = generation_settings_read(buf_span(&text), &rebuild.settings, err);
    if (rc == 0)
        rc = load_views(buf_span(&rebuild.schema), &rebuild.views, err);
    if (rc == 0)
        rc = serving_read(changer->directory, &serving, err);
    if (rc == 0)
        rc = generation_open(changer->directory, serving_incumbent(&serving), &rebuild.beside, err);
    if (rc == 0)
        rc = make(&rebuild, ret_name, err);
    release(&rebuild);
    generation_close(&lost);
    buf_release(&text);
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
