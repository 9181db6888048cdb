/* The help of a command, from the same table that parses its settings, so that it can't be out of date. Text is wrapped
 * at 100 columns; lines of the help paragraph that begin with a blank are examples and stay as they are. */
#include <ctype.h>
#include <string.h>

#include "ops/runtime/config.h"
#include "ops/runtime/config_value.h"

enum { COLUMNS = 100, INDENT = 8 };

static void print_paragraph(const char *text, FILE *to);
static void print_wrapped(const char *text, size_t len, int indent, FILE *to);
static void print_option(const struct config_option *option, FILE *to);

void config_print_help(const struct config_command *command, FILE *to)
{
    static const struct config_option config_file = {
        .name = "config",
        .kind = CONFIG_TEXT,
        .placeholder = "FILE",
        .help = "Settings as `name = value` lines; a flag wins over the environment, which wins over the file. "
                "Sections [tarn-query], [tarn-projector] and [tarn-projector COMMAND] narrow lines down.",
    };

    fprintf(to, "Usage: %s", command->program);
    if (command->name != NULL)
        fprintf(to, " %s", command->name);
    if (command->arguments != NULL)
        fprintf(to, " %s", command->arguments);
    fprintf(to, " [--name VALUE]...\n\n");
    print_wrapped(command->summary, strlen(command->summary), 0, to);
    if (command->help != NULL) {
        fputc('\n', to);
        print_paragraph(command->help, to);
    }
    fprintf(to, "\nSettings (each --some-name is also TARN_SOME_NAME in the environment):\n");
    for (size_t i = 0; i < command->option_count; i++)
        if (command->options[i].refused == NULL)
            print_option(&command->options[i], to);
    print_option(&config_file, to);
}

static void print_paragraph(const char *text, FILE *to)
{
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        if (len == 0 || *text == ' ')
            fprintf(to, "%.*s\n", (int)len, text);
        else
            print_wrapped(text, len, 0, to);
        text += len + (text[len] == '\n');
    }
}

static void print_wrapped(const char *text, size_t len, int indent, FILE *to)
{
    int column = 0;

    for (size_t at = 0; at < len;) {
        size_t word = 0;
        while (at < len && text[at] == ' ')
            at++;
        while (at + word < len && text[at + word] != ' ')
            word++;
        if (word == 0)
            break;
        if (column > 0 && column + 1 + (int)word > COLUMNS) {
            fputc('\n', to);
            column = 0;
        }
        if (column == 0)
            column = fprintf(to, "%*s", indent, "");
        else
            column += fprintf(to, " ");
        column += fprintf(to, "%.*s", (int)word, text + at);
        at += word;
    }
    fputc('\n', to);
}

static const char *kind_placeholder(const struct config_option *option)
{
    if (option->placeholder != NULL)
        return option->placeholder;
    switch (option->kind) {
    case CONFIG_TEXT:
        return "TEXT";
    case CONFIG_LIST:
        return "A,B";
    case CONFIG_PAIRS:
        return "NAME=VALUE";
    case CONFIG_FLAG:
        return "";
    case CONFIG_INTEGER:
        return "N";
    case CONFIG_BYTES:
        return "BYTES";
    case CONFIG_TIME_MS:
        return "TIME";
    case CONFIG_CHOICE:
        return "WORD";
    }
    return "";
}

/* "One of text, json. Default: text." behind the option's own sentence. */
static void print_option(const struct config_option *option, FILE *to)
{
    bool is_number = option->kind == CONFIG_INTEGER || option->kind == CONFIG_BYTES || option->kind == CONFIG_TIME_MS;
    const char *placeholder = kind_placeholder(option);
    char text[2048], min[32], max[32];
    size_t used = (size_t)snprintf(text, sizeof(text), "%s", option->help != NULL ? option->help : "");

    for (size_t i = 0; option->kind == CONFIG_CHOICE && option->choices[i] != NULL && used < sizeof(text); i++)
        used +=
            (size_t)snprintf(text + used, sizeof(text) - used, "%s %s", i == 0 ? " One of" : ",", option->choices[i]);
    if (option->kind == CONFIG_CHOICE && used < sizeof(text))
        used += (size_t)snprintf(text + used, sizeof(text) - used, ".");
    if (is_number && (option->min != 0 || option->max != 0) && used < sizeof(text))
        used += (size_t)snprintf(text + used, sizeof(text) - used, " %s to %s.",
                                 config_format_number(option->kind, option->min, min, sizeof(min)),
                                 config_format_number(option->kind, option->max, max, sizeof(max)));
    if ((option->kind == CONFIG_LIST || option->kind == CONFIG_PAIRS) && used < sizeof(text))
        used += (size_t)snprintf(text + used, sizeof(text) - used, " May be given more than once.");
    if (option->is_required && used < sizeof(text))
        snprintf(text + used, sizeof(text) - used, " Required.");
    else if (option->fallback != NULL && option->kind != CONFIG_FLAG && used < sizeof(text))
        snprintf(text + used, sizeof(text) - used, " Default: %s.", option->fallback);

    fprintf(to, "  --%s%s%s\n", option->name, *placeholder != '\0' ? " " : "", placeholder);
    print_wrapped(text, strlen(text), INDENT, to);
}
