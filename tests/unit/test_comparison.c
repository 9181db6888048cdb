/* Two stores compared: what is in one only, what differs and where, and that equal stretches aren't read. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "made_schema.h"
#include "message_json.h"
#include "projector/comparison_report.h"
#include "schema/base/mem.h"
#include "schema/view/key.h"
#include "schema_file.h"
#include "scratch_folder.h"

/* One side: a store of a schema. */
struct half {
    char *folder;
    struct view_set *views;
    struct generation_settings settings;
    struct store *store;
    struct store_reader *reader;
};

static struct half open_half(const char *schema)
{
    const struct store_options options = {.access = STORE_READ_WRITE};
    struct buf bytes = schema_file_bytes(schema);
    struct half half = {.folder = scratch_folder_make(), .views = made_schema_load(buf_span(&bytes))};
    struct err err;

    buf_release(&bytes);
    assert_int_equal(store_open(half.folder, &options, &half.store, &err), 0);
    assert_int_equal(store_reader_open(half.store, &half.reader, &err), 0);
    return half;
}

static void close_half(struct half *half)
{
    store_reader_close(&half->reader);
    store_close(&half->store);
    view_set_free(&half->views);
    scratch_folder_remove(&half->folder);
}

/* key: segments joined by '/'. json NULL: the view goes. */
static void put(struct half *half, const char *view_name, const char *key_text_, const char *json, bool is_made)
{
    const struct view *view = view_set_find(half->views, span_of_text(view_name));
    struct arena arena = ARENA_INIT;
    struct buf key = BUF_INIT, owner = BUF_INIT, row_key = BUF_INIT, row = BUF_INIT, bytes = BUF_INIT;
    struct span segments[4];
    size_t count = 0;
    struct store_writer *writer = NULL;
    struct err err;

    for (const char *at = key_text_; at != NULL; at = strchr(at, '/') ? strchr(at, '/') + 1 : NULL)
        segments[count++] = span_of(at, strcspn(at, "/"));
    assert_int_equal(key_parse(view, segments, count, &arena, &key, &owner, &err), 0);
    layout_view_key(hash64(buf_span(&owner)), view->number, buf_span(&key), &row_key);
    assert_int_equal(store_write_begin(half->store, &writer, &err), 0);
    if (json != NULL) {
        message_encode(message_of_json(view->type, json, &arena), &bytes);
        layout_view_value(row_key.len, (struct stored_view){is_made, buf_span(&bytes)}, &row);
        assert_int_equal(store_put(writer, TABLE_VIEWS, buf_span(&row_key), buf_span(&row), &err), 0);
    } else {
        assert_int_equal(store_delete(writer, TABLE_VIEWS, buf_span(&row_key), &err), 0);
    }
    assert_int_equal(store_commit(&writer, &err), 0);
    buf_release(&key);
    buf_release(&owner);
    buf_release(&row_key);
    buf_release(&row);
    buf_release(&bytes);
    arena_release(&arena);
}

static void put_both(struct half *a, struct half *b, const char *view, const char *key, const char *json)
{
    put(a, view, key, json, true);
    put(b, view, key, json, true);
}

static void compare(struct half *a, struct half *b, bool with_values, struct comparison_result *result)
{
    const struct comparison_options options = {3, with_values};
    struct err err;

    assert_int_equal(store_read_begin(a->reader, &err), 0);
    assert_int_equal(store_read_begin(b->reader, &err), 0);
    const struct comparison_side own = {a->views, &a->settings, a->reader};
    const struct comparison_side other = {b->views, &b->settings, b->reader};
    if (comparison_make(&own, &other, &options, result, &err) != 0)
        fail_msg("%s", err.text);
    store_read_end(a->reader);
    store_read_end(b->reader);
}

static const struct compared_view *view_of(const struct comparison_result *result, const char *name)
{
    for (size_t i = 0; i < result->plan.view_count; i++)
        if (strcmp(result->views[i].pair->a->name, name) == 0)
            return &result->views[i];
    fail_msg("%s isn't compared", name);
    return NULL;
}

static uint64_t count_of(const struct compared_view *view, const char *path)
{
    for (size_t i = 0; i < view->fields.count; i++) {
        struct buf text = BUF_INIT;
        differing_field_path(&view->fields, i, &text);
        bool is_it = span_equal_text(buf_span(&text), path);
        buf_release(&text);
        if (is_it)
            return view->fields.items[i].count;
    }
    return 0;
}

static void what_differs_is_found_to_the_field_and_what_is_equal_is_not_read(void **state)
{
    (void)state;
    struct half a = open_half("survive"), b = open_half("survive");
    struct comparison_result result;

    for (int i = 0; i < 200; i++) {
        char key[16], json[64];
        snprintf(key, sizeof(key), "u%d", i);
        snprintf(json, sizeof(json), "{\"person\":\"u%d\",\"total\":%d}", i, i);
        put_both(&a, &b, "purse", key, json);
    }
    put_both(&a, &b, "visits", "ann/bakery", "{\"person\":\"ann\",\"shop\":\"bakery\",\"times\":1}");
    compare(&a, &b, false, &result);
    assert_int_equal(result.differences, 0);
    assert_int_equal(result.rows_read, 0);
    assert_int_equal(view_of(&result, "purse")->a.count, 200);
    comparison_release(&result);

    put(&b, "purse", "u1", "{\"person\":\"u1\",\"total\":2}", true);
    put(&b, "purse", "u2", "{\"person\":\"u2\",\"total\":3,\"name\":\"Bo\"}", true);
    put(&b, "purse", "u3", NULL, true);
    put(&b, "purse", "extra", "{\"person\":\"extra\"}", true);
    put(&b, "purse", "u4", "{\"person\":\"u4\",\"total\":4}", false);
    put(&b, "visits", "ann/cafe", "{\"person\":\"ann\",\"shop\":\"cafe\"}", true);
    compare(&a, &b, true, &result);
    const struct compared_view *purse = view_of(&result, "purse"), *visits = view_of(&result, "visits");
    assert_int_equal(purse->only_a, 1);
    assert_int_equal(purse->only_b, 1);
    assert_int_equal(purse->different, 3);
    assert_int_equal(count_of(purse, "total"), 2);
    assert_int_equal(count_of(purse, "name"), 1);
    assert_int_equal(count_of(purse, "(served or not)"), 1);
    assert_int_equal(visits->only_b, 1);
    assert_int_equal(visits->different, 0);
    assert_int_equal(result.differences, 6);
    assert_in_range(result.buckets_read, 1, 6);
    assert_true(result.rows_read < 40); /* of 401 */
    assert_int_equal(purse->example_count, 3);
    assert_string_equal(visits->examples[0].key, "ann/cafe");
    assert_null(visits->examples[0].a);
    assert_non_null(strstr(visits->examples[0].b, "\"cafe\""));
    comparison_release(&result);
    close_half(&a);
    close_half(&b);
}

static void differences_inside_lists_and_messages_have_a_path(void **state)
{
    (void)state;
    struct half a = open_half("survive"), b = open_half("survive");
    struct comparison_result result;

    put(&a, "purse", "u", "{\"person\":\"u\",\"notes\":[{\"text\":\"x\"},{\"text\":\"y\"}],\"box\":{\"inner\":{\"name\":\"i\"}}}",
        true);
    put(&b, "purse", "u", "{\"person\":\"u\",\"notes\":[{\"text\":\"z\"},{\"text\":\"q\"}],\"box\":{\"inner\":{}}}", true);
    put(&a, "purse", "v", "{\"person\":\"v\",\"notes\":[{\"text\":\"x\"}],\"box\":{}}", true);
    put(&b, "purse", "v", "{\"person\":\"v\",\"notes\":[]}", true);
    compare(&a, &b, false, &result);
    const struct compared_view *purse = view_of(&result, "purse");
    assert_int_equal(purse->different, 2);
    assert_int_equal(count_of(purse, "notes.text"), 1); /* counted once for the view */
    assert_int_equal(count_of(purse, "notes"), 1);
    assert_int_equal(count_of(purse, "box.inner.name"), 1);
    assert_int_equal(count_of(purse, "box"), 1);
    assert_null(purse->examples[0].a); /* values weren't asked for */
    comparison_release(&result);
    close_half(&a);
    close_half(&b);
}

static void unlike_schemas_are_compared_on_what_they_share_and_the_rest_is_named(void **state)
{
    (void)state;
    static const char *const notes[] = {"view gone: only in A", "view added: only in B", "view rekeyed: has another key",
                                        "readers.Changed.widened: has another type", "readers.Changed.gone: only in A",
                                        "readers.Changed.added: only in B"};
    struct half a = open_half("readers_before"), b = open_half("readers_after");
    struct comparison_result result;

    put(&a, "changed", "u", "{\"person\":\"u\",\"title\":\"t\",\"gone\":\"g\",\"widened\":5}", true);
    put(&b, "changed", "u", "{\"person\":\"u\",\"title\":\"t\",\"added\":\"a\",\"widened\":\"7\"}", true);
    put(&a, "changed", "v", "{\"person\":\"v\",\"title\":\"t\"}", true);
    put(&b, "changed", "v", "{\"person\":\"v\",\"title\":\"T\"}", true);
    put_both(&a, &b, "same", "w", "{\"person\":\"w\",\"inner\":{\"inner\":{\"title\":\"deep\"}}}");
    put(&a, "gone", "x", "{\"person\":\"x\"}", true);
    put(&b, "added", "x", "{\"person\":\"x\"}", true);
    compare(&a, &b, false, &result);
    assert_int_equal(result.keys_missing, 1); /* of the view that is gone; one that was added harms nobody */
    assert_int_equal(result.differences, 2);
    assert_int_equal(view_of(&result, "changed")->different, 1);
    assert_int_equal(count_of(view_of(&result, "changed"), "title"), 1);
    assert_int_equal(view_of(&result, "same")->different, 0);
    for (size_t i = 0; i < ARRAY_COUNT(notes); i++) {
        size_t at = 0;
        while (at < result.plan.note_count && strcmp(result.plan.notes[at], notes[i]) != 0)
            at++;
        if (at == result.plan.note_count)
            fail_msg("not told: %s", notes[i]);
    }
    comparison_release(&result);
    close_half(&a);
    close_half(&b);
}

static void a_sample_is_compared_on_its_own_owners(void **state)
{
    (void)state;
    struct half a = open_half("survive"), b = open_half("survive");
    struct comparison_result result;
    size_t taken = 0;

    b.settings.sample_percent = 20;
    for (int i = 0; i < 100; i++) {
        char key[16], json[64];
        snprintf(key, sizeof(key), "u%d", i);
        snprintf(json, sizeof(json), "{\"person\":\"u%d\",\"total\":%d}", i, i);
        put(&a, "purse", key, json, true);
        if (!generation_takes_owner(&b.settings, hash64(span_of_text(key))))
            continue;
        if (taken++ > 0) /* the first one is missing */
            put(&b, "purse", key, json, true);
    }
    compare(&a, &b, false, &result);
    assert_in_range(taken, 5, 50);
    assert_int_equal(result.differences, 1);
    assert_int_equal(view_of(&result, "purse")->only_a, 1);
    comparison_release(&result);
    close_half(&a);
    close_half(&b);
}

static void as_json_it_is_what_scripts_read(void **state)
{
    (void)state;
    struct half a = open_half("survive"), b = open_half("survive");
    const struct comparison_names names = {"7f3a9c-1", "91bd0e-1", "users/0@119"};
    struct comparison_result result;
    struct buf text = BUF_INIT;

    put(&a, "purse", "a \"quote\"", "{\"person\":\"a\",\"total\":1}", true);
    put(&b, "purse", "a \"quote\"", "{\"person\":\"a\",\"total\":2}", true);
    compare(&a, &b, true, &result);
    comparison_report_json(&names, &result, &text);
    json_t *json = json_loads(buf_text(&text), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    assert_int_equal(json_integer_value(json_object_get(json, "differences")), 1);
    json_t *purse = json_array_get(json_object_get(json, "views"), 1);
    assert_string_equal(json_string_value(json_object_get(purse, "view")), "purse");
    json_t *field = json_array_get(json_object_get(purse, "fields"), 0);
    assert_string_equal(json_string_value(json_object_get(field, "field")), "total");
    json_t *example = json_array_get(json_object_get(purse, "examples"), 0);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(example, "b"), "total")), 2);
    json_decref(json);
    buf_release(&text);
    comparison_release(&result);
    close_half(&a);
    close_half(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_differs_is_found_to_the_field_and_what_is_equal_is_not_read),
        cmocka_unit_test(differences_inside_lists_and_messages_have_a_path),
        cmocka_unit_test(unlike_schemas_are_compared_on_what_they_share_and_the_rest_is_named),
        cmocka_unit_test(a_sample_is_compared_on_its_own_owners),
        cmocka_unit_test(as_json_it_is_what_scripts_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
