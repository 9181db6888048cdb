/* ops/runtime/config.h - settings from the command line, the environment and a file, out of one table.
 *
 * A program describes each command's settings as a table of struct config_option; the table parses, prints --help, and
 * is compared with the README by a check. `--some-name V` is also TARN_SOME_NAME=V in the environment and
 * `some-name = V` in `--config FILE` (read with inih); the flag wins, then the environment, then the file, then the
 * default. An unknown flag or file entry, a value out of range, or a flag that a later version brings is refused by
 * name. */
#ifndef TARN_RUNTIME_CONFIG_H
#define TARN_RUNTIME_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "schema/base/err.h"

enum config_kind {
    CONFIG_TEXT,    /* const char *; NULL when not given and without default */
    CONFIG_LIST,    /* struct config_list: may be given more than once, and comma-separated */
    CONFIG_PAIRS,   /* struct config_list of "NAME=VALUE": may be given more than once, not split at commas */
    CONFIG_FLAG,    /* bool; --name, --no-name, name = true */
    CONFIG_INTEGER, /* int64_t, min..max */
    CONFIG_BYTES,   /* int64_t bytes: 512, 64KiB, 256MiB, 4GiB (also KB, MB, GB) */
    CONFIG_TIME_MS, /* int64_t milliseconds: 250ms, 5s, 10m, 2h, 7d */
    CONFIG_CHOICE,  /* const char *, one of `choices` */
};

struct config_list {
    char **items;
    size_t count;
};

struct config_option {
    const char *name; /* "max-view-bytes" */
    enum config_kind kind;
    size_t offset;           /* where its value goes in the settings struct */
    const char *placeholder; /* "BYTES"; what --help prints behind the name */
    const char *fallback;    /* the default, as one would write it; NULL: none */
    int64_t min, max;        /* of the kinds that are numbers; both 0: any value >= 0 */
    const char *const *choices;
    bool is_required;
    bool is_secret;      /* never printed nor logged */
    const char *help;    /* one sentence or two */
    const char *refused; /* not NULL: known but not supported by this version; says so */
};

struct config_command {
    const char *program;   /* "tarn-projector" */
    const char *name;      /* "run", or NULL for a program without commands */
    const char *arguments; /* "VIEW KEY...", or NULL when it takes none */
    const char *summary;   /* one line */
    const char *help;      /* a paragraph or two with an example; printed above the flags */
    const struct config_option *options;
    size_t option_count;
};

/* Parses argv (behind the program's and the command's name) into settings (a zeroed struct). Positional arguments are
 * left in *ret_arguments (pointers into argv). ERR_INPUT: usage; the text names flag, variable or file and line. */
MUST_CHECK int config_parse(const struct config_command *command, int argc, char **argv, void *settings,
                            struct config_list *ret_arguments, struct err *err);
void config_release(const struct config_command *command, void *settings);

/* The whole help of a command, wrapped at 100 columns. */
void config_print_help(const struct config_command *command, FILE *to);
bool config_wants_help(int argc, char **argv);

#endif
