/* What depends on the topic alone is worked out beforehand: the default type, the handlers of a null value, merged over
 * all events of the topic's streams so that they apply as one, and the views that its streams feed. */
#include "projector/intake.h"

#include <stdlib.h>

#include "projector/producer_hint.h"
#include "schema/base/arena.h"
#include "schema/base/mem.h"

struct topic_plan {
    struct span type;            /* of records without a type header; empty: none */
    struct event_plan tombstone; /* handlers of a null value; handler_count 0: none */
    const struct view **views;
    size_t view_count;
};

struct intake {
    const struct view_set *views;
    const struct generation_settings *settings;
    uint16_t *topic_of_stream; /* by stream number */
    struct topic_plan *topics;
    size_t topic_count;
    struct arena arena;
};

static int find_topics(struct intake *intake, struct err *err);
static int find_types(struct intake *intake, struct err *err);
static void plan_topic(struct intake *intake, uint16_t topic);
static void find_header(const struct record_source *source, const struct record *record, char *const *names,
                        size_t count, struct span *value);
static void say_no_type(const struct generation_settings *settings, struct err *err);
static bool remove_framing(struct span *bytes);

int intake_new(const struct view_set *views, const struct generation_settings *settings, struct intake **ret_intake,
               struct err *err)
{
    struct intake *intake = mem_zero(1, sizeof(*intake));

    intake->views = views;
    intake->settings = settings;
    intake->topic_of_stream = arena_zero(&intake->arena, views->stream_count * sizeof(*intake->topic_of_stream));
    intake->topics = arena_zero(&intake->arena, settings->topic_count * sizeof(*intake->topics));
    intake->topic_count = settings->topic_count;

    int rc = find_topics(intake, err);
    if (rc == 0)
        rc = find_types(intake, err);
    if (rc < 0) {
        intake_free(&intake);
        return rc;
    }
    for (size_t topic = 0; topic < settings->topic_count; topic++)
        plan_topic(intake, (uint16_t)topic);
    *ret_intake = intake;
    return 0;
}

void intake_free(struct intake **intake)
{
    if (*intake == NULL)
        return;
    struct arena arena = (*intake)->arena;
    arena_release(&arena);
    free(*intake);
    *intake = NULL;
}

static int find_topics(struct intake *intake, struct err *err)
{
    const struct generation_settings *settings = intake->settings;

    for (size_t i = 0; i < settings->stream_count; i++)
        if (view_set_stream(intake->views, span_of_text(settings->streams[i].stream)) == NULL)
            return err_set(err, ERR_INPUT, "topic %s brings stream %s, which the schema doesn't have",
                           settings->streams[i].topic, settings->streams[i].stream);
    for (size_t i = 0; i < intake->views->stream_count; i++) {
        const struct stream *stream = &intake->views->streams[i];
        int topic = -1;
        for (size_t k = 0; k < settings->stream_count && topic < 0; k++)
            if (strcmp(settings->streams[k].stream, stream->name) == 0)
                topic = generation_topic_number(settings, span_of_text(settings->streams[k].topic));
        if (topic < 0)
            return err_set(err, ERR_INPUT, "stream %s has no topic: name it with --topics %s=TOPIC", stream->name,
                           stream->name);
        intake->topic_of_stream[stream->number] = (uint16_t)topic;
    }
    return 0;
}

static int find_types(struct intake *intake, struct err *err)
{
    const struct generation_settings *settings = intake->settings;

    for (size_t i = 0; i < settings->topic_type_count; i++) {
        const struct name_value *row = &settings->topic_types[i];
        int topic = generation_topic_number(settings, span_of_text(row->name));
        if (topic < 0)
            return err_set(err, ERR_INPUT, "--topic-type %s=%s: topic %s isn't among the topics", row->name, row->value,
                           row->name);
        if (type_set_find(intake->views->types, span_of_text(row->value)) == NULL)
            return err_set(err, ERR_INPUT, "--topic-type %s=%s: the schema has no such message", row->name, row->value);
        intake->topics[topic].type = span_of_text(row->value);
    }
    return 0;
}

static void plan_topic(struct intake *intake, uint16_t topic)
{
    const struct view_set *views = intake->views;
    struct topic_plan *plan = &intake->topics[topic];
    size_t handler_count = 0;

    for (size_t i = 0; i < views->view_count; i++)
        handler_count += views->views[i].handler_count;
    const struct handler **handlers = arena_zero(&intake->arena, handler_count * sizeof(struct handler *));
    plan->views = arena_zero(&intake->arena, views->view_count * sizeof(struct view *));
    plan->tombstone.handlers = handlers;
    plan->tombstone.only_erases = true;

    for (size_t i = 0; i < views->view_count; i++) {
        bool is_fed = false;
        for (size_t k = 0; k < views->views[i].handler_count; k++) {
            const struct handler *handler = &views->views[i].handlers[k];
            if (intake->topic_of_stream[handler->stream->number] != topic)
                continue;
            is_fed = true;
            if (!handler->is_tombstone)
                continue;
            handlers[plan->tombstone.handler_count++] = handler;
            plan->tombstone.event = handler->event;
            plan->tombstone.stream = handler->stream;
            plan->tombstone.has_erase |= handler->effect == EFFECT_ERASE;
            plan->tombstone.only_erases &= handler->effect == EFFECT_ERASE;
        }
        if (is_fed)
            plan->views[plan->view_count++] = &views->views[i];
    }
}

uint16_t intake_topic_of(const struct intake *intake, const struct stream *stream)
{
    return intake->topic_of_stream[stream->number];
}

const struct view *const *intake_topic_views(const struct intake *intake, uint16_t topic, size_t *ret_count)
{
    *ret_count = intake->topics[topic].view_count;
    return intake->topics[topic].views;
}

struct incoming intake_incoming(const struct intake *intake, const struct record_source *source,
                                const struct record *record, uint64_t unit_hash)
{
    struct incoming incoming = {.at = {unit_hash, record->topic, record->partition, record->offset},
                                .has_key = record->has_key,
                                .is_null = record->is_null,
                                .time_ms = record->time_ms,
                                .key = record->key,
                                .type = intake->topics[record->topic].type,
                                .value = record->value};
    const struct generation_settings *settings = intake->settings;

    if (source == NULL)
        return incoming;
    /* What is most likely missing is asked for first: it is the one found last that lets go of a record's headers. */
    if (settings->dedupe_window > 0)
        find_header(source, record, settings->id_headers, settings->id_header_count, &incoming.id);
    if (!record->is_null)
        find_header(source, record, settings->type_headers, settings->type_header_count, &incoming.type);
    return incoming;
}

/* The first of them that says something. */
static void find_header(const struct record_source *source, const struct record *record, char *const *names,
                        size_t count, struct span *value)
{
    for (size_t i = 0; i < count; i++) {
        struct span found;
        if (source->header(source->self, record, names[i], &found) && found.len > 0) {
            *value = found;
            return;
        }
    }
}

struct intake_answer intake_judge(const struct intake *intake, const struct incoming *incoming, struct err *err)
{
    const struct topic_plan *topic = &intake->topics[incoming->at.topic];
    struct intake_answer answer = {.verdict = INTAKE_EVENT, .event = incoming->value};

    if (incoming->is_null) {
        answer.plan = &topic->tombstone;
        if (topic->tombstone.handler_count == 0)
            answer.verdict = INTAKE_SKIP_NULL;
    } else if (incoming->type.len == 0) {
        answer.verdict = INTAKE_BAD;
        answer.reason = PARK_NO_TYPE;
        say_no_type(intake->settings, err);
    } else if ((answer.plan = view_set_event(intake->views, incoming->type)) == NULL) {
        answer.verdict = INTAKE_SKIP_TYPE;
    } else if (intake->settings->framing == FRAMING_CONFLUENT && !remove_framing(&answer.event)) {
        answer.verdict = INTAKE_BAD;
        answer.reason = PARK_UNPARSEABLE;
        err_set(err, ERR_INPUT, "its value doesn't begin as the Schema Registry's framing does");
        producer_hint_add(FRAMING_CONFLUENT, incoming, PARK_UNPARSEABLE, err);
    }
    if (answer.verdict == INTAKE_EVENT && !incoming->has_key) {
        answer.verdict = INTAKE_BAD;
        answer.reason = PARK_NO_KEY;
        err_set(err, ERR_INPUT, "the record has no key");
    }
    return answer;
}

static void say_no_type(const struct generation_settings *settings, struct err *err)
{
    struct buf names = BUF_INIT;

    for (size_t i = 0; i < settings->type_header_count; i++)
        buf_add_format(&names, "%s%s", i > 0 ? ", " : "", settings->type_headers[i]);
    err_set(err, ERR_INPUT, "no header tells its type (looked for: %.*s), and no --topic-type is set for its topic",
            (int)names.len, names.len > 0 ? (const char *)names.at : "");
    buf_release(&names);
}

enum framing intake_framing(const struct intake *intake)
{
    return intake->settings->framing;
}

/* --- Confluent's framing: 0, schema id (4), message indexes (a count and so many, zigzag varints; 0 stands for [0]) --- */

static bool take_varint(const uint8_t **at, const uint8_t *end, int64_t *ret_number)
{
    uint64_t bits = 0;

    for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;
        bits |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *ret_number = (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
            return true;
        }
    }
    return false;
}

static bool remove_framing(struct span *bytes)
{
    enum { MAGIC_AND_ID = 5, INDEXES_MAX = 100 }; /* as deep as messages nest */
    const uint8_t *at = bytes->at;
    const uint8_t *end = at + bytes->len;
    int64_t count = 0, index = 0;

    if (bytes->len <= MAGIC_AND_ID || at[0] != 0)
        return false;
    at += MAGIC_AND_ID;
    if (!take_varint(&at, end, &count) || count < 0 || count > INDEXES_MAX)
        return false;
    for (int64_t i = 0; i < count; i++)
        if (!take_varint(&at, end, &index) || index < 0)
            return false;
    *bytes = span_of(at, (size_t)(end - at));
    return true;
}
