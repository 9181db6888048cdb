/* Messages of run-time types: what is read, refused, written, copied. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "schema/message/message.h"
#include "schema/message/utf8.h"
#include "tests/unit/schema_file.h"

static struct type_set *proto3;
static struct type_set *proto2;
static struct arena arena;

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
    arena_release(&arena);
    return 0;
}

static const struct message_type *type_of(const char *name)
{
    bool is_proto2 = strncmp(name, "every_kind_proto2", 17) == 0;
    const struct message_type *type = type_set_find(is_proto2 ? proto2 : proto3, span_of_text(name));

    if (type == NULL)
        fail_msg("%s isn't there", name);
    return type;
}

static const struct field_type *field_of(const ProtobufCMessage *message, const char *name)
{
    const struct field_type *field = message_type_field(message_type_of(message), span_of_text(name));

    if (field == NULL)
        fail_msg("%s isn't there", name);
    return field;
}

static ProtobufCMessage *decoded(const char *type, const char *hex)
{
    ProtobufCMessage *message = NULL;
    struct err err = {0};

    if (message_decode(type_of(type), bytes_of_hex(hex, &arena), &arena, &message, &err) < 0)
        fail_msg("%s %s: %s", type, hex, err.text);
    return message;
}

static void assert_encodes(const ProtobufCMessage *message, const char *hex)
{
    struct span expected = bytes_of_hex(hex, &arena);
    struct buf buf = BUF_INIT;

    message_encode(message, &buf);
    assert_int_equal(message_encoded_size(message), buf.len);
    if (!span_equal(buf_span(&buf), expected)) {
        struct buf text = BUF_INIT;
        for (size_t i = 0; i < buf.len; i++)
            buf_add_format(&text, "%02x", buf.at[i]);
        fail_msg("%s, not %s", buf_text(&text), hex);
    }
    buf_release(&buf);
}

static void bytes_come_back_canonical(void **state)
{
    static const struct {
        const char *type, *from, *to;
    } cases[] = {
        {"every_kind.Inner", "", ""},
        {"every_kind.Inner", "0a0161 1005", "0a0161 1005"},
        {"every_kind.Inner", "1005 0a0161", "0a0161 1005"},         /* by number */
        {"every_kind.Inner", "1000 0a00", ""},                      /* implicit zeros */
        {"every_kind.Inner", "1005 1007", "1007"},                  /* the last wins */
        {"every_kind.Inner", "90808080 00 05", "1005"},             /* tags and varints in long form */
        {"every_kind.Inner", "10 85808080808080808000", "1005"},
        {"every_kind.Inner", "10 ffffffff0f", "10 ffffffffffffffffff01"}, /* 32 bits are sign-extended */
        {"every_kind.Inner", "a00601 1005 aa0602 0000", "1005"},    /* unknown fields */
        {"every_kind.Inner", "a306 1005 ab06 ac06 a406 1005", "1005"}, /* unknown groups */
        {"every_kind.Inner", "0d00000000 1005", "1005"},            /* another wire type: unknown */
        {"every_kind.Inner", "12 0105 1005", "1005"},
        {"every_kind.Inner", "22021001 22030a0161", "22 05 0a0161 1001"}, /* a message twice: merged */
        {"every_kind.Inner", "22021001 22021000", "22 00"},         /* a zero on the wire overwrites */
        {"every_kind.Inner", "320161 3a00", "3a00"},                /* the oneof's last member */
        {"every_kind.Inner", "3a021001 3a030a0161", "3a 05 0a0161 1001"}, /* ... which merges too */
        {"every_kind.Inner", "3a021001 4002 3a00", "3a00"},         /* ... but not across another member */
        {"every_kind.Inner", "3200", "3200"},                       /* an empty member is set */
        {"every_kind.Inner", "4000", "4000"},
        {"every_kind.Inner", "2a00", "2a 04 0a00 1200"},            /* an entry gets key and value */
        {"every_kind.Singular", "40ffffffff0f", "4001"},            /* any bool but 0 is true */
        {"every_kind.Singular", "7a 0161", ""},                     /* sint32 as bytes: unknown */
        {"every_kind.Singular", "7801", "7801"},
        {"every_kind.Singular", "090000000000000080", "090000000000000080"}, /* -0.0 isn't 0 */
        {"every_kind.Singular", "1500000080", "1500000080"},
        {"every_kind.Singular", "f8ffffff0f05", "f8ffffff0f05"},    /* the largest field number */
        {"every_kind.Optional", "2800 4a00 5200", "2800 4a00 5200"}, /* optional zeros stay */
        {"every_kind.Lists", "2801 2a020203 2804", "2a0401020304"}, /* packed and unpacked mixed */
        {"every_kind.Lists", "92010201 05", "900101 900105"},       /* unpacked lists come back unpacked */
        {"every_kind.Lists", "2a00", ""},
        {"every_kind.Lists", "42 04 00018001", "42 03 000101"},    /* a bool of two bytes in a packed list */
        {"every_kind.Lists", "4a00 4a0161", "4a00 4a0161"},
        {"every_kind_proto2.Lists", "0a 020102 10 03", "0801 0802 1201 03"},
        {"every_kind_proto2.Singular", "6063", ""},                 /* a closed enum's unknown number */
        {"every_kind_proto2.Singular", "6005 6063", "6005"},
        {"every_kind_proto2.Lists", "1805 1863 1809", "1805 1809"},
        {"every_kind_proto2.Lists", "2203 056309", "2202 0509"},
        {"every_kind_proto2.Choice", "120161 0863", "120161"},
        {"every_kind_proto2.Maps", "0a05 0a0161 1063 0a05 0a0162 1003", "0a05 0a0162 1003"},
        {"every_kind_proto2.Singular", "a20600", ""},               /* extensions */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        assert_encodes(decoded(cases[i].type, cases[i].from), cases[i].to);
}

static void bytes_that_protobuf_refuses_are_refused(void **state)
{
    static const struct {
        const char *type, *hex, *says;
    } cases[] = {
        {"every_kind.Inner", "0a", "longer than the message"},
        {"every_kind.Inner", "0a05 61", "name: longer than the message"},
        {"every_kind.Inner", "0a ffffffff7f", "longer"},
        {"every_kind.Inner", "0a 8080808080 00", "longer"},  /* a length of six bytes */
        {"every_kind.Inner", "10", "number"},
        {"every_kind.Inner", "1080", "number"},
        {"every_kind.Inner", "10 ffffffffffffffffffff01", "number"}, /* eleven bytes */
        {"every_kind.Inner", "00", "don't parse"},          /* field 0 */
        {"every_kind.Inner", "8000 05", "don't parse"},     /* field 0, in long form */
        {"every_kind.Inner", "16", "don't parse"},          /* wire types 6 and 7 */
        {"every_kind.Inner", "17", "don't parse"},
        {"every_kind.Inner", "f8ffffff1f 05", "don't parse"}, /* a tag over 32 bits */
        {"every_kind.Inner", "a306", "unknown field"},      /* a group without end */
        {"every_kind.Inner", "a306 ac06", "unknown field"}, /* with another's end */
        {"every_kind.Inner", "a406", "unknown field"},      /* an end without group */
        {"every_kind.Inner", "a106 00", "unknown field"},
        {"every_kind.Inner", "2203 1001", "child: longer"},
        {"every_kind.Inner", "0a01ff", "name: a string that isn't UTF-8"},
        {"every_kind.Inner", "0a03eda080", "UTF-8"},        /* a surrogate */
        {"every_kind.Inner", "2a 05 0a01ff 1200", "key: a string that isn't UTF-8"},
        {"every_kind.Singular", "0900000000000000", "a_double: a number"},
        {"every_kind.Singular", "15000000", "a_float: a number"},
        {"every_kind.Lists", "0a07 00000000000000", "doubles: a packed list"},
        {"every_kind.Lists", "1203 000000", "floats: a packed list"},
        {"every_kind.Lists", "2a01 80", "int32s: a packed list"},
        {"every_kind_proto2.WithGroup", "1314", "groups aren't supported"},
        {"every_kind_proto2.GroupInside", "0a021314", "groups aren't supported"},
        {"every_kind_proto2.Required", "1001", "name: required, and missing"},
        {"every_kind_proto2.RequiredInside", "0a00", "Required.name: required"},
        {"every_kind_proto2.RequiredInside", "1200", "Required.name: required"},
        {"every_kind_proto2.RequiredInside", "1a00", "Required.name: required"},
        {"every_kind_proto2.RequiredInside", "22022a00", "Required.name: required"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        ProtobufCMessage *message = NULL;
        struct err err = {0};
        assert_int_equal(
            message_decode(type_of(cases[i].type), bytes_of_hex(cases[i].hex, &arena), &arena, &message, &err),
            ERR_INPUT);
        assert_null(message);
        if (strstr(err.text, cases[i].says) == NULL)
            fail_msg("%s: \"%s\" doesn't say \"%s\"", cases[i].hex, err.text, cases[i].says);
    }
}

/* `depth` messages inside one another. */
static struct buf nested(unsigned depth)
{
    struct buf inner = BUF_INIT;
    struct buf outer = BUF_INIT;

    for (unsigned i = 0; i < depth; i++) {
        buf_clear(&outer);
        buf_add_byte(&outer, 0x22);
        size_t len = inner.len;
        for (; len >= 0x80; len >>= 7)
            buf_add_byte(&outer, (uint8_t)(len | 0x80));
        buf_add_byte(&outer, (uint8_t)len);
        buf_add_span(&outer, buf_span(&inner));
        struct buf swap = inner;
        inner = outer;
        outer = swap;
    }
    buf_release(&outer);
    return inner;
}

static void a_message_nests_as_deep_as_protobuf_lets_it(void **state)
{
    static const struct {
        unsigned depth;
        int decode, decode_own;
    } cases[] = {{100, 0, 0}, {101, ERR_INPUT, 0}, {400, ERR_INPUT, 0}, {401, ERR_INPUT, ERR_BROKEN},
                 {20000, ERR_INPUT, ERR_BROKEN}};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct buf bytes = nested(cases[i].depth);
        ProtobufCMessage *message = NULL;
        struct err err = {0};
        assert_int_equal(message_decode(type_of("every_kind.Inner"), buf_span(&bytes), &arena, &message, &err),
                         cases[i].decode);
        assert_int_equal(message_decode_own(type_of("every_kind.Inner"), buf_span(&bytes), &arena, &message, &err),
                         cases[i].decode_own);
        buf_release(&bytes);
    }
}

static void our_own_bytes_are_read_without_the_checks_of_strangers(void **state)
{
    ProtobufCMessage *message = NULL;
    struct err err = {0};

    (void)state;
    assert_int_equal(message_decode_own(type_of("every_kind_proto2.Required"), bytes_of_hex("1001", &arena), &arena,
                                        &message, &err), 0);
    assert_encodes(message, "1001");
    assert_int_equal(message_decode_own(type_of("every_kind.Inner"), bytes_of_hex("0a05", &arena), &arena, &message,
                                        &err), ERR_BROKEN);
}

static void utf8_is_what_rfc_3629_says(void **state)
{
    static const struct {
        const char *hex;
        bool is_valid;
    } cases[] = {
        {"", true}, {"00", true}, {"7f", true}, {"80", false}, {"c2", false}, {"c280", true}, {"c180", false},
        {"dfbf", true}, {"e0a080", true}, {"e09fbf", false}, {"ed9fbf", true}, {"eda080", false}, {"efbfbf", true},
        {"f0908080", true}, {"f08fbfbf", false}, {"f48fbfbf", true}, {"f4908080", false}, {"f5808080", false},
        {"e0a0", false}, {"f09080", false}, {"c241", false}, {"6161616161616161 ff", false},
        {"61616161616161 c3a9 6161616161616161", true}, {"ed95 9c ea b5 ad", true}, {"fe", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        if (utf8_is_valid(bytes_of_hex(cases[i].hex, &arena)) != cases[i].is_valid)
            fail_msg("%s", cases[i].hex);
    }
}

/* --- protobuf-c on the same types --------------------------------------------------------------------------------- */

static void *allocate(void *self, size_t size)
{
    return arena_alloc(self, size);
}

static void keep(void *self, void *at)
{
    (void)self;
    (void)at;
}

static void protobuf_c_reads_and_writes_the_same(void **state)
{
    static const struct {
        const char *type, *hex;
    } cases[] = {
        {"every_kind.Inner", "0a0161 1005 1a00 1a021001 22041a021001 2a050a01611200 320161"},
        {"every_kind.Inner", "4001"},
        {"every_kind.Singular", "09000000000000f03f 150000803f 1801 2001 2801 310100000000000000 3d01000000 4001"
                                "4a0161 52020061 5801 6001 6d01000000 710100000000000000 7801 800101 8a0100"},
        {"every_kind.Optional", "2800 4000 4a00 5200"},
        {"every_kind.Lists", "0a08 000000000000f03f 2a0401020304 4203000101 4a00 4a0161 6202 0001 8a0100 900101"},
        {"every_kind.Maps", "0a05 0801 120161 5a06 0801 1202 1001"},
        {"every_kind_proto2.Singular", "2800 4a00 6005"},
    };
    ProtobufCAllocator allocator = {allocate, keep, &arena};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct span bytes = bytes_of_hex(cases[i].hex, &arena);
        struct buf ours = BUF_INIT;
        ProtobufCMessage *message =
            protobuf_c_message_unpack(&type_of(cases[i].type)->pb, &allocator, bytes.len, bytes.at);
        assert_non_null(message);
        assert_encodes(message, cases[i].hex);

        message_encode(decoded(cases[i].type, cases[i].hex), &ours);
        uint8_t *packed = arena_alloc(&arena, protobuf_c_message_get_packed_size(message));
        size_t len = protobuf_c_message_pack(message, packed);
        assert_true(span_equal(buf_span(&ours), span_of(packed, len)));
        buf_release(&ours);
    }
}

/* --- fields ------------------------------------------------------------------------------------------------------- */

static void a_value_comes_back_as_it_was_set(void **state)
{
    static const struct {
        const char *field;
        struct value value;
    } cases[] = {
        {"a_double", {.kind = VALUE_DOUBLE, .number = 0.1}},
        {"a_float", {.kind = VALUE_FLOAT, .number = 0.25}},
        {"an_int64", {.kind = VALUE_INT, .integer = INT64_MIN}},
        {"a_uint64", {.kind = VALUE_UINT, .natural = UINT64_MAX}},
        {"an_int32", {.kind = VALUE_INT, .integer = INT32_MIN}},
        {"a_fixed64", {.kind = VALUE_UINT, .natural = UINT64_MAX}},
        {"a_fixed32", {.kind = VALUE_UINT, .natural = UINT32_MAX}},
        {"a_bool", {.kind = VALUE_BOOL, .boolean = true}},
        {"a_string", {.kind = VALUE_STRING, .text = {"a\0b", 3}}},
        {"some_bytes", {.kind = VALUE_BYTES, .text = {"\xff", 1}}},
        {"a_uint32", {.kind = VALUE_UINT, .natural = UINT32_MAX}},
        {"a_color", {.kind = VALUE_ENUM, .integer = -7}},
        {"an_sfixed32", {.kind = VALUE_INT, .integer = INT32_MIN}},
        {"an_sfixed64", {.kind = VALUE_INT, .integer = INT64_MIN}},
        {"an_sint32", {.kind = VALUE_INT, .integer = INT32_MIN}},
        {"an_sint64", {.kind = VALUE_INT, .integer = INT64_MIN}},
    };
    static const char *const types[] = {"every_kind.Singular", "every_kind.Optional", "every_kind_proto2.Singular"};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases) * ARRAY_COUNT(types); i++) {
        struct value set = cases[i / ARRAY_COUNT(types)].value;
        const char *name = cases[i / ARRAY_COUNT(types)].field;
        ProtobufCMessage *message = message_new(type_of(types[i % ARRAY_COUNT(types)]), &arena);
        if (i % ARRAY_COUNT(types) == 2 && set.kind == VALUE_ENUM)
            continue; /* the proto2 message has another enum */
        const struct field_type *field = field_of(message, name);

        assert_false(message_has(message, field));
        message_set(message, field, set);
        assert_true(message_has(message, field));
        struct value got = message_get(message, field);
        assert_int_equal(got.kind, set.kind);
        assert_int_equal(got.kind, value_kind_of(field->kind));
        if (set.kind == VALUE_STRING || set.kind == VALUE_BYTES)
            assert_true(span_equal(got.text, set.text));
        else if (set.kind == VALUE_BOOL)
            assert_true(got.boolean);
        else
            assert_int_equal(got.natural, set.natural);
        assert_int_equal(message_field_encoded_size(message, field), message_encoded_size(message));

        message_set(message, field, (struct value){.kind = VALUE_ABSENT});
        assert_false(message_has(message, field));
        assert_encodes(message, "");
    }
}

static void absence_depends_on_presence(void **state)
{
    (void)state;
    ProtobufCMessage *implicit = message_new(type_of("every_kind.Singular"), &arena);
    ProtobufCMessage *explicit = message_new(type_of("every_kind.Optional"), &arena);
    ProtobufCMessage *closed = message_new(type_of("every_kind_proto2.Singular"), &arena);

    assert_int_equal(message_get(implicit, field_of(implicit, "an_int32")).kind, VALUE_INT);
    assert_int_equal(message_get(explicit, field_of(explicit, "an_int32")).kind, VALUE_ABSENT);
    assert_int_equal(message_get(implicit, field_of(implicit, "inner")).kind, VALUE_ABSENT);
    message_set(closed, field_of(closed, "a_shade"), (struct value){.kind = VALUE_ENUM, .integer = 99});
    assert_int_equal(message_get(closed, field_of(closed, "a_shade")).kind, VALUE_ABSENT);
    message_set(implicit, field_of(implicit, "a_string"), (struct value){.kind = VALUE_STRING, .text = {"", 0}});
    assert_encodes(implicit, "");
}

static void a_oneof_holds_one_member(void **state)
{
    (void)state;
    ProtobufCMessage *message = message_new(type_of("every_kind.Choice"), &arena);
    const struct field_type *text = field_of(message, "a_string");
    const struct field_type *number = field_of(message, "an_int64");
    const struct field_type *inner = field_of(message, "inner");

    message_set(message, text, (struct value){.kind = VALUE_STRING, .text = {"x", 1}});
    message_set(message, number, (struct value){.kind = VALUE_INT, .integer = 0});
    assert_false(message_has(message, text));
    assert_true(message_has(message, number));
    assert_null(message_get_message(message, inner));
    assert_non_null(message_make_message(message, inner, &arena));
    assert_false(message_has(message, number));
    assert_ptr_equal(message_make_message(message, inner, &arena), message_get_message(message, inner));
    message_clear(message, text); /* isn't the one that is set */
    assert_true(message_has(message, inner));
    message_clear(message, inner);
    assert_encodes(message, "");
}

static void a_list_grows_as_long_as_one_appends(void **state)
{
    (void)state;
    /* From a decoded list, whose room is no larger than it must be, and from an empty one. */
    ProtobufCMessage *message = decoded("every_kind.Lists", "2a 05 0001020304 92 01 00");
    const struct field_type *numbers = field_of(message, "int32s");
    const struct field_type *inners = field_of(message, "inners");

    for (int32_t i = 5; i < 1000; i++) {
        *(int32_t *)message_list_append(message, numbers, &arena) = i;
        *(ProtobufCMessage **)message_list_append(message, inners, &arena) =
            message_new(type_of("every_kind.Inner"), &arena);
    }
    assert_int_equal(*message_list_count(message, numbers), 1000);
    assert_int_equal(*message_list_count(message, inners), 995);
    const int32_t *items = *message_list_items(message, numbers);
    for (int32_t i = 0; i < 1000; i++)
        assert_int_equal(items[i], i);
    assert_int_equal(message_get_item(numbers, &items[999]).integer, 999);
    message_clear(message, numbers);
    assert_false(message_has(message, numbers));
}

/* --- copies ------------------------------------------------------------------------------------------------------- */

static void a_copy_is_equal_and_its_own(void **state)
{
    (void)state;
    const char *hex = "0a0161 1005 1a021001 22041a021001 320162";
    ProtobufCMessage *message = decoded("every_kind.Inner", hex);
    ProtobufCMessage *copy = message_copy(message, &arena);

    assert_encodes(copy, hex);
    message_set(message_get_message(message, field_of(message, "child")), field_of(message, "number"),
                (struct value){.kind = VALUE_INT, .integer = 9});
    ProtobufCMessage **children = (ProtobufCMessage **)*message_list_items(message, field_of(message, "children"));
    message_set(children[0], field_of(message, "number"), (struct value){.kind = VALUE_INT, .integer = 9});
    assert_encodes(copy, hex);
}

static void a_copied_map_is_sorted_and_the_last_of_equal_keys_wins(void **state)
{
    static const struct {
        const char *from, *to;
    } cases[] = {
        {"2a050a01621200 2a050a01611200", "2a050a01611200 2a050a01621200"},
        {"2a070a016112021001 2a070a016212021002 2a070a016112021003", "2a070a016112021003 2a070a016212021002"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        assert_encodes(message_copy(decoded("every_kind.Inner", cases[i].from), &arena), cases[i].to);
    /* numbers by value, not by bytes */
    assert_encodes(message_copy(decoded("every_kind.Maps", "0a040805 1200 0a 0d 08ffffffffffffffffff01 1200"), &arena),
                   "0a0d 08ffffffffffffffffff01 1200 0a04 0805 1200");
}

static void a_copy_drops_what_protobuf_would(void **state)
{
    (void)state;
    ProtobufCMessage *message = message_new(type_of("every_kind_proto2.Lists"), &arena);
    const struct field_type *shades = field_of(message, "shades");
    static const int32_t numbers[] = {5, 99, 9};

    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++)
        *(int32_t *)message_list_append(message, shades, &arena) = numbers[i];
    assert_encodes(message_copy(message, &arena), "1805 1809");

    ProtobufCMessage *one = message_new(type_of("every_kind_proto2.Singular"), &arena);
    message_set(one, field_of(one, "a_shade"), (struct value){.kind = VALUE_ENUM, .integer = 99});
    assert_encodes(message_copy(one, &arena), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_back_canonical),
        cmocka_unit_test(bytes_that_protobuf_refuses_are_refused),
        cmocka_unit_test(a_message_nests_as_deep_as_protobuf_lets_it),
        cmocka_unit_test(our_own_bytes_are_read_without_the_checks_of_strangers),
        cmocka_unit_test(utf8_is_what_rfc_3629_says),
        cmocka_unit_test(protobuf_c_reads_and_writes_the_same),
        cmocka_unit_test(a_value_comes_back_as_it_was_set),
        cmocka_unit_test(absence_depends_on_presence),
        cmocka_unit_test(a_oneof_holds_one_member),
        cmocka_unit_test(a_list_grows_as_long_as_one_appends),
        cmocka_unit_test(a_copy_is_equal_and_its_own),
        cmocka_unit_test(a_copied_map_is_sorted_and_the_last_of_equal_keys_wins),
        cmocka_unit_test(a_copy_drops_what_protobuf_would),
    };

    return cmocka_run_group_tests(tests, load, release);
}
