/* Any bytes as a descriptor set: refused with a sentence, or types that can be looked up, made into tables and freed. */
#include <assert.h>
#include <string.h>

#include "schema/json/render.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct type_set *set = NULL;
    struct arena arena = ARENA_INIT;
    struct err err = {0};

    if (type_set_load(span_of(data, size), &set, &err) < 0) {
        assert(err.kind == ERR_INPUT && err.text[0] != '\0' && set == NULL);
        return 0;
    }
    for (size_t i = 0; i < type_set_count(set) && i < 20; i++) {
        const struct message_type *type = type_set_at(set, i);
        struct buf out = BUF_INIT;
        ProtobufCMessage *message = NULL;

        assert(type_set_find(set, span_of_text(type->full_name)) == type);
        for (size_t k = 0; k < type->field_count; k++) {
            const struct field_type *field = &type->fields[k];
            assert(message_type_field(type, span_of_text(field->name)) == field);
            assert(message_type_field_number(type, field->number) == field);
            assert(field->offset + field->element_size <= type->pb.sizeof_message ||
                   field->presence == PRESENCE_REPEATED);
        }
        /* The set's own bytes stand for a message of each of its types. */
        struct render_plan *plan = render_plan_new_message(type);
        if (message_decode(type, span_of(data, size), &arena, &message, &err) == 0)
            message_encode(message_copy(message, &arena), &out);
        struct buf json = BUF_INIT;
        (void)!render_json(plan, NULL, buf_span(&out), &json, &err);
        buf_release(&json);
        buf_release(&out);
        render_plan_free(&plan);
        arena_reset(&arena);
    }
    arena_release(&arena);
    type_set_free(&set);
    return 0;
}
