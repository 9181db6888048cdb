/* /openapi.json: well-formed, every reference leads somewhere, and it says what the JSON of a view is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "query/openapi.h"
#include "tests/unit/schema_file.h"

static json_t *document_of(const char *name)
{
    struct buf schema = schema_file_bytes(name), text = BUF_INIT;
    struct mistakes mistakes = {0};
    struct view_set *set = NULL;
    json_error_t error;
    struct err err;

    if (view_set_load(buf_span(&schema), &set, &mistakes, &err) != 0)
        fail_msg("%s", err.text);
    openapi_write(set, &text);
    json_t *document = json_loadb((const char *)text.at, text.len, 0, &error);
    if (document == NULL)
        fail_msg("%s", error.text);
    mistakes_release(&mistakes);
    view_set_free(&set);
    buf_release(&schema);
    buf_release(&text);
    return document;
}

/* "components/schemas/served.Book"; NULL when there is none. */
static json_t *at(json_t *value, const char *path)
{
    while (value != NULL && *path != '\0') {
        char name[200];
        size_t len = strcspn(path, "|");
        snprintf(name, sizeof(name), "%.*s", (int)len, path);
        value = json_is_array(value) ? json_array_get(value, (size_t)atoi(name)) : json_object_get(value, name);
        path += len + (path[len] == '|');
    }
    return value;
}

static void assert_json(json_t *value, const char *expected)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

static void check_references(json_t *document, json_t *value)
{
    const char *name;
    json_t *inside;
    size_t i;

    if (json_is_object(value)) {
        const char *ref = json_string_value(json_object_get(value, "$ref"));
        if (ref != NULL) {
            char path[300];
            assert_memory_equal(ref, "#/", 2);
            snprintf(path, sizeof(path), "%s", ref + 2);
            for (char *slash = path; (slash = strchr(slash, '/')) != NULL;)
                *slash = '|';
            if (at(document, path) == NULL)
                fail_msg("%s leads nowhere", ref);
        }
        json_object_foreach(value, name, inside) check_references(document, inside);
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, inside) check_references(document, inside);
    }
}

static void every_view_has_its_path_with_its_key(void **state)
{
    json_t *document = document_of("served");

    (void)state;
    assert_json(at(document, "openapi"), "\"3.1.0\"");
    assert_int_equal(json_object_size(at(document, "paths")), 4);
    json_t *loan = at(document, "paths|/v1/loan/{reader}/{number}/{cover}|get");
    assert_json(at(loan, "parameters|1|name"), "\"number\"");
    assert_json(at(loan, "parameters|1|in"), "\"path\"");
    assert_json(at(loan, "parameters|1|required"), "true");
    assert_json(at(loan, "responses|200|content|application/json|schema"),
                "{\"$ref\":\"#/components/schemas/served.Loan\"}");
    assert_non_null(at(loan, "responses|200|content|application/x-protobuf"));
    for (const char *const *status = (const char *const[]){"304", "400", "404", "406", "409", "503", NULL};
         *status != NULL; status++)
        assert_non_null(json_object_get(at(loan, "responses"), *status));
    assert_non_null(at(document, "paths|/v1/shelf/{reader}|head"));
    json_decref(document);
}

static void schemas_say_what_the_json_of_a_view_is(void **state)
{
    json_t *document = document_of("served");
    json_t *shelf = at(document, "components|schemas|served.Shelf");

    (void)state;
    assert_null(at(shelf, "properties|secret"));
    assert_json(at(shelf, "required"), "[\"reader\",\"books\",\"points\"]");
    assert_json(at(shelf, "properties|points"), "{\"format\":\"uint64\",\"pattern\":\"^[0-9]+$\",\"type\":\"string\"}");
    assert_json(at(shelf, "properties|since"), "{\"format\":\"date-time\",\"type\":\"string\"}");
    assert_json(at(shelf, "properties|books"),
                "{\"items\":{\"$ref\":\"#/components/schemas/served.Book\"},\"maxItems\":2,\"type\":\"array\"}");
    json_t *book = at(document, "components|schemas|served.Book");
    assert_json(at(book, "properties|sequel"), "{\"$ref\":\"#/components/schemas/served.Book\"}"); /* recursive */
    assert_json(at(book, "properties|cover|anyOf|0"), "{\"enum\":[\"PAPER\",\"CLOTH\"],\"type\":\"string\"}");
    assert_json(at(document, "components|schemas|served.Branch|properties|raw"),
                "{\"contentEncoding\":\"base64\",\"type\":\"string\"}");
    json_t *example = at(document, "paths|/v1/shelf/{reader}|get|responses|200|content|application/json|example");
    assert_json(at(example, "books|0|cover"), "\"CLOTH\"");
    assert_null(at(example, "secret"));
    json_decref(document);
}

static void every_reference_leads_somewhere(void **state)
{
    json_t *document = document_of("served");

    (void)state;
    check_references(document, document);
    json_decref(document);
    document = document_of("keys");
    check_references(document, document);
    json_decref(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_view_has_its_path_with_its_key),
        cmocka_unit_test(schemas_say_what_the_json_of_a_view_is),
        cmocka_unit_test(every_reference_leads_somewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
