/* The small texts inside options: what they are taken apart into, and what isn't one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schema/base/buf.h"
#include "schema/view/expression.h"

static const char *kind_name(enum expression_kind kind)
{
    static const char *const names[] = {
        [EXPRESSION_NONE] = "none", [EXPRESSION_PATH] = "path", [EXPRESSION_NEGATED_PATH] = "negated",
        [EXPRESSION_TEXT] = "text", [EXPRESSION_NUMBER] = "number", [EXPRESSION_BOOL] = "bool",
        [EXPRESSION_TIME] = "time", [EXPRESSION_DAY] = "day", [EXPRESSION_MONTH] = "month",
    };

    return names[kind];
}

/* "path customer|id" */
static void describe_source(const struct source_text *source, struct buf *text)
{
    buf_add_text(text, kind_name(source->kind));
    for (size_t i = 0; i < source->path.count; i++)
        buf_add_format(text, "%c%.*s", i == 0 ? ' ' : '|', SPAN_ARGS(source->path.names[i]));
    if (source->kind == EXPRESSION_TEXT || source->kind == EXPRESSION_NUMBER)
        buf_add_format(text, " <%.*s>", SPAN_ARGS(source->literal));
    if (source->kind == EXPRESSION_BOOL)
        buf_add_text(text, source->is_true ? " true" : " false");
}

/* "categories[category].markers[code,trait]" as "categories[category] markers[code,trait]" */
static void describe_into(const struct into_text *into, struct buf *text)
{
    for (size_t i = 0; i < into->count; i++) {
        const struct step_text *step = &into->steps[i];
        buf_add_format(text, "%s%.*s", i > 0 ? " " : "", SPAN_ARGS(step->name));
        for (size_t k = 0; k < step->bracket_count; k++)
            buf_add_format(text, "%c%.*s", k == 0 ? '[' : ',', SPAN_ARGS(step->brackets[k]));
        if (step->has_brackets)
            buf_add_byte(text, ']');
    }
}

struct row {
    const char *text;
    const char *meaning; /* or the error's text */
};

typedef int parse_fn(struct span text, struct arena *arena, struct buf *meaning, struct err *err);

static int parse_source(struct span text, struct arena *arena, struct buf *meaning, struct err *err)
{
    struct source_text source;
    int rc = expression_parse_source(text, arena, &source, err);

    if (rc == 0)
        describe_source(&source, meaning);
    return rc;
}

static int parse_condition(struct span text, struct arena *arena, struct buf *meaning, struct err *err)
{
    struct condition_text condition;
    int rc = expression_parse_condition(text, arena, &condition, err);

    if (rc == 0) {
        buf_add_format(meaning, "%.*s %s ", SPAN_ARGS(condition.left.text), comparison_name(condition.comparison));
        describe_source(&condition.right, meaning);
    }
    return rc;
}

static int parse_into(struct span text, struct arena *arena, struct buf *meaning, struct err *err)
{
    struct into_text into;
    int rc = expression_parse_into(text, arena, &into, err);

    if (rc == 0)
        describe_into(&into, meaning);
    return rc;
}

static void check(parse_fn *parse, int rc, const struct row *rows, size_t count)
{
    struct arena arena = ARENA_INIT;
    struct buf meaning = BUF_INIT;

    for (size_t i = 0; i < count; i++) {
        struct err err = {0};
        buf_clear(&meaning);
        int got = parse(span_of_text(rows[i].text), &arena, &meaning, &err);
        const char *said = got == 0 ? buf_text(&meaning) : err.text;
        if (got != rc || strcmp(said, rows[i].meaning) != 0)
            fail_msg("%s gives %d, %s instead of %s", rows[i].text, got, said, rows[i].meaning);
    }
    buf_release(&meaning);
    arena_release(&arena);
}

static void a_source_is_a_path_a_literal_or_one_of_three_functions(void **state)
{
    static const struct row rows[] = {
        {"", "none"},
        {"  ", "none"},
        {"name", "path name"},
        {"customer.address.city_2", "path customer|address|city_2"},
        {" customer . id ", "path customer|id"},
        {"-amount", "negated amount"},
        {"-order.amount", "negated order|amount"},
        {"'HIGH'", "text <HIGH>"},
        {"''", "text <>"},
        {"'it''s'", "text <it's>"},
        {"''''", "text <'>"},
        {"'a.b = (c)'", "text <a.b = (c)>"},
        {"0", "number <0>"},
        {"-1", "number <-1>"},
        {"12.50", "number <12.50>"},
        {"1e3", "number <1e3>"},
        {"-2.5E-10", "number <-2.5E-10>"},
        {"99999999999999999999999999", "number <99999999999999999999999999>"},
        {"true", "bool true"},
        {"false", "bool false"},
        {"truest", "path truest"},
        {"true.value", "path true|value"},
        {"time()", "time"},
        {"time", "path time"},
        {"day", "path day"},
        {"day(at)", "day at"},
        {"month( order.at )", "month order|at"},
    };

    (void)state;
    check(parse_source, 0, rows, ARRAY_COUNT(rows));
}

static void nothing_else_is_a_source(void **state)
{
    static const struct row rows[] = {
        {"a + b", "\"+ b\" is not understood"},
        {"a b", "\"b\" is one too many: nothing was expected behind what stands before it"},
        {"a.", "ends where a field's name should stand"},
        {".a", "\".\" stands where a path, a text in single quotes or a number should"},
        {"a..b", "\".\" stands where a field's name should"},
        {"a[b]", "\"[\" is one too many: nothing was expected behind what stands before it"},
        {"'a", "a text has no closing quote"},
        {"'a''", "a text has no closing quote"},
        {"'a' 'b'", "\"b\" is one too many: nothing was expected behind what stands before it"},
        {"'\xff'", "a text is not UTF-8"},
        {"\"a\"", "a text stands in single quotes"},
        {"-'a'", "\"a\" stands where a field's name should"},
        {"--a", "\"-\" stands where a field's name should"},
        {"- 1", "a number's sign stands right before it"},
        {"+1", "\"+1\" is not understood"},
        {"01", "\"01\" is neither a number nor a name; a text stands in single quotes"},
        {"1a", "\"1a\" is neither a number nor a name; a text stands in single quotes"},
        {"0x10", "\"0x10\" is neither a number nor a name; a text stands in single quotes"},
        {"1e", "a number's exponent has no digits"},
        {"1.", "\".\" is one too many: nothing was expected behind what stands before it"},
        {".5", "\".\" stands where a path, a text in single quotes or a number should"},
        {"now()", "\"now\" is not a function: there are time(), day(path) and month(path)"},
        {"a.day(b)", "\"a.day\" is not a function: there are time(), day(path) and month(path)"},
        {"time(at)", "time() takes nothing between its parentheses"},
        {"day()", "\")\" stands where a field's name should"},
        {"day(at", "day() and month() take one path between their parentheses"},
        {"day(a, b)", "day() and month() take one path between their parentheses"},
        {"-day(at)", "only a path can have a minus sign"},
        {"caf\xc3\xa9", "\"\xc3\xa9\" is not understood"},
    };

    (void)state;
    check(parse_source, ERR_INPUT, rows, ARRAY_COUNT(rows));
}

static void a_condition_compares_a_path_with_a_source(void **state)
{
    static const struct row rows[] = {
        {"risk = 'HIGH'", "risk = text <HIGH>"},
        {"a.b!=c.d", "a.b != path c|d"},
        {"score<0", "score < number <0>"},
        {"score <= -5", "score <= number <-5>"},
        {"score>-other", "score > negated other"},
        {"valid_until >= time()", "valid_until >= time"},
        {"is_primary = true", "is_primary = bool true"},
        {"day = day(at)", "day = day at"},
    };
    static const struct row wrong[] = {
        {"", "ends where a field's name should stand"},
        {"a", "is not a condition: write `path = source` (or !=, <, <=, >, >=)"},
        {"a =", "ends where the source to compare with should stand"},
        {"a == 1", "\"==\": equal is written \"=\""},
        {"a <> 1", "\"<>\": not equal is written \"!=\""},
        {"a ! 1", "\"! 1\" is not understood"},
        {"'x' = a", "\"x\" stands where a field's name should"},
        {"-a = 1", "\"-\" stands where a field's name should"},
        {"day(a) = 'x'", "\"(\" stands where one of = != < <= > >= should"},
        {"a = 1 or b = 2", "\"or\" is one too many: nothing was expected behind what stands before it"},
        {"a in b", "\"in\" stands where one of = != < <= > >= should"},
        {"a = = 1", "\"=\" stands where a path, a text in single quotes or a number should"},
    };

    (void)state;
    check(parse_condition, 0, rows, ARRAY_COUNT(rows));
    check(parse_condition, ERR_INPUT, wrong, ARRAY_COUNT(wrong));
}

static void into_is_a_way_through_messages_and_lists(void **state)
{
    static const struct row rows[] = {
        {"profile", "profile"},
        {"profile.address", "profile address"},
        {"offers[lender_id]", "offers[lender_id]"},
        {"categories[category].markers[code]", "categories[category] markers[code]"},
        {"invoices[currency,number].lines", "invoices[currency,number] lines"},
        {" legs [ leg ] . carrier ", "legs[leg] carrier"},
    };
    static const struct row wrong[] = {
        {"", "ends where a field's name should stand"},
        {".a", "\".\" stands where a field's name should"},
        {"a.", "ends where a field's name should stand"},
        {"a[", "ends where a field's name should stand"},
        {"a[b", "brackets hold field names with commas between them, then \"]\""},
        {"a[]", "\"]\" stands where a field's name should"},
        {"a[b,]", "\"]\" stands where a field's name should"},
        {"a[b.c]", "brackets hold field names with commas between them, then \"]\""},
        {"a['b']", "\"b\" stands where a field's name should"},
        {"a[0]", "\"0\" stands where a field's name should"},
        {"a[b][c]", "\"[\" is one too many: nothing was expected behind what stands before it"},
        {"a b", "\"b\" is one too many: nothing was expected behind what stands before it"},
        {"a/b", "\"/b\" is not understood"},
    };

    (void)state;
    check(parse_into, 0, rows, ARRAY_COUNT(rows));
    check(parse_into, ERR_INPUT, wrong, ARRAY_COUNT(wrong));
}

static void lengths_are_bounded(void **state)
{
    struct arena arena = ARENA_INIT;
    struct buf text = BUF_INIT;
    struct into_text into;
    struct path_text path;
    struct err err;

    (void)state;
    for (size_t i = 0; i < PATH_STEPS_MAX; i++)
        buf_add_format(&text, "%sa[b]", i > 0 ? "." : "");
    assert_int_equal(expression_parse_into(buf_span(&text), &arena, &into, &err), 0);
    assert_int_equal(into.count, PATH_STEPS_MAX);
    buf_add_literal(&text, ".a");
    assert_int_equal(expression_parse_into(buf_span(&text), &arena, &into, &err), ERR_INPUT);
    assert_string_equal(err.text, "has more than 100 steps");
    buf_clear(&text);
    buf_add_literal(&text, "a");
    while (text.len < EXPRESSION_BYTES_MAX)
        buf_add_byte(&text, 'a');
    assert_int_equal(expression_parse_path(buf_span(&text), &arena, &path, &err), 0);
    buf_add_byte(&text, 'a');
    assert_int_equal(expression_parse_path(buf_span(&text), &arena, &path, &err), ERR_INPUT);
    assert_string_equal(err.text, "is longer than 4096 bytes");
    buf_release(&text);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_source_is_a_path_a_literal_or_one_of_three_functions),
        cmocka_unit_test(nothing_else_is_a_source),
        cmocka_unit_test(a_condition_compares_a_path_with_a_source),
        cmocka_unit_test(into_is_a_way_through_messages_and_lists),
        cmocka_unit_test(lengths_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
