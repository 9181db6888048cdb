/* Which of librdkafka's settings are ours. No broker is needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "projector/kafka_client.h"
#include "schema/base/compiler.h"

static int check(const char *pair, struct err *err)
{
    char copy[200];
    char *items[] = {strncpy(copy, pair, sizeof(copy) - 1)};
    copy[sizeof(copy) - 1] = '\0';
    struct config_list extra = {items, 1};
    struct kafka_settings settings = {
        .brokers = "127.0.0.1:1", .group = "test", .extra = &extra, .memory_bytes = 64 << 20};
    return kafka_settings_check(&settings, err);
}

static void what_exactness_rests_on_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const pairs[] = {
        "isolation.level=read_uncommitted",
        "enable.auto.commit=true",
        "auto.commit.enable=true",
        "enable.auto.offset.store=true",
        "auto.offset.reset=latest",
        "enable.partition.eof=false",
        "allow.auto.create.topics=true",
        "check.crcs=false",
        "group.id=x",
        "bootstrap.servers=x",
        "metadata.broker.list=x",
        "queued.min.messages=1",
        "queued.max.messages.kbytes=1",
        "statistics.interval.ms=0",
    };
    for (size_t i = 0; i < ARRAY_COUNT(pairs); i++) {
        struct err err = {0};
        assert_int_equal(check(pairs[i], &err), ERR_INPUT);
        char name[64];
        size_t len = strcspn(pairs[i], "=");
        memcpy(name, pairs[i], len);
        name[len] = '\0';
        assert_non_null(strstr(err.text, name));
        assert_non_null(strstr(err.text, "can't be changed: "));
    }
}

static void other_settings_are_handed_through(void **state)
{
    (void)state;
    static const char *const pairs[] = {"fetch.wait.max.ms=20", "socket.timeout.ms=5000", "client.rack=a",
                                        "security.protocol=plaintext"};
    for (size_t i = 0; i < ARRAY_COUNT(pairs); i++) {
        struct err err = {0};
        if (check(pairs[i], &err) != 0)
            fail_msg("%s: %s", pairs[i], err.text);
    }
}

static void a_refused_value_is_never_repeated(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(check("security.protocol=hunter2", &err), ERR_INPUT);
    assert_null(strstr(err.text, "hunter2"));
    assert_non_null(strstr(err.text, "security.protocol"));
    assert_int_equal(check("no.such.setting=hunter2", &err), ERR_INPUT);
    assert_null(strstr(err.text, "hunter2"));
}

static void a_pair_without_a_name_or_an_equals_sign_is_refused(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(check("fetch.wait.max.ms", &err), ERR_INPUT);
    assert_int_equal(check("=5", &err), ERR_INPUT);
}

static const char *setting_of(rd_kafka_t *client, const char *name, char *value, size_t size)
{
    assert_int_equal(rd_kafka_conf_get(rd_kafka_conf(client), name, value, &size), RD_KAFKA_CONF_OK);
    return value;
}

static void fetched_records_take_what_they_are_given(void **state)
{
    (void)state;
    char value[64];
    struct err err = {0};
    struct kafka_callbacks callbacks = {NULL, NULL, NULL};
    struct kafka_settings settings = {.brokers = "127.0.0.1:1", .group = "test", .memory_bytes = 256 << 20};
    rd_kafka_t *client = NULL;

    assert_int_equal(kafka_client_new(&settings, KAFKA_READER, &callbacks, &client, &err), 0);
    assert_string_equal(setting_of(client, "queued.max.messages.kbytes", value, sizeof(value)), "131072");
    assert_string_equal(setting_of(client, "queued.min.messages", value, sizeof(value)), "335544");
    assert_string_equal(setting_of(client, "fetch.max.bytes", value, sizeof(value)), "33554432");
    assert_string_equal(setting_of(client, "isolation.level", value, sizeof(value)), "read_committed");
    assert_string_equal(setting_of(client, "auto.offset.reset", value, sizeof(value)), "error");
    kafka_client_destroy(&client);
    assert_null(client);
    kafka_client_destroy(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_exactness_rests_on_is_refused_by_name),
        cmocka_unit_test(other_settings_are_handed_through),
        cmocka_unit_test(a_refused_value_is_never_repeated),
        cmocka_unit_test(a_pair_without_a_name_or_an_equals_sign_is_refused),
        cmocka_unit_test(fetched_records_take_what_they_are_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
