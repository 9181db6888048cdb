/* Each message that a view reaches becomes a component, named as in the schema; what JSON prints in any case (fields
 * without presence) is required. Recursive messages refer to their component; in examples they end after EXAMPLE_DEPTH.
 * What the JSON of each kind of field and of each well-known type looks like stands in two tables. */
#include "query/openapi_schema.h"

#include <stdio.h>
#include <stdlib.h>

#include "schema/base/compiler.h"

enum { EXAMPLE_DEPTH = 3 };

struct look {
    const char *schema;
    const char *example; /* NULL: the field's name */
};

#define FLOATING(format)                                                                                               \
    "{\"anyOf\":[{\"type\":\"number\",\"format\":\"" format "\"},{\"enum\":[\"NaN\",\"Infinity\",\"-Infinity\"]}]}"
#define NARROW_INTEGER "{\"type\":\"integer\",\"format\":\"int32\"}"
#define NARROW_NATURAL "{\"type\":\"integer\",\"format\":\"uint32\",\"minimum\":0}"
#define WIDE_INTEGER   "{\"type\":\"string\",\"format\":\"int64\",\"pattern\":\"^-?[0-9]+$\"}"
#define WIDE_NATURAL   "{\"type\":\"string\",\"format\":\"uint64\",\"pattern\":\"^[0-9]+$\"}"

/* Enums and messages aren't here. */
static const struct look kinds[] = {
    [KIND_DOUBLE] = {FLOATING("double"), "0.5"},
    [KIND_FLOAT] = {FLOATING("float"), "0.5"},
    [KIND_INT64] = {WIDE_INTEGER, "\"1\""},
    [KIND_SFIXED64] = {WIDE_INTEGER, "\"1\""},
    [KIND_SINT64] = {WIDE_INTEGER, "\"1\""},
    [KIND_UINT64] = {WIDE_NATURAL, "\"1\""},
    [KIND_FIXED64] = {WIDE_NATURAL, "\"1\""},
    [KIND_INT32] = {NARROW_INTEGER, "1"},
    [KIND_SFIXED32] = {NARROW_INTEGER, "1"},
    [KIND_SINT32] = {NARROW_INTEGER, "1"},
    [KIND_UINT32] = {NARROW_NATURAL, "1"},
    [KIND_FIXED32] = {NARROW_NATURAL, "1"},
    [KIND_BOOL] = {"{\"type\":\"boolean\"}", "true"},
    [KIND_BYTES] = {"{\"type\":\"string\",\"contentEncoding\":\"base64\"}", "\"AQI=\""},
    [KIND_STRING] = {"{\"type\":\"string\"}", NULL},
};

#define ANY_OBJECT "{\"type\":\"object\"}"

/* Wrappers are as what they wrap. */
static const struct look well_knowns[] = {
    [WELL_KNOWN_TIMESTAMP] = {"{\"type\":\"string\",\"format\":\"date-time\"}", "\"2026-11-22T09:30:00Z\""},
    [WELL_KNOWN_DURATION] = {"{\"type\":\"string\",\"pattern\":\"^-?[0-9]+(\\\\.[0-9]+)?s$\"}", "\"1.500s\""},
    [WELL_KNOWN_STRUCT] = {ANY_OBJECT, "{}"},
    [WELL_KNOWN_EMPTY] = {ANY_OBJECT, "{}"},
    [WELL_KNOWN_ANY] = {ANY_OBJECT, "{}"},
    [WELL_KNOWN_VALUE] = {"{}", "{}"},
    [WELL_KNOWN_LIST_VALUE] = {"{\"type\":\"array\",\"items\":{}}", "[]"},
    [WELL_KNOWN_FIELD_MASK] = {"{\"type\":\"string\"}", "\"a,b.c\""},
};

static json_t *message_schema(json_t *components, const struct message_type *type, const struct message_rules *rules);
static json_t *message_example(const struct message_type *type, const struct message_rules *rules, int depth);

/* jansson fails here only for a bad text of ours or without memory: both are ours to abort on. */
static json_t *made(json_t *value)
{
    if (value == NULL)
        abort();
    return value;
}

static json_t *parsed(const char *text)
{
    return made(json_loads(text, JSON_DECODE_ANY, NULL));
}

static void set(json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) != 0)
        abort();
}

/* --- schemas ------------------------------------------------------------------------------------------------------- */

static bool is_hidden(const struct message_rules *rules, const struct field_type *field)
{
    for (size_t i = 0; rules != NULL && i < rules->hidden_count; i++)
        if (rules->hidden[i] == field)
            return true;
    return false;
}

static const struct message_rules *rules_inside(const struct message_rules *rules, const struct field_type *field)
{
    for (size_t i = 0; rules != NULL && i < rules->child_count; i++)
        if (rules->children[i] == field)
            return rules->child_rules[i];
    return NULL;
}

static uint32_t limit_of(const struct message_rules *rules, const struct field_type *field)
{
    for (size_t i = 0; rules != NULL && i < rules->list_count; i++)
        if (rules->lists[i].list == field)
            return rules->lists[i].limit;
    return 0;
}

/* One value of the field: of a list, an element. */
static json_t *value_schema(json_t *components, const struct field_type *field, const struct message_rules *rules)
{
    if (field->kind == KIND_MESSAGE)
        return message_schema(components, field->message, rules_inside(rules, field));
    return openapi_schema_of_scalar(field);
}

static json_t *field_schema(json_t *components, const struct field_type *field, const struct message_rules *rules)
{
    if (field->is_map) {
        const struct field_type *value = message_type_field_number(field->message, 2);
        return made(json_pack("{s:s, s:o}", "type", "object", "additionalProperties",
                              value_schema(components, value, rules_inside(rules, field))));
    }
    json_t *schema = value_schema(components, field, rules);
    if (field->presence != PRESENCE_REPEATED)
        return schema;
    json_t *list = made(json_pack("{s:s, s:o}", "type", "array", "items", schema));
    if (limit_of(rules, field) > 0)
        set(list, "maxItems", json_integer(limit_of(rules, field)));
    return list;
}

void openapi_schema_add(json_t *components, const struct message_type *type, const struct message_rules *rules)
{
    json_t *properties = made(json_object()), *required = made(json_array());
    json_t *schema = made(json_pack("{s:s, s:o}", "type", "object", "properties", properties));

    set(components, type->full_name, schema); /* before its fields: it may hold itself */
    for (size_t i = 0; i < type->field_count; i++) {
        const struct field_type *field = &type->fields[i];
        if (is_hidden(rules, field))
            continue;
        set(properties, field->json_name, field_schema(components, field, rules));
        if (field->presence == PRESENCE_IMPLICIT || field->presence == PRESENCE_REPEATED)
            json_array_append_new(required, json_string(field->json_name));
    }
    if (json_array_size(required) > 0)
        set(schema, "required", required);
    else
        json_decref(required);
}

static json_t *message_schema(json_t *components, const struct message_type *type, const struct message_rules *rules)
{
    char ref[512];

    if (type->well_known == WELL_KNOWN_WRAPPER) {
        json_t *wrapped = openapi_schema_of_scalar(message_type_field_number(type, 1));
        return made(json_pack("{s:[o, {s:s}]}", "anyOf", wrapped, "type", "null"));
    }
    if (type->well_known != WELL_KNOWN_NONE)
        return parsed(well_knowns[type->well_known].schema);
    if (json_object_get(components, type->full_name) == NULL)
        openapi_schema_add(components, type, rules);
    snprintf(ref, sizeof(ref), "#/components/schemas/%s", type->full_name);
    return made(json_pack("{s:s}", "$ref", ref));
}

static json_t *enum_schema(const struct enum_type *type)
{
    json_t *names = made(json_array());

    for (size_t i = 0; i < type->value_count; i++)
        json_array_append_new(names, json_string(type->values[i].name));
    if (type->is_closed)
        return made(json_pack("{s:s, s:o}", "type", "string", "enum", names));
    return made(json_pack("{s:[{s:s, s:o}, {s:s, s:s}]}", "anyOf", "type", "string", "enum", names, "type", "integer",
                          "description", "a number that this schema has no name for"));
}

json_t *openapi_schema_of_scalar(const struct field_type *field)
{
    return field->kind == KIND_ENUM ? enum_schema(field->enumeration) : parsed(kinds[field->kind].schema);
}

/* --- examples ------------------------------------------------------------------------------------------------------- */

static json_t *scalar_example(const struct field_type *field)
{
    if (field->kind == KIND_ENUM)
        return made(json_string(field->enumeration->values[field->enumeration->value_count > 1].name));
    return kinds[field->kind].example ? parsed(kinds[field->kind].example) : made(json_string(field->name));
}

static json_t *value_example(const struct field_type *field, const struct message_rules *rules, int depth)
{
    if (field->kind == KIND_MESSAGE)
        return message_example(field->message, rules_inside(rules, field), depth);
    return scalar_example(field);
}

static json_t *message_example(const struct message_type *type, const struct message_rules *rules, int depth)
{
    if (type->well_known == WELL_KNOWN_WRAPPER)
        return scalar_example(message_type_field_number(type, 1));
    if (type->well_known != WELL_KNOWN_NONE)
        return parsed(well_knowns[type->well_known].example);
    json_t *example = made(json_object());
    for (size_t i = 0; i < type->field_count; i++) {
        const struct field_type *field = &type->fields[i];
        bool is_deep = field->kind == KIND_MESSAGE && depth == 0;
        if (is_hidden(rules, field) || (is_deep && field->presence != PRESENCE_REPEATED))
            continue;
        if (field->is_map)
            set(example, field->json_name, made(json_object()));
        else if (field->presence != PRESENCE_REPEATED)
            set(example, field->json_name, value_example(field, rules, depth - 1));
        else if (is_deep)
            set(example, field->json_name, made(json_array()));
        else
            set(example, field->json_name, made(json_pack("[o]", value_example(field, rules, depth - 1))));
    }
    return example;
}

json_t *openapi_schema_example(const struct message_type *type, const struct message_rules *rules)
{
    return message_example(type, rules, EXAMPLE_DEPTH);
}
