/* Any bytes as a message of any type with every kind of field: the first byte chooses the type. What is taken must come
 * back the same from its canonical bytes, and its JSON must be JSON. */
#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "schema/json/render.h"
#include "schema/message/sealed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    struct type_set *set;
    struct render_plan **plans;
} fixture;

static void load(void)
{
    struct buf bytes = BUF_INIT;
    struct err err = {0};
    FILE *file = fopen("build/protos/every_kind_proto2.binpb", "rb");

    if (file == NULL) {
        fprintf(stderr, "build/protos/every_kind_proto2.binpb isn't there: make unit-tests\n");
        exit(2);
    }
    while (!feof(file))
        bytes.len += fread(buf_reserve(&bytes, 4096), 1, 4096, file);
    fclose(file);
    if (type_set_load(buf_span(&bytes), &fixture.set, &err) < 0)
        abort();
    buf_release(&bytes);
    fixture.plans = calloc(type_set_count(fixture.set), sizeof(*fixture.plans));
    for (size_t i = 0; i < type_set_count(fixture.set); i++)
        fixture.plans[i] = render_plan_new_message(type_set_at(fixture.set, i));
}

/* Rendering foreign bytes may fail, but not harm. */
static void render_raw(const struct render_plan *plan, struct span bytes)
{
    struct buf out = BUF_INIT;
    struct err err = {0};

    (void)!render_json(plan, NULL, bytes, &out, &err);
    (void)!render_protobuf(plan, NULL, bytes, &out, &err);
    buf_release(&out);
}

/* What is sealed goes out as it came, whatever of it was looked at. */
static void look_into(ProtobufCMessage *message)
{
    const struct message_type *type = message_type_of(message);

    for (size_t i = 0; i < type->field_count; i++) {
        const struct field_type *field = &type->fields[i];
        if (field->presence != PRESENCE_REPEATED) {
            struct value value = message_peek(message, field);
            if (value.kind == VALUE_MESSAGE && type->by_number_count % 2 == 0)
                look_into(value.message);
        } else if (field->kind == KIND_MESSAGE && !message_is_sealed(message)) {
            for (size_t k = 0; k < *message_list_count(message, field); k++)
                look_into(((ProtobufCMessage **)*message_list_items(message, field))[k]);
        }
    }
}

static void check_sealed(const struct message_type *type, struct span canonical, struct arena *arena)
{
    struct message_seals seals = {.arena = arena};
    struct buf again = BUF_INIT;
    ProtobufCMessage *message = NULL;
    struct err err = {0};

    assert(message_decode_sealed(type, canonical, &seals, &message, &err) == 0);
    look_into(message);
    assert(!seals.is_broken);
    message_encode(message, &again);
    assert(span_equal(canonical, buf_span(&again)));
    assert(message_encoded_size(message) == canonical.len);
    buf_release(&again);
}

/* Bytes that nobody wrote do no harm either. */
static void look_into_foreign(const struct message_type *type, struct span bytes, struct arena *arena)
{
    struct message_seals seals = {.arena = arena};
    ProtobufCMessage *message = NULL;
    struct err err = {0};

    if (message_decode_sealed(type, bytes, &seals, &message, &err) == 0)
        look_into(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = ARENA_INIT;
    struct buf canonical = BUF_INIT;
    struct buf again = BUF_INIT;
    struct buf json = BUF_INIT;
    ProtobufCMessage *message = NULL;
    struct err err = {0};

    if (fixture.set == NULL)
        load();
    if (size == 0)
        return 0;
    size_t index = data[0] % type_set_count(fixture.set);
    const struct message_type *type = type_set_at(fixture.set, index);
    struct span bytes = span_of(data + 1, size - 1);

    render_raw(fixture.plans[index], bytes);
    look_into_foreign(type, bytes, &arena);
    if (message_decode(type, bytes, &arena, &message, &err) == 0) {
        message_encode(message_copy(message, &arena), &canonical);
        assert(message_decode_own(type, buf_span(&canonical), &arena, &message, &err) == 0);
        message_encode(message, &again);
        assert(span_equal(buf_span(&canonical), buf_span(&again)));
        check_sealed(type, buf_span(&canonical), &arena);
        int rc = render_json(fixture.plans[index], NULL, buf_span(&canonical), &json, &err);
        assert(rc == 0 || rc == ERR_INPUT);
        if (rc == 0) {
            json_error_t error;
            json_t *value = json_loadb((const char *)json.at, json.len,
                                       JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
            /* Jansson's own limits: numbers too large for its types, depth, U+0000 in keys. */
            assert(value != NULL || json_error_code(&error) == json_error_numeric_overflow ||
                   json_error_code(&error) == json_error_stack_overflow ||
                   json_error_code(&error) == json_error_null_byte_in_key);
            json_decref(value);
        }
    }
    buf_release(&canonical);
    buf_release(&again);
    buf_release(&json);
    arena_release(&arena);
    return 0;
}
