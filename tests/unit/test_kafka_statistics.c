/* What librdkafka's statistics say, of texts as it writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "projector/kafka_statistics.h"
#include "schema/base/compiler.h"

#define BROKER(id, source, state, disconnects, idle_us) \
    "\"b" id "/" source "\":{\"nodeid\":" id ",\"source\":\"" source "\",\"state\":\"" state \
    "\",\"disconnects\":" disconnects ",\"rxidle\":" idle_us "}"

static struct kafka_statistics *read_text(const char *text)
{
    return kafka_statistics_read(text, strlen(text));
}

static void brokers_are_told_by_their_real_connections(void **state)
{
    static const struct {
        const char *text;
        bool is_up;
        int64_t disconnects;
    } rows[] = {
        {"{\"brokers\":{" BROKER("1", "learned", "UP", "2", "0") "," BROKER("2", "configured", "DOWN", "3", "0") "}}",
         true, 5},
        {"{\"brokers\":{" BROKER("1", "learned", "UPDATE", "0", "0") "}}", true, 0},
        {"{\"brokers\":{" BROKER("1", "learned", "CONNECT", "1", "0") "}}", false, 1},
        {"{\"brokers\":{" BROKER("-1", "configured", "UP", "4", "0") "}}", false, 0},
        {"{\"brokers\":{" BROKER("1", "logical", "UP", "4", "0") "}}", false, 0},
        {"{\"brokers\":{\"odd\":7,\"bare\":{}}}", false, 0},
        {"{\"brokers\":{\"b\":{\"nodeid\":1,\"source\":\"learned\",\"state\":\"UP\"}}}", true, 0},
        {"{\"brokers\":[]}", false, 0},
        {"{}", false, 0},
        {"[]", false, 0},
        {"no JSON", false, 0},
        {"", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct kafka_statistics *statistics = read_text(rows[i].text);
        struct kafka_brokers brokers = kafka_statistics_brokers(statistics);
        if (brokers.is_up != rows[i].is_up || brokers.disconnects != rows[i].disconnects)
            fail_msg("%s", rows[i].text);
        kafka_statistics_free(&statistics);
        assert_null(statistics);
    }
}

struct seen {
    size_t count;
    struct kafka_log_end ends[4];
};

static void note(void *self, const struct kafka_log_end *end)
{
    struct seen *seen = self;

    assert_true(seen->count < ARRAY_COUNT(seen->ends));
    seen->ends[seen->count++] = *end;
}

static struct seen ends_of(const char *text, const char *topic)
{
    struct kafka_statistics *statistics = read_text(text);
    struct seen seen = {0};

    kafka_statistics_ends(statistics, topic, note, &seen);
    kafka_statistics_free(&statistics);
    return seen;
}

static void the_end_of_a_log_is_its_last_stable_offset(void **state)
{
    struct seen seen = ends_of("{\"topics\":{\"other\":{\"partitions\":{\"0\":{\"partition\":0,\"ls_offset\":1}}},"
                               "\"users\":{\"partitions\":{\"0\":{\"partition\":0,\"ls_offset\":42,\"hi_offset\":50},"
                               "\"7\":{\"partition\":7,\"ls_offset\":-1001},\"8\":{\"partition\":8},\"9\":7}}}}",
                               "users");

    (void)state;
    assert_int_equal(seen.count, 4);
    assert_int_equal(seen.ends[0].partition, 0);
    assert_int_equal(seen.ends[0].offset, 42);
    assert_false(seen.ends[0].is_fresh);
    assert_int_equal(seen.ends[1].partition, 7);
    assert_true(seen.ends[1].offset < 0);
    assert_true(seen.ends[2].offset < 0);
    assert_int_equal(seen.ends[3].partition, -1);
    assert_int_equal(ends_of("{\"topics\":{}}", "users").count, 0);
    assert_int_equal(ends_of("no JSON", "users").count, 0);
}

static void an_end_is_fresh_while_the_partitions_own_broker_is_heard(void **state)
{
#define OF_BROKER(id, brokers) \
    "{\"brokers\":{" brokers "},\"topics\":{\"t\":{\"partitions\":{\"0\":{\"broker\":" id ",\"ls_offset\":1}}}}}"
    static const struct {
        const char *text;
        bool is_fresh;
    } rows[] = {
        {OF_BROKER("1", BROKER("1", "learned", "UP", "0", "899999")), true},
        {OF_BROKER("1", BROKER("1", "learned", "UP", "0", "900000")), false},
        {OF_BROKER("1", BROKER("1", "learned", "UP", "0", "-1")), false},
        {OF_BROKER("1", BROKER("1", "learned", "DOWN", "0", "5")), false},
        {OF_BROKER("1", BROKER("2", "learned", "UP", "0", "5")), false},
        {OF_BROKER("1", BROKER("2", "learned", "UP", "0", "5") "," BROKER("1", "learned", "UP", "0", "5")), true},
        {OF_BROKER("1", ""), false},
        {OF_BROKER("1", "\"b\":{\"nodeid\":1,\"state\":\"UP\"}"), false},
        {OF_BROKER("-1", BROKER("-1", "configured", "UP", "0", "5")), false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct seen seen = ends_of(rows[i].text, "t");
        if (seen.count != 1 || seen.ends[0].is_fresh != rows[i].is_fresh)
            fail_msg("%s", rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(brokers_are_told_by_their_real_connections),
        cmocka_unit_test(the_end_of_a_log_is_its_last_stable_offset),
        cmocka_unit_test(an_end_is_fresh_while_the_partitions_own_broker_is_heard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
