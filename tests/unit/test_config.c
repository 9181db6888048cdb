/* Settings: sources and their precedence, kinds and their ranges, and the sentences that refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ops/runtime/config.h"
#include "ops/runtime/config_value.h"

struct settings {
    const char *store;
    struct config_list topics;
    struct config_list kafka;
    bool wait;
    int64_t threads;
    int64_t memory;
    int64_t interval;
    const char *format;
    const char *password;
};

static const char *const formats[] = {"text", "json", NULL};

static const struct config_option options[] = {
    {.name = "store",
     .kind = CONFIG_TEXT,
     .offset = offsetof(struct settings, store),
     .placeholder = "DIR",
     .is_required = true,
     .help = "The store's directory."},
    {.name = "topics", .kind = CONFIG_LIST, .offset = offsetof(struct settings, topics), .help = "What to read."},
    {.name = "kafka",
     .kind = CONFIG_PAIRS,
     .offset = offsetof(struct settings, kafka),
     .is_secret = true,
     .help = "Handed to librdkafka."},
    {.name = "wait", .kind = CONFIG_FLAG, .offset = offsetof(struct settings, wait), .help = "Wait."},
    {.name = "threads",
     .kind = CONFIG_INTEGER,
     .offset = offsetof(struct settings, threads),
     .fallback = "2",
     .min = 1,
     .max = 64,
     .help = "Loops."},
    {.name = "memory",
     .kind = CONFIG_BYTES,
     .offset = offsetof(struct settings, memory),
     .fallback = "1GiB",
     .min = 1 << 20,
     .max = (int64_t)1 << 40,
     .help = "The budget."},
    {.name = "interval",
     .kind = CONFIG_TIME_MS,
     .offset = offsetof(struct settings, interval),
     .fallback = "5ms",
     .help = "Between commits."},
    {.name = "log-format",
     .kind = CONFIG_CHOICE,
     .offset = offsetof(struct settings, format),
     .fallback = "text",
     .choices = formats,
     .help = "How the log looks."},
    {.name = "password",
     .kind = CONFIG_INTEGER,
     .offset = offsetof(struct settings, threads),
     .is_secret = true,
     .help = "Not told."},
    {.name = "peers", .kind = CONFIG_LIST, .refused = "shards come with a later version", .help = "Other pods."},
};

static const struct config_command command = {
    .program = "tarn-projector",
    .name = "run",
    .arguments = "VIEW KEY...",
    .summary = "Follows Kafka.",
    .help = "A paragraph of help that is long enough to be wrapped because it goes on and on beyond the hundredth "
            "column of the terminal.\n\n  tarn-projector run --store /var/lib/tarn\n",
    .options = options,
    .option_count = ARRAY_COUNT(options),
};

/* Words up to NULL as argv. */
static int parse(char **words, struct settings *settings, struct config_list *arguments, struct err *err)
{
    int count = 0;

    while (words[count] != NULL)
        count++;
    *settings = (struct settings){0};
    return config_parse(&command, count, words, settings, arguments, err);
}

#define WORDS(...) ((char *[]){__VA_ARGS__, NULL})

static void assert_refused(char **words, const char *text)
{
    struct settings settings;
    struct err err = {0};

    assert_int_equal(parse(words, &settings, NULL, &err), ERR_INPUT);
    if (strstr(err.text, text) == NULL)
        fail_msg("\"%s\" doesn't say \"%s\"", err.text, text);
}

static const char *write_file(const char *text)
{
    static char path[64];
    snprintf(path, sizeof(path), "/tmp/tarn-config-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

static void flags_are_written_with_a_blank_or_an_equals_sign(void **state)
{
    struct settings settings;
    struct config_list arguments;
    struct err err;

    (void)state;
    assert_int_equal(
        parse(WORDS("--store", "/s", "--threads=7", "--memory=64MiB", "--wait", "a-view", "-5", "--", "--key"),
              &settings, &arguments, &err),
        0);
    assert_string_equal(settings.store, "/s");
    assert_int_equal(settings.threads, 7);
    assert_int_equal(settings.memory, 64 << 20);
    assert_true(settings.wait);
    assert_int_equal(settings.interval, 5);
    assert_string_equal(settings.format, "text");
    assert_int_equal(arguments.count, 3);
    assert_string_equal(arguments.items[0], "a-view");
    assert_string_equal(arguments.items[1], "-5");
    assert_string_equal(arguments.items[2], "--key");
    free(arguments.items);
    config_release(&command, &settings);
}

static void the_flag_wins_then_the_environment_then_the_file(void **state)
{
    struct settings settings;
    struct err err;
    const char *path = write_file("# shared\nstore = /file\nthreads = 3\nmemory = 2MiB\n"
                                  "[tarn-query]\nnonsense-of-another = 1\n"
                                  "[tarn-projector run]\ninterval = 1s\nkafka = ssl.key.password=a ;b\n"
                                  "[tarn-projector status]\nother = 1\n");

    (void)state;
    setenv("TARN_THREADS", "4", 1);
    setenv("TARN_MEMORY", "3MiB", 1);
    int rc = parse(WORDS("--config", (char *)(uintptr_t)path, "--memory", "5MiB"), &settings, NULL, &err);
    unsetenv("TARN_THREADS");
    unsetenv("TARN_MEMORY");
    unlink(path);
    assert_int_equal(rc, 0);
    assert_string_equal(settings.store, "/file");
    assert_int_equal(settings.threads, 4);
    assert_int_equal(settings.memory, 5 << 20);
    assert_int_equal(settings.interval, 1000);
    assert_int_equal(settings.kafka.count, 1);
    assert_string_equal(settings.kafka.items[0], "ssl.key.password=a ;b");
    config_release(&command, &settings);
}

static void lists_grow_within_a_source_and_are_replaced_by_a_stronger_one(void **state)
{
    struct settings settings;
    struct err err;

    (void)state;
    setenv("TARN_TOPICS", "x,y", 1);
    assert_int_equal(parse(WORDS("--store=/s"), &settings, NULL, &err), 0);
    assert_int_equal(settings.topics.count, 2);
    config_release(&command, &settings);
    assert_int_equal(
        parse(WORDS("--store=/s", "--topics", "a, b", "--topics=c", "--kafka", "k=v,w"), &settings, NULL, &err), 0);
    unsetenv("TARN_TOPICS");
    assert_int_equal(settings.topics.count, 3);
    assert_string_equal(settings.topics.items[1], "b");
    assert_string_equal(settings.topics.items[2], "c");
    assert_string_equal(settings.kafka.items[0], "k=v,w");
    config_release(&command, &settings);
}

static void a_flag_can_be_taken_back(void **state)
{
    struct settings settings;
    struct err err;

    (void)state;
    setenv("TARN_WAIT", "yes", 1);
    assert_int_equal(parse(WORDS("--store=/s", "--no-wait"), &settings, NULL, &err), 0);
    unsetenv("TARN_WAIT");
    assert_false(settings.wait);
    config_release(&command, &settings);
}

static void what_is_not_understood_is_refused_by_name(void **state)
{
    (void)state;
    assert_refused(WORDS("--stor", "/s"), "--stor: unknown setting; did you mean --store?");
    assert_refused(WORDS("--completely-different", "/s"), "--help lists those that tarn-projector run knows");
    assert_refused(WORDS("--store"), "--store needs a value (DIR)");
    assert_refused(WORDS("--store", "--wait"), "--store needs a value");
    assert_refused(WORDS("--store=/s", "--store=/t"), "--store is given twice");
    assert_refused(WORDS("--wait"), "--store DIR is missing (also as TARN_STORE");
    assert_refused(WORDS("--store=/s", "--peers", "a"), "--peers: shards come with a later version");
    assert_refused(WORDS("--store=/s", "-x"), "-x: flags are written --name");
    assert_refused(WORDS("--store=/s", "--no-threads"), "--no-threads: unknown setting");
}

static void values_out_of_range_are_refused_with_the_range(void **state)
{
    (void)state;
    assert_refused(WORDS("--store=/s", "--threads=0"), "--threads: \"0\": must be 1 to 64");
    assert_refused(WORDS("--store=/s", "--threads=2x"), "expected a whole number");
    assert_refused(WORDS("--store=/s", "--memory=1KiB"), "must be 1MiB to 1TiB");
    assert_refused(WORDS("--store=/s", "--memory=12PiB"), "expected a size such as");
    assert_refused(WORDS("--store=/s", "--memory=99999999999999999999"), "expected a size such as");
    assert_refused(WORDS("--store=/s", "--memory=99999999TiB"), "too large");
    assert_refused(WORDS("--store=/s", "--interval=-5s"), "expected a time such as");
    assert_refused(WORDS("--store=/s", "--log-format=xml"), "expected one of text, json");
    assert_refused(WORDS("--store=/s", "--wait=maybe"), "expected true or false");
    assert_refused(WORDS("--store=/s", "--topics=a,,b"), "an empty item");
}

static void a_secret_is_in_no_error(void **state)
{
    struct settings settings;
    struct err err;

    (void)state;
    assert_int_equal(parse(WORDS("--store=/s", "--password=hunter2"), &settings, NULL, &err), ERR_INPUT);
    assert_null(strstr(err.text, "hunter2"));
    assert_int_equal(parse(WORDS("--store=/s", "--kafka=hunter2"), &settings, NULL, &err), ERR_INPUT);
    assert_null(strstr(err.text, "hunter2"));
}

static void a_mistake_in_the_file_is_named_with_its_line(void **state)
{
    static const struct {
        const char *file;
        const char *text;
    } rows[] = {
        {"store = /s\nthread = 3\n", ":2: thread: unknown setting; did you mean threads?"},
        {"store = /s\n\nthreads = many\n", ":3: threads: \"many\": expected a whole number"},
        {"store = /s\nstore = /t\n", ":2: store is given twice"},
        {"store /s\n", ":1: expected `name = value`"},
        {"[tarn]\nstore = /s\n", "unknown section [tarn]"},
        {"peers = a\n", ":1: peers: shards come with a later version"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const char *path = write_file(rows[i].file);
        assert_refused(WORDS("--config", (char *)(uintptr_t)path), rows[i].text);
        unlink(path);
    }
    assert_refused(WORDS("--config", "/nowhere/tarn.conf"), "--config /nowhere/tarn.conf: No such file");
}

static void a_line_of_the_file_may_be_long_but_not_endless(void **state)
{
    struct settings settings;
    struct err err;
    char *text = malloc(100000);

    (void)state;
    memset(text, 'x', 100000);
    memcpy(text, "store = /", 9);
    text[60000] = '\0';
    const char *path = write_file(text);
    assert_int_equal(parse(WORDS("--config", (char *)(uintptr_t)path), &settings, NULL, &err), 0);
    assert_int_equal(strlen(settings.store), 60000 - 8);
    config_release(&command, &settings);
    unlink(path);
    text[60000] = 'x';
    text[99999] = '\0';
    path = write_file(text);
    assert_refused(WORDS("--config", (char *)(uintptr_t)path), ":1: the line is longer than");
    unlink(path);
    free(text);
}

static void sizes_and_times_have_units(void **state)
{
    static const struct {
        const char *text;
        int64_t value;
    } bytes[] = {{"512", 512}, {"64KiB", 65536}, {"64kib", 65536}, {"2GB", 2000000000}, {"4GiB", (int64_t)4 << 30}},
      times[] = {{"250ms", 250}, {"5s", 5000}, {"10m", 600000}, {"2h", 7200000}, {"7d", 604800000}, {"30", 30000}};
    int64_t value;
    struct err err;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bytes); i++) {
        assert_int_equal(config_parse_bytes(bytes[i].text, &value, &err), 0);
        assert_int_equal(value, bytes[i].value);
    }
    for (size_t i = 0; i < ARRAY_COUNT(times); i++) {
        assert_int_equal(config_parse_time_ms(times[i].text, &value, &err), 0);
        assert_int_equal(value, times[i].value);
    }
}

static void help_names_every_setting_with_range_and_default_in_100_columns(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);

    (void)state;
    config_print_help(&command, to);
    fclose(to);
    for (size_t i = 0; i < ARRAY_COUNT(options); i++)
        assert_int_equal(strstr(text, options[i].name) != NULL, options[i].refused == NULL);
    assert_non_null(strstr(text, "--memory BYTES\n        The budget. 1MiB to 1TiB. Default: 1GiB.\n"));
    assert_non_null(strstr(text, "Required."));
    assert_non_null(strstr(text, "\n  tarn-projector run --store /var/lib/tarn\n"));
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1)
        assert_true(strcspn(line, "\n") <= 100);
    free(text);
    assert_true(config_wants_help(2, WORDS("--store", "--help")));
    assert_false(config_wants_help(2, WORDS("--", "--help")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_are_written_with_a_blank_or_an_equals_sign),
        cmocka_unit_test(the_flag_wins_then_the_environment_then_the_file),
        cmocka_unit_test(lists_grow_within_a_source_and_are_replaced_by_a_stronger_one),
        cmocka_unit_test(a_flag_can_be_taken_back),
        cmocka_unit_test(what_is_not_understood_is_refused_by_name),
        cmocka_unit_test(values_out_of_range_are_refused_with_the_range),
        cmocka_unit_test(a_secret_is_in_no_error),
        cmocka_unit_test(a_mistake_in_the_file_is_named_with_its_line),
        cmocka_unit_test(a_line_of_the_file_may_be_long_but_not_endless),
        cmocka_unit_test(sizes_and_times_have_units),
        cmocka_unit_test(help_names_every_setting_with_range_and_default_in_100_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
