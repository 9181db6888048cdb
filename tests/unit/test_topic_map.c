/* --topics against the schema of tests/protos/fold.proto, which has streams of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "projector/topic_map.h"
#include "schema_file.h"

static struct view_set *views;

static int load(void **state)
{
    (void)state;
    struct buf bytes = schema_file_bytes("fold");
    struct mistakes mistakes = {NULL, 0, 0};
    struct err err = {0};
    assert_int_equal(view_set_load(buf_span(&bytes), &views, &mistakes, &err), 0);
    mistakes_release(&mistakes);
    buf_release(&bytes);
    return 0;
}

static int unload(void **state)
{
    (void)state;
    view_set_free(&views);
    return 0;
}

static int read_topics(char **items, size_t count, struct generation_settings *settings, struct err *err)
{
    struct config_list list = {items, count};
    *settings = (struct generation_settings){0};
    return topic_map_read(&list, views, settings, err);
}

/* "STREAM=TOPIC" for every stream of the schema: topics[i % topic_count]. */
static size_t fill(char texts[][100], char **items, const char *const *topics, size_t topic_count)
{
    for (size_t i = 0; i < views->stream_count; i++) {
        snprintf(texts[i], 100, "%s=%s", views->streams[i].name, topics[i % topic_count]);
        items[i] = texts[i];
    }
    return views->stream_count;
}

static void one_topic_brings_all_streams(void **state)
{
    (void)state;
    struct generation_settings settings;
    struct err err = {0};
    char *items[] = {(char[]){"all"}};
    assert_int_equal(read_topics(items, 1, &settings, &err), 0);
    assert_int_equal(settings.topic_count, 1);
    assert_string_equal(settings.topics[0], "all");
    assert_int_equal(settings.stream_count, views->stream_count);
    for (size_t i = 0; i < settings.stream_count; i++)
        assert_string_equal(settings.streams[i].topic, "all");
    generation_settings_release(&settings);
}

static void streams_may_share_topics_which_are_sorted_and_distinct(void **state)
{
    (void)state;
    static const char *const topics[] = {"zebra", "ant"};
    struct generation_settings settings;
    struct err err = {0};
    char texts[16][100];
    char *items[16];
    size_t count = fill(texts, items, topics, 2);
    assert_true(count >= 2);
    assert_int_equal(read_topics(items, count, &settings, &err), 0);
    assert_int_equal(settings.topic_count, 2);
    assert_string_equal(settings.topics[0], "ant");
    assert_string_equal(settings.topics[1], "zebra");
    assert_true(topic_map_equal(&settings, &settings));

    struct generation_settings other;
    char *all[] = {(char[]){"all"}};
    assert_int_equal(read_topics(all, 1, &other, &err), 0);
    assert_false(topic_map_equal(&settings, &other));
    generation_settings_release(&settings);
    generation_settings_release(&other);
}

static void one_of_several_topics_brings_the_stream_of_its_name(void **state)
{
    (void)state;
    struct generation_settings settings;
    struct err err = {0};
    char names[16][100];
    char *items[16];
    for (size_t i = 0; i < views->stream_count; i++) {
        snprintf(names[i], sizeof(names[i]), "%s", views->streams[i].name);
        items[i] = names[i];
    }
    assert_int_equal(read_topics(items, views->stream_count, &settings, &err), 0);
    assert_int_equal(settings.topic_count, views->stream_count);
    for (size_t i = 0; i < settings.stream_count; i++)
        assert_string_equal(settings.streams[i].topic, settings.streams[i].stream);
    generation_settings_release(&settings);
}

static void every_mistake_is_named_at_once(void **state)
{
    (void)state;
    struct generation_settings settings;
    struct err err = {0};
    char *items[] = {(char[]){"shop=shops"}, (char[]){"pets=dogs"}, (char[]){"stray"}, (char[]){"shop=others"}};
    assert_int_equal(read_topics(items, 4, &settings, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "\"pets=dogs\" names a stream that the schema doesn't have"));
    assert_non_null(strstr(err.text, "topic stray has no stream"));
    assert_non_null(strstr(err.text, "stream shop has two topics"));
    generation_settings_release(&settings);
}

static void a_stream_without_a_topic_and_empty_names_are_refused(void **state)
{
    (void)state;
    struct generation_settings settings;
    struct err err = {0};
    char *lone[] = {(char[]){"shop=shops"}};
    assert_int_equal(read_topics(lone, 1, &settings, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "stream person has no topic"));
    generation_settings_release(&settings);
    char *nameless[] = {(char[]){"=shops"}};
    assert_int_equal(read_topics(nameless, 1, &settings, &err), ERR_INPUT);
    generation_settings_release(&settings);
    char *topicless[] = {(char[]){"shop="}};
    assert_int_equal(read_topics(topicless, 1, &settings, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "names no topic"));
    generation_settings_release(&settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_topic_brings_all_streams),
        cmocka_unit_test(streams_may_share_topics_which_are_sorted_and_distinct),
        cmocka_unit_test(one_of_several_topics_brings_the_stream_of_its_name),
        cmocka_unit_test(every_mistake_is_named_at_once),
        cmocka_unit_test(a_stream_without_a_topic_and_empty_names_are_refused),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
