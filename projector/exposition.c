/* Line by line, label by label; a quoted value ends at the first quote that isn't escaped. */
#include "projector/exposition.h"

#include <ctype.h>
#include <stdlib.h>

enum { NUMBER_BYTES_MAX = 63 };

static struct span rest_from(struct span text, size_t from)
{
    return span_of(span_bytes(text) + from, text.len - from);
}

static size_t length_of_name(struct span text)
{
    size_t length = 0;

    while (length < text.len && (isalnum(span_bytes(text)[length]) || span_bytes(text)[length] == '_' ||
                                 span_bytes(text)[length] == ':'))
        length++;
    return length;
}

/* Of a text that begins with a quote: with both quotes; 0: it has no end. */
static size_t length_of_quoted(struct span text)
{
    for (size_t i = 1; i < text.len; i++) {
        if (span_bytes(text)[i] == '\\')
            i++;
        else if (span_bytes(text)[i] == '"')
            return i + 1;
    }
    return 0;
}

/* Reads `name="value"` and a comma behind it. */
static bool next_label(struct span *at, struct span *ret_name, struct span *ret_value)
{
    while (at->len > 0 && (*span_bytes(*at) == ' ' || *span_bytes(*at) == ','))
        *at = rest_from(*at, 1);
    size_t length = length_of_name(*at);
    if (length == 0 || length + 2 > at->len || span_bytes(*at)[length] != '=' || span_bytes(*at)[length + 1] != '"')
        return false;
    struct span quoted = rest_from(*at, length + 1);
    size_t quoted_length = length_of_quoted(quoted);
    if (quoted_length == 0)
        return false;
    *ret_name = span_of(at->at, length);
    *ret_value = span_of(span_bytes(quoted) + 1, quoted_length - 2);
    *at = rest_from(quoted, quoted_length);
    return true;
}

bool exposition_number(struct span text, double *ret_number)
{
    char copy[NUMBER_BYTES_MAX + 1];
    char *end;

    if (text.len == 0 || text.len > NUMBER_BYTES_MAX)
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    double number = strtod(copy, &end);
    if (end == copy || *end != '\0')
        return false;
    *ret_number = number;
    return true;
}

static bool parse_line(struct span line, struct exposition_sample *ret_sample)
{
    struct exposition_sample sample = {.labels = {NULL, 0}};
    size_t length = length_of_name(line);

    if (length == 0)
        return false;
    sample.name = span_of(line.at, length);
    struct span rest = rest_from(line, length);
    if (rest.len > 0 && *span_bytes(rest) == '{') {
        struct span inside = rest_from(rest, 1);
        struct span name, value, left = inside;
        while (next_label(&left, &name, &value))
            ;
        while (left.len > 0 && (*span_bytes(left) == ' ' || *span_bytes(left) == ','))
            left = rest_from(left, 1);
        if (left.len == 0 || *span_bytes(left) != '}')
            return false;
        sample.labels = span_of(inside.at, inside.len - left.len);
        rest = rest_from(left, 1);
    }
    size_t spaces = 0, end;
    while (spaces < rest.len && span_bytes(rest)[spaces] == ' ')
        spaces++;
    rest = rest_from(rest, spaces);
    for (end = 0; end < rest.len && span_bytes(rest)[end] != ' ';)
        end++; /* a timestamp may follow */
    if (spaces == 0 || !exposition_number(span_of(rest.at, end), &sample.value))
        return false;
    *ret_sample = sample;
    return true;
}

bool exposition_next(struct span *at, struct exposition_sample *ret_sample)
{
    while (at->len > 0) {
        const uint8_t *newline = memchr(at->at, '\n', at->len);
        size_t length = newline != NULL ? (size_t)(newline - span_bytes(*at)) : at->len;
        struct span line = span_of(at->at, length);
        *at = rest_from(*at, length + (newline != NULL));
        if (line.len > 0 && span_bytes(line)[line.len - 1] == '\r')
            line.len--;
        if (parse_line(line, ret_sample))
            return true;
    }
    return false;
}

bool exposition_label(const struct exposition_sample *sample, const char *name, struct span *ret_value)
{
    struct span left = sample->labels;
    struct span found_name, value;

    while (next_label(&left, &found_name, &value))
        if (span_equal_text(found_name, name)) {
            *ret_value = value;
            return true;
        }
    return false;
}
