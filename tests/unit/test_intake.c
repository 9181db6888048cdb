#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "projector/intake.h"
#include "schema/base/mem.h"
#include "tests/unit/till_world.h"

/* The headers of the one record that a test looks at. */
struct headers {
    const char *const *names_and_values; /* NULL ends them */
};

static bool find_header(void *self, const struct record *record, const char *name, struct span *ret_value)
{
    const struct headers *headers = self;

    (void)record;
    for (size_t i = 0; headers->names_and_values[i] != NULL; i += 2)
        if (strcmp(headers->names_and_values[i], name) == 0) {
            *ret_value = span_of_text(headers->names_and_values[i + 1]);
            return true;
        }
    return false;
}

/* What intake said of a record; type is the event's that the plan is for. */
struct judged {
    enum intake_verdict verdict;
    enum park_reason reason;
    const char *type;
    struct span event;
    size_t handler_count;
    bool only_erases;
};

static struct judged judge(struct till_world *world, const struct record *record, const char *const *headers)
{
    static const char *const none[] = {NULL};
    struct headers list = {headers != NULL ? headers : none};
    struct record_source source = {.header = find_header, .self = &list};
    struct intake *intake = NULL;
    struct err err = {0};

    assert_int_equal(intake_new(world->views, &world->settings, &intake, &err), 0);
    struct incoming incoming = intake_incoming(intake, &source, record, 0);
    struct intake_answer answer = intake_judge(intake, &incoming, &err);
    if (answer.verdict == INTAKE_BAD)
        assert_int_equal(err.kind, ERR_INPUT);
    struct judged judged = {.verdict = answer.verdict, .reason = answer.reason, .type = "", .event = answer.event};
    if (answer.plan != NULL && answer.plan->event != NULL) {
        judged.type = answer.plan->event->full_name;
        judged.handler_count = answer.plan->handler_count;
        judged.only_erases = answer.plan->only_erases;
    }
    intake_free(&intake);
    return judged;
}

static struct record a_record(uint16_t topic, struct span value)
{
    return (struct record){.topic = topic, .has_key = true, .key = SPAN_LITERAL("ann"), .value = value};
}

static void the_type_is_that_of_the_first_header_in_the_order_of_the_settings(void **state)
{
    static const char *const both[] = {"ce_type", "till.v1.Returned", "type", "till.v1.Bought", NULL};
    static const char *const second[] = {"other", "till.v1.Bought", "ce_type", "till.v1.Returned", NULL};
    static const char *const empty[] = {"type", "", "ce_type", "till.v1.Returned", NULL};
    struct till_world world;
    struct record record = a_record(TOPIC_TILL, SPAN_LITERAL(""));

    (void)state;
    till_world_open(&world, 1, 1);
    world.settings.type_headers = mem_resize(world.settings.type_headers, 2, sizeof(char *));
    world.settings.type_headers[1] = mem_text("ce_type");
    world.settings.type_header_count = 2;
    assert_string_equal(judge(&world, &record, both).type, "till.v1.Bought");
    assert_string_equal(judge(&world, &record, second).type, "till.v1.Returned");
    assert_string_equal(judge(&world, &record, empty).type, "till.v1.Returned");
    till_world_close(&world);
}

static void a_topic_s_type_stands_in_for_a_header_that_isn_t_there(void **state)
{
    static const char *const header[] = {"type", "till.v1.Returned", NULL};
    struct till_world world;
    struct record record = a_record(TOPIC_TILL, SPAN_LITERAL(""));

    (void)state;
    till_world_open(&world, 1, 1);
    assert_int_equal(judge(&world, &record, NULL).verdict, INTAKE_BAD);
    assert_int_equal(judge(&world, &record, NULL).reason, PARK_NO_TYPE);
    world.settings.topic_types = mem_zero(1, sizeof(struct name_value));
    world.settings.topic_types[0] = (struct name_value){mem_text("till.events"), mem_text("till.v1.Bought")};
    world.settings.topic_type_count = 1;
    assert_string_equal(judge(&world, &record, NULL).type, "till.v1.Bought");
    assert_string_equal(judge(&world, &record, header).type, "till.v1.Returned");
    till_world_close(&world);
}

static void types_that_no_handler_names_are_skipped_before_anything_else_is_asked(void **state)
{
    static const char *const unhandled[] = {"type", "till.v1.Audited", NULL};
    struct till_world world;
    struct record record = a_record(TOPIC_TILL, SPAN_LITERAL("\xff"));

    (void)state;
    till_world_open(&world, 1, 1);
    record.has_key = false;
    assert_int_equal(judge(&world, &record, unhandled).verdict, INTAKE_SKIP_TYPE);
    till_world_close(&world);
}

static void a_null_value_counts_where_a_handler_takes_it(void **state)
{
    struct till_world world;
    struct record record = a_record(TOPIC_TILL, SPAN_LITERAL(""));

    (void)state;
    till_world_open(&world, 1, 1);
    record.is_null = true;
    assert_int_equal(judge(&world, &record, NULL).verdict, INTAKE_SKIP_NULL);
    record.topic = TOPIC_PEOPLE;
    struct judged answer = judge(&world, &record, NULL);
    assert_int_equal(answer.verdict, INTAKE_EVENT);
    assert_int_equal(answer.handler_count, 2); /* of both views, as one event */
    assert_true(answer.only_erases);
    record.has_key = false;
    assert_int_equal(judge(&world, &record, NULL).reason, PARK_NO_KEY);
    till_world_close(&world);
}

#define BYTES(text) text, sizeof(text) - 1

static void confluent_s_framing_is_taken_off_or_refused(void **state)
{
    static const char *const type[] = {"type", "till.v1.Bought", NULL};
    static const struct {
        const char *bytes;
        size_t len;
        bool is_good;
        const char *event;
    } rows[] = {
        {BYTES("\0\0\0\0\x07\0xyz"), true, "xyz"},          /* [0], short form */
        {BYTES("\0\0\0\0\x07\x02\x04xyz"), true, "xyz"},    /* [2] */
        {BYTES("\0\0\0\0\x07\x04\0\x02xyz"), true, "xyz"},  /* [0, 1] */
        {BYTES("\0\0\0\0\x07\0"), true, ""},
        {BYTES("\0\0\0\0\x07"), false, ""},                  /* no indexes */
        {BYTES("\x01\0\0\0\x07\0xyz"), false, ""},           /* another magic byte */
        {BYTES(""), false, ""},
        {BYTES("\0\0\0\0\x07\x01xyz"), false, ""},           /* -1 indexes */
        {BYTES("\0\0\0\0\x07\x02\x01xyz"), false, ""},       /* [-1] */
        {BYTES("\0\0\0\0\x07\x06\x02"), false, ""},          /* three, and one is there */
        {BYTES("\0\0\0\0\x07\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), false, ""},
    };
    struct till_world world;

    (void)state;
    till_world_open(&world, 1, 1);
    world.settings.framing = FRAMING_CONFLUENT;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct record record = a_record(TOPIC_TILL, span_of(rows[i].bytes, rows[i].len));
        struct judged answer = judge(&world, &record, type);
        assert_int_equal(answer.verdict, rows[i].is_good ? INTAKE_EVENT : INTAKE_BAD);
        if (rows[i].is_good)
            assert_true(span_equal_text(answer.event, rows[i].event));
        else
            assert_int_equal(answer.reason, PARK_UNPARSEABLE);
    }
    till_world_close(&world);
}

static void a_stream_without_a_topic_and_a_topic_without_a_stream_are_mistakes_of_the_set_up(void **state)
{
    struct till_world world;
    struct intake *intake = NULL;
    struct err err = {0};

    (void)state;
    till_world_open(&world, 1, 1);
    char *stream = world.settings.streams[0].stream;
    world.settings.streams[0].stream = mem_text("pets");
    assert_int_equal(intake_new(world.views, &world.settings, &intake, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "pets"));
    free(world.settings.streams[0].stream);
    world.settings.streams[0].stream = stream;

    world.settings.stream_count = 1;
    assert_int_equal(intake_new(world.views, &world.settings, &intake, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "till"));
    world.settings.stream_count = 2;
    till_world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_type_is_that_of_the_first_header_in_the_order_of_the_settings),
        cmocka_unit_test(a_topic_s_type_stands_in_for_a_header_that_isn_t_there),
        cmocka_unit_test(types_that_no_handler_names_are_skipped_before_anything_else_is_asked),
        cmocka_unit_test(a_null_value_counts_where_a_handler_takes_it),
        cmocka_unit_test(confluent_s_framing_is_taken_off_or_refused),
        cmocka_unit_test(a_stream_without_a_topic_and_a_topic_without_a_stream_are_mistakes_of_the_set_up),
    };

    return cmocka_run_group_tests_name("intake", tests, NULL, NULL);
}
