/* `rebuild`: asks for a generation beside the served one, and with --wait looks on while it is filled. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ops/runtime/log.h"
#include "projector/carry_out.h"
#include "projector/command.h"
#include "projector/generation_change.h"
#include "projector/log_beginnings.h"
#include "projector/read_input.h"
#include "projector/rebuild_request.h"
#include "projector/rebuild_watch.h"
#include "schema/base/mem.h"
#include "schema/store/durable.h"

enum {
    SCHEMA_BYTES_MAX = 64 << 20,
    ASK_KAFKA_MS = 10 * 1000,
    LOST_SHOWN_MAX = 5,
    BROKERS_BYTES_MAX = 64 * 1024,
};

struct rebuild_settings {
    struct command_common common;
    const char *store;
    const char *schema;
    struct config_list topics;
    struct config_list type_headers;
    const char *dedupe_window;
    struct config_list id_headers;
    struct config_list topic_types;
    const char *framing;
    const char *from;
    int64_t rate;
    const char *sample;
    const char *from_generation;
    bool is_forced;
    const char *brokers;
    struct config_list kafka;
    bool waits;
    bool is_json;
    int64_t wait_ms;
};

static const char *const framings[] = {"none", "confluent", NULL};

static const struct config_option options[] = {
    COMMAND_COMMON_OPTIONS(struct rebuild_settings),
    COMMAND_STORE_OPTION(struct rebuild_settings),
    {.name = "schema",
     .kind = CONFIG_TEXT,
     .offset = offsetof(struct rebuild_settings, schema),
     .placeholder = "FILE",
     .help = "Another descriptor set. Without it: that of the served generation."},
    {.name = "topics",
     .kind = CONFIG_LIST,
     .offset = offsetof(struct rebuild_settings, topics),
     .placeholder = "TOPIC|STREAM=TOPIC,...",
     .help = "Other topics than those of the served generation."},
    {.name = "type-header",
     .kind = CONFIG_LIST,
     .offset = offsetof(struct rebuild_settings, type_headers),
     .placeholder = "NAME",
     .help = "Other record headers that hold an event's type."},
    {.name = "dedupe-window",
     .kind = CONFIG_TEXT,
     .offset = offsetof(struct rebuild_settings, dedupe_window),
     .placeholder = "RECORDS",
     .help = "Another window in which a record whose id was there before is skipped; 0: none is."},
    {.name = "id-header",
     .kind = CONFIG_LIST,
     .offset = offsetof(struct rebuild_settings, id_headers),
     .placeholder = "NAME",
     .help = "Other record headers that hold an event's id."},
    {.name = "topic-type",
     .kind = CONFIG_PAIRS,
     .offset = offsetof(struct rebuild_settings, topic_types),
     .placeholder = "TOPIC=FULL.NAME",
     .help = "Other types of topics whose records have no such header."},
    {.name = "framing",
     .kind = CONFIG_CHOICE,
     .offset = offsetof(struct rebuild_settings, framing),
     .placeholder = "FRAMING",
     .choices = framings,
     .help = "Another framing of the values."},
    {.name = "from",
     .kind = CONFIG_TEXT,
     .offset = offsetof(struct rebuild_settings, from),
     .placeholder = "beginning|TIME|TOPIC/P@O,...",
     .fallback = "beginning",
     .help = "Where reading begins: at the beginning, with the first records of a time (2026-11-22, "
             "2026-11-22T09:00:00Z), or at an offset of each partition; those not named begin at their beginning. "
             "Whatever begins later is partial, and promoted only with --force."},
    {.name = "rate",
     .kind = CONFIG_INTEGER,
     .offset = offsetof(struct rebuild_settings, rate),
     .placeholder = "EVENTS/S",
     .fallback = "0",
     .min = 0,
     .max = 1000 * 1000 * 1000,
     .help = "At most so many events a second; 0: as fast as the served generation bears."},
    {.name = "sample",
     .kind = CONFIG_TEXT,
     .offset = offsetof(struct rebuild_settings, sample),
     .placeholder = "PERCENT",
     .help = "Only this part of the people, chosen by a hash, to try a schema in seconds: 1%. Never promoted."},
    {.name = "from-generation",
     .kind = CONFIG_TEXT,
     .offset = offsetof(struct rebuild_settings, from_generation),
     .placeholder = "G",
     .help = "Copies a generation of the same schema and goes on from its positions, instead of reading Kafka from the "
             "beginning; also the way to a smaller file."},
    {.name = "force",
     .kind = CONFIG_FLAG,
     .offset = offsetof(struct rebuild_settings, is_forced),
     .help = "Builds from what Kafka still has when the beginning is gone. The generation is partial."},
    {.name = "brokers",
     .kind = CONFIG_TEXT,
     .offset = offsetof(struct rebuild_settings, brokers),
     .placeholder = "HOST:PORT,...",
     .help = "Where to ask whether Kafka still has the beginning. Without it: those of the last `run`."},
    {.name = "kafka",
     .kind = CONFIG_PAIRS,
     .offset = offsetof(struct rebuild_settings, kafka),
     .placeholder = "NAME=VALUE",
     .is_secret = true,
     .help = "A setting of librdkafka for asking that: SASL, TLS, timeouts. May be given more than once."},
    {.name = "wait",
     .kind = CONFIG_FLAG,
     .offset = offsetof(struct rebuild_settings, waits),
     .help = "Stays until it has caught up, and shows rate, events, time left and positions: a bar on a terminal, lines "
             "elsewhere. Ended early, it leaves the work to the projector; the same command looks on again."},
    {.name = "json",
     .kind = CONFIG_FLAG,
     .offset = offsetof(struct rebuild_settings, is_json),
     .help = "Prints the answer as JSON; with --wait a line for each look, too."},
    {.name = "answer-within",
     .kind = CONFIG_TIME_MS,
     .offset = offsetof(struct rebuild_settings, wait_ms),
     .placeholder = "TIME",
     .fallback = "5m",
     .min = 100,
     .max = 24 * 3600 * 1000,
     .help = "How long a running projector may take to begin; with --from-generation, to copy."},
};

/* --- what Kafka still has --- */

/* The topics that will be read, as far as the command can tell: --topics, else the served generation's. */
static void list_topics(const struct rebuild_settings *settings, const struct generation *served, char ***ret_topics,
                        size_t *ret_count)
{
    size_t most = settings->topics.count + served->settings.topic_count;
    char **topics = mem_zero(most, sizeof(*topics));
    size_t count = 0;

    for (size_t i = 0; i < most; i++) {
        bool is_given = i < settings->topics.count;
        if (!is_given && settings->topics.count > 0)
            break;
        const char *item = is_given ? settings->topics.items[i] : served->settings.topics[i];
        const char *equals = is_given ? strchr(item, '=') : NULL;
        const char *topic = equals != NULL ? equals + 1 : item;
        size_t at = 0;
        while (at < count && strcmp(topics[at], topic) != 0)
            at++;
        if (at == count)
            topics[count++] = mem_text(topic);
    }
    *ret_topics = topics;
    *ret_count = count;
}

static int lost_begins(const struct rebuild_settings *settings, const struct generation *served, char *const *topics,
                       const struct log_beginnings *beginnings, json_t *start, struct err *err)
{
    struct buf lost = BUF_INIT;
    size_t count = 0;

    for (size_t i = 0; i < beginnings->count; i++) {
        const struct log_beginning *begin = &beginnings->items[i];
        char *place = mem_format("%s/%" PRId32, topics[begin->topic], begin->partition);
        const json_t *wanted = json_object_get(start, place);
        int64_t first = json_is_integer(wanted) ? json_integer_value(wanted) : 0;
        if (begin->earliest > first) {
            if (count++ < LOST_SHOWN_MAX)
                buf_add_format(&lost, "%s%s begins at %" PRId64 ", so %" PRId64 " to %" PRId64 " would be missing",
                               count > 1 ? "; " : "", place, begin->earliest, first, begin->earliest - 1);
            json_object_set_new(start, place, json_integer(begin->earliest));
        }
        free(place);
    }
    if (count > LOST_SHOWN_MAX)
        buf_add_format(&lost, "; and %zu more partitions", count - LOST_SHOWN_MAX);
    int rc = 0;
    if (count > 0 && settings->is_forced)
        log_warn("Kafka no longer has all of it: %s. The generation will be partial", buf_text(&lost));
    else if (count > 0)
        rc = err_set(err, ERR_INPUT,
                     "Kafka no longer has all of it: %s. `rebuild --from-generation %s` copies what is there and goes on "
                     "from its positions (same schema); --force builds from what Kafka has, as a partial generation",
                     buf_text(&lost), served->name);
    buf_release(&lost);
    return rc;
}

/* Where the projector that ran last found Kafka; NULL: nobody has said. The caller frees. */
static char *find_brokers(const struct rebuild_settings *settings)
{
    char *control = mem_format("%s/control", settings->store);
    struct buf text = BUF_INIT;
    struct err ignored;
    char *brokers = settings->brokers != NULL ? mem_text(settings->brokers) : NULL;

    if (brokers == NULL && durable_read(control, "brokers", BROKERS_BYTES_MAX, &text, &ignored) == 0)
        brokers = mem_text_of(span_of(text.at, strcspn(buf_text(&text), "\n")));
    buf_release(&text);
    free(control);
    return brokers;
}

/* Before anything is begun. *start: the request's; where the beginning is gone and --force is given, it becomes what is
 * left, so that the generation says of itself that it is partial. */
static int check_beginnings(const struct rebuild_settings *settings, const struct generation *served, json_t **start,
                            struct err *err)
{
    struct log_beginnings beginnings = {NULL, 0};
    char **topics = NULL;
    size_t count = 0;
    char *brokers = find_brokers(settings);
    const struct kafka_settings kafka = {brokers, "tarn-rebuild", &settings->kafka, (uint64_t)64 << 20};

    if (settings->from_generation != NULL || strncmp(json_string_value(*start) ? json_string_value(*start) : "",
                                                     "time:", 5) == 0) {
        free(brokers);
        return 0; /* nothing is read from the beginning */
    }
    list_topics(settings, served, &topics, &count);
    int rc = brokers != NULL ? log_beginnings_ask(&kafka, topics, count, ASK_KAFKA_MS, &beginnings, err)
                             : err_set(err, ERR_AGAIN, "--brokers isn't given");
    if (rc == ERR_AGAIN) {
        log_warn("whether Kafka still has the beginning isn't known: %s", err->text);
        rc = 0;
    } else if (rc == 0) {
        json_t *offsets = json_is_object(*start) ? json_incref(*start) : json_object();
        size_t named = json_object_size(offsets);
        rc = lost_begins(settings, served, topics, &beginnings, offsets, err);
        if (rc == 0 && (json_is_object(*start) || json_object_size(offsets) > named)) {
            json_decref(*start);
            *start = json_incref(offsets);
        }
        json_decref(offsets);
    }
    durable_free_names(topics, count);
    log_beginnings_release(&beginnings);
    free(brokers);
    return rc;
}

/* --- the request --- */

static void set_list(json_t *request, const char *name, const struct config_list *items)
{
    json_t *list = json_array();

    for (size_t i = 0; i < items->count; i++)
        json_array_append_new(list, json_string(items->items[i]));
    if (items->count > 0)
        json_object_set(request, name, list);
    json_decref(list);
}

/* Everything but schema and request, which are named by their contents. */
static int write_request(const struct rebuild_settings *settings, const struct generation *served, json_t *request,
                         struct err *err)
{
    json_t *start = NULL;
    int64_t percent = 0, window = 0;

    int rc = rebuild_parse_from(settings->from, &start, err);
    if (rc == 0 && settings->dedupe_window != NULL)
        rc = rebuild_parse_window(settings->dedupe_window, &window, err);
    if (rc == 0 && settings->sample != NULL)
        rc = rebuild_parse_sample(settings->sample, &percent, err);
    if (rc == 0)
        rc = check_beginnings(settings, served, &start, err);
    if (rc == 0) {
        json_object_set(request, "start", start);
        json_object_set_new(request, "beside", json_string(served->name)); /* another one, another rebuild */
        set_list(request, "topics", &settings->topics);
        set_list(request, "type_headers", &settings->type_headers);
        set_list(request, "id_headers", &settings->id_headers);
        if (settings->dedupe_window != NULL)
            json_object_set_new(request, "dedupe_window", json_integer(window));
        set_list(request, "topic_types", &settings->topic_types);
        if (settings->framing != NULL)
            json_object_set_new(request, "framing", json_string(settings->framing));
        if (settings->rate > 0)
            json_object_set_new(request, "rate", json_integer(settings->rate));
        if (percent > 0)
            json_object_set_new(request, "sample_percent", json_integer(percent));
        if (settings->from_generation != NULL)
            json_object_set_new(request, "from_generation", json_string(settings->from_generation));
    }
    json_decref(start);
    return rc;
}

static int submit(const struct rebuild_settings *settings, json_t *request, struct span schema,
                  char ret_name[GENERATION_NAME_MAX], struct err *err)
{
    json_t *outcome = NULL;
    char *id = NULL;

    int rc = rebuild_request_id(settings->store, request, schema, &id, err);
    if (rc == 0 && schema.len > 0) {
        rc = rebuild_upload(settings->store, id, schema, err);
        char *file = mem_format("%s.binpb", id);
        json_object_set_new(request, "schema", json_string(file));
        free(file);
    }
    if (rc == 0) {
        json_object_set_new(request, "request", json_string(id));
        rc = carry_out_change(settings->store, "tarn-projector rebuild", REQUEST_REBUILD, settings->wait_ms, request,
                              &outcome, err);
        if (rc != ERR_BROKEN && schema.len > 0)
            rebuild_forget_upload(settings->store, id);
    }
    const char *name = json_string_value(json_object_get(outcome, "generation"));
    if (rc == 0 && (name == NULL || !generation_is_name(name)))
        rc = err_set(err, ERR_BROKEN, "the projector's answer isn't understood");
    if (rc == 0)
        snprintf(ret_name, GENERATION_NAME_MAX, "%s", name);
    json_decref(outcome);
    free(id);
    return rc;
}

static int open_served(const char *directory, struct generation **ret_served, struct err *err)
{
    struct serving serving;

    int rc = store_directory_check(directory, err);
    if (rc == ERR_ABSENT)
        return err_set(err, ERR_ABSENT, "%s is not a store, or an empty one", directory);
    if (rc == 0)
        rc = serving_read(directory, &serving, err);
    if (rc == ERR_ABSENT)
        return err_set(err, ERR_ABSENT, "%s holds no generation yet: `tarn-projector run` makes the first one",
                       directory);
    return rc < 0 ? rc : generation_open(directory, serving_incumbent(&serving), ret_served, err);
}

static int run(void *settings_at, const struct config_list *arguments, struct err *err)
{
    const struct rebuild_settings *settings = settings_at;
    struct generation *served = NULL;
    struct buf schema = BUF_INIT;
    json_t *request = json_object();
    char name[GENERATION_NAME_MAX];

    int rc = arguments->count == 0 ? 0 : err_set(err, ERR_INPUT, "rebuild takes no arguments but its flags");
    if (rc == 0)
        rc = open_served(settings->store, &served, err);
    if (rc == 0 && settings->schema != NULL)
        rc = read_input(settings->schema, SCHEMA_BYTES_MAX, &schema, err);
    if (rc == 0)
        rc = write_request(settings, served, request, err);
    if (rc == 0)
        rc = submit(settings, request, buf_span(&schema), name, err);
    if (rc == 0) {
        printf(settings->is_json ? "{\"generation\":\"%s\"}\n" : "generation %s\n", name);
        fflush(stdout);
    }
    if (rc == 0 && settings->waits)
        rc = rebuild_watch(settings->store, name, settings->is_json, err);
    json_decref(request);
    buf_release(&schema);
    generation_close(&served);
    return rc < 0 ? command_exit_of(err) : EXIT_DONE;
}

const struct command command_rebuild = {
    .config = {.program = "tarn-projector",
               .name = "rebuild",
               .summary = "makes a generation beside the served one",
               .help = "Prints the new generation's name. The projector that runs fills it from Kafka, slower than the "
                       "served one would notice, and keeps it up to date from then on; nobody reads it until `promote`. "
                       "Run again with the same flags while it is under construction, it is the same generation. What "
                       "isn't given is as in the served one.\n\n"
                       "  tarn-projector rebuild --store /var/lib/tarn --schema screens.binpb --wait\n"
                       "  tarn-projector rebuild --store /var/lib/tarn --schema screens.binpb --sample 1% --wait\n"
                       "  tarn-projector rebuild --store /var/lib/tarn --from 2026-01-01 --rate 20000\n\n"
                       "When Kafka no longer has the beginning, it says what would be missing and begins nothing.",
               .options = options,
               .option_count = ARRAY_COUNT(options)},
    .settings_size = sizeof(struct rebuild_settings),
    .run = run,
};
