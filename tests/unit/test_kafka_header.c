/* Headers as librdkafka brings them: from messages of its mock cluster, within this process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "projector/kafka_header.h"

#include <librdkafka/rdkafka_mock.h> /* wants rdkafka.h before it */

enum { PATIENCE_MS = 30 * 1000, LONG_BYTES = 100 };

static struct {
    rd_kafka_t *producer;
    rd_kafka_mock_cluster_t *cluster;
    rd_kafka_t *consumer;
    struct kafka_held_message with_headers;
    struct kafka_held_message without;
} world;

static rd_kafka_conf_t *conf_for(const char *brokers)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char reason[200];

    if (brokers != NULL)
        assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", brokers, reason, sizeof(reason)), RD_KAFKA_CONF_OK);
    assert_int_equal(rd_kafka_conf_set(conf, "group.id", "test", reason, sizeof(reason)), RD_KAFKA_CONF_OK);
    return conf;
}

static rd_kafka_t *client_new(rd_kafka_type_t kind, rd_kafka_conf_t *conf)
{
    char reason[200];
    rd_kafka_t *client = rd_kafka_new(kind, conf, reason, sizeof(reason));

    assert_non_null(client);
    return client;
}

static void produce_two(rd_kafka_t *client)
{
    char text[LONG_BYTES + 1];

    memset(text, 'x', LONG_BYTES);
    text[LONG_BYTES] = '\0';
    assert_int_equal(rd_kafka_producev(client, RD_KAFKA_V_TOPIC("t"), RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_VALUE("a", 1),
                                       RD_KAFKA_V_HEADER("type", "an.older", -1), RD_KAFKA_V_HEADER("type", "an.Event", -1),
                                       RD_KAFKA_V_HEADER("null", NULL, 0), RD_KAFKA_V_HEADER("long", text, -1),
                                       RD_KAFKA_V_HEADER("empty", "", 0), RD_KAFKA_V_END),
                     0);
    assert_int_equal(rd_kafka_producev(client, RD_KAFKA_V_TOPIC("t"), RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_VALUE("b", 1),
                                       RD_KAFKA_V_END),
                     0);
    assert_int_equal(rd_kafka_flush(client, PATIENCE_MS), 0);
}

static rd_kafka_message_t *next_message(rd_kafka_t *client)
{
    for (;;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client, PATIENCE_MS);
        assert_non_null(message);
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            return message;
        rd_kafka_message_destroy(message);
    }
}

static int make_world(void **state)
{
    (void)state;
    rd_kafka_t *host = client_new(RD_KAFKA_PRODUCER, conf_for(NULL));
    world.cluster = rd_kafka_mock_cluster_new(host, 1);
    assert_non_null(world.cluster);
    const char *brokers = rd_kafka_mock_cluster_bootstraps(world.cluster);
    rd_kafka_t *producer = client_new(RD_KAFKA_PRODUCER, conf_for(brokers));
    produce_two(producer);
    rd_kafka_destroy(producer);

    world.producer = host;
    world.consumer = client_new(RD_KAFKA_CONSUMER, conf_for(brokers));
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "t", 0)->offset = 0;
    assert_int_equal(rd_kafka_assign(world.consumer, list), 0);
    rd_kafka_topic_partition_list_destroy(list);
    kafka_hold(&world.with_headers, next_message(world.consumer));
    kafka_hold(&world.without, next_message(world.consumer));
    return 0;
}

static int end_world(void **state)
{
    (void)state;
    rd_kafka_message_destroy(world.with_headers.message);
    rd_kafka_message_destroy(world.without.message);
    rd_kafka_destroy(world.consumer);
    rd_kafka_mock_cluster_destroy(world.cluster);
    rd_kafka_destroy(world.producer);
    return 0;
}

/* --- tests --- */

static void the_last_header_of_a_name_counts(void **state)
{
    (void)state;
    struct span value;

    kafka_hold(&world.with_headers, world.with_headers.message);
    assert_true(kafka_header_find(&world.with_headers, "type", &value));
    assert_true(span_equal(value, span_of_text("an.Event")));
}

static void values_live_as_long_as_the_message_however_many_are_asked_for(void **state)
{
    (void)state;
    struct span types[40], text, null, empty;

    kafka_hold(&world.with_headers, world.with_headers.message);
    for (size_t i = 0; i < 40; i++) {
        assert_true(kafka_header_find(&world.with_headers, "type", &types[i]));
        if (i == 0) {
            assert_true(kafka_header_find(&world.with_headers, "long", &text));
            assert_true(kafka_header_find(&world.with_headers, "null", &null));
            assert_true(kafka_header_find(&world.with_headers, "empty", &empty));
        }
    }
    for (size_t i = 0; i < 40; i++)
        assert_true(span_equal(types[i], span_of_text("an.Event")));
    assert_int_equal(text.len, LONG_BYTES);
    for (size_t i = 0; i < text.len; i++)
        assert_int_equal(span_bytes(text)[i], 'x');
    assert_int_equal(null.len, 0);
    assert_null(null.at);
    assert_int_equal(empty.len, 0);
}

static void a_value_longer_than_the_room_is_had_from_the_message_itself(void **state)
{
    (void)state;
    struct span first, second, type;

    kafka_hold(&world.with_headers, world.with_headers.message);
    assert_true(kafka_header_find(&world.with_headers, "long", &first));
    assert_true(kafka_header_find(&world.with_headers, "long", &second)); /* two of them don't fit */
    assert_true(kafka_header_find(&world.with_headers, "type", &type));
    assert_ptr_not_equal(first.at, second.at);
    assert_true(span_equal(first, second));
    assert_int_equal(second.len, LONG_BYTES);
    assert_true(span_equal(type, span_of_text("an.Event")));
    assert_true(span_equal(first, second));
}

static void what_isnt_there_isnt_found(void **state)
{
    (void)state;
    struct span value = span_of_text("as before");

    assert_false(kafka_header_find(&world.with_headers, "other", &value));
    assert_false(kafka_header_find(&world.without, "type", &value));
    assert_true(span_equal(value, span_of_text("as before")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_header_of_a_name_counts),
        cmocka_unit_test(values_live_as_long_as_the_message_however_many_are_asked_for),
        cmocka_unit_test(a_value_longer_than_the_room_is_had_from_the_message_itself),
        cmocka_unit_test(what_isnt_there_isnt_found),
    };
    return cmocka_run_group_tests(tests, make_world, end_world);
}
