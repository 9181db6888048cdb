/* One recursive walk, by field name. */
#include "ops/dev/json_message.h"

#include <stdlib.h>

static int read_value(const struct field_type *field, json_t *json, struct arena *arena, struct value *ret_value,
                      struct err *err)
{
    struct value value = {.kind = value_kind_of(field->kind), .enumeration = field->enumeration};
    int32_t number = 0;

    switch (value.kind) {
    case VALUE_BOOL:
        value.boolean = json_is_true(json);
        break;
    case VALUE_INT:
        value.integer = json_integer_value(json);
        break;
    case VALUE_UINT:
        value.natural = (uint64_t)json_integer_value(json);
        break;
    case VALUE_FLOAT:
    case VALUE_DOUBLE:
        value.number = json_number_value(json);
        break;
    case VALUE_ENUM:
        if (json_is_integer(json))
            number = (int32_t)json_integer_value(json);
        else if (!json_is_string(json) ||
                 !enum_type_number(field->enumeration, span_of_text(json_string_value(json)), &number))
            return err_set(err, ERR_INPUT, "%s: no such enum value", field->name);
        value.integer = number;
        break;
    case VALUE_STRING:
    case VALUE_BYTES:
        value.text =
            span_of(arena_copy(arena, json_string_value(json), json_string_length(json)), json_string_length(json));
        break;
    case VALUE_MESSAGE: {
        int rc = json_message_read(field->message, json, arena, &value.message, err);
        if (rc < 0)
            return rc;
        break;
    }
    case VALUE_ABSENT:
        break;
    }
    *ret_value = value;
    return 0;
}

static int read_map(ProtobufCMessage *message, const struct field_type *field, json_t *object, struct arena *arena,
                    struct err *err)
{
    const struct field_type *key_field = message_type_field_number(field->message, 1);
    const struct field_type *item_field = message_type_field_number(field->message, 2);
    const char *name;
    json_t *item;

    json_object_foreach(object, name, item)
    {
        ProtobufCMessage *entry = message_new(field->message, arena);
        json_t *key_json =
            value_kind_of(key_field->kind) == VALUE_STRING ? json_string(name) : json_integer(atoll(name));
        struct value key, value;
        int rc = read_value(key_field, key_json, arena, &key, err);
        if (rc == 0)
            rc = read_value(item_field, item, arena, &value, err);
        json_decref(key_json);
        if (rc < 0)
            return rc;
        message_set(entry, key_field, key);
        message_set(entry, item_field, value);
        message_set_item(field, message_list_append(message, field, arena),
                         (struct value){.kind = VALUE_MESSAGE, .message = entry});
    }
    return 0;
}

static int read_list(ProtobufCMessage *message, const struct field_type *field, json_t *array, struct arena *arena,
                     struct err *err)
{
    size_t index;
    json_t *element;

    json_array_foreach(array, index, element)
    {
        struct value value;
        int rc = read_value(field, element, arena, &value, err);
        if (rc < 0)
            return rc;
        message_set_item(field, message_list_append(message, field, arena), value);
    }
    return 0;
}

static int read_field(ProtobufCMessage *message, const struct field_type *field, json_t *json, struct arena *arena,
                      struct err *err)
{
    struct value value;

    if (field->is_map)
        return read_map(message, field, json, arena, err);
    if (field->presence == PRESENCE_REPEATED)
        return read_list(message, field, json, arena, err);
    int rc = read_value(field, json, arena, &value, err);
    if (rc == 0)
        message_set(message, field, value);
    return rc;
}

int json_message_read(const struct message_type *type, json_t *json, struct arena *arena,
                      ProtobufCMessage **ret_message, struct err *err)
{
    ProtobufCMessage *message = message_new(type, arena);
    const char *name;
    json_t *member;
    int rc = 0;

    if (json_is_integer(json)) {
        rc = type->field_count == 0 ? err_set(err, ERR_INPUT, "%s has no field", type->full_name)
                                    : read_field(message, &type->fields[0], json, arena, err);
    } else {
        json_object_foreach(json, name, member)
        {
            const struct field_type *field = message_type_field(type, span_of_text(name));
            rc = field == NULL ? err_set(err, ERR_INPUT, "%s has no field %s", type->full_name, name)
                               : read_field(message, field, member, arena, err);
            if (rc < 0)
                break;
        }
    }
    if (rc == 0)
        *ret_message = message;
    return rc;
}
