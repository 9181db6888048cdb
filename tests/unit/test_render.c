/* Messages as they are served. That every value of every type is what protobuf itself prints, json_compare.py shows. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/json/json_number.h"
#include "schema/json/json_text.h"
#include "schema/json/render.h"
#include "schema/message/message.h"
#include "tests/unit/schema_file.h"

static struct type_set *types;
static struct arena arena;

static int load(void **state)
{
    (void)state;
    types = schema_file_types("every_kind");
    return 0;
}

static int release(void **state)
{
    (void)state;
    type_set_free(&types);
    arena_release(&arena);
    return 0;
}

static const struct message_type *type_of(const char *name)
{
    const struct message_type *type = type_set_find(types, span_of_text(name));

    if (type == NULL)
        fail_msg("%s isn't there", name);
    return type;
}

static void assert_shows(const struct render_plan *plan, const struct field_selection *selection, const char *hex,
                         const char *json)
{
    struct buf out = BUF_INIT;
    struct err err = {0};

    buf_add_literal(&out, "> ");
    if (render_json(plan, selection, bytes_of_hex(hex, &arena), &out, &err) < 0)
        fail_msg("%s: %s", hex, err.text);
    assert_string_equal(buf_text(&out) + 2, json);
    buf_release(&out);
}

static void assert_gives(const struct render_plan *plan, const struct field_selection *selection, const char *hex,
                         const char *expected_hex)
{
    struct buf out = BUF_INIT;
    struct buf text = BUF_INIT;
    struct span expected = bytes_of_hex(expected_hex, &arena);
    struct err err = {0};

    if (render_protobuf(plan, selection, bytes_of_hex(hex, &arena), &out, &err) < 0)
        fail_msg("%s: %s", hex, err.text);
    if (render_leaves_as_stored(plan, selection, bytes_of_hex(hex, &arena)))
        assert_true(span_equal(expected, bytes_of_hex(hex, &arena)));
    for (size_t i = 0; i < out.len; i++)
        buf_add_format(&text, "%02x", out.at[i]);
    if (!span_equal(buf_span(&out), expected))
        fail_msg("%s, not %s", text.len > 0 ? buf_text(&text) : "nothing", expected_hex);
    buf_release(&out);
    buf_release(&text);
}

static void a_message_is_shown_as_protobufs_json(void **state)
{
    static const struct {
        const char *type, *hex, *json;
    } cases[] = {
        {"every_kind.Inner", "", "{\"name\":\"\",\"number\":0,\"children\":[],\"byName\":{}}"},
        {"every_kind.Inner", "0a0161 1005 4003",
         "{\"name\":\"a\",\"number\":5,\"children\":[],\"byName\":{},\"amount\":-2}"},
        {"every_kind.Optional", "", "{}"},
        {"every_kind.Optional", "1800 4000 6001", "{\"anInt64\":\"0\",\"aBool\":false,\"aColor\":\"RED\"}"},
        {"every_kind.Choice", "5000", "{\"before\":\"\",\"nothing\":null}"},
        {"every_kind.Choice", "", "{\"before\":\"\"}"},
        {"google.protobuf.Timestamp", "", "\"1970-01-01T00:00:00Z\""},
        {"google.protobuf.Timestamp", "08ffb484af0610e807", "\"2024-02-29T23:59:59.000001Z\""},
        {"google.protobuf.Duration", "08ffffffffffffffffff011080ee8bfeffffffffff01", "\"-1.004s\""},
        {"google.protobuf.Duration", "1080cab5ee01", "\"0.500s\""},
        {"google.protobuf.StringValue", "", "\"\""},
        {"google.protobuf.Int64Value", "0805", "\"5\""},
        {"google.protobuf.Empty", "", "{}"},
        {"google.protobuf.FieldMask", "0a0161 0a07 745f6f2e625f63", "\"a,tO.bC\""},
        {"google.protobuf.FieldMask", "", "\"\""},
        {"google.protobuf.FieldMask", "0a00 0a0161", "\",a\""},
        {"google.protobuf.Struct", "0a07 0a0161 1202 2001", "{\"a\":true}"},
        {"google.protobuf.Value", "", "null"},
        {"google.protobuf.Value", "3204 0a02 0800", "[null]"},
        {"google.protobuf.ListValue", "", "[]"},
        {"google.protobuf.Any", "0a0161 120161", "{\"@type\":\"a\",\"value\":\"YQ==\"}"},
        {"google.protobuf.Any", "", "{}"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct render_plan *plan = render_plan_new_message(type_of(cases[i].type));
        assert_shows(plan, NULL, cases[i].hex, cases[i].json);
        assert_true(render_is_identity(plan));
        render_plan_free(&plan);
    }
}

static void what_json_cannot_show_is_said(void **state)
{
    static const struct {
        const char *type, *hex;
        int kind;
    } cases[] = {
        {"google.protobuf.Timestamp", "0880f882f3a207", 0},
        {"google.protobuf.Timestamp", "08ffffffffffffffff7f", ERR_INPUT}, /* the year 292 billion */
        {"google.protobuf.Timestamp", "108094ebdc03", ERR_INPUT},         /* 1,000,000,000 ns */
        {"google.protobuf.Duration", "0801 10ffffffffffffffffff01", ERR_INPUT},
        {"google.protobuf.FieldMask", "0a0141", ERR_INPUT},
        {"google.protobuf.Value", "11000000000000f07f", ERR_INPUT}, /* infinity */
        {"every_kind.Inner", "0a", ERR_BROKEN},
        {"every_kind.Inner", "0a01ff", ERR_BROKEN},
        {"every_kind.Inner", "1005 0a0161", ERR_BROKEN}, /* not in order */
        {"every_kind.Inner", "1005 1005", ERR_BROKEN},
        {"every_kind.Inner", "0805", ERR_BROKEN},
        {"every_kind.Lists", "2a0180", ERR_BROKEN},
        {"every_kind.Lists", "2d00000000", ERR_BROKEN},
        {"every_kind.Maps", "0a03 0a0161", ERR_BROKEN},
        {"google.protobuf.StringValue", "0a0161 0a0161", ERR_BROKEN},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct render_plan *plan = render_plan_new_message(type_of(cases[i].type));
        struct buf out = BUF_INIT;
        struct err err = {0};
        buf_add_literal(&out, "kept");
        int rc = render_json(plan, NULL, bytes_of_hex(cases[i].hex, &arena), &out, &err);
        if (rc != cases[i].kind)
            fail_msg("%s %s: %d %s", cases[i].type, cases[i].hex, rc, err.text);
        if (rc < 0)
            assert_int_equal(out.len, 4);
        buf_release(&out);
        render_plan_free(&plan);
    }
}

static void a_number_has_its_shortest_text(void **state)
{
    static const struct {
        double number;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0.0"},
        {5, "5"},
        {-5, "-5"},
        {0.1, "0.1"},
        {-0.25, "-0.25"},
        {99.95, "99.95"},
        {0.42, "0.42"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1.0 / 3, "0.3333333333333333"},
        {4.35, "4.35"},
        {1e15, "1000000000000000"},
        {9007199254740992.0, "9007199254740992"},
        {1e22, "1e+22"},
        {1e-7, "0.0000001"},
        {5e-324, "4.94065645841247e-324"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {123456789.125, "123456789.125"},
        {(double)NAN, "\"NaN\""},
        {(double)INFINITY, "\"Infinity\""},
        {-(double)INFINITY, "\"-Infinity\""},
    };
    uint8_t text[JSON_NUMBER_MAX + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        *json_put_double(text, cases[i].number) = '\0';
        assert_string_equal((char *)text, cases[i].text);
    }
    *json_put_float(text, 0.1f) = '\0';
    assert_string_equal((char *)text, "0.1");
    *json_put_float(text, 16777216.0f) = '\0';
    assert_string_equal((char *)text, "16777216");
    *json_put_float(text, 3.4028234663852886e38f) = '\0';
    assert_string_equal((char *)text, "3.4028235e+38");
    *decimal_put_signed(text, INT64_MIN) = '\0';
    assert_string_equal((char *)text, "-9223372036854775808");
    *decimal_put(text, UINT64_MAX) = '\0';
    assert_string_equal((char *)text, "18446744073709551615");
}

/* Any bits: what is printed reads back as the same number. */
static void every_double_reads_back(void **state)
{
    uint64_t bits = 88172645463325252u;
    uint8_t text[JSON_NUMBER_MAX + 1];

    (void)state;
    for (int i = 0; i < 200000; i++) {
        double number;
        float narrow;
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        memcpy(&number, &bits, sizeof(number));
        memcpy(&narrow, &bits, sizeof(narrow));
        if (i % 2 == 0)
            number = (double)(int64_t)(bits >> 30) / (i % 4 == 0 ? 100.0 : 1e6);
        if (isfinite(number)) {
            *json_put_double(text, number) = '\0';
            assert_true(strtod((char *)text, NULL) == number);
        }
        if (isfinite(narrow)) {
            *json_put_float(text, narrow) = '\0';
            assert_true(strtof((char *)text, NULL) == narrow);
        }
    }
}

/* At every place of a 16-byte block and around it. */
static void strings_are_escaped_wherever_they_must_be(void **state)
{
    static const struct {
        const char *raw, *escaped;
    } cases[] = {{"\"", "\\\""},
                 {"\\", "\\\\"},
                 {"\n", "\\n"},
                 {"\x01", "\\u0001"},
                 {"\x1f", "\\u001f"},
                 {"\x7f", "\x7f"},
                 {"\b\f\r\t", "\\b\\f\\r\\t"},
                 {"é", "é"},
                 {"한", "한"},
                 {"/<>", "/<>"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        for (size_t before = 0; before < 40; before++) {
            struct buf raw = BUF_INIT;
            struct buf expected = BUF_INIT;
            struct buf out = BUF_INIT;
            buf_add_byte(&expected, '"');
            for (size_t k = 0; k < before; k++) {
                buf_add_byte(&raw, (uint8_t)('a' + k % 26));
                buf_add_byte(&expected, (uint8_t)('a' + k % 26));
            }
            buf_add_text(&raw, cases[i].raw);
            buf_add_literal(&raw, "tail");
            buf_add_text(&expected, cases[i].escaped);
            buf_add_literal(&expected, "tail\"");
            uint8_t *exact = malloc(raw.len); /* so that a read beyond is seen */
            memcpy(exact, raw.at, raw.len);
            assert_true(json_add_string(&out, span_of(exact, raw.len)));
            assert_string_equal(buf_text(&out), buf_text(&expected));
            free(exact);
            buf_release(&raw);
            buf_release(&expected);
            buf_release(&out);
        }
    }
}

/* Inside a view and at its very end, of every length around a 16-byte block: what is copied in blocks and what isn't. */
static void a_views_texts_are_shown_wherever_they_stand(void **state)
{
    static const char *const ends[] = {"", "\"", "\n", "\x7f", "é", "한글"};
    static const char *const shown_ends[] = {"", "\\\"", "\\n", "\x7f", "é", "한글"};
    struct render_plan *plan = render_plan_new_message(type_of("every_kind.Inner"));

    (void)state;
    for (size_t i = 0; i < 2 * 40 * ARRAY_COUNT(ends); i++) {
        const char *end = ends[i / 80];
        size_t before = i / 2 % 40;
        bool is_last = i % 2 == 1;
        struct buf raw = BUF_INIT;
        struct buf expected = BUF_INIT;
        struct buf out = BUF_INIT;
        struct err err = {0};
        buf_add_literal(&raw, "\x0a");
        buf_add_byte(&raw, (uint8_t)(before + strlen(end)));
        buf_add_literal(&expected, "{\"name\":\"");
        for (size_t k = 0; k < before; k++) {
            buf_add_byte(&raw, (uint8_t)('a' + k % 26));
            buf_add_byte(&expected, (uint8_t)('a' + k % 26));
        }
        buf_add_text(&raw, end);
        buf_add_format(&expected, "%s\",\"number\":0,\"children\":[],\"byName\":{}", shown_ends[i / 80]);
        if (!is_last) {
            buf_add_literal(&raw, "\x32\x10 a text behind it");
            buf_add_literal(&expected, ",\"text\":\" a text behind i\"");
            raw.len--;
        }
        buf_add_byte(&expected, '}');
        uint8_t *exact = malloc(raw.len); /* so that a read beyond is seen */
        memcpy(exact, raw.at, raw.len);
        assert_int_equal(render_json(plan, NULL, span_of(exact, raw.len), &out, &err), 0);
        assert_string_equal(buf_text(&out), buf_text(&expected));
        free(exact);
        buf_release(&raw);
        buf_release(&expected);
        buf_release(&out);
    }
    render_plan_free(&plan);
}

/* Each level brings the texts of its empty fields, which no length on the wire announces. */
static void nesting_is_shown_up_to_its_limit(void **state)
{
    struct render_plan *plan = render_plan_new_message(type_of("every_kind.Inner"));

    (void)state;
    for (size_t depth = 0; depth <= MESSAGE_OWN_DEPTH_MAX + 1; depth++) {
        struct buf stored = BUF_INIT;
        struct buf out = BUF_INIT;
        struct err err = {0};
        for (size_t i = 0; i < depth; i++) { /* from the inside */
            uint8_t head[4] = {0x22, (uint8_t)stored.len, 0, 0};
            size_t head_len = 2;
            if (stored.len >= 0x80) {
                head[1] = (uint8_t)(stored.len | 0x80);
                head[2] = (uint8_t)(stored.len >> 7);
                head_len = 3;
            }
            buf_reserve(&stored, head_len);
            memmove(stored.at + head_len, stored.at, stored.len);
            memcpy(stored.at, head, head_len);
            stored.len += head_len;
        }
        int rc = render_json(plan, NULL, buf_span(&stored), &out, &err);
        assert_int_equal(rc, depth <= MESSAGE_OWN_DEPTH_MAX ? 0 : ERR_BROKEN);
        const size_t one = strlen("{\"name\":\"\",\"number\":0,\"children\":[],\"byName\":{}}");
        if (rc == 0)
            assert_int_equal(out.len, (depth + 1) * one + depth * strlen(",\"child\":"));
        buf_release(&stored);
        buf_release(&out);
    }
    render_plan_free(&plan);
}

/* --- selections --------------------------------------------------------------------------------------------------- */

static const struct field_selection *selected(const struct render_plan *plan, const char *fields)
{
    const struct field_selection *selection = NULL;
    struct err err = {0};

    if (field_selection_parse(plan, span_of_text(fields), &arena, &selection, &err) < 0)
        fail_msg("%s: %s", fields, err.text);
    return selection;
}

static void a_part_can_be_taken(void **state)
{
    /* name "a", number 5, two children (named "b" and "c", numbered 1 and 2), child with an empty child */
    const char *hex = "0a0161 1005 1a05 0a0162 1001 1a05 0a0163 1002 2202 2200";
    static const struct {
        const char *fields, *json, *hex;
    } cases[] = {
        {"name", "{\"name\":\"a\"}", "0a0161"},
        {"number,name", "{\"name\":\"a\",\"number\":5}", "0a0161 1005"},
        {"children.number", "{\"children\":[{\"number\":1},{\"number\":2}]}", "1a02 1001 1a02 1002"},
        {"children.name,children",
         "{\"children\":[{\"name\":\"b\",\"number\":1,\"children\":[],\"byName\":{}},"
         "{\"name\":\"c\",\"number\":2,\"children\":[],\"byName\":{}}]}",
         "1a05 0a0162 1001 1a05 0a0163 1002"},
        {"children,children.name",
         "{\"children\":[{\"name\":\"b\",\"number\":1,\"children\":[],\"byName\":{}},"
         "{\"name\":\"c\",\"number\":2,\"children\":[],\"byName\":{}}]}",
         "1a05 0a0162 1001 1a05 0a0163 1002"},
        {"child.child.name", "{\"child\":{\"child\":{\"name\":\"\"}}}", "2202 2200"},
        {"child.name", "{\"child\":{\"name\":\"\"}}", "2200"},
        {"byName", "{\"byName\":{}}", ""},
        {"by_name", "{\"byName\":{}}", ""},
        {"other", "{}", ""},
    };

    (void)state;
    struct render_plan *plan = render_plan_new_message(type_of("every_kind.Inner"));
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        assert_shows(plan, selected(plan, cases[i].fields), hex, cases[i].json);
        assert_gives(plan, selected(plan, cases[i].fields), hex, cases[i].hex);
    }
    render_plan_free(&plan);
}

static void a_part_that_is_not_there_is_named(void **state)
{
    static const struct {
        const char *type, *fields, *says;
    } cases[] = {
        {"every_kind.Inner", "", "there is no \"\""},
        {"every_kind.Inner", "name,nam", "\"nam\""},
        {"every_kind.Inner", "name,", "there is no \"\""},
        {"every_kind.Inner", "child.", "child."},
        {"every_kind.Inner", "child.nam", "child.nam"},
        {"every_kind.Inner", "name.x", "\"name\" can only be taken whole"},
        {"every_kind.Inner", "by_name.key", "\"by_name\" can only be taken whole"},
        {"every_kind.WellKnown", "at.seconds", "\"at\" can only be taken whole"},
        {"google.protobuf.Timestamp", "seconds", "none to choose from"},
        {"every_kind.Inner",
         "child.child.child.child.child.child.child.child.child.child.child.child.child.child."
         "child.child.child.child.child.child.child.child.child.child.child.child.child.child."
         "child.child.child.child.child.child.child.child.child.child.child.child",
         "there is no"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct render_plan *plan = render_plan_new_message(type_of(cases[i].type));
        const struct field_selection *selection = NULL;
        struct err err = {0};
        assert_int_equal(field_selection_parse(plan, span_of_text(cases[i].fields), &arena, &selection, &err),
                         ERR_INPUT);
        assert_null(selection);
        if (strstr(err.text, cases[i].says) == NULL)
            fail_msg("%s: \"%s\" doesn't say \"%s\"", cases[i].fields, err.text, cases[i].says);
        render_plan_free(&plan);
    }
}

/* --- hidden and limit --------------------------------------------------------------------------------------------- */

static const struct field_type *field_of(const char *type, const char *name)
{
    return message_type_field(type_of(type), span_of_text(name));
}

static void hidden_fields_and_limits_shape_what_is_served(void **state)
{
    const struct field_type *hidden = field_of("every_kind.Inner", "number");
    const struct list_rule limit = {.list = field_of("every_kind.Inner", "children"), .limit = 1};
    const struct field_type *child = field_of("every_kind.Inner", "child");
    const struct message_rules *self = NULL;
    struct message_rules rules = {
        .type = type_of("every_kind.Inner"),
        .lists = &limit,
        .list_count = 1,
        .children = &child,
        .child_rules = &self,
        .child_count = 1,
        .hidden = &hidden,
        .hidden_count = 1,
        .alters_serving = true,
    };
    const struct view view = {.name = "inner", .type = rules.type, .rules = &rules};
    self = &rules; /* inside `child` as at the top, but not inside `children` */

    (void)state;
    struct render_plan *plan = render_plan_new(&view);
    assert_false(render_is_identity(plan));
    const char *hex = "0a0161 1005 1a05 0a0162 1001 1a05 0a0163 1002 220a 1007 1a02 1008 1a020a00 320164";
    /* the child: number hidden, the second of its children beyond the limit */
    assert_shows(plan, NULL, hex,
                 "{\"name\":\"a\",\"children\":[{\"name\":\"b\",\"number\":1,\"children\":[],\"byName\":{}}],"
                 "\"child\":{\"name\":\"\",\"children\":[{\"name\":\"\",\"number\":8,\"children\":[],\"byName\":{}}],"
                 "\"byName\":{}},\"byName\":{},\"text\":\"d\"}");
    assert_gives(plan, NULL, hex, "0a0161 1a05 0a0162 1001 2204 1a02 1008 320164");
    assert_gives(plan, selected(plan, "children.name"), hex, "1a03 0a0162");

    const char *untouched = "0a0161 1a05 0a0162 1001 2204 1a02 1008 320164";
    assert_true(render_leaves_as_stored(plan, NULL, bytes_of_hex(untouched, &arena)));
    assert_false(render_leaves_as_stored(plan, selected(plan, "name"), bytes_of_hex(untouched, &arena)));
    assert_false(render_leaves_as_stored(plan, NULL, bytes_of_hex(hex, &arena)));
    assert_gives(plan, NULL, untouched, untouched);
    assert_false(render_leaves_as_stored(plan, NULL, bytes_of_hex("0a0161 1005", &arena)));         /* hidden */
    assert_false(render_leaves_as_stored(plan, NULL, bytes_of_hex("2202 1005", &arena)));           /* inside */
    assert_false(render_leaves_as_stored(plan, NULL, bytes_of_hex("1a00 1a00", &arena)));           /* limit */
    assert_false(render_leaves_as_stored(plan, NULL, bytes_of_hex("2206 1a00 1a00 1a00", &arena))); /* both */

    const struct field_selection *selection = NULL;
    struct err err = {0};
    assert_int_equal(field_selection_parse(plan, SPAN_LITERAL("number"), &arena, &selection, &err), ERR_INPUT);
    render_plan_free(&plan);
    assert_null(plan);
    render_plan_free(&plan);
}

static void a_limit_cuts_a_packed_list_inside(void **state)
{
    const struct list_rule limits[] = {
        {.list = field_of("every_kind.Lists", "int32s"), .limit = 2},
        {.list = field_of("every_kind.Lists", "doubles"), .limit = 1},
        {.list = field_of("every_kind.Lists", "unpacked_int32s"), .limit = 2},
    };
    const struct message_rules rules = {
        .type = type_of("every_kind.Lists"), .lists = limits, .list_count = 3, .alters_serving = true};
    const struct view view = {.name = "lists", .type = rules.type, .rules = &rules};
    const char *hex = "0a10 000000000000f03f 0000000000000040 2a06 01 8001 8002 05 900101 900102 900103 a00100";

    (void)state;
    struct render_plan *plan = render_plan_new(&view);
    assert_shows(plan, selected(plan, "int32s,doubles,unpacked_int32s"), hex,
                 "{\"doubles\":[1],\"int32s\":[1,128],\"unpackedInt32s\":[1,2]}");
    assert_gives(plan, NULL, hex, "0a08 000000000000f03f 2a03 01 8001 900101 900102 a00100");
    assert_gives(plan, NULL, "2a03 01 8001", "2a03 01 8001");
    render_plan_free(&plan);
}

static void rules_that_alter_nothing_leave_the_bytes_alone(void **state)
{
    const struct message_rules rules = {.type = type_of("every_kind.Inner")};
    const struct view view = {.name = "inner", .type = rules.type, .rules = &rules};

    (void)state;
    struct render_plan *plan = render_plan_new(&view);
    assert_true(render_is_identity(plan));
    assert_gives(plan, NULL, "0a0161 1005", "0a0161 1005");
    assert_gives(plan, NULL, "", "");
    render_plan_free(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_shown_as_protobufs_json),
        cmocka_unit_test(what_json_cannot_show_is_said),
        cmocka_unit_test(a_number_has_its_shortest_text),
        cmocka_unit_test(every_double_reads_back),
        cmocka_unit_test(strings_are_escaped_wherever_they_must_be),
        cmocka_unit_test(a_views_texts_are_shown_wherever_they_stand),
        cmocka_unit_test(nesting_is_shown_up_to_its_limit),
        cmocka_unit_test(a_part_can_be_taken),
        cmocka_unit_test(a_part_that_is_not_there_is_named),
        cmocka_unit_test(hidden_fields_and_limits_shape_what_is_served),
        cmocka_unit_test(a_limit_cuts_a_packed_list_inside),
        cmocka_unit_test(rules_that_alter_nothing_leave_the_bytes_alone),
    };

    return cmocka_run_group_tests(tests, load, release);
}
