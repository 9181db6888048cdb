/* A growing array of texts. Control characters that a schema's author wrote into an option become question marks, so
 * that a line stays a line and a terminal isn't steered by a file. */
#include "schema/view/mistakes.h"

#include <stdio.h>
#include <stdlib.h>

#include "schema/base/buf.h"
#include "schema/base/mem.h"

void mistakes_add(struct mistakes *mistakes, const char *place, const char *option, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    mistakes_add_list(mistakes, place, option, format, args);
    va_end(args);
}

void mistakes_add_list(struct mistakes *mistakes, const char *place, const char *option, const char *format,
                       va_list args)
{
    struct buf line = BUF_INIT;
    char text[1500];

    if (mistakes->count == MISTAKES_MAX)
        return;
    vsnprintf(text, sizeof(text), format, args);
    buf_add_text(&line, place);
    if (option != NULL)
        buf_add_format(&line, ": %s", option);
    buf_add_format(&line, ": %s", text);
    for (size_t i = 0; i < line.len; i++)
        if (line.at[i] < ' ' || line.at[i] == 0x7f)
            line.at[i] = '?';
    mistakes->lines = mem_grow(mistakes->lines, mistakes->count, &mistakes->capacity, sizeof(*mistakes->lines));
    mistakes->lines[mistakes->count++] = mem_text(buf_text(&line));
    buf_release(&line);
}

void mistakes_release(struct mistakes *mistakes)
{
    for (size_t i = 0; i < mistakes->count; i++)
        free(mistakes->lines[i]);
    free(mistakes->lines);
    *mistakes = (struct mistakes){NULL, 0, 0};
}
