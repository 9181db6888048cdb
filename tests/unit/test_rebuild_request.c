/* What `rebuild` is told, as a request; its name, by which a killed command finds what it had begun; its progress. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "projector/rebuild_progress.h"
#include "projector/rebuild_request.h"
#include "schema/base/mem.h"
#include "schema/store/building.h"
#include "schema/store/generation.h"
#include "scratch_folder.h"

static void from_is_a_beginning_a_time_or_offsets(void **state)
{
    (void)state;
    static const struct {
        const char *text, *json;
    } right[] = {
        {"beginning", "\"beginning\""},
        {"2026-11-22T09:00:00Z", "\"time:1795338000000\""},
        {"2026-11-22", "\"time:1795305600000\""},
        {"1764000000000", "\"time:1764000000000\""},
        {"users/0@120,a.b/c/1@7", "{\"a.b/c/1\":7,\"users/0\":120}"},
    };
    static const char *const wrong[] = {"", "yesterday", "users@5", "users/0", "users/0@", "users/0@-1", "/0@1",
                                        "users/x@1", "users/0@1,", "users/0@1,users/0@2", "2026-13-01", "-5",
                                        "users/0@9999999999999999999"};
    struct err err;
    json_t *start = NULL;

    for (size_t i = 0; i < ARRAY_COUNT(right); i++) {
        if (rebuild_parse_from(right[i].text, &start, &err) != 0)
            fail_msg("%s", err.text);
        char *text = json_dumps(start, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
        assert_string_equal(text, right[i].json);
        free(text);
        json_decref(start);
    }
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        if (rebuild_parse_from(wrong[i], &start, &err) != ERR_INPUT)
            fail_msg("%s was taken", wrong[i]);
}

static void a_sample_is_a_whole_percentage_below_all(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "0", "100", "1.5%", "x", "-1", "5%%", "% 5"};
    int64_t percent = 0;
    struct err err;

    assert_int_equal(rebuild_parse_sample("1%", &percent, &err), 0);
    assert_int_equal(percent, 1);
    assert_int_equal(rebuild_parse_sample("99", &percent, &err), 0);
    assert_int_equal(percent, 99);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_int_equal(rebuild_parse_sample(wrong[i], &percent, &err), ERR_INPUT);
}

static void a_dedupe_window_is_a_number_of_records(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "-1", "1k", "x", " 5", "10000001", "99999999999999999999"};
    int64_t records = -1;
    struct err err;

    assert_int_equal(rebuild_parse_window("0", &records, &err), 0);
    assert_int_equal(records, 0);
    assert_int_equal(rebuild_parse_window("10000000", &records, &err), 0);
    assert_int_equal(records, 10000000);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_int_equal(rebuild_parse_window(wrong[i], &records, &err), ERR_INPUT);
}

static char *id_of(const char *directory, const char *arguments, const char *schema)
{
    json_t *json = json_loads(arguments, 0, NULL);
    char *id = NULL;
    struct err err;

    assert_int_equal(rebuild_request_id(directory, json, span_of_text(schema), &id, &err), 0);
    json_decref(json);
    return id;
}

static void assert_same(char *a, char *b, bool is_same)
{
    assert_int_equal(strcmp(a, b) == 0, is_same);
    free(a);
    free(b);
}

static void a_request_has_its_name_until_what_it_asked_for_is_complete(void **state)
{
    (void)state;
    char *folder = scratch_folder_make();
    struct generation_settings settings = {.projection_version = PROJECTION_VERSION, .start = mem_text("beginning"),
                                           .max_view_bytes = 1 << 20};
    const struct building building = {.rate = 0};
    struct generation *generation = NULL;
    struct err err;

    assert_int_equal(store_directory_prepare(folder, &err), 0);
    char *id = id_of(folder, "{\"rate\":1}", "s");
    assert_same(mem_text(id), id_of(folder, "{\"rate\":1}", "s"), true);
    assert_same(mem_text(id), id_of(folder, "{\"rate\":2}", "s"), false);
    assert_same(mem_text(id), id_of(folder, "{\"rate\":1}", "t"), false);

    assert_int_equal(generation_make(folder, SPAN_LITERAL("schema"), &settings, &generation, &err), 0);
    assert_int_equal(made_by_write(generation->folder, id, &err), 0);
    assert_int_equal(building_write(generation->folder, &building, &err), 0);
    assert_same(mem_text(id), id_of(folder, "{\"rate\":1}", "s"), true); /* goes on with it */
    assert_int_equal(building_end(generation->folder, &err), 0);
    assert_same(mem_text(id), id_of(folder, "{\"rate\":1}", "s"), false); /* another one is wanted */
    free(id);
    generation_close(&generation);
    generation_settings_release(&settings);
    scratch_folder_remove(&folder);
}

static void progress_is_told_by_the_mean_of_the_ranges_and_the_rate_of_the_last_looks(void **state)
{
    (void)state;
    struct rebuild_progress progress = {.handled = 0};
    struct positions positions;
    struct partition *partition = NULL;
    struct buf text = BUF_INIT;
    struct err err;

    positions_init(&positions, 1);
    assert_int_equal(positions_add(&positions, 0, 0, 0, PARTITION_FOLLOWING, &partition, &err), 0);
    rebuild_progress_look(&progress, &positions, 1000);
    assert_int_equal(progress.time_left_s, -1);
    partition->row.end_offset = 3000000;
    partition->row.seen_at_ms = 1;
    for (unsigned range = 0; range < RANGE_COUNT; range++)
        partition->stored[range].next_offset = range < RANGE_COUNT / 2 ? 2000000 : 0;
    rebuild_progress_look(&progress, &positions, 11000);
    assert_int_equal(progress.handled, 1000000);
    assert_int_equal(progress.events_per_s, 100000);
    assert_int_equal(progress.time_left_s, 20);
    rebuild_progress_bar(&progress, 100, &text);
    assert_non_null(strstr(buf_text(&text), "#"));
    assert_non_null(strstr(buf_text(&text), "]  33%  100,000 events/s  1,000,000 of 3,000,000  20 s left"));
    for (size_t columns = 1; columns < 130; columns++) {
        buf_clear(&text);
        rebuild_progress_bar(&progress, columns, &text);
        assert_true(text.len <= columns); /* a bar that wraps can't be drawn over */
    }
    for (unsigned range = 0; range < RANGE_COUNT; range++)
        partition->stored[range].next_offset = 3000000;
    rebuild_progress_look(&progress, &positions, 12000);
    assert_true(progress.is_caught_up);
    buf_clear(&text);
    char topic[] = "users";
    char *topics[] = {topic};
    rebuild_progress_line(&progress, &positions, topics, &text);
    assert_non_null(strstr(buf_text(&text), "100%"));
    assert_non_null(strstr(buf_text(&text), "at users/0@"));
    buf_release(&text);
    positions_release(&positions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_is_a_beginning_a_time_or_offsets),
        cmocka_unit_test(a_sample_is_a_whole_percentage_below_all),
        cmocka_unit_test(a_dedupe_window_is_a_number_of_records),
        cmocka_unit_test(a_request_has_its_name_until_what_it_asked_for_is_complete),
        cmocka_unit_test(progress_is_told_by_the_mean_of_the_ranges_and_the_rate_of_the_last_looks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
