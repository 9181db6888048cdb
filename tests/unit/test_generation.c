/* The store's directory: generations that are whole or not there, names that are never used twice, settings that read
 * back, and everything of another version refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "schema/base/hash.h"
#include "schema/base/mem.h"
#include "schema/store/building.h"
#include "schema/store/durable.h"
#include "schema/store/generation.h"
#include "schema/store/generation_start.h"
#include "scratch_folder.h"
#include "tests/unit/assert_ok.h"

/* Not to be released: all of it is static. */
static struct generation_settings example_settings(void)
{
    static char events[] = "genetics.events", users[] = "users", genetics[] = "genetics", identity[] = "identity";
    static char header[] = "type", second_header[] = "ce_type", type[] = "identity.v1.UserRenamed";
    static char beginning[] = "beginning";
    static struct topic_of_stream streams[] = {{genetics, events}, {identity, users}};
    static char *topics[] = {events, users};
    static char *headers[] = {header, second_header};
    static struct name_value topic_types[] = {{users, type}};

    return (struct generation_settings){
        .streams = streams,           .stream_count = 2,
        .topics = topics,             .topic_count = 2,
        .type_headers = headers,      .type_header_count = 2,
        .dedupe_window = 1000,        .id_headers = headers,
        .id_header_count = 2,
        .topic_types = topic_types,   .topic_type_count = 1,
        .framing = FRAMING_CONFLUENT, .max_view_bytes = 1 << 20,
        .projection_version = PROJECTION_VERSION,
        .start = beginning,
    };
}

static const struct span schema = {"\x0a\x03pretend", 9};

static int set_up(void **state)
{
    char *folder = scratch_folder_make();
    struct err err = {0};

    *state = mem_format("%s/store", folder);
    free(folder);
    return store_directory_prepare(*state, &err);
}

static int tear_down(void **state)
{
    char *directory = *state;

    *strrchr(directory, '/') = '\0';
    scratch_folder_remove(&directory);
    return 0;
}

static void write_text(const char *directory, const char *name, const char *text)
{
    char *path = mem_format("%s/%s", directory, name);
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    free(path);
}

static void assert_mode(const char *directory, const char *name, mode_t expected)
{
    char *path = mem_format("%s/%s", directory, name);
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, expected);
    free(path);
}

static void make(const char *directory, struct span from_schema, char ret_name[GENERATION_NAME_MAX])
{
    struct generation_settings settings = example_settings();
    struct generation *generation = NULL;
    struct err err = {0};

    assert_ok(generation_make(directory, from_schema, &settings, &generation, &err));
    memcpy(ret_name, generation->name, GENERATION_NAME_MAX);
    generation_close(&generation);
}

/* --- settings --- */

static void assert_reads_back(const struct generation_settings *settings)
{
    struct generation_settings read = {0};
    struct buf text = BUF_INIT;
    struct buf again = BUF_INIT;
    struct err err = {0};

    generation_settings_write(settings, &text);
    assert_ok(generation_settings_read(buf_span(&text), &read, &err));
    assert_int_equal(read.stream_count, settings->stream_count);
    for (size_t i = 0; i < read.stream_count; i++) {
        assert_string_equal(read.streams[i].stream, settings->streams[i].stream);
        assert_string_equal(read.streams[i].topic, settings->streams[i].topic);
    }
    assert_int_equal(read.topic_count, settings->topic_count);
    for (size_t i = 0; i < read.topic_count; i++)
        assert_string_equal(read.topics[i], settings->topics[i]);
    assert_int_equal(read.type_header_count, settings->type_header_count);
    for (size_t i = 0; i < read.type_header_count; i++)
        assert_string_equal(read.type_headers[i], settings->type_headers[i]);
    assert_int_equal(read.dedupe_window, settings->dedupe_window);
    assert_int_equal(read.id_header_count, settings->dedupe_window > 0 ? settings->id_header_count : 0);
    for (size_t i = 0; i < read.id_header_count; i++)
        assert_string_equal(read.id_headers[i], settings->id_headers[i]);
    assert_int_equal(read.topic_type_count, settings->topic_type_count);
    for (size_t i = 0; i < read.topic_type_count; i++)
        assert_string_equal(read.topic_types[i].value, settings->topic_types[i].value);
    assert_int_equal(read.framing, settings->framing);
    assert_int_equal(read.max_view_bytes, settings->max_view_bytes);
    assert_int_equal(read.projection_version, settings->projection_version);
    assert_string_equal(read.start, settings->start);
    generation_settings_write(&read, &again);
    assert_true(span_equal(buf_span(&text), buf_span(&again)));
    buf_release(&again);
    buf_release(&text);
    generation_settings_release(&read);
}

static void settings_read_back(void **state)
{
    struct generation_settings settings = example_settings();

    (void)state;
    assert_reads_back(&settings);
}

/* A topic's name may have 249 bytes, a header's name may be anything. */
static void settings_with_long_and_odd_names_read_back(void **state)
{
    struct generation_settings settings = example_settings();
    static char odd[] = " a=b ; # \n%20\t ";
    char *headers[] = {odd};
    char topic[250];
    char *topics[] = {topic};
    struct topic_of_stream streams[] = {{settings.streams[0].stream, topic}};

    (void)state;
    memset(topic, 't', sizeof(topic) - 1);
    topic[sizeof(topic) - 1] = '\0';
    settings.type_headers = headers;
    settings.type_header_count = 1;
    settings.topics = topics;
    settings.topic_count = 1;
    settings.streams = streams;
    settings.stream_count = 1;
    settings.topic_type_count = 0;
    settings.max_view_bytes = UINT64_MAX;
    settings.dedupe_window = 0; /* then ids don't count, nor where they are */
    assert_reads_back(&settings);
}

#define SETTINGS_HEAD \
    "format = 1\nprojection-version = 1\nstart = beginning\nframing = none\nmax-view-bytes = 1048576\n"

static void settings_that_this_version_does_not_know_are_refused(void **state)
{
    static const struct {
        const char *text;
        const char *says;
    } refused[] = {
        {"", "format is missing"},
        {SETTINGS_HEAD "dedupe-window = 1h\n", "line 6: dedupe-window = 1h is not known to this version"},
        {SETTINGS_HEAD "dedupe-window = 0\n", "line 6: dedupe-window = 0"},
        {SETTINGS_HEAD "dedupe-window = 10000001\n", "line 6: dedupe-window = 10000001"},
        {SETTINGS_HEAD "dedupe-window = 5\ndedupe-window = 5\n", "line 7: dedupe-window"},
        {SETTINGS_HEAD "dedupe-for = 1\n", "line 6: dedupe-for is not known to this version"},
        {SETTINGS_HEAD "nonsense\n", "line 6 is not `name = value`"},
        {SETTINGS_HEAD "start = beginning\n", "line 6: start is there twice"},
        {SETTINGS_HEAD "topic = b\ntopic = a\n", "line 7: topic = a"},
        {SETTINGS_HEAD "topic = a\ntopic = a\n", "line 7: topic = a"},
        {SETTINGS_HEAD "topic = a\nstream = x=b\n", "line 7: stream = x=b"},
        {SETTINGS_HEAD "topic = a\nstream = x\n", "line 7: stream = x"},
        {SETTINGS_HEAD "topic = a\nstream = y=a\nstream = x=a\n", "line 8: stream = x=a"},
        {SETTINGS_HEAD "topic = %4\n", "line 6: topic"},
        {SETTINGS_HEAD "topic = %00\n", "line 6: topic"},
        {SETTINGS_HEAD "topic-type = users\n", "line 6: topic-type"},
        {"format = 2\n", "line 1: format = 2 is not known"},
        {"framing = avro\n", "line 1: framing = avro is not known"},
        {"max-view-bytes = 1k\n", "line 1: max-view-bytes"},
        {"max-view-bytes = 99999999999999999999\n", "line 1: max-view-bytes"},
        {"projection-version = -1\n", "line 1: projection-version"},
        {"projection-version = 4294967296\n", "line 1: projection-version"},
    };
    struct generation_settings settings = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++) {
        struct err err = {0};
        assert_int_equal(generation_settings_read(span_of_text(refused[i].text), &settings, &err), ERR_INPUT);
        if (strstr(err.text, refused[i].says) == NULL)
            fail_msg("%s: %s", refused[i].text, err.text);
        assert_null(settings.start);
    }
}

static void a_topic_has_the_number_of_its_place(void **state)
{
    struct generation_settings settings = example_settings();

    (void)state;
    assert_int_equal(generation_topic_number(&settings, SPAN_LITERAL("genetics.events")), 0);
    assert_int_equal(generation_topic_number(&settings, SPAN_LITERAL("users")), 1);
    assert_int_equal(generation_topic_number(&settings, SPAN_LITERAL("user")), -1);
}

/* --- the directory --- */

static void a_directory_is_made_for_its_owner_only(void **state)
{
    const char *directory = *state;
    struct err err = {0};

    assert_mode(directory, ".", 0700);
    assert_mode(directory, "generations", 0700);
    assert_mode(directory, "control", 0700);
    assert_mode(directory, "format", 0600);
    assert_ok(store_directory_prepare(directory, &err)); /* again: fine */
    assert_ok(store_directory_check(directory, &err));
}

static void an_empty_directory_is_taken_with_what_a_new_disk_has(void **state)
{
    char *folder = scratch_folder_make();
    char *lost = mem_format("%s/lost+found", folder);
    struct err err = {0};

    (void)state;
    assert_int_equal(mkdir(lost, 0700), 0);
    assert_int_equal(chmod(folder, 0755), 0);
    write_text(folder, ".format.tmp", "of a crash");
    assert_int_equal(store_directory_check(folder, &err), ERR_ABSENT);
    assert_ok(store_directory_prepare(folder, &err));
    assert_ok(store_directory_check(folder, &err));
    assert_mode(folder, ".", 0700);
    free(lost);
    scratch_folder_remove(&folder);
}

static void a_directory_with_something_else_in_it_is_left_alone(void **state)
{
    char *folder = scratch_folder_make();
    struct err err = {0};

    (void)state;
    write_text(folder, "thesis.txt", "years of work");
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(store_directory_prepare(folder, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "is not a store and not empty"));
    assert_mode(folder, ".", 0755);
    char *path = mem_format("%s/thesis.txt", folder);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0); /* nothing was added */
    free(path);
    scratch_folder_remove(&folder);
}

static void a_file_is_no_directory(void **state)
{
    char *path = mem_format("%s/format", (char *)*state);
    struct err err = {0};

    assert_int_equal(store_directory_prepare(path, &err), ERR_INPUT);
    free(path);
}

static void a_directory_of_another_version_is_refused(void **state)
{
    struct serving serving;
    struct err err = {0};

    write_text(*state, "format", "tarn-store 2\n");
    assert_int_equal(store_directory_prepare(*state, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "another version"));
    assert_int_equal(store_directory_check(*state, &err), ERR_INPUT);
    assert_int_equal(serving_read(*state, &serving, &err), ERR_INPUT);
}

/* --- generations --- */

static void a_generation_is_opened_as_it_was_made(void **state)
{
    struct generation_settings settings = example_settings();
    struct generation *made = NULL;
    struct generation *opened = NULL;
    struct err err = {0};

    assert_ok(generation_make(*state, schema, &settings, &made, &err));
    assert_true(generation_is_name(made->name));
    assert_ok(generation_open(*state, made->name, &opened, &err));
    assert_string_equal(opened->name, made->name);
    assert_string_equal(opened->folder, made->folder);
    assert_true(span_equal(buf_span(&opened->schema), schema));
    assert_int_equal(opened->settings.topic_count, 2);
    assert_mode(opened->folder, ".", 0700);
    assert_mode(opened->folder, "schema.binpb", 0600);
    assert_mode(opened->folder, "generation.conf", 0600);
    generation_close(&made);
    generation_close(&opened);
    assert_null(opened);
}

static void a_name_tells_schema_and_settings_and_is_the_same_everywhere(void **state)
{
    char name[GENERATION_NAME_MAX], other_schema[GENERATION_NAME_MAX], elsewhere[GENERATION_NAME_MAX];
    struct generation_settings settings = example_settings();
    struct generation *generation = NULL;
    char *folder = scratch_folder_make();
    struct err err = {0};

    make(*state, schema, name);
    assert_string_equal(name + 6, "-1");
    make(*state, SPAN_LITERAL("another schema"), other_schema);
    assert_memory_not_equal(name, other_schema, 6);
    settings.max_view_bytes++;
    assert_ok(generation_make(*state, schema, &settings, &generation, &err));
    assert_memory_not_equal(name, generation->name, 6);
    generation_close(&generation);
    settings = example_settings();
    static char later[] = "time 1764000000000";
    settings.start = later;
    assert_ok(generation_make(*state, schema, &settings, &generation, &err));
    assert_memory_not_equal(name, generation->name, 6);
    generation_close(&generation);

    assert_ok(store_directory_prepare(folder, &err));
    make(folder, schema, elsewhere);
    assert_string_equal(elsewhere, name);
    scratch_folder_remove(&folder);
}

static void remove_generation(const char *directory, const char *name)
{
    static const char *const files[] = {"schema.binpb", "generation.conf"};
    char *folder = mem_format("%s/generations/%s", directory, name);

    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        char *path = mem_format("%s/%s", folder, files[i]);
        assert_int_equal(unlink(path), 0);
        free(path);
    }
    assert_int_equal(rmdir(folder), 0);
    free(folder);
}

static void a_name_is_never_used_twice(void **state)
{
    char names[4][GENERATION_NAME_MAX];

    make(*state, schema, names[0]);
    make(*state, schema, names[1]);
    assert_string_equal(names[1] + 6, "-2");
    remove_generation(*state, names[1]);
    make(*state, schema, names[2]); /* not -2 again, though it is gone */
    assert_string_equal(names[2] + 6, "-3");
    /* Even when the record is lost, one that is there isn't written over. */
    char *path = mem_format("%s/control/ordinals", (char *)*state);
    assert_int_equal(unlink(path), 0);
    free(path);
    make(*state, schema, names[3]);
    assert_string_equal(names[3] + 6, "-4");
}

static void what_a_crash_left_half_made_is_not_seen_and_cleared_away(void **state)
{
    char *making = mem_format("%s/generations/.making", (char *)*state);
    char name[GENERATION_NAME_MAX];
    char **names = NULL;
    size_t count = 0;
    struct err err = {0};

    assert_int_equal(mkdir(making, 0700), 0);
    write_text(making, "schema.binpb", "half");
    write_text(making, ".generation.conf.tmp", "format =");
    write_text(making, "data.mdb", "of another version's way to make one");
    assert_ok(generation_list(*state, &names, &count, &err));
    assert_int_equal(count, 0);
    durable_free_names(names, count);

    make(*state, schema, name);
    assert_int_equal(access(making, F_OK), -1);
    assert_ok(generation_list(*state, &names, &count, &err));
    assert_int_equal(count, 1);
    assert_string_equal(names[0], name);
    durable_free_names(names, count);
    char *left_over = mem_format("%s/generations/%s/data.mdb", (char *)*state, name);
    assert_int_equal(access(left_over, F_OK), -1);
    free(left_over);
    free(making);
}

static void generations_are_listed_in_order(void **state)
{
    char made[2][GENERATION_NAME_MAX];
    char *foreign = mem_format("%s/generations/notes", (char *)*state);
    char **names = NULL;
    size_t count = 0;
    struct err err = {0};

    make(*state, schema, made[0]);
    make(*state, schema, made[1]);
    assert_int_equal(mkdir(foreign, 0700), 0);
    assert_ok(generation_list(*state, &names, &count, &err));
    assert_int_equal(count, 2);
    assert_string_equal(names[0], made[0]);
    assert_string_equal(names[1], made[1]);
    durable_free_names(names, count);
    free(foreign);
}

static void a_generation_whose_files_were_changed_is_broken(void **state)
{
    struct generation *generation = NULL;
    char name[GENERATION_NAME_MAX];
    struct err err = {0};

    make(*state, schema, name);
    char *folder = mem_format("%s/generations/%s", (char *)*state, name);
    write_text(folder, "schema.binpb", "another");
    assert_int_equal(generation_open(*state, name, &generation, &err), ERR_BROKEN);
    assert_non_null(strstr(err.text, "changing them is a rebuild"));
    write_text(folder, "generation.conf", "format = 1\nfrom-the-future = 1\n");
    assert_int_equal(generation_open(*state, name, &generation, &err), ERR_INPUT);
    assert_non_null(strstr(err.text, "generation.conf: line 2: from-the-future"));
    assert_null(generation);
    free(folder);
}

static void a_generation_that_is_not_there_is_absent(void **state)
{
    static const char *const names[] = {"7f3a9c-1", "", "..", "7f3a9c", "../../etc/x-1"};
    struct generation *generation = NULL;
    struct err err = {0};

    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        assert_int_equal(generation_open(*state, names[i], &generation, &err), ERR_ABSENT);
    assert_non_null(strstr(err.text, "is not the name of a generation"));
}

static void names_of_generations_are_told_from_others(void **state)
{
    static const struct {
        const char *text;
        bool is_name;
    } names[] = {
        {"7f3a9c-1", true},  {"7f3a9c-999999999", true}, {"7f3a9c-0", false}, {"7f3a9c-01", false}, {"7f3a9c-", false},
        {"7f3a9-1", false},  {"7f3a9c1-1", false},       {"7F3A9C-1", false}, {"7f3a9c-1 ", false}, {"", false},
        {"7f3a9c-1/", false}, {"7f3a9c-1111111111", false}, {".making", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        assert_int_equal(generation_is_name(names[i].text), names[i].is_name);
}

/* --- made with more, and dropped --- */

static int write_note(void *self, const char *folder, struct err *err)
{
    const int *fails = self;

    if (*fails)
        return err_set(err, ERR_FULL, "no room");
    return durable_write(folder, "note", SPAN_LITERAL("there"), err);
}

static void what_is_prepared_is_there_with_the_generation_or_neither_is(void **state)
{
    struct generation_settings settings = example_settings();
    struct generation *made = NULL;
    int fails = 1;
    const struct generation_preparation preparation = {write_note, &fails};
    struct buf note = BUF_INIT;
    char **names = NULL;
    size_t count = 0;
    struct err err = {0};

    assert_int_equal(generation_make_prepared(*state, schema, &settings, &preparation, &made, &err), ERR_FULL);
    assert_ok(generation_list(*state, &names, &count, &err));
    assert_int_equal(count, 0);
    durable_free_names(names, count);
    fails = 0;
    assert_ok(generation_make_prepared(*state, schema, &settings, &preparation, &made, &err));
    assert_ok(durable_read(made->folder, "note", 100, &note, &err));
    assert_string_equal(made->name + 6, "-2"); /* the name of the one that failed isn't given again */
    buf_release(&note);
    generation_close(&made);
}

static void a_dropped_generation_is_gone_with_its_trash_and_its_name_is_not_given_again(void **state)
{
    char first[GENERATION_NAME_MAX], second[GENERATION_NAME_MAX];
    struct generation *generation = NULL;
    struct err err = {0};

    make(*state, schema, first);
    assert_ok(generation_drop(*state, first, &err));
    assert_ok(generation_drop(*state, first, &err));
    assert_int_equal(generation_open(*state, first, &generation, &err), ERR_ABSENT);
    make(*state, schema, second);
    assert_string_equal(second + 6, "-2");

    /* A crash between the rename and the end of deleting. */
    char *folder = generation_folder(*state, second);
    char *trash = mem_format("%s/generations/.trash-%s", (char *)*state, second);
    assert_int_equal(rename(folder, trash), 0);
    assert_ok(generation_clear_trash(*state, &err));
    assert_int_equal(access(trash, F_OK), -1);
    free(trash);
    free(folder);
}

static void a_start_reads_back_and_what_is_none_is_refused(void **state)
{
    static const char *const refused[] = {"",           "begin",       "time",        "time soon",     "time -1",
                                          "offsets ",   "offsets a/0", "offsets a@0", "offsets /0@1",  "offsets a/0@1,",
                                          "offsets a/0@-1", "offsets a/x@1", "offsets a@1/0"};
    struct generation_start start;
    struct err err = {0};

    (void)state;
    assert_ok(generation_start_read("beginning", &start, &err));
    assert_false(generation_start_is_partial(&start));
    assert_ok(generation_start_read("time 1764000000000", &start, &err));
    assert_true(generation_start_is_partial(&start));
    assert_true(start.time_ms == 1764000000000);
    assert_ok(generation_start_read("offsets users/0@120,a.b-c_d/17@0", &start, &err));
    assert_int_equal(generation_start_offset(&start, "users", 0), 120);
    assert_int_equal(generation_start_offset(&start, "a.b-c_d", 17), 0);
    assert_int_equal(generation_start_offset(&start, "users", 1), -1);
    generation_start_release(&start);
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++)
        if (generation_start_read(refused[i], &start, &err) != ERR_INPUT)
            fail_msg("\"%s\" is taken for a start", refused[i]);
}

static void what_is_under_construction_says_so_until_it_ends(void **state)
{
    const struct building written = {.rate = 5000, .beside = "7f3a9c-1", .syncs = true};
    struct building read = {0};
    char id[MADE_BY_SIZE];
    struct err err = {0};

    assert_int_equal(building_read(*state, &read, &err), ERR_ABSENT);
    assert_ok(building_write(*state, &written, &err));
    assert_ok(building_read(*state, &read, &err));
    assert_int_equal(read.rate, 5000);
    assert_string_equal(read.beside, "7f3a9c-1");
    assert_true(read.syncs);
    assert_ok(building_end(*state, &err));
    assert_ok(building_end(*state, &err));
    assert_false(building_is_there(*state));
    made_by_read(*state, id);
    assert_string_equal(id, "");
    assert_ok(made_by_write(*state, "a request", &err));
    made_by_read(*state, id);
    assert_string_equal(id, "a request");
}

static void a_sample_is_about_its_share_of_the_owners_and_a_setting_of_its_own(void **state)
{
    struct generation_settings settings = example_settings(), read;
    struct buf text = BUF_INIT;
    struct err err = {0};
    unsigned taken = 0;

    (void)state;
    settings.sample_percent = 10;
    for (uint64_t owner = 0; owner < 10000; owner++)
        taken += generation_takes_owner(&settings, hash64(span_of(&owner, sizeof(owner))));
    assert_in_range(taken, 900, 1100);
    generation_settings_write(&settings, &text);
    assert_ok(generation_settings_read(buf_span(&text), &read, &err));
    assert_int_equal(read.sample_percent, 10);
    generation_settings_release(&read);
    buf_release(&text);
}

#define with_directory(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_read_back),
        cmocka_unit_test(settings_with_long_and_odd_names_read_back),
        cmocka_unit_test(settings_that_this_version_does_not_know_are_refused),
        cmocka_unit_test(a_topic_has_the_number_of_its_place),
        with_directory(a_directory_is_made_for_its_owner_only),
        cmocka_unit_test(an_empty_directory_is_taken_with_what_a_new_disk_has),
        cmocka_unit_test(a_directory_with_something_else_in_it_is_left_alone),
        with_directory(a_file_is_no_directory),
        with_directory(a_directory_of_another_version_is_refused),
        with_directory(a_generation_is_opened_as_it_was_made),
        with_directory(a_name_tells_schema_and_settings_and_is_the_same_everywhere),
        with_directory(a_name_is_never_used_twice),
        with_directory(what_a_crash_left_half_made_is_not_seen_and_cleared_away),
        with_directory(generations_are_listed_in_order),
        with_directory(a_generation_whose_files_were_changed_is_broken),
        with_directory(a_generation_that_is_not_there_is_absent),
        cmocka_unit_test(names_of_generations_are_told_from_others),
        with_directory(what_is_prepared_is_there_with_the_generation_or_neither_is),
        with_directory(a_dropped_generation_is_gone_with_its_trash_and_its_name_is_not_given_again),
        cmocka_unit_test(a_start_reads_back_and_what_is_none_is_refused),
        with_directory(what_is_under_construction_says_so_until_it_ends),
        cmocka_unit_test(a_sample_is_about_its_share_of_the_owners_and_a_setting_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
