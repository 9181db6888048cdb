/* Field names are identifiers; keys are percent-encoded where they aren't plain text, so both fit into JSON as they are. */
#include "projector/comparison_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "projector/table.h"
#include "schema/json/json_text.h"

static const char *const example_words[] = {
    [EXAMPLE_ONLY_A] = "only in A", [EXAMPLE_ONLY_B] = "only in B", [EXAMPLE_DIFFERENT] = "differs"};
static const char *const example_kinds[] = {
    [EXAMPLE_ONLY_A] = "only_a", [EXAMPLE_ONLY_B] = "only_b", [EXAMPLE_DIFFERENT] = "different"};

/* --- for people --- */

static void print_views(const struct comparison_result *result)
{
    static const char *const headings[] = {"VIEW", ">KEYS A", ">KEYS B", ">ONLY A", ">ONLY B", ">DIFFERENT", "RESULT"};
    struct table table;

    table_init(&table, headings, ARRAY_COUNT(headings));
    for (size_t i = 0; i < result->plan.view_count; i++) {
        const struct compared_view *view = &result->views[i];
        table_add(&table, "%s", view->pair->a->name);
        table_add(&table, "%" PRIu64, view->a.count);
        table_add(&table, "%" PRIu64, view->b.count);
        table_add(&table, "%" PRIu64, view->only_a);
        table_add(&table, "%" PRIu64, view->only_b);
        table_add(&table, "%" PRIu64, view->different);
        table_add(&table, "%s", compared_view_differs(view) ? "differs" : "equal");
    }
    table_print(&table, stdout);
    table_release(&table);
}

static void print_fields(const struct compared_view *view)
{
    for (size_t i = 0; i < view->fields.count; i++) {
        struct buf path = BUF_INIT;
        if (view->fields.items[i].count == 0)
            continue; /* only on the way to others */
        differing_field_path(&view->fields, i, &path);
        printf("%s  %s  differs in %" PRIu64 "\n", view->pair->a->name, buf_text(&path), view->fields.items[i].count);
        buf_release(&path);
    }
}

static void print_examples(const struct compared_view *view)
{
    for (size_t i = 0; i < view->example_count; i++) {
        const struct comparison_example *example = &view->examples[i];
        printf("%s/%s  %s\n", view->pair->a->name, example->key, example_words[example->kind]);
        if (example->a != NULL)
            printf("  A %s\n", example->a);
        if (example->b != NULL)
            printf("  B %s\n", example->b);
    }
}

void comparison_report_print(const struct comparison_names *names, const struct comparison_result *result)
{
    printf("A %s  B %s\nas of %s\n", names->a, names->b, names->positions[0] != '\0' ? names->positions : "nothing");
    print_views(result);
    for (size_t i = 0; i < result->plan.view_count; i++) {
        print_fields(&result->views[i]);
        print_examples(&result->views[i]);
    }
    if (result->plan.note_count > 0)
        printf("the schemas are unlike: only what they share was compared\n");
    for (size_t i = 0; i < result->plan.note_count; i++)
        printf("not compared: %s\n", result->plan.notes[i]);
    if (result->keys_missing > 0)
        printf("%" PRIu64 " keys of A belong to views that B doesn't have\n", result->keys_missing);
    printf("%" PRIu64 " differences\n", result->differences);
}

/* --- for programs --- */

static void add_text(struct buf *out, const char *name, const char *text)
{
    buf_add_format(out, "\"%s\":", name);
    if (!json_add_string(out, span_of_text(text)))
        buf_add_literal(out, "null");
}

static void add_fields(const struct compared_view *view, struct buf *out)
{
    const char *separator = "";

    buf_add_literal(out, "\"fields\":[");
    for (size_t i = 0; i < view->fields.count; i++) {
        struct buf path = BUF_INIT;
        if (view->fields.items[i].count == 0)
            continue;
        differing_field_path(&view->fields, i, &path);
        buf_add_format(out, "%s{", separator);
        add_text(out, "field", buf_text(&path));
        buf_add_format(out, ",\"views\":%" PRIu64 "}", view->fields.items[i].count);
        buf_release(&path);
        separator = ",";
    }
    buf_add_byte(out, ']');
}

static void add_examples(const struct compared_view *view, struct buf *out)
{
    buf_add_literal(out, "\"examples\":[");
    for (size_t i = 0; i < view->example_count; i++) {
        const struct comparison_example *example = &view->examples[i];
        buf_add_text(out, i > 0 ? ",{" : "{");
        add_text(out, "key", example->key);
        buf_add_format(out, ",\"kind\":\"%s\"", example_kinds[example->kind]);
        if (example->a != NULL)
            buf_add_format(out, ",\"a\":%s", example->a);
        if (example->b != NULL)
            buf_add_format(out, ",\"b\":%s", example->b);
        buf_add_byte(out, '}');
    }
    buf_add_byte(out, ']');
}

void comparison_report_json(const struct comparison_names *names, const struct comparison_result *result,
                            struct buf *out)
{
    buf_add_byte(out, '{');
    add_text(out, "a", names->a);
    buf_add_byte(out, ',');
    add_text(out, "b", names->b);
    buf_add_byte(out, ',');
    add_text(out, "positions", names->positions);
    buf_add_format(out, ",\"differences\":%" PRIu64 ",\"keys_missing\":%" PRIu64 ",\"views\":[", result->differences,
                   result->keys_missing);
    for (size_t i = 0; i < result->plan.view_count; i++) {
        const struct compared_view *view = &result->views[i];
        char hex_a[DIGEST_HEX_SIZE], hex_b[DIGEST_HEX_SIZE];
        digest_hex(&view->a, hex_a);
        digest_hex(&view->b, hex_b);
        buf_add_text(out, i > 0 ? ",{" : "{");
        add_text(out, "view", view->pair->a->name);
        buf_add_format(out,
                       ",\"keys_a\":%" PRIu64 ",\"keys_b\":%" PRIu64 ",\"digest_a\":\"%s\",\"digest_b\":\"%s\""
                       ",\"only_a\":%" PRIu64 ",\"only_b\":%" PRIu64 ",\"different\":%" PRIu64 ",",
                       view->a.count, view->b.count, hex_a, hex_b, view->only_a, view->only_b, view->different);
        add_fields(view, out);
        buf_add_byte(out, ',');
        add_examples(view, out);
        buf_add_byte(out, '}');
    }
    buf_add_literal(out, "],\"not_compared\":[");
    for (size_t i = 0; i < result->plan.note_count; i++) {
        if (i > 0)
            buf_add_byte(out, ',');
        if (!json_add_string(out, span_of_text(result->plan.notes[i])))
            buf_add_literal(out, "null");
    }
    buf_add_literal(out, "]}");
}
