/* A line is put together on the stack and written with one write(), so lines of several threads never mix, and a log
 * that nobody reads costs no memory. A mutex guards only the progress line, which must be wiped before a log line and
 * drawn again behind it. What comes in from outside (a topic's name, a path) may hold control characters: text shows
 * them as \xNN, so that nobody can forge a line or steer a terminal. */
#include "ops/runtime/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ops/runtime/json_escape.h"

enum { LINE_BYTES = 4096, PROGRESS_BYTES = 512 };

static struct {
    char program[64];
    bool is_json;
    bool has_terminal;
    bool has_colours;
    enum log_level least;
    pthread_mutex_t mutex;
    char progress[PROGRESS_BYTES]; /* what is drawn now; empty when nothing is */
} sink = {.program = "tarn", .least = LOG_INFO, .mutex = PTHREAD_MUTEX_INITIALIZER};

static const struct {
    const char *name;
    const char *colour;
} levels[] = {
    [LOG_DEBUG] = {"debug", "\033[2m"},
    [LOG_INFO] = {"info", ""},
    [LOG_WARN] = {"warn", "\033[33m"},
    [LOG_ERROR] = {"error", "\033[31m"},
};

/* A line being made; what doesn't fit is cut, the newline always fits. */
struct line {
    char text[LINE_BYTES];
    size_t len;
};

static void put(struct line *line, const char *text);
static void put_time(struct line *line);
static void put_text_message(struct line *line, const char *message);
static void put_json_message(struct line *line, const char *message);
static void write_all(const char *text, size_t len);
static void draw_progress(void);

void log_init(const char *program, bool is_json, enum log_level least)
{
    const char *no_color = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");

    snprintf(sink.program, sizeof(sink.program), "%s", program);
    sink.is_json = is_json;
    sink.least = least;
    sink.has_terminal = isatty(STDERR_FILENO) == 1 && terminal != NULL && strcmp(terminal, "dumb") != 0;
    sink.has_colours = sink.has_terminal && !is_json && (no_color == NULL || *no_color == '\0');
}

void log_write(enum log_level level, const char *format, ...)
{
    char message[LINE_BYTES];
    struct line line = {.len = 0};
    va_list args;

    if (level < sink.least)
        return;
    int saved_errno = errno;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);

    if (sink.is_json) {
        put(&line, "{\"time\":\"");
        put_time(&line);
        put(&line, "\",\"level\":\"");
        put(&line, levels[level].name);
        put(&line, "\",\"program\":\"");
        put(&line, sink.program);
        put(&line, "\",\"message\":\"");
        put_json_message(&line, message);
        put(&line, "\"}");
    } else {
        if (sink.has_colours)
            put(&line, levels[level].colour);
        put_time(&line);
        put(&line, " ");
        put(&line, levels[level].name);
        put(&line, &"     "[strlen(levels[level].name)]);
        put(&line, " ");
        put(&line, sink.program);
        put(&line, ": ");
        put_text_message(&line, message);
        if (sink.has_colours && *levels[level].colour != '\0') {
            line.len = line.len > LINE_BYTES - 8 ? LINE_BYTES - 8 : line.len;
            put(&line, "\033[0m");
        }
    }
    line.text[line.len++] = '\n';

    pthread_mutex_lock(&sink.mutex);
    if (sink.progress[0] != '\0')
        write_all("\r\033[K", 4);
    write_all(line.text, line.len);
    draw_progress();
    pthread_mutex_unlock(&sink.mutex);
    errno = saved_errno;
}

void log_progress(const char *line)
{
    if (!sink.has_terminal)
        return;
    pthread_mutex_lock(&sink.mutex);
    if (line == NULL && sink.progress[0] != '\0')
        write_all("\r\033[K", 4);
    snprintf(sink.progress, sizeof(sink.progress), "%s", line != NULL ? line : "");
    draw_progress();
    pthread_mutex_unlock(&sink.mutex);
}

bool log_has_terminal(void)
{
    return sink.has_terminal;
}

/* Keeps one byte for the newline. */
static void put_bytes(struct line *line, const char *bytes, size_t len)
{
    size_t room = sizeof(line->text) - 1 - line->len;

    if (len > room)
        len = room;
    memcpy(line->text + line->len, bytes, len);
    line->len += len;
}

static void put(struct line *line, const char *text)
{
    put_bytes(line, text, strlen(text));
}

static void put_time(struct line *line)
{
    struct timespec now;
    struct tm utc;
    char text[80];

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ", utc.tm_year + 1900, utc.tm_mon + 1,
             utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, now.tv_nsec / 1000000);
    put(line, text);
}

static void put_text_message(struct line *line, const char *message)
{
    for (const char *at = message; *at != '\0'; at++) {
        unsigned char byte = (unsigned char)*at;
        char escape[8];
        if (byte >= 0x20 && byte != 0x7f) {
            put_bytes(line, at, 1);
            continue;
        }
        snprintf(escape, sizeof(escape), "\\x%02x", byte);
        put(line, escape);
    }
}

static void put_json_message(struct line *line, const char *message)
{
    struct span text = span_of_text(message);
    char escaped[JSON_ESCAPE_BYTES];

    while (text.len > 0 && line->len + sizeof(escaped) + sizeof("\"}\n") <= sizeof(line->text)) {
        size_t len = json_escape_next(&text, escaped); /* whole, or not at all */
        put_bytes(line, escaped, len);
    }
}

/* The log is best effort: a stderr that is gone doesn't stop the process. */
static void write_all(const char *text, size_t len)
{
    while (len > 0) {
        ssize_t written = write(STDERR_FILENO, text, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return;
        text += written;
        len -= (size_t)written;
    }
}

static void draw_progress(void)
{
    char drawn[PROGRESS_BYTES + 8];

    if (sink.progress[0] == '\0')
        return;
    int length = snprintf(drawn, sizeof(drawn), "\r%s\033[K", sink.progress);
    write_all(drawn, (size_t)length);
}
