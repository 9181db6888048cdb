/* Keys: the order of encodings, their way back, and which texts stand for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schema/view/key.h"
#include "tests/unit/made_schema.h"

struct fixture {
    struct view_set *set;
    struct arena arena;
    struct buf key;
    struct buf text;
    struct err err;
};

static int open_fixture(void **state)
{
    static struct fixture fixture;

    fixture = (struct fixture){.set = made_schema_load_file("build/protos/keys.binpb")};
    *state = &fixture;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *fixture = *state;

    view_set_free(&fixture->set);
    arena_release(&fixture->arena);
    buf_release(&fixture->key);
    buf_release(&fixture->text);
    return 0;
}

static const struct view *view_of(struct fixture *fixture, const char *name)
{
    const struct view *view = view_set_find(fixture->set, span_of_text(name));

    assert_non_null(view);
    return view;
}

static const struct field_type *field_of(struct fixture *fixture, const char *name)
{
    const struct field_type *field = message_type_field(view_of(fixture, "everything")->type, span_of_text(name));

    assert_non_null(field);
    return field;
}

/* The encoding of a segment's value, in *key. */
static int encode(struct fixture *fixture, const char *field_name, struct span segment, struct buf *key)
{
    const struct field_type *field = field_of(fixture, field_name);
    struct value value;

    buf_clear(key);
    int rc = key_parse_segment(field, segment, &fixture->arena, &value, &fixture->err);
    return rc < 0 ? rc : key_encode_value(field, value, key, &fixture->err);
}

static void encodings_compare_as_their_values_do(void **state)
{
    static const struct {
        const char *field;
        const char *ascending[8];
    } rows[] = {
        {"text", {"A", "AB", "B", "a", "aa", "b", "\xc3\xa9"}},
        {"raw", {"AA", "AAA", "AAE", "AQ", "AQA", "_w", "__8"}},
        {"int32", {"-2147483648", "-1", "0", "1", "256", "2147483647"}},
        {"sint32", {"-2147483648", "-256", "-1", "0", "2147483647"}},
        {"sfixed32", {"-2147483648", "-1", "0", "2147483647"}},
        {"int64", {"-9223372036854775808", "-4294967296", "-1", "0", "1", "4294967296", "9223372036854775807"}},
        {"sint64", {"-9223372036854775808", "-1", "0", "9223372036854775807"}},
        {"sfixed64", {"-9223372036854775808", "-1", "0", "9223372036854775807"}},
        {"uint32", {"0", "1", "2147483648", "4294967295"}},
        {"fixed32", {"0", "1", "2147483648", "4294967295"}},
        {"uint64", {"0", "1", "9223372036854775808", "18446744073709551615"}},
        {"fixed64", {"0", "1", "9223372036854775808", "18446744073709551615"}},
        {"color", {"-3", "BLUE", "GREY", "RED", "2"}},
    };
    struct fixture *fixture = *state;
    struct buf before = BUF_INIT;

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        for (size_t k = 0; k + 1 < 8 && rows[i].ascending[k + 1] != NULL; k++) {
            assert_int_equal(encode(fixture, rows[i].field, span_of_text(rows[i].ascending[k]), &before), 0);
            assert_int_equal(encode(fixture, rows[i].field, span_of_text(rows[i].ascending[k + 1]), &fixture->key), 0);
            if (span_compare(buf_span(&before), buf_span(&fixture->key)) >= 0)
                fail_msg("%s: %s is not before %s", rows[i].field, rows[i].ascending[k], rows[i].ascending[k + 1]);
        }
    }
    buf_release(&before);
}

static void the_encoding_is_part_of_the_format(void **state)
{
    static const struct {
        const char *field;
        const char *segment;
        const char *bytes;
        size_t len;
    } rows[] = {
        {"text", "ab", "ab\x00\x01", 4},
        {"raw", "AGEA", "\x00\xff" "a\x00\xff\x00\x01", 7},
        {"int32", "-1", "\x7f\xff\xff\xff", 4},
        {"uint32", "258", "\x00\x00\x01\x02", 4},
        {"int64", "1", "\x80\x00\x00\x00\x00\x00\x00\x01", 8},
        {"fixed64", "1", "\x00\x00\x00\x00\x00\x00\x00\x01", 8},
        {"color", "RED", "\x80\x00\x00\x01", 4},
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_int_equal(encode(fixture, rows[i].field, span_of_text(rows[i].segment), &fixture->key), 0);
        assert_int_equal(fixture->key.len, rows[i].len);
        assert_memory_equal(fixture->key.at, rows[i].bytes, rows[i].len);
    }
}

static void a_text_is_not_the_beginning_of_a_longer_ones_key(void **state)
{
    static const char zero[] = "a\0b", shorter[] = "a";
    const struct field_type *field = field_of(*state, "text");
    struct fixture *fixture = *state;
    struct buf longer = BUF_INIT;
    struct value value = {.kind = VALUE_STRING, .text = span_of(zero, 3)};

    assert_int_equal(key_encode_value(field, value, &longer, &fixture->err), 0);
    value.text = span_of(shorter, 1);
    buf_clear(&fixture->key);
    assert_int_equal(key_encode_value(field, value, &fixture->key, &fixture->err), 0);
    assert_false(span_starts_with(buf_span(&longer), buf_span(&fixture->key)));
    assert_true(span_compare(buf_span(&fixture->key), buf_span(&longer)) < 0);
    buf_release(&longer);
}

static void every_value_comes_back_from_its_key(void **state)
{
    static const char *const segments[] = {"t x/\xc3\xa9", "AP8A", "-7", "-70000000000", "7", "70000000000", "-1",
                                           "1", "4294967295", "18446744073709551615", "-2147483648",
                                           "9223372036854775807", "RED"};
    struct fixture *fixture = *state;
    const struct view *view = view_of(fixture, "everything");
    struct span list[ARRAY_COUNT(segments)];
    struct buf owner = BUF_INIT;

    for (size_t i = 0; i < ARRAY_COUNT(segments); i++)
        list[i] = span_of_text(segments[i]);
    buf_clear(&fixture->key);
    assert_int_equal(
        key_parse(view, list, ARRAY_COUNT(list), &fixture->arena, &fixture->key, &owner, &fixture->err), 0);
    assert_string_equal(buf_text(&owner), segments[0]);
    struct span rest = buf_span(&fixture->key);
    for (size_t i = 0; i < view->key_count; i++) {
        struct value value;
        assert_int_equal(key_decode_value(view->keys[i], &rest, &fixture->arena, &value, &fixture->err), 0);
        assert_int_equal(value.kind, value_kind_of(view->keys[i]->kind));
        buf_clear(&fixture->text);
        key_segment_text(view->keys[i], value, &fixture->text);
        assert_string_equal(buf_text(&fixture->text), segments[i]);
    }
    assert_int_equal(rest.len, 0);
    buf_clear(&fixture->text);
    assert_int_equal(key_text(view, buf_span(&fixture->key), &fixture->text, &fixture->err), 0);
    assert_string_equal(buf_text(&fixture->text),
                        "t%20x%2F%C3%A9/AP8A/-7/-70000000000/7/70000000000/-1/1/4294967295/18446744073709551615/"
                        "-2147483648/9223372036854775807/RED");
    buf_release(&owner);
}

static void leading_fields_make_a_prefix_of_the_key(void **state)
{
    static const struct span segments[] = {{"u1", 2}, {"-5", 2}};
    struct fixture *fixture = *state;
    const struct view *view = view_of(fixture, "two");
    struct buf prefix = BUF_INIT;
    struct buf owner = BUF_INIT;

    buf_clear(&fixture->key);
    assert_int_equal(key_parse(view, segments, 1, &fixture->arena, &prefix, &owner, &fixture->err), 0);
    assert_int_equal(key_parse(view, segments, 2, &fixture->arena, &fixture->key, &owner, &fixture->err), 0);
    assert_true(span_starts_with(buf_span(&fixture->key), buf_span(&prefix)));
    buf_clear(&fixture->text);
    assert_int_equal(key_text(view, buf_span(&prefix), &fixture->text, &fixture->err), 0);
    assert_string_equal(buf_text(&fixture->text), "u1");
    assert_int_equal(key_parse(view, segments, 0, &fixture->arena, &prefix, &owner, &fixture->err), ERR_INPUT);
    assert_string_equal(fixture->err.text, "the key of two has 2 fields, not 0");
    buf_release(&prefix);
    buf_release(&owner);
}

/* One value has one text: anything else would give one view several URLs, or one owner several hashes. */
static void texts_that_are_not_canonical_are_refused(void **state)
{
    static const struct {
        const char *field;
        const char *segments[12];
    } rows[] = {
        {"text", {"", "\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80"}},
        {"raw", {"", "A", "AA==", "A+", "A/", "AB", "AAB", "A A", "AAAAA"}},
        {"int32", {"", "-", "+1", "01", "-0", "00", "1.0", " 1", "1 ", "2147483648", "-2147483649"}},
        {"uint32", {"-1", "4294967296", "0x1", "1e3", "99999999999999999999999"}},
        {"int64", {"9223372036854775808", "-9223372036854775809"}},
        {"uint64", {"18446744073709551616", "-1"}},
        {"color", {"", "red", "GREEN", "2147483648", "01"}},
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        for (size_t k = 0; k < 12 && rows[i].segments[k] != NULL; k++)
            if (encode(fixture, rows[i].field, span_of_text(rows[i].segments[k]), &fixture->key) != ERR_INPUT)
                fail_msg("%s: \"%s\" is taken", rows[i].field, rows[i].segments[k]);
}

static void a_segment_names_an_enums_value_by_name_or_number(void **state)
{
    static const struct {
        const char *segment;
        const char *text;
    } rows[] = {{"RED", "RED"}, {"CRIMSON", "RED"}, {"1", "RED"}, {"-2", "BLUE"}, {"7", "7"}};
    struct fixture *fixture = *state;
    const struct field_type *field = field_of(fixture, "color");

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct span segment = span_of_text(rows[i].segment);
        struct value value;
        assert_int_equal(key_parse_segment(field, segment, &fixture->arena, &value, &fixture->err), 0);
        buf_clear(&fixture->text);
        key_segment_text(field, value, &fixture->text);
        assert_string_equal(buf_text(&fixture->text), rows[i].text);
    }
}

static void an_owner_is_read_back_from_its_text_alone(void **state)
{
    static const struct {
        const char *field;
        const char *text;
        bool is_good;
    } rows[] = {
        {"text", "u 1", true},  {"text", "", false},     {"text", "\xff", false}, {"raw", "\xff\xfe", true},
        {"raw", "", false},     {"int64", "-5", true},   {"int64", "05", false},  {"int64", "+5", false},
        {"int32", "3000000000", false}, {"color", "RED", true}, {"color", "CRIMSON", false}, {"color", "1", false},
        {"color", "7", true},   {"color", "PINK", false},
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct field_type *field = field_of(fixture, rows[i].field);
        struct value value;
        int rc = key_parse_owner(field, span_of_text(rows[i].text), &value, &fixture->err);
        if ((rc == 0) != rows[i].is_good)
            fail_msg("%s: \"%s\" gives %d", rows[i].field, rows[i].text, rc);
        if (rc < 0)
            continue;
        buf_clear(&fixture->text);
        key_owner_text(field, value, &fixture->text);
        assert_string_equal(buf_text(&fixture->text), rows[i].text);
    }
}

static void a_key_that_is_too_long_is_refused_and_leaves_nothing(void **state)
{
    char long_text[KEY_BYTES_MAX + 10];
    struct fixture *fixture = *state;
    const struct view *view = view_of(fixture, "texts");
    struct buf owner = BUF_INIT;

    memset(long_text, 'x', sizeof(long_text));
    struct span fits[] = {{"u", 1}, {long_text, KEY_BYTES_MAX - 3 - 2}};
    struct span too_long[] = {{"u", 1}, {long_text, KEY_BYTES_MAX - 3 - 1}};
    struct span far_too_long[] = {{long_text, KEY_BYTES_MAX + 1}};
    buf_clear(&fixture->key);
    assert_int_equal(key_parse(view, fits, 2, &fixture->arena, &fixture->key, &owner, &fixture->err), 0);
    assert_int_equal(fixture->key.len, KEY_BYTES_MAX);
    buf_clear(&fixture->key);
    buf_clear(&owner);
    assert_int_equal(key_parse(view, too_long, 2, &fixture->arena, &fixture->key, &owner, &fixture->err), ERR_INPUT);
    assert_string_equal(fixture->err.text, "key field \"other\": the key is longer than 255 bytes");
    assert_int_equal(key_parse(view, far_too_long, 1, &fixture->arena, &fixture->key, &owner, &fixture->err),
                     ERR_INPUT);
    assert_int_equal(fixture->key.len, 0);
    assert_int_equal(owner.len, 0);
    buf_release(&owner);
}

static void a_stored_key_that_is_damaged_is_noticed(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {
        {"ab", 2}, {"ab\x00", 3}, {"ab\x00\x02", 4}, {"ab\x00\x01\x80\x00", 6},
        {"ab\x00\x01\x80\x00\x00\x00\x00\x00\x00\x01\x00", 13},
    };
    struct fixture *fixture = *state;
    const struct view *view = view_of(fixture, "two");

    buf_clear(&fixture->text);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct span key = span_of(rows[i].bytes, rows[i].len);
        assert_int_equal(key_text(view, key, &fixture->text, &fixture->err), ERR_BROKEN);
        assert_int_equal(fixture->text.len, 0);
    }
}

static void errors_name_the_field_and_never_the_value(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(encode(fixture, "int64", SPAN_LITERAL("secret"), &fixture->key), ERR_INPUT);
    assert_string_equal(fixture->err.text,
                        "key field \"int64\": not an integer in canonical decimal, or out of its range");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodings_compare_as_their_values_do),
        cmocka_unit_test(the_encoding_is_part_of_the_format),
        cmocka_unit_test(a_text_is_not_the_beginning_of_a_longer_ones_key),
        cmocka_unit_test(every_value_comes_back_from_its_key),
        cmocka_unit_test(leading_fields_make_a_prefix_of_the_key),
        cmocka_unit_test(texts_that_are_not_canonical_are_refused),
        cmocka_unit_test(a_segment_names_an_enums_value_by_name_or_number),
        cmocka_unit_test(an_owner_is_read_back_from_its_text_alone),
        cmocka_unit_test(a_key_that_is_too_long_is_refused_and_leaves_nothing),
        cmocka_unit_test(a_stored_key_that_is_damaged_is_noticed),
        cmocka_unit_test(errors_name_the_field_and_never_the_value),
    };

    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
