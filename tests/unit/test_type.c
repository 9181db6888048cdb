/* Types made at run time from a descriptor set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "schema/message/message.h"
#include "tests/unit/schema_file.h"

static struct type_set *proto3;
static struct type_set *proto2;

static int load(void **state)
{
    (void)state;
    proto3 = schema_file_types("every_kind");
    proto2 = schema_file_types("every_kind_proto2");
    return 0;
}

static int release(void **state)
{
    (void)state;
    type_set_free(&proto3);
    type_set_free(&proto2);
    return 0;
}

static const struct message_type *type_of(const struct type_set *set, const char *name)
{
    const struct message_type *type = type_set_find(set, span_of_text(name));

    if (type == NULL)
        fail_msg("%s isn't there", name);
    return type;
}

static const struct field_type *field_of(const struct type_set *set, const char *type, const char *name)
{
    const struct field_type *field = message_type_field(type_of(set, type), span_of_text(name));

    if (field == NULL)
        fail_msg("%s.%s isn't there", type, name);
    return field;
}

static void a_type_is_found_by_its_full_name(void **state)
{
    (void)state;
    const struct message_type *type = type_of(proto3, "every_kind.Inner");
    assert_string_equal(type->full_name, "every_kind.Inner");
    assert_string_equal(type->name, "Inner");
    assert_string_equal(type->package, "every_kind");
    assert_string_equal(type->file, "every_kind.proto");
    assert_null(type_set_find(proto3, SPAN_LITERAL("Inner")));
    assert_null(type_set_find(proto3, SPAN_LITERAL("every_kind.Color")));
    assert_null(type_set_find(proto3, SPAN_LITERAL("")));
}

static void nested_types_stand_behind_their_parents(void **state)
{
    size_t parent = SIZE_MAX;

    (void)state;
    for (size_t i = 0; i < type_set_count(proto3); i++) {
        const char *name = type_set_at(proto3, i)->full_name;
        if (strcmp(name, "every_kind.Maps") == 0)
            parent = i;
        if (strcmp(name, "every_kind.Maps.ByInt32Entry") == 0)
            assert_true(parent < i);
    }
    assert_true(parent < type_set_count(proto3));
}

static void fields_are_found_by_name_and_by_number(void **state)
{
    static const uint32_t numbers[] = {1, 15, 17, 1000, 536870911};

    (void)state;
    const struct message_type *type = type_of(proto3, "every_kind.Singular");
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        const struct field_type *field = message_type_field_number(type, numbers[i]);
        assert_non_null(field);
        assert_int_equal(field->number, numbers[i]);
        assert_ptr_equal(message_type_field(type, span_of_text(field->name)), field);
        assert_ptr_equal(&type->fields[field->index], field);
        assert_string_equal(type->pb.fields[field->index].name, field->name);
        assert_ptr_equal(protobuf_c_message_descriptor_get_field(&type->pb, numbers[i]),
                         &type->pb.fields[field->index]);
    }
    assert_null(message_type_field_number(type, 0));
    assert_null(message_type_field_number(type, 19));
    assert_null(message_type_field_number(type, 999));
    assert_null(message_type_field_number(type, UINT32_MAX));
    assert_null(message_type_field(type, SPAN_LITERAL("a_doubl")));
}

static void presence_is_what_protobuf_says(void **state)
{
    static const struct {
        bool is_proto2;
        const char *type, *field;
        enum field_presence presence;
    } cases[] = {
        {false, "every_kind.Singular", "a_string", PRESENCE_IMPLICIT},
        {false, "every_kind.Singular", "inner", PRESENCE_EXPLICIT},
        {false, "every_kind.Optional", "a_string", PRESENCE_EXPLICIT}, /* its oneof is synthetic */
        {false, "every_kind.Lists", "doubles", PRESENCE_REPEATED},
        {false, "every_kind.Choice", "a_bool", PRESENCE_ONEOF},
        {false, "every_kind.Maps", "by_int32", PRESENCE_REPEATED},
        {false, "every_kind.Maps.ByInt32Entry", "value", PRESENCE_EXPLICIT},
        {true, "every_kind_proto2.Singular", "a_string", PRESENCE_EXPLICIT},
        {true, "every_kind_proto2.Required", "name", PRESENCE_EXPLICIT},
        {true, "every_kind_proto2.Choice", "shade", PRESENCE_ONEOF},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        assert_int_equal(field_of(cases[i].is_proto2 ? proto2 : proto3, cases[i].type, cases[i].field)->presence,
                         cases[i].presence);
    assert_true(field_of(proto3, "every_kind.Maps", "by_int32")->is_map);
    assert_true(field_of(proto2, "every_kind_proto2.Required", "name")->is_required);
}

static void members_of_a_oneof_share_their_place(void **state)
{
    (void)state;
    const struct field_type *text = field_of(proto3, "every_kind.Choice", "a_string");
    const struct field_type *number = field_of(proto3, "every_kind.Choice", "an_int64");
    const struct field_type *other = field_of(proto3, "every_kind.Choice", "a_uint32");

    assert_int_equal(text->offset, number->offset);
    assert_int_equal(text->quantifier_offset, number->quantifier_offset);
    assert_int_not_equal(other->quantifier_offset, text->quantifier_offset);
    assert_true(text->parent->pb.fields[text->index].flags & PROTOBUF_C_FIELD_FLAG_ONEOF);
}

static void lists_are_packed_as_the_syntax_says(void **state)
{
    (void)state;
    assert_true(field_of(proto3, "every_kind.Lists", "int32s")->is_packed);
    assert_true(field_of(proto3, "every_kind.Lists", "colors")->is_packed);
    assert_false(field_of(proto3, "every_kind.Lists", "unpacked_int32s")->is_packed);
    assert_false(field_of(proto3, "every_kind.Lists", "strings")->is_packed);
    assert_false(field_of(proto2, "every_kind_proto2.Lists", "unpacked")->is_packed);
    assert_true(field_of(proto2, "every_kind_proto2.Lists", "packed")->is_packed);
}

static void enums_know_their_names_and_numbers(void **state)
{
    int32_t number = 0;

    (void)state;
    const struct enum_type *color = field_of(proto3, "every_kind.Singular", "a_color")->enumeration;
    assert_string_equal(enum_type_name(color, 1), "RED"); /* CRIMSON is declared later */
    assert_string_equal(enum_type_name(color, -7), "BLUE");
    assert_string_equal(enum_type_name(color, INT32_MAX), "LAST");
    assert_null(enum_type_name(color, 2));
    assert_null(enum_type_name(color, INT32_MIN));
    assert_true(enum_type_number(color, SPAN_LITERAL("CRIMSON"), &number));
    assert_int_equal(number, 1);
    assert_true(enum_type_number(color, SPAN_LITERAL("BLUE"), &number));
    assert_int_equal(number, -7);
    assert_false(enum_type_number(color, SPAN_LITERAL("RE"), &number));
    assert_false(color->is_closed);
    assert_true(field_of(proto2, "every_kind_proto2.Singular", "a_shade")->enumeration->is_closed);
    assert_string_equal(protobuf_c_enum_descriptor_get_value_by_name(&color->pb, "CRIMSON")->name, "RED");
}

static void a_type_inherits_what_is_inside_it(void **state)
{
    (void)state;
    assert_true(type_of(proto2, "every_kind_proto2.Required")->needs_required);
    assert_true(type_of(proto2, "every_kind_proto2.RequiredInside")->needs_required);
    assert_false(type_of(proto2, "every_kind_proto2.Singular")->needs_required);
    assert_true(type_of(proto2, "every_kind_proto2.WithGroup")->has_group);
    assert_true(type_of(proto2, "every_kind_proto2.GroupInside")->has_group);
    assert_false(type_of(proto2, "every_kind_proto2.Required")->has_group);
}

static void well_known_types_are_known(void **state)
{
    (void)state;
    assert_int_equal(type_of(proto3, "google.protobuf.Timestamp")->well_known, WELL_KNOWN_TIMESTAMP);
    assert_int_equal(type_of(proto3, "google.protobuf.BytesValue")->well_known, WELL_KNOWN_WRAPPER);
    assert_int_equal(type_of(proto3, "google.protobuf.Value")->well_known, WELL_KNOWN_VALUE);
    assert_int_equal(type_of(proto3, "every_kind.Inner")->well_known, WELL_KNOWN_NONE);
}

static void options_arrive_as_their_bytes(void **state)
{
    struct arena arena = ARENA_INIT;
    struct type_set *set = NULL;
    struct err err = {0};

    (void)state;
    /* file { name: "a" syntax: "proto3" message_type { name: "M" options: { 50701: "\1\2" 50701: "\3" }
     *   field { name: "f" number: 1 label: OPTIONAL type: INT32 options { 50702: "" } } } } */
    struct span bytes = bytes_of_hex("0a 2e 0a 01 61 62 06 70726f746f33 22 21 0a 01 4d"
                                     " 3a 0b eae018 02 0102 eae018 01 03"
                                     " 12 0f 0a 01 66 18 01 20 01 28 05 42 04 f2e018 00",
                                     &arena);
    if (type_set_load(bytes, &set, &err) < 0)
        fail_msg("%s", err.text);
    const struct message_type *type = type_of(set, "M");
    assert_int_equal(type->tarn_options.len, 3);
    assert_memory_equal(type->tarn_options.at, "\1\2\3", 3);
    assert_non_null(type->fields[0].tarn_options.at);
    assert_int_equal(type->fields[0].tarn_options.len, 0);
    assert_string_equal(type->fields[0].json_name, "f");
    type_set_free(&set);
    arena_release(&arena);
    assert_null(type_of(proto3, "every_kind.Inner")->tarn_options.at);
}

static void what_is_no_descriptor_set_is_refused(void **state)
{
    static const struct {
        const char *hex, *says;
    } cases[] = {
        {"ff", "not a descriptor set"},
        {"0a 05 0a", "not a descriptor set"},
        {"0b 0c", "not a descriptor set"},
        /* file { name: "a" syntax: "editions" } */
        {"0a 0d 0a0161 62 08 65646974696f6e73", "editions"},
        /* file { name: "a" dependency: "b" } */
        {"0a 06 0a0161 1a0162", "--include_imports"},
        /* file { message_type { name: "1" } } */
        {"0a 05 22 03 0a0131", "without a proper name"},
        /* file { message_type { name: "M" } message_type { name: "M" } } */
        {"0a 0a 22 03 0a014d 22 03 0a014d", "twice"},
        /* file { message_type { name: "M" field { name: "f" number: 0 label: 1 type: 5 } } } */
        {"0a 10 22 0e 0a014d 12 09 0a0166 1800 2001 2805", "not a field number"},
        /* ... number: 1 type: 30 */
        {"0a 10 22 0e 0a014d 12 09 0a0166 1801 2001 281e", "without a type"},
        /* ... type: MESSAGE, without type_name */
        {"0a 10 22 0e 0a014d 12 09 0a0166 1801 2001 280b", "isn't in the descriptor set"},
        /* two fields with number 1 */
        {"0a 1b 22 19 0a014d 12 09 0a0166 1801 2001 2805 12 09 0a0167 1801 2001 2805", "twice"},
        /* two fields named f */
        {"0a 1b 22 19 0a014d 12 09 0a0166 1801 2001 2805 12 09 0a0166 1802 2001 2805", "twice"},
        /* oneof_index: 3 */
        {"0a 12 22 10 0a014d 12 0b 0a0166 1801 2001 2805 4803", "oneof"},
        /* options { map_entry: true } without key and value */
        {"0a 09 22 07 0a014d 3a 02 3801", "not the entry of a map"},
        /* enum_type { name: "E" } */
        {"0a 05 2a 03 0a0145", "at least one value"},
    };
    struct arena arena = ARENA_INIT;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct type_set *set = NULL;
        struct err err = {0};
        assert_int_equal(type_set_load(bytes_of_hex(cases[i].hex, &arena), &set, &err), ERR_INPUT);
        assert_null(set);
        if (strstr(err.text, cases[i].says) == NULL)
            fail_msg("case %zu: \"%s\" doesn't say \"%s\"", i, err.text, cases[i].says);
    }
    arena_release(&arena);
}

/* Messages inside messages: 22 for the file's, then 1a for each nested one. */
static void a_descriptor_set_that_nests_without_end_is_refused(void **state)
{
    struct buf inner = BUF_INIT;
    struct buf outer = BUF_INIT;
    struct type_set *set = NULL;
    struct err err = {0};

    (void)state;
    for (int depth = 0; depth < 3000; depth++) {
        size_t len = inner.len;
        buf_clear(&outer);
        buf_add_byte(&outer, depth == 2999 ? 0x0a : depth == 2998 ? 0x22 : 0x1a);
        for (; len >= 0x80; len >>= 7)
            buf_add_byte(&outer, (uint8_t)(len | 0x80));
        buf_add_byte(&outer, (uint8_t)len);
        buf_add_span(&outer, buf_span(&inner));
        buf_clear(&inner);
        buf_add_span(&inner, buf_span(&outer));
    }
    assert_int_equal(type_set_load(buf_span(&inner), &set, &err), ERR_INPUT);
    buf_release(&inner);
    buf_release(&outer);
}

/* Whatever byte is lost or changed: refused, or a set that can be freed. */
static void a_damaged_descriptor_set_harms_nobody(void **state)
{
    struct buf bytes = schema_file_bytes("every_kind_proto2");

    (void)state;
    for (size_t i = 0; i < bytes.len; i += 7) {
        struct type_set *set = NULL;
        struct err err = {0};
        uint8_t kept = bytes.at[i];
        if (type_set_load(span_of(bytes.at, i), &set, &err) == 0)
            type_set_free(&set);
        bytes.at[i] = (uint8_t)(kept + 1 + i % 250);
        if (type_set_load(buf_span(&bytes), &set, &err) == 0)
            type_set_free(&set);
        bytes.at[i] = kept;
    }
    buf_release(&bytes);
}

static void an_empty_set_has_no_types(void **state)
{
    struct type_set *set = NULL;
    struct err err = {0};

    (void)state;
    assert_int_equal(type_set_load(span_of(NULL, 0), &set, &err), 0);
    assert_int_equal(type_set_count(set), 0);
    type_set_free(&set);
    assert_null(set);
    type_set_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_type_is_found_by_its_full_name),
        cmocka_unit_test(nested_types_stand_behind_their_parents),
        cmocka_unit_test(fields_are_found_by_name_and_by_number),
        cmocka_unit_test(presence_is_what_protobuf_says),
        cmocka_unit_test(members_of_a_oneof_share_their_place),
        cmocka_unit_test(lists_are_packed_as_the_syntax_says),
        cmocka_unit_test(enums_know_their_names_and_numbers),
        cmocka_unit_test(a_type_inherits_what_is_inside_it),
        cmocka_unit_test(well_known_types_are_known),
        cmocka_unit_test(options_arrive_as_their_bytes),
        cmocka_unit_test(what_is_no_descriptor_set_is_refused),
        cmocka_unit_test(a_descriptor_set_that_nests_without_end_is_refused),
        cmocka_unit_test(a_damaged_descriptor_set_harms_nobody),
        cmocka_unit_test(an_empty_set_has_no_types),
    };

    return cmocka_run_group_tests(tests, load, release);
}
