/* The document is put together once per generation, with jansson, which keeps it well-formed whatever names a schema has.
 * Each view is a path; its messages are components (openapi_schema.h). */
#include "query/openapi.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "query/at_least.h"
#include "query/openapi_schema.h"
#include "schema/base/mem.h"

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
        openapi_schema_add(schemas, set_of_views->views[i].type, set_of_views->views[i].rules);
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

/* --- paths ---------------------------------------------------------------------------------------------------------- */

static json_t *key_parameter(const struct field_type *field)
{
    const char *description = field->kind == KIND_BYTES  ? "unpadded base64url"
                              : field->kind == KIND_ENUM ? "by name or number"
                                                         : "percent-encoded";
    return made(json_pack("{s:s, s:s, s:b, s:s, s:o}", "name", field->name, "in", "path", "required", 1, "description",
                          description, "schema", openapi_schema_of_scalar(field)));
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
                       openapi_schema_example(view->type, view->rules), "application/x-protobuf", "schema",
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
