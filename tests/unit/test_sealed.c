/* Messages that are read when somebody asks: as if they had been read at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "schema/message/sealed.h"
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

/* Canonical, each with messages inside. */
static const struct {
    const char *type, *hex;
} samples[] = {
    {"every_kind.Inner", "0a0161 1005 1a 05 0a0162 1007 1a 00 1a 07 0a0163 22 02 1009 22 05 0a0161 1001"},
    {"every_kind.Inner", "2a 04 0a00 1200 2a 07 0a0161 12 02 1001 3a 05 0a0161 1001"},
    {"every_kind.Inner", "22 0a 22 08 22 06 22 04 22 02 1003"},
    {"every_kind.Inner", "1a 03 320178 1a 02 4003 1a 02 4000 1a 02 3200 1a 02 3a00"},
    {"every_kind.Singular", "2805 8a01 0b 1005 22 05 0a0161 1001 4000 92010178"},
};

static const struct message_type *type_of(const char *name)
{
    return type_set_find(types, span_of_text(name));
}

static ProtobufCMessage *sealed_sample(size_t index, struct message_seals *seals, struct span *ret_bytes)
{
    ProtobufCMessage *message = NULL;
    struct err err = {0};

    *ret_bytes = bytes_of_hex(samples[index].hex, &arena);
    *seals = (struct message_seals){.arena = &arena};
    if (message_decode_sealed(type_of(samples[index].type), *ret_bytes, seals, &message, &err) < 0)
        fail_msg("%s", err.text);
    return message;
}

static void assert_encodes(const ProtobufCMessage *message, struct span bytes)
{
    struct buf buf = BUF_INIT;

    message_encode(message, &buf);
    assert_int_equal(message_encoded_size(message), bytes.len);
    assert_true(span_equal(buf_span(&buf), bytes));
    buf_release(&buf);
}

/* Calls visit for each message inside, those in lists as they stand there. */
static void visit_inside(ProtobufCMessage *message, void (*visit)(ProtobufCMessage *inside))
{
    const struct message_type *type = message_type_of(message);

    for (size_t i = 0; i < type->field_count; i++) {
        const struct field_type *field = &type->fields[i];
        if (field->kind != KIND_MESSAGE || !message_has(message, field))
            continue;
        if (field->presence != PRESENCE_REPEATED) {
            visit(*(ProtobufCMessage **)message_at(message, field->offset));
            continue;
        }
        for (size_t k = 0; k < *message_list_count(message, field); k++)
            visit(((ProtobufCMessage **)*message_list_items(message, field))[k]);
    }
}

static void assert_sealed(ProtobufCMessage *message)
{
    assert_true(message_is_sealed(message));
}

static void unseal_all(ProtobufCMessage *message)
{
    visit_inside(message_unseal(message), unseal_all);
}

static void the_messages_inside_stay_sealed_and_go_out_as_they_came(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(samples); i++) {
        struct message_seals seals;
        struct span bytes;
        ProtobufCMessage *message = sealed_sample(i, &seals, &bytes);
        assert_false(message_is_sealed(message));
        visit_inside(message, assert_sealed);
        assert_encodes(message, bytes);
        visit_inside(message, assert_sealed);
    }
}

static void what_is_unsealed_is_what_was_sealed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(samples); i++) {
        struct message_seals seals;
        struct span bytes;
        ProtobufCMessage *message = sealed_sample(i, &seals, &bytes);
        unseal_all(message);
        assert_encodes(message, bytes);
        assert_encodes(message_copy(message, &arena), bytes);
        assert_false(seals.is_broken);
    }
}

static void only_what_is_asked_for_is_unsealed(void **state)
{
    struct message_seals seals;
    struct span bytes;
    ProtobufCMessage *message = sealed_sample(0, &seals, &bytes);
    const struct field_type *child = message_type_field(message_type_of(message), SPAN_LITERAL("child"));
    const struct field_type *children = message_type_field(message_type_of(message), SPAN_LITERAL("children"));
    const struct field_type *number = message_type_field(message_type_of(message), SPAN_LITERAL("number"));

    (void)state;
    assert_false(message_is_sealed(message_get_message(message, child)));
    ProtobufCMessage **items = (ProtobufCMessage **)*message_list_items(message, children);
    assert_true(message_is_sealed(items[0]));
    message_set(message_unseal(items[0]), number, (struct value){.kind = VALUE_INT, .integer = 8});
    assert_true(message_is_sealed(items[1]));
    static const char changed[] = "0a0161 1005 1a 05 0a0162 1008 1a 00 1a 07 0a0163 22 02 1009 22 05 0a0161 1001";
    assert_encodes(message, bytes_of_hex(changed, &arena));
}

static void assert_peeks(ProtobufCMessage *sealed)
{
    const struct message_type *type = message_type_of(sealed);
    struct message_seals seals = {.arena = &arena};
    ProtobufCMessage *whole = NULL;
    struct err err = {0};

    assert_int_equal(message_decode_own(type, message_sealed_bytes(sealed), &arena, &whole, &err), 0);
    for (size_t i = 0; i < type->field_count; i++) {
        const struct field_type *field = &type->fields[i];
        if (field->presence == PRESENCE_REPEATED || field->kind == KIND_MESSAGE || type->is_map_entry)
            continue;
        struct value expected = message_get(whole, field);
        struct value value = message_peek(sealed, field);
        assert_int_equal(value.kind, expected.kind);
        if (value.kind == VALUE_STRING)
            assert_true(span_equal(value.text, expected.text));
        else if (value.kind == VALUE_INT)
            assert_int_equal(value.integer, expected.integer);
        union message_item room;
        if (field->presence == PRESENCE_IMPLICIT && field->kind == KIND_INT32)
            assert_int_equal(*(const int32_t *)message_peek_item(sealed, field, &room), expected.integer);
        assert_true(message_is_sealed(sealed));
    }
    assert_false(seals.is_broken);
}

static void a_value_is_read_without_breaking_the_seal(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(samples); i++) {
        struct message_seals seals;
        struct span bytes;
        visit_inside(sealed_sample(i, &seals, &bytes), assert_peeks);
        assert_false(seals.is_broken);
    }
}

static void bytes_that_do_not_parse_are_told_of_when_they_are_read(void **state)
{
    static const char *const broken[] = {"22 02 0a05", "22 03 1005 10", "22 02 0bff"};
    const struct message_type *type = type_of("every_kind.Inner");
    const struct field_type *child = message_type_field(type, SPAN_LITERAL("child"));

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(broken); i++) {
        for (int is_peeked = 0; is_peeked < 2; is_peeked++) {
            struct message_seals seals = {.arena = &arena};
            ProtobufCMessage *message = NULL;
            struct err err = {0};
            assert_int_equal(message_decode_sealed(type, bytes_of_hex(broken[i], &arena), &seals, &message, &err), 0);
            assert_false(seals.is_broken);
            if (is_peeked) /* the last field, so that all before it is passed over */
                message_peek(*(ProtobufCMessage **)message_at(message, child->offset),
                             message_type_field(type, SPAN_LITERAL("amount")));
            else
                assert_false(message_has(message_get_message(message, child), &type->fields[0]));
            assert_true(seals.is_broken);
        }
    }
    ProtobufCMessage *message = NULL;
    struct message_seals seals = {.arena = &arena};
    struct err err = {0};
    assert_int_equal(message_decode_sealed(type, bytes_of_hex("2205", &arena), &seals, &message, &err), ERR_BROKEN);
}

/* Bytes that nobody wrote can't take the stack. */
static void seals_are_broken_only_so_deep(void **state)
{
    enum { DEPTH = 1000 };
    const struct message_type *type = type_of("every_kind.Inner");
    const struct field_type *child = message_type_field(type, SPAN_LITERAL("child"));
    struct message_seals seals = {.arena = &arena};
    struct buf bytes = BUF_INIT;
    struct err err = {0};
    ProtobufCMessage *message = NULL;
    size_t depth = 0;

    (void)state;
    for (size_t i = 0; i < DEPTH; i++) { /* from the inside out */
        uint8_t head[3] = {0x22, (uint8_t)bytes.len}; /* a tag and a length below 2^14 */
        size_t len = 2;
        if (bytes.len > 0x7f) {
            head[1] |= 0x80;
            head[2] = (uint8_t)(bytes.len >> 7);
            len = 3;
        }
        buf_reserve(&bytes, len);
        if (bytes.len > 0)
            memmove(bytes.at + len, bytes.at, bytes.len);
        memcpy(bytes.at, head, len);
        bytes.len += len;
    }
    assert_int_equal(message_decode_sealed(type, buf_span(&bytes), &seals, &message, &err), 0);
    for (; message != NULL && !seals.is_broken; depth++)
        message = message_get_message(message, child);
    assert_true(seals.is_broken);
    assert_int_equal(depth, MESSAGE_OWN_DEPTH_MAX);
    buf_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_messages_inside_stay_sealed_and_go_out_as_they_came),
        cmocka_unit_test(what_is_unsealed_is_what_was_sealed),
        cmocka_unit_test(only_what_is_asked_for_is_unsealed),
        cmocka_unit_test(a_value_is_read_without_breaking_the_seal),
        cmocka_unit_test(bytes_that_do_not_parse_are_told_of_when_they_are_read),
        cmocka_unit_test(seals_are_broken_only_so_deep),
    };

    return cmocka_run_group_tests(tests, load, release);
}
