/* The document is put together once per generation, with jansson, which keeps it well-formed whatever names a schema has.
 * Each message that a view reaches becomes a component, named as in the schema; hidden fields don't appear, and what
 * JSON prints in any case (fields without presence) is required. Recursive messages refer to their component; in
 * examples they end after EXAMPLE_DEPTH. */
#include "query/openapi.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "query/at_least.h"
#include "schema/base/mem.h"

enum { EXAMPLE_DEPTH = 3 };

static void add_component(json_t *components, const struct message_type *type, const struct message_rules *rules);
static json_t *message_schema(json_t *components, const struct message_type *type, const struct message_rules *rules);
static json_t *message_example(const struct message_type *type, const struct message_rules *rules, int depth);
static json_t *scalar_schema(const struct field_type *field);
static void add_path(json_t *paths, const struct view *view);
static json_t *responses(const struct view *view);
static json_t *header_components(void);
static json_t *problem_schema(void);

/* json_pack() fails only for a bad format or without memory: both are ours to abort on. */
static json_t *made(json_t *value)
{
    if (value == NULL)
        abort();
    return value;
}

static void set(json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) != 0)
        abort();
}

static int write_bytes(const char *bytes, size_t len, void *out)
{
    buf_add(out, bytes, len);
    return 0;
}

void openapi_write(const struct view_set *set_of_views, struct buf *out)
{
    json_t *schemas = made(json_object()), *paths = made(json_object());

    set(schemas, "Problem", problem_schema());
    for (size_t i = 0; i < set_of_views->view_count; i++) {
        add_component(schemas, set_of_views->views[i].type, set_of_views->views[i].rules);
        add_path(paths, &set_of_views->views[i]);
    }
    json_t *document = made(json_pack(
        "{s:s, s:{s:s, s:s, s:s}, s:o, s:{s:o, s:o}}", "openapi", "3.1.0", "info", "title", "Result screens", "version",
        "1", "description", "Views kept by tarn-projector and answered by tarn-query. Every answer says how old it is.",
        "paths", paths, "components", "schemas", schemas, "headers", header_components()));
    if (json_dump_callback(document, write_bytes, out, JSON_INDENT(2)) != 0)
        abort();
    buf_add_byte(out, '\n');
    json_decref(document);
}

/* --- messages ------------------------------------------------------------------------------------------------------- */

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
    return scalar_schema(field);
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

static void add_component(json_t *components, const struct message_type *type, const struct message_rules *rules)
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
    const struct field_type *value;
    json_t *schema, *wrapped;
    char ref[512];

    switch (type->well_known) {
    case WELL_KNOWN_TIMESTAMP:
        return made(json_pack("{s:s, s:s}", "type", "string", "format", "date-time"));
    case WELL_KNOWN_DURATION:
        return made(json_pack("{s:s, s:s}", "type", "string", "pattern", "^-?[0-9]+(\\.[0-9]+)?s$"));
    case WELL_KNOWN_WRAPPER:
        value = message_type_field_number(type, 1);
        wrapped = scalar_schema(value);
        return made(json_pack("{s:[o, {s:s}]}", "anyOf", wrapped, "type", "null"));
    case WELL_KNOWN_STRUCT:
    case WELL_KNOWN_EMPTY:
    case WELL_KNOWN_ANY:
        return made(json_pack("{s:s}", "type", "object"));
    case WELL_KNOWN_VALUE:
        return made(json_object());
    case WELL_KNOWN_LIST_VALUE:
        return made(json_pack("{s:s, s:{}}", "type", "array", "items"));
    case WELL_KNOWN_FIELD_MASK:
        return made(json_pack("{s:s}", "type", "string"));
    case WELL_KNOWN_NONE:
        break;
    }
    schema = json_object_get(components, type->full_name);
    if (schema == NULL)
        add_component(components, type, rules);
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

static json_t *scalar_schema(const struct field_type *field)
{
    switch (field->kind) {
    case KIND_DOUBLE:
    case KIND_FLOAT:
        return made(json_pack("{s:[{s:s, s:s}, {s:[s, s, s]}]}", "anyOf", "type", "number", "format",
                              field->kind == KIND_FLOAT ? "float" : "double", "enum", "NaN", "Infinity", "-Infinity"));
    case KIND_INT64:
    case KIND_SFIXED64:
    case KIND_SINT64:
        return made(json_pack("{s:s, s:s, s:s}", "type", "string", "format", "int64", "pattern", "^-?[0-9]+$"));
    case KIND_UINT64:
    case KIND_FIXED64:
        return made(json_pack("{s:s, s:s, s:s}", "type", "string", "format", "uint64", "pattern", "^[0-9]+$"));
    case KIND_INT32:
    case KIND_SFIXED32:
    case KIND_SINT32:
        return made(json_pack("{s:s, s:s}", "type", "integer", "format", "int32"));
    case KIND_UINT32:
    case KIND_FIXED32:
        return made(json_pack("{s:s, s:s, s:i}", "type", "integer", "format", "uint32", "minimum", 0));
    case KIND_BOOL:
        return made(json_pack("{s:s}", "type", "boolean"));
    case KIND_BYTES:
        return made(json_pack("{s:s, s:s}", "type", "string", "contentEncoding", "base64"));
    case KIND_ENUM:
        return enum_schema(field->enumeration);
    case KIND_STRING:
    case KIND_GROUP:
    case KIND_MESSAGE:
        break;
    }
    return made(json_pack("{s:s}", "type", "string"));
}

/* --- examples ------------------------------------------------------------------------------------------------------- */

static json_t *scalar_example(const struct field_type *field)
{
    switch (field->kind) {
    case KIND_DOUBLE:
    case KIND_FLOAT:
        return json_real(0.5);
    case KIND_INT64:
    case KIND_SFIXED64:
    case KIND_SINT64:
    case KIND_UINT64:
    case KIND_FIXED64:
        return json_string("1");
    case KIND_INT32:
    case KIND_SFIXED32:
    case KIND_SINT32:
    case KIND_UINT32:
    case KIND_FIXED32:
        return json_integer(1);
    case KIND_BOOL:
        return json_true();
    case KIND_BYTES:
        return json_string("AQI=");
    case KIND_ENUM:
        return json_string(field->enumeration->values[field->enumeration->value_count > 1].name);
    case KIND_STRING:
    case KIND_GROUP:
    case KIND_MESSAGE:
        break;
    }
    return json_string(field->name);
}

static json_t *value_example(const struct field_type *field, const struct message_rules *rules, int depth)
{
    if (field->kind == KIND_MESSAGE)
        return message_example(field->message, rules_inside(rules, field), depth);
    return made(scalar_example(field));
}

static json_t *message_example(const struct message_type *type, const struct message_rules *rules, int depth)
{
    json_t *example;

    switch (type->well_known) {
    case WELL_KNOWN_TIMESTAMP:
        return made(json_string("2026-11-22T09:30:00Z"));
    case WELL_KNOWN_DURATION:
        return made(json_string("1.500s"));
    case WELL_KNOWN_WRAPPER:
        return made(scalar_example(message_type_field_number(type, 1)));
    case WELL_KNOWN_FIELD_MASK:
        return made(json_string("a,b.c"));
    case WELL_KNOWN_LIST_VALUE:
        return made(json_array());
    case WELL_KNOWN_STRUCT:
    case WELL_KNOWN_EMPTY:
    case WELL_KNOWN_ANY:
    case WELL_KNOWN_VALUE:
        return made(json_object());
    case WELL_KNOWN_NONE:
        break;
    }
    example = made(json_object());
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

/* --- paths ---------------------------------------------------------------------------------------------------------- */

static json_t *key_parameter(const struct field_type *field)
{
    const char *description = field->kind == KIND_BYTES  ? "unpadded base64url"
                              : field->kind == KIND_ENUM ? "by name or number"
                                                         : "percent-encoded";
    return made(json_pack("{s:s, s:s, s:b, s:s, s:o}", "name", field->name, "in", "path", "required", 1, "description",
                          description, "schema", scalar_schema(field)));
}

static json_t *parameter(const char *name, const char *in, const char *description, json_t *schema)
{
    return made(
        json_pack("{s:s, s:s, s:s, s:o}", "name", name, "in", in, "description", description, "schema", schema));
}

static json_t *text(void)
{
    return made(json_pack("{s:s}", "type", "string"));
}

static json_t *milliseconds(void)
{
    return made(json_pack("{s:s, s:i, s:i, s:i}", "type", "integer", "minimum", 0, "maximum", AT_LEAST_WAIT_MAX_MS,
                          "default", AT_LEAST_WAIT_MS));
}

static json_t *parameters(const struct view *view)
{
    json_t *list = made(json_array());

    for (size_t i = 0; i < view->key_count; i++)
        json_array_append_new(list, key_parameter(view->keys[i]));
    json_array_append_new(list, parameter("fields", "query", "A part of the view: a,b.c", text()));
    json_array_append_new(list, parameter("at-least", "query", "As Tarn-At-Least", text()));
    json_array_append_new(list, parameter("wait", "query", "As Tarn-Wait", milliseconds()));
    json_array_append_new(list, parameter("If-None-Match", "header", "The ETag that the client has", text()));
    json_array_append_new(list, parameter("Tarn-At-Least", "header",
                                          "topic/partition@offset, …: waits until the store has them", text()));
    json_array_append_new(list, parameter("Tarn-Wait", "header", "At most so many milliseconds", milliseconds()));
    return list;
}

static json_t *operation(const struct view *view, const char *verb)
{
    char id[300], summary[300];

    snprintf(id, sizeof(id), "%s-%s", verb, view->name);
    snprintf(summary, sizeof(summary), "One %s by its key", view->type->name);
    return made(json_pack("{s:s, s:s, s:o, s:o}", "operationId", id, "summary", summary, "parameters", parameters(view),
                          "responses", responses(view)));
}

static void add_path(json_t *paths, const struct view *view)
{
    char *path = mem_format("/v1/%s", view->name);

    for (size_t i = 0; i < view->key_count; i++) {
        char *longer = mem_format("%s/{%s}", path, view->keys[i]->name);
        free(path);
        path = longer;
    }
    set(paths, path, made(json_pack("{s:o, s:o}", "get", operation(view, "get"), "head", operation(view, "head"))));
    free(path);
}

static json_t *header_refs(bool has_entity)
{
    static const char *const names[] = {"Tarn-Generation", "Tarn-Age", "Tarn-Position", "Tarn-Incomplete", "ETag"};
    json_t *headers = made(json_object());
    char ref[64];

    for (size_t i = 0; i < ARRAY_COUNT(names) - !has_entity; i++) {
        snprintf(ref, sizeof(ref), "#/components/headers/%s", names[i]);
        set(headers, names[i], made(json_pack("{s:s}", "$ref", ref)));
    }
    return headers;
}

static json_t *responses(const struct view *view)
{
    static const struct {
        const char *status;
        const char *description;
        bool has_freshness;
    } problems[] = {
        {"400", "The URL or a header field is malformed, or names an unknown topic or partition", false},
        {"404", "There is no such view", true},
        {"406", "Neither of the representations is accepted", false},
        {"409", "The position of Tarn-At-Least didn't come in time", true},
        {"501", "This version doesn't support what is asked for", false},
        {"503", "The store is being filled for the first time", false},
    };
    json_t *all = made(json_object());
    char ref[512];

    snprintf(ref, sizeof(ref), "#/components/schemas/%s", view->type->full_name);
    set(all, "200",
        made(json_pack("{s:s, s:o, s:{s:{s:{s:s}, s:o}, s:{s:{s:s}}}}", "description", "The view", "headers",
                       header_refs(true), "content", "application/json", "schema", "$ref", ref, "example",
                       message_example(view->type, view->rules, EXAMPLE_DEPTH), "application/x-protobuf", "schema",
                       "description", view->type->full_name)));
    set(all, "304",
        made(json_pack("{s:s, s:o}", "description", "The client has it already", "headers", header_refs(true))));
    for (size_t i = 0; i < ARRAY_COUNT(problems); i++) {
        json_t *response =
            made(json_pack("{s:s, s:{s:{s:{s:s}}}}", "description", problems[i].description, "content",
                           "application/problem+json", "schema", "$ref", "#/components/schemas/Problem"));
        if (problems[i].has_freshness)
            set(response, "headers", header_refs(false));
        set(all, problems[i].status, response);
    }
    return all;
}

/* --- components ----------------------------------------------------------------------------------------------------- */

static json_t *header_components(void)
{
    static const struct {
        const char *name;
        const char *description;
        const char *type;
        const char *example;
    } rows[] = {
        {"Tarn-Generation", "Which generation of the store answered", "string", "7f3a9c-2"},
        {"Tarn-Age", "Seconds since the store last knew itself caught up with the partitions of this key", "integer",
         NULL},
        {"Tarn-Position", "Up to and with which offset every record of the key's partitions is handled", "string",
         "users/3@41"},
        {"Tarn-Incomplete", "true when events of this key are parked; otherwise not there", "string", "true"},
        {"ETag", "Changes exactly when the served bytes do", "string", "\"0123456789abcdef\""},
    };
    json_t *headers = made(json_object());

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        json_t *header =
            made(json_pack("{s:s, s:{s:s}}", "description", rows[i].description, "schema", "type", rows[i].type));
        if (rows[i].example != NULL)
            set(header, "example", made(json_string(rows[i].example)));
        set(headers, rows[i].name, header);
    }
    return headers;
}

static json_t *problem_schema(void)
{
    return made(json_pack("{s:s, s:s, s:{s:{s:s}, s:{s:s}, s:{s:s}}, s:[s, s]}", "type", "object", "description",
                          "RFC 9457", "properties", "title", "type", "string", "status", "type", "integer", "detail",
                          "type", "string", "required", "title", "status"));
}
