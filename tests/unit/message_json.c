/* Reading is ops/dev/json_message.h; writing is one recursive walk, by field name. */
#include "tests/unit/message_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ops/dev/json_message.h"
#include "schema/base/mem.h"

json_t *json_of_text(const char *text)
{
    char *quoted = mem_text(text);
    json_error_t error;

    for (char *at = quoted; *at != '\0'; at++)
        if (*at == '\'')
            *at = '"';
    json_t *json = json_loads(quoted, JSON_DECODE_ANY, &error);
    if (json == NULL)
        fail_msg("%s: %s", error.text, quoted);
    free(quoted);
    return json;
}

ProtobufCMessage *message_of_json(const struct message_type *type, const char *text, struct arena *arena)
{
    json_t *json = json_of_text(text);
    ProtobufCMessage *message = NULL;
    struct err err = {0};

    if (json_message_read(type, json, arena, &message, &err) < 0)
        fail_msg("%s", err.text);
    json_decref(json);
    return message;
}

static json_t *write_value(struct value value)
{
    const char *name;

    switch (value.kind) {
    case VALUE_BOOL:
        return json_boolean(value.boolean);
    case VALUE_INT:
        return json_integer(value.integer);
    case VALUE_UINT:
        return json_integer((json_int_t)value.natural);
    case VALUE_FLOAT:
    case VALUE_DOUBLE:
        return value.number - value.number == 0 ? json_real(value.number) : json_string("not finite");
    case VALUE_ENUM:
        name = enum_type_name(value.enumeration, (int32_t)value.integer);
        return name ? json_string(name) : json_integer(value.integer);
    case VALUE_STRING:
    case VALUE_BYTES:
        return json_stringn(value.text.len ? value.text.at : "", value.text.len);
    case VALUE_MESSAGE:
        return json_of_message(value.message);
    case VALUE_ABSENT:
        break;
    }
    return json_null();
}

static json_t *write_list(const ProtobufCMessage *message, const struct field_type *field)
{
    json_t *list = field->is_map ? json_object() : json_array();
    const uint8_t *items = *message_list_items(message, field);

    for (size_t i = 0; i < *message_list_count(message, field); i++) {
        struct value value = message_get_item(field, items + i * field->element_size);
        if (!field->is_map) {
            json_array_append_new(list, write_value(value));
            continue;
        }
        char digits[32];
        struct value key = message_get(value.message, message_type_field_number(field->message, 1));
        snprintf(digits, sizeof(digits), "%lld", (long long)(key.kind == VALUE_INT ? key.integer : 0));
        json_t *item = write_value(message_get(value.message, message_type_field_number(field->message, 2)));
        if (key.kind == VALUE_STRING)
            json_object_setn_new(list, key.text.len ? key.text.at : "", key.text.len, item);
        else
            json_object_set_new(list, digits, item);
    }
    return list;
}

json_t *json_of_message(const ProtobufCMessage *message)
{
    const struct message_type *type = message_type_of(message);
    json_t *json = json_object();

    for (size_t i = 0; i < type->field_count; i++) {
        const struct field_type *field = &type->fields[i];
        if (!message_has(message, field))
            continue;
        json_object_set_new(json, field->name,
                            field->presence == PRESENCE_REPEATED ? write_list(message, field)
                                                                 : write_value(message_get(message, field)));
    }
    return json;
}
