/* What `check` names. mistakes.proto has every mistake that protoc lets through, mistakes.expected the lines; what
 * only a newer or hostile writer of descriptor sets can do is made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "schema/base/mem.h"
#include "schema/view/compiler.h"
#include "schema/view/mistakes.h"
#include "tests/unit/made_schema.h"

/* Loads a set that has mistakes. */
static struct mistakes load(struct span set, struct err *err)
{
    struct mistakes mistakes = {NULL, 0, 0};
    struct view_set *views = NULL;

    assert_int_equal(view_set_load(set, &views, &mistakes, err), ERR_INPUT);
    assert_null(views);
    return mistakes;
}

static void every_mistake_is_named_on_a_line_of_its_own(void **state)
{
    struct buf set = made_schema_read("build/protos/mistakes.binpb");
    struct buf expected = made_schema_read("tests/protos/mistakes.expected");
    struct err err = {0};
    struct mistakes mistakes = load(buf_span(&set), &err);
    char *rest = NULL;
    char *line = strtok_r((char *)(uintptr_t)buf_text(&expected), "\n", &rest);
    char text[1000];

    (void)state;
    for (size_t i = 0; i < mistakes.count; i++) {
        if (line == NULL || strcmp(mistakes.lines[i], line) != 0)
            fail_msg("line %zu is\n  %s\ninstead of\n  %s", i + 1, mistakes.lines[i], line != NULL ? line : "nothing");
        line = strtok_r(NULL, "\n", &rest);
    }
    assert_null(line);
    snprintf(text, sizeof(text), "%zu mistakes, the first: %s", mistakes.count, mistakes.lines[0]);
    assert_string_equal(err.text, text);
    mistakes_release(&mistakes);
    buf_release(&set);
    buf_release(&expected);
}

/* A view that is right: key user_id, MERGE of made.v1.Happened. */
struct made_view {
    Tarn__View view;
    Tarn__Handler handler;
    Tarn__Handler__FromEntry from;
    Tarn__Handler *handlers[1];
    Tarn__Handler__FromEntry *from_list[2];
    char *keys[1];
    char *when[1];
};

static void made_view_init(struct made_view *made)
{
    static char key[] = "user_id", event[] = "made.v1.Happened";

    tarn__view__init(&made->view);
    tarn__handler__init(&made->handler);
    tarn__handler__from_entry__init(&made->from);
    made->keys[0] = key;
    made->view.n_key = 1;
    made->view.key = made->keys;
    made->handlers[0] = &made->handler;
    made->view.n_on = 1;
    made->view.on = made->handlers;
    made->handler.event = event;
    made->from_list[0] = &made->from;
    made->from_list[1] = &made->from;
}

/* Asserts that the set with this view has exactly one mistake, this line. */
static void expect(const struct made_view *made, struct span title_rules, const char *line)
{
    struct buf options = made_schema_pack(&made->view.base);
    struct buf set = made_schema(buf_span(&options), title_rules, 1);
    struct err err = {0};
    struct mistakes mistakes = load(buf_span(&set), &err);

    assert_string_equal(mistakes.lines[0], line);
    assert_int_equal(mistakes.count, 1);
    assert_string_equal(err.text, line);
    mistakes_release(&mistakes);
    buf_release(&options);
    buf_release(&set);
}

static ProtobufCMessageUnknownField unknown = {99, PROTOBUF_C_WIRE_TYPE_VARINT, 1, (uint8_t[]){1}};

static void make_unknown(ProtobufCMessage *message)
{
    message->n_unknown_fields = 1;
    message->unknown_fields = &unknown;
}

static void a_made_view_without_mistakes_is_a_view(void **state)
{
    struct made_view made;

    (void)state;
    made_view_init(&made);
    struct buf options = made_schema_pack(&made.view.base);
    struct buf set = made_schema(buf_span(&options), span_of(NULL, 0), 1);
    struct view_set *views = made_schema_load(buf_span(&set));
    assert_int_equal(views->view_count, 1);
    assert_string_equal(views->views[0].name, "view0");
    view_set_free(&views);
    assert_null(views);
    buf_release(&options);
    buf_release(&set);
}

static void an_option_that_a_newer_version_added_is_refused_by_its_number(void **state)
{
    static char name[] = "title", value[] = "title";
    Tarn__Field rules = TARN__FIELD__INIT;
    struct made_view made;

    (void)state;
    made_view_init(&made);
    make_unknown(&made.view.base);
    expect(&made, span_of(NULL, 0),
           "View0: field 99 of (tarn.view) is not known to this version: "
           "the schema was made with a newer tarn/view.proto");
    made_view_init(&made);
    make_unknown(&made.handler.base);
    expect(&made, span_of(NULL, 0),
           "View0: field 99 of `on` is not known to this version: "
           "the schema was made with a newer tarn/view.proto");
    made_view_init(&made);
    made.from.key = name;
    made.from.value = value;
    made.handler.n_from = 1;
    made.handler.from = made.from_list;
    make_unknown(&made.from.base);
    expect(&made, span_of(NULL, 0),
           "View0: field 99 of `from` is not known to this version: "
           "the schema was made with a newer tarn/view.proto");
    made_view_init(&made);
    make_unknown(&rules.base);
    struct buf packed = made_schema_pack(&rules.base);
    expect(&made, buf_span(&packed),
           "View0.title: field 99 of (tarn.field) is not known to this version: "
           "the schema was made with a newer tarn/view.proto");
    buf_release(&packed);
}

static void an_effect_that_a_newer_version_added_is_refused(void **state)
{
    struct made_view made;

    (void)state;
    made_view_init(&made);
    made.handler.has_apply = 1;
    made.handler.apply = (Tarn__Apply)9;
    expect(&made, span_of(NULL, 0),
           "View0.on[0] (made.v1.Happened): apply: 9 is not known to this version: the schema was made with a newer "
           "tarn/view.proto");
}

static void options_that_are_no_message_are_a_mistake(void **state)
{
    struct made_view made;
    struct err err = {0};
    struct buf set = made_schema(SPAN_LITERAL("\x0a\x7fx"), span_of(NULL, 0), 1);
    struct mistakes mistakes = load(buf_span(&set), &err);

    (void)state;
    assert_int_equal(mistakes.count, 1);
    assert_string_equal(mistakes.lines[0], "View0: the bytes of (tarn.view) can't be read");
    mistakes_release(&mistakes);
    buf_release(&set);
    made_view_init(&made);
    expect(&made, SPAN_LITERAL("\x0a\x7fx"), "View0.title: the bytes of (tarn.field) can't be read");
}

static void a_name_is_given_one_source(void **state)
{
    static char name[] = "title", value[] = "user_id";
    struct made_view made;

    (void)state;
    made_view_init(&made);
    made.from.key = name;
    made.from.value = value;
    made.handler.n_from = 2;
    made.handler.from = made.from_list;
    expect(&made, span_of(NULL, 0), "View0.on[0] (made.v1.Happened): from: \"title\" is named twice");
}

static void a_line_stays_a_line_whatever_the_options_hold(void **state)
{
    static char evil[] = "no\nsuch\x1b[31m\xff";
    struct made_view made;

    (void)state;
    made_view_init(&made);
    made.keys[0] = evil;
    expect(&made, span_of(NULL, 0), "View0: key: \"no?such?[31m\xff\" is not a field of made.v1.View0");
}

static void an_expression_has_an_end(void **state)
{
    struct made_view made;
    char *text = mem_zero(1, 6000);
    struct buf line = BUF_INIT;

    (void)state;
    memset(text, 'a', 5000);
    made_view_init(&made);
    made.when[0] = text;
    made.handler.n_when = 1;
    made.handler.when = made.when;
    buf_add_format(&line, "View0.on[0] (made.v1.Happened): when: \"%.*s\": is longer than 4096 bytes",
                   QUOTE_BYTES_MAX, text);
    expect(&made, span_of(NULL, 0), buf_text(&line));
    buf_release(&line);
    free(text);
}

static void a_path_has_an_end(void **state)
{
    static const char end[] = "a = 'x'";
    struct made_view made;
    char text[400];
    struct buf line = BUF_INIT;

    (void)state;
    for (size_t i = 0; i < 200; i += 2)
        memcpy(text + i, "a.", 2);
    memcpy(text + 200, end, sizeof(end));
    made_view_init(&made);
    made.when[0] = text;
    made.handler.n_when = 1;
    made.handler.when = made.when;
    buf_add_format(&line, "View0.on[0] (made.v1.Happened): when: \"%.*s\": has more than 100 names",
                   QUOTE_BYTES_MAX, text);
    expect(&made, span_of(NULL, 0), buf_text(&line));
    buf_release(&line);
}

static void a_set_has_at_most_so_many_views(void **state)
{
    struct made_view made;
    struct err err = {0};

    (void)state;
    made_view_init(&made);
    struct buf options = made_schema_pack(&made.view.base);
    struct buf set = made_schema(buf_span(&options), span_of(NULL, 0), VIEWS_MAX + 1);
    struct mistakes mistakes = load(buf_span(&set), &err);
    assert_int_equal(mistakes.count, 1);
    assert_string_equal(mistakes.lines[0], "made.v1.View1000: one view too many: at most 1000 are allowed");
    mistakes_release(&mistakes);
    buf_release(&set);
    set = made_schema(buf_span(&options), span_of(NULL, 0), VIEWS_MAX);
    struct view_set *views = made_schema_load(buf_span(&set));
    assert_int_equal(views->view_count, VIEWS_MAX);
    view_set_free(&views);
    buf_release(&set);
    buf_release(&options);
}

static void a_set_has_at_most_so_many_handlers(void **state)
{
    struct made_view made;
    struct err err = {0};

    (void)state;
    made_view_init(&made);
    Tarn__Handler **handlers = mem_zero(HANDLERS_MAX + 1, sizeof(*handlers));
    for (size_t i = 0; i <= HANDLERS_MAX; i++)
        handlers[i] = &made.handler;
    made.view.on = handlers;
    made.view.n_on = HANDLERS_MAX + 1;
    struct buf options = made_schema_pack(&made.view.base);
    struct buf set = made_schema(buf_span(&options), span_of(NULL, 0), 1);
    struct mistakes mistakes = load(buf_span(&set), &err);
    assert_int_equal(mistakes.count, 1);
    assert_string_equal(mistakes.lines[0], "View0: on: more than 10000 handlers in all views");
    mistakes_release(&mistakes);
    buf_release(&set);
    buf_release(&options);
    free(handlers);
}

static void a_set_without_views_has_nothing_to_show(void **state)
{
    struct err err = {0};
    struct buf set = made_schema(span_of(NULL, 0), span_of(NULL, 0), 0);
    struct mistakes mistakes = load(buf_span(&set), &err);

    (void)state;
    assert_int_equal(mistakes.count, 1);
    assert_string_equal(mistakes.lines[0], "schema: no message has the option (tarn.view): it has no views");
    mistakes_release(&mistakes);
    buf_release(&set);
}

static void what_is_no_descriptor_set_is_refused_without_a_line(void **state)
{
    struct err err = {0};
    struct mistakes mistakes = load(SPAN_LITERAL("not a descriptor set"), &err);

    (void)state;
    assert_int_equal(mistakes.count, 0);
    assert_true(err.text[0] != '\0');
    mistakes_release(&mistakes);
}

/* Whatever happens to a descriptor set on its way, loading it ends, with a plan or with mistakes. Every other set is
 * damaged in its texts alone, by signs that the expressions use, so that more than the reading of it is tried. */
static void a_damaged_set_is_loaded_or_refused(void **state)
{
    static const char signs[] = " .,'-()[]=<>!0a_";
    static const char *const paths[] = {"build/protos/mistakes.binpb", "build/examples.binpb"};
    uint64_t seed = 42;

    (void)state;
    for (size_t i = 0; i < 2000; i++) {
        struct buf set = made_schema_read(paths[i % ARRAY_COUNT(paths)]);
        for (size_t k = 0; k < 1 + i % 16; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            uint8_t *at = &set.at[(seed >> 33) % set.len];
            if (i % 4 < 2)
                *at = (uint8_t)(seed >> 24);
            else if (strchr(signs, *at) != NULL || (*at >= 'a' && *at <= 'z'))
                *at = (uint8_t)signs[(seed >> 24) % (sizeof(signs) - 1)];
        }
        struct mistakes mistakes = {NULL, 0, 0};
        struct view_set *views = NULL;
        struct err err;
        int rc = view_set_load(buf_span(&set), &views, &mistakes, &err);
        assert_true(rc == ERR_INPUT ? views == NULL : rc == 0 && mistakes.count == 0);
        view_set_free(&views);
        mistakes_release(&mistakes);
        buf_release(&set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mistake_is_named_on_a_line_of_its_own),
        cmocka_unit_test(a_made_view_without_mistakes_is_a_view),
        cmocka_unit_test(an_option_that_a_newer_version_added_is_refused_by_its_number),
        cmocka_unit_test(an_effect_that_a_newer_version_added_is_refused),
        cmocka_unit_test(options_that_are_no_message_are_a_mistake),
        cmocka_unit_test(a_name_is_given_one_source),
        cmocka_unit_test(a_line_stays_a_line_whatever_the_options_hold),
        cmocka_unit_test(an_expression_has_an_end),
        cmocka_unit_test(a_path_has_an_end),
        cmocka_unit_test(a_set_has_at_most_so_many_views),
        cmocka_unit_test(a_set_has_at_most_so_many_handlers),
        cmocka_unit_test(a_set_without_views_has_nothing_to_show),
        cmocka_unit_test(what_is_no_descriptor_set_is_refused_without_a_line),
        cmocka_unit_test(a_damaged_set_is_loaded_or_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
