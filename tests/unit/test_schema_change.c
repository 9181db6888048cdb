/* What another schema changes for readers: every kind of change, and that equal schemas have none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "made_schema.h"
#include "projector/schema_change.h"
#include "schema_file.h"

static struct view_set *load(const char *name)
{
    struct buf bytes = schema_file_bytes(name);
    struct view_set *views = made_schema_load(buf_span(&bytes));

    buf_release(&bytes);
    return views;
}

static void find(const char *before_name, const char *after_name, struct schema_changes *changes)
{
    struct view_set *before = load(before_name), *after = load(after_name);

    schema_changes_find(before, after, changes);
    view_set_free(&before);
    view_set_free(&after);
}

static const struct {
    bool is_breaking;
    const char *view, *field, *what;
} expected[] = {
    {true, "changed", "gone", "the field is gone"},
    {true, "changed", "renamed", "number 4 is called called now"},
    {true, "changed", "moved", "its number was 5, is 25"},
    {true, "changed", "widened", "its type was int32, is int64"},
    {true, "changed", "listed", "was a single value that is always there, is a list"},
    {true, "changed", "optional", "was a single value that is always there, is a single value that may be missing"},
    {true, "changed", "json", "its name in JSON was json, is JSON"},
    {true, "changed", "risk", "the enum's value 1 was HIGH, is SEVERE"},
    {true, "changed", "risk", "the enum's value EXTREME = 2 is gone"},
    {false, "changed", "risk", "the enum's value UNKNOWN = 3 is new"},
    {true, "changed", "at", "its type was google.protobuf.Timestamp, is google.protobuf.Duration"},
    {false, "changed", "list", "the list's limit was 5, is 9 (0: none)"},
    {false, "changed", "list", "the list has another order"},
    {true, "changed", "hidden", "the field is gone"},
    {true, "changed", "words", "was a map, is a list"},
    {true, "changed", "left", "was one of a oneof, is a single value that is always there"},
    {false, "changed", "shown", "the field is new"},
    {false, "changed", "added", "the field is new"},
    {true, "changed", "list.weight", "the field is gone"},
    {true, "gone", "", "the view is gone"},
    {true, "rekeyed", "", "the key was (string person), is (string person, string title)"},
    {false, "added", "", "the view is new"},
};

static void every_change_is_found_once_and_judged(void **state)
{
    (void)state;
    struct schema_changes changes = {NULL, 0, 0, 0};
    bool is_expected[ARRAY_COUNT(expected)] = {false};
    size_t breaking = 0;

    find("readers_before", "readers_after", &changes);
    for (size_t i = 0; i < changes.count; i++) {
        const struct schema_change *change = &changes.items[i];
        size_t at = 0;
        while (at < ARRAY_COUNT(expected) &&
               (is_expected[at] || expected[at].is_breaking != change->is_breaking ||
                strcmp(expected[at].view, change->view) != 0 || strcmp(expected[at].field, change->field) != 0 ||
                strcmp(expected[at].what, change->what) != 0))
            at++;
        if (at == ARRAY_COUNT(expected))
            fail_msg("not expected: %s %s.%s: %s", change->is_breaking ? "break" : "fine", change->view, change->field,
                     change->what);
        is_expected[at] = true;
        breaking += change->is_breaking;
    }
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++)
        if (!is_expected[i])
            fail_msg("not found: %s.%s: %s", expected[i].view, expected[i].field, expected[i].what);
    assert_int_equal(changes.breaking_count, breaking);
    schema_changes_release(&changes);
}

static void the_same_schema_changes_nothing(void **state)
{
    (void)state;
    static const char *const names[] = {"readers_before", "readers_after", "plan", "fold", "survive", "reference"};

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        struct schema_changes changes = {NULL, 0, 0, 0};
        find(names[i], names[i], &changes);
        if (changes.count > 0)
            fail_msg("%s: %s: %s", names[i], changes.items[0].field, changes.items[0].what);
        schema_changes_release(&changes);
    }
}

static void what_is_added_breaks_nobody(void **state)
{
    (void)state;
    struct schema_changes changes = {NULL, 0, 0, 0};
    struct view_set *views = load("survive");
    const struct view_set none = {.view_count = 0};

    schema_changes_find(&none, views, &changes);
    assert_int_equal(changes.count, views->view_count);
    assert_int_equal(changes.breaking_count, 0);
    schema_changes_release(&changes);
    view_set_free(&views);
}

static void as_json_they_are_an_object_that_counts_what_breaks(void **state)
{
    (void)state;
    struct schema_changes changes = {NULL, 0, 0, 0};
    struct buf text = BUF_INIT;

    find("readers_before", "readers_after", &changes);
    schema_changes_json(&changes, &text);
    json_t *json = json_loads(buf_text(&text), 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(json, "breaking")), changes.breaking_count);
    json_t *first = json_array_get(json_object_get(json, "changes"), 0);
    assert_string_equal(json_string_value(json_object_get(first, "view")), changes.items[0].view);
    assert_string_equal(json_string_value(json_object_get(first, "change")), changes.items[0].what);
    assert_true(json_is_boolean(json_object_get(first, "breaking")));
    assert_int_equal(json_array_size(json_object_get(json, "changes")), changes.count);
    json_decref(json);
    buf_release(&text);
    schema_changes_release(&changes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_change_is_found_once_and_judged),
        cmocka_unit_test(the_same_schema_changes_nothing),
        cmocka_unit_test(what_is_added_breaks_nobody),
        cmocka_unit_test(as_json_they_are_an_object_that_counts_what_breaks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
