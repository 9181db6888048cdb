/* Streams are sorted by name in the schema and in the settings, so both are walked side by side. Every mistake is
 * collected before any is told: a set-up is put right in one go. */
#include "projector/topic_map.h"

#include <stdlib.h>

#include "schema/base/mem.h"

struct pair {
    struct span stream; /* empty: all of them */
    struct span topic;
};

/* A topic alone brings all streams; one of several brings the stream that has its name. */
static struct pair split(const struct config_list *topics, size_t i)
{
    const char *item = topics->items[i];
    const char *equals = strchr(item, '=');
    if (!equals)
        return (struct pair){topics->count > 1 ? span_of_text(item) : span_of(NULL, 0), span_of_text(item)};
    return (struct pair){span_of(item, (size_t)(equals - item)), span_of_text(equals + 1)};
}

static void complain(struct buf *mistakes, const char *format, const char *what)
{
    if (mistakes->len > 0)
        buf_add_literal(mistakes, "; ");
    const char *at = strstr(format, "%s");
    buf_add(mistakes, format, (size_t)(at - format));
    buf_add_text(mistakes, what);
    buf_add_text(mistakes, at + 2);
}

/* The topic of a stream, empty when none is given. */
static struct span topic_of(const struct config_list *topics, const char *stream, struct buf *mistakes)
{
    struct span found = span_of(NULL, 0);
    for (size_t i = 0; i < topics->count; i++) {
        struct pair pair = split(topics, i);
        if (pair.stream.len > 0 && !span_equal_text(pair.stream, stream))
            continue;
        if (found.len > 0 && !span_equal(found, pair.topic))
            complain(mistakes, "stream %s has two topics", stream);
        found = pair.topic;
    }
    return found;
}

static void check_items(const struct config_list *topics, const struct view_set *views, struct buf *mistakes)
{
    for (size_t i = 0; i < topics->count; i++) {
        struct pair pair = split(topics, i);
        if (pair.topic.len == 0)
            complain(mistakes, "\"%s\" names no topic", topics->items[i]);
        else if (strchr(topics->items[i], '=') == NULL && topics->count > 1 && !view_set_stream(views, pair.stream))
            complain(mistakes, "topic %s has no stream (STREAM=TOPIC)", topics->items[i]);
        else if (pair.stream.len > 0 && !view_set_stream(views, pair.stream))
            complain(mistakes, "\"%s\" names a stream that the schema doesn't have", topics->items[i]);
        else if (strchr(topics->items[i], '=') == topics->items[i])
            complain(mistakes, "\"%s\" names no stream", topics->items[i]);
    }
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void collect_topics(struct generation_settings *settings)
{
    settings->topics = mem_zero(settings->stream_count, sizeof(*settings->topics));
    for (size_t i = 0; i < settings->stream_count; i++)
        settings->topics[i] = mem_text(settings->streams[i].topic);
    qsort(settings->topics, settings->stream_count, sizeof(*settings->topics), compare_texts);
    for (size_t i = 0; i < settings->stream_count; i++) {
        if (settings->topic_count > 0 && strcmp(settings->topics[i], settings->topics[settings->topic_count - 1]) == 0)
            free(settings->topics[i]);
        else
            settings->topics[settings->topic_count++] = settings->topics[i];
    }
}

static void list_streams(const struct view_set *views, struct buf *text)
{
    for (size_t i = 0; i < views->stream_count; i++) {
        buf_add_text(text, i ? ", " : "");
        buf_add_text(text, views->streams[i].name);
    }
}

int topic_map_read(const struct config_list *topics, const struct view_set *views, struct generation_settings *settings,
                   struct err *err)
{
    struct buf mistakes = BUF_INIT;
    struct buf streams = BUF_INIT;

    check_items(topics, views, &mistakes);
    settings->streams = mem_zero(views->stream_count, sizeof(*settings->streams));
    for (size_t i = 0; i < views->stream_count; i++) {
        const char *stream = views->streams[i].name;
        struct span topic = topic_of(topics, stream, &mistakes);
        if (topic.len == 0)
            complain(&mistakes, "stream %s has no topic", stream);
        settings->streams[settings->stream_count++] = (struct topic_of_stream){mem_text(stream), mem_text_of(topic)};
    }
    int rc = 0;
    if (mistakes.len > 0) {
        list_streams(views, &streams);
        rc =
            err_set(err, ERR_INPUT, "--topics: %s (the schema's streams: %s)", buf_text(&mistakes), buf_text(&streams));
    } else {
        collect_topics(settings);
    }
    buf_release(&mistakes);
    buf_release(&streams);
    return rc;
}

bool topic_map_equal(const struct generation_settings *a, const struct generation_settings *b)
{
    bool is_equal = a->stream_count == b->stream_count;
    for (size_t i = 0; is_equal && i < a->stream_count; i++)
        is_equal = strcmp(a->streams[i].stream, b->streams[i].stream) == 0 &&
                   strcmp(a->streams[i].topic, b->streams[i].topic) == 0;
    return is_equal;
}
