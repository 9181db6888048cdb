/* A table of entries, each with a function that writes its lines and one that reads one of them, so that what is
 * written is what can be read. Read here and not with inih, which cuts lines at 200 bytes: a topic's name alone may
 * have 249. Bytes that would break a line, and '%', are written as %XX. */
#include "schema/store/generation_settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "schema/base/mem.h"
#include "schema/store/generation_start.h"

enum { SETTINGS_FORMAT = 1, SETTING_VALUE_MAX = 64 << 10 };

static const char *const framing_names[] = {[FRAMING_NONE] = "none", [FRAMING_CONFLUENT] = "confluent"};

void generation_settings_release(struct generation_settings *settings)
{
    for (size_t i = 0; i < settings->stream_count; i++) {
        free(settings->streams[i].stream);
        free(settings->streams[i].topic);
    }
    for (size_t i = 0; i < settings->topic_count; i++)
        free(settings->topics[i]);
    for (size_t i = 0; i < settings->type_header_count; i++)
        free(settings->type_headers[i]);
    for (size_t i = 0; i < settings->id_header_count; i++)
        free(settings->id_headers[i]);
    for (size_t i = 0; i < settings->topic_type_count; i++) {
        free(settings->topic_types[i].name);
        free(settings->topic_types[i].value);
    }
    free(settings->streams);
    free(settings->topics);
    free(settings->type_headers);
    free(settings->id_headers);
    free(settings->topic_types);
    free(settings->start);
    *settings = (struct generation_settings){0};
}

/* --- one line --- */

static void add_escaped(struct buf *text, const char *value)
{
    size_t length = strlen(value);

    for (size_t i = 0; i < length; i++) {
        uint8_t byte = (uint8_t)value[i];
        bool is_edge = i == 0 || i + 1 == length;
        if (byte < ' ' || byte == '%' || (byte == ' ' && is_edge))
            buf_add_format(text, "%%%02X", byte);
        else
            buf_add_byte(text, byte);
    }
}

static void add_line(struct buf *text, const char *name, const char *value)
{
    buf_add_format(text, "%s = ", name);
    add_escaped(text, value);
    buf_add_byte(text, '\n');
}

static void add_number_line(struct buf *text, const char *name, uint64_t number)
{
    buf_add_format(text, "%s = %" PRIu64 "\n", name, number);
}

/* `left=right` as one value; the first '=' divides: none is legal in a topic's or a stream's name. */
static void add_pair_line(struct buf *text, const char *name, const char *left, const char *right)
{
    char *pair = mem_format("%s=%s", left, right);

    add_line(text, name, pair);
    free(pair);
}

static bool split_pair(const char *value, char **ret_left, char **ret_right)
{
    const char *divider = strchr(value, '=');

    if (divider == NULL || divider == value || divider[1] == '\0')
        return false;
    *ret_left = mem_text_of(span_of(value, (size_t)(divider - value)));
    *ret_right = mem_text(divider + 1);
    return true;
}

static bool parse_number(const char *value, uint64_t *ret_number)
{
    char *end;

    if (*value < '0' || *value > '9')
        return false;
    errno = 0;
    uint64_t number = strtoull(value, &end, 10);
    if (errno != 0 || *end != '\0')
        return false;
    *ret_number = number;
    return true;
}

static char **add_text(char **texts, size_t *count, const char *value)
{
    texts = mem_resize(texts, *count + 1, sizeof(*texts));
    texts[(*count)++] = mem_text(value);
    return texts;
}

/* --- entries, in the order of the file; a reader returns false for a value that isn't one --- */

static void write_format(const struct generation_settings *settings, const char *name, struct buf *text)
{
    (void)settings;
    add_number_line(text, name, SETTINGS_FORMAT);
}

static bool read_format(struct generation_settings *settings, const char *value)
{
    uint64_t number;

    (void)settings;
    return parse_number(value, &number) && number == SETTINGS_FORMAT;
}

static void write_projection_version(const struct generation_settings *settings, const char *name, struct buf *text)
{
    add_number_line(text, name, settings->projection_version);
}

static bool read_projection_version(struct generation_settings *settings, const char *value)
{
    uint64_t number;

    if (!parse_number(value, &number) || number > UINT32_MAX)
        return false;
    settings->projection_version = (unsigned)number;
    return true;
}

static void write_start(const struct generation_settings *settings, const char *name, struct buf *text)
{
    add_line(text, name, settings->start);
}

static bool read_start(struct generation_settings *settings, const char *value)
{
    struct generation_start start;
    struct err ignored;

    if (generation_start_read(value, &start, &ignored) < 0)
        return false;
    generation_start_release(&start);
    free(settings->start);
    settings->start = mem_text(value);
    return true;
}

static void write_sample(const struct generation_settings *settings, const char *name, struct buf *text)
{
    if (settings->sample_percent > 0)
        add_number_line(text, name, settings->sample_percent);
}

static bool read_sample(struct generation_settings *settings, const char *value)
{
    uint64_t number;

    if (!parse_number(value, &number) || number == 0 || number > 100 || settings->sample_percent > 0)
        return false;
    settings->sample_percent = (unsigned)number;
    return true;
}

static void write_framing(const struct generation_settings *settings, const char *name, struct buf *text)
{
    add_line(text, name, framing_names[settings->framing]);
}

static bool read_framing(struct generation_settings *settings, const char *value)
{
    for (size_t i = 0; i < ARRAY_COUNT(framing_names); i++) {
        if (strcmp(value, framing_names[i]) == 0) {
            settings->framing = (enum framing)i;
            return true;
        }
    }
    return false;
}

static void write_max_view_bytes(const struct generation_settings *settings, const char *name, struct buf *text)
{
    add_number_line(text, name, settings->max_view_bytes);
}

static bool read_max_view_bytes(struct generation_settings *settings, const char *value)
{
    return parse_number(value, &settings->max_view_bytes);
}

static void write_topics(const struct generation_settings *settings, const char *name, struct buf *text)
{
    for (size_t i = 0; i < settings->topic_count; i++)
        add_line(text, name, settings->topics[i]);
}

static bool read_topic(struct generation_settings *settings, const char *value)
{
    /* Their order is their numbers: it must be the one that a new generation would give them. */
    if (settings->topic_count > 0 && strcmp(settings->topics[settings->topic_count - 1], value) >= 0)
        return false;
    settings->topics = add_text(settings->topics, &settings->topic_count, value);
    return true;
}

static void write_streams(const struct generation_settings *settings, const char *name, struct buf *text)
{
    for (size_t i = 0; i < settings->stream_count; i++)
        add_pair_line(text, name, settings->streams[i].stream, settings->streams[i].topic);
}

static bool read_stream(struct generation_settings *settings, const char *value)
{
    struct topic_of_stream pair;

    if (!split_pair(value, &pair.stream, &pair.topic))
        return false;
    settings->streams = mem_resize(settings->streams, settings->stream_count + 1, sizeof(*settings->streams));
    settings->streams[settings->stream_count++] = pair;
    return (settings->stream_count < 2 ||
            strcmp(settings->streams[settings->stream_count - 2].stream, pair.stream) < 0) &&
           generation_topic_number(settings, span_of_text(pair.topic)) >= 0;
}

static void write_type_headers(const struct generation_settings *settings, const char *name, struct buf *text)
{
    for (size_t i = 0; i < settings->type_header_count; i++)
        add_line(text, name, settings->type_headers[i]);
}

static bool read_type_header(struct generation_settings *settings, const char *value)
{
    settings->type_headers = add_text(settings->type_headers, &settings->type_header_count, value);
    return true;
}

/* A generation that never skips a duplicate says nothing of ids, as those did that knew of none. */
static void write_dedupe_window(const struct generation_settings *settings, const char *name, struct buf *text)
{
    if (settings->dedupe_window > 0)
        add_number_line(text, name, settings->dedupe_window);
}

static bool read_dedupe_window(struct generation_settings *settings, const char *value)
{
    uint64_t number;

    if (!parse_number(value, &number) || number == 0 || number > DEDUPE_WINDOW_MAX || settings->dedupe_window > 0)
        return false;
    settings->dedupe_window = number;
    return true;
}

static void write_id_headers(const struct generation_settings *settings, const char *name, struct buf *text)
{
    for (size_t i = 0; settings->dedupe_window > 0 && i < settings->id_header_count; i++)
        add_line(text, name, settings->id_headers[i]);
}

static bool read_id_header(struct generation_settings *settings, const char *value)
{
    settings->id_headers = add_text(settings->id_headers, &settings->id_header_count, value);
    return true;
}

static void write_topic_types(const struct generation_settings *settings, const char *name, struct buf *text)
{
    for (size_t i = 0; i < settings->topic_type_count; i++)
        add_pair_line(text, name, settings->topic_types[i].name, settings->topic_types[i].value);
}

static bool read_topic_type(struct generation_settings *settings, const char *value)
{
    struct name_value pair;

    if (!split_pair(value, &pair.name, &pair.value))
        return false;
    settings->topic_types =
        mem_resize(settings->topic_types, settings->topic_type_count + 1, sizeof(*settings->topic_types));
    settings->topic_types[settings->topic_type_count++] = pair;
    return true;
}

static const struct entry {
    const char *name;
    void (*write)(const struct generation_settings *settings, const char *name, struct buf *text);
    bool (*read)(struct generation_settings *settings, const char *value);
    bool is_single; /* exactly once; the others any number of times, or as their reader has it */
} entries[] = {
    {"format", write_format, read_format, true},
    {"projection-version", write_projection_version, read_projection_version, true},
    {"start", write_start, read_start, true},
    {"sample", write_sample, read_sample, false},
    {"framing", write_framing, read_framing, true},
    {"max-view-bytes", write_max_view_bytes, read_max_view_bytes, true},
    {"topic", write_topics, read_topic, false},
    {"stream", write_streams, read_stream, false},
    {"type-header", write_type_headers, read_type_header, false},
    {"dedupe-window", write_dedupe_window, read_dedupe_window, false},
    {"id-header", write_id_headers, read_id_header, false},
    {"topic-type", write_topic_types, read_topic_type, false},
};

void generation_settings_write(const struct generation_settings *settings, struct buf *text)
{
    buf_add_text(text, "# What shapes this generation's results. Fixed when it was made: changing it is a rebuild.\n");
    for (size_t i = 0; i < ARRAY_COUNT(entries); i++)
        entries[i].write(settings, entries[i].name, text);
}

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/* In place. */
static bool unescape(char *value)
{
    char *to = value;

    for (const char *from = value; *from != '\0'; to++) {
        if (*from != '%') {
            *to = *from++;
            continue;
        }
        int high = hex_digit(from[1]);
        int low = high < 0 ? -1 : hex_digit(from[2]);
        if (low < 0 || high * 16 + low == 0)
            return false;
        *to = (char)(high * 16 + low);
        from += 3;
    }
    *to = '\0';
    return true;
}

static int read_line(struct span line, size_t number, struct generation_settings *settings, unsigned *seen,
                     struct err *err)
{
    char text[SETTING_VALUE_MAX];

    if (line.len >= sizeof(text) || memchr(line.at, '\0', line.len) != NULL)
        return err_set(err, ERR_INPUT, "line %zu is no setting", number);
    memcpy(text, line.at, line.len);
    text[line.len] = '\0';
    char *divider = strstr(text, " = ");
    if (divider == NULL)
        return err_set(err, ERR_INPUT, "line %zu is not `name = value`", number);
    *divider = '\0';
    char *value = divider + 3;
    for (size_t i = 0; i < ARRAY_COUNT(entries); i++) {
        if (strcmp(text, entries[i].name) != 0)
            continue;
        if (entries[i].is_single && (*seen & 1u << i))
            return err_set(err, ERR_INPUT, "line %zu: %s is there twice", number, text);
        *seen |= 1u << i;
        if (!unescape(value) || !entries[i].read(settings, value))
            return err_set(err, ERR_INPUT, "line %zu: %s = %s is not known to this version", number, text, value);
        return 0;
    }
    return err_set(err, ERR_INPUT, "line %zu: %s is not known to this version; a newer one wrote it", number, text);
}

int generation_settings_read(struct span text, struct generation_settings *ret_settings, struct err *err)
{
    struct generation_settings settings = {0};
    unsigned seen = 0;
    int rc = 0;

    for (size_t begin = 0, number = 1; rc == 0 && begin < text.len; number++) {
        const uint8_t *at = span_bytes(text) + begin;
        const uint8_t *newline = memchr(at, '\n', text.len - begin);
        size_t length = newline != NULL ? (size_t)(newline - at) : text.len - begin;
        if (length > 0 && *at != '#')
            rc = read_line(span_of(at, length), number, &settings, &seen, err);
        begin += length + 1;
    }
    for (size_t i = 0; rc == 0 && i < ARRAY_COUNT(entries); i++) {
        if (entries[i].is_single && !(seen & 1u << i))
            rc = err_set(err, ERR_INPUT, "%s is missing", entries[i].name);
    }
    if (rc < 0) {
        generation_settings_release(&settings);
        return rc;
    }
    *ret_settings = settings;
    return 0;
}

int generation_topic_number(const struct generation_settings *settings, struct span topic)
{
    for (size_t i = 0; i < settings->topic_count; i++) {
        if (span_equal_text(topic, settings->topics[i]))
            return (int)i;
    }
    return -1;
}
