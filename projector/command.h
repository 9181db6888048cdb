/* projector/command.h - the commands of tarn-projector; main.c lists them. Each has a file of its own: its settings, its
 * table of options and its run function. */
#ifndef TARN_PROJECTOR_COMMAND_H
#define TARN_PROJECTOR_COMMAND_H

#include "ops/runtime/config.h"

enum command_exit { EXIT_DONE = 0, EXIT_FAULT = 1, EXIT_MISTAKE = 2, EXIT_DIFFERENT = 3 };

/* One command. Its options start with those that all have (COMMAND_COMMON_OPTIONS). */
struct command {
    struct config_command config;
    size_t settings_size; /* of the struct that config.options fill; begins with struct command_common */
    /* Returns an enum command_exit after printing what there is to print; a fault is told in err, and main() logs it. */
    int (*run)(void *settings, const struct config_list *arguments, struct err *err);
};

struct command_common {
    const char *log_format; /* "text", "json" */
    const char *log_level;
};

#define COMMAND_COMMON_OPTIONS(type)                                                                                   \
    {.name = "log-format", .kind = CONFIG_CHOICE, .offset = offsetof(type, common.log_format),                         \
     .placeholder = "FORMAT", .fallback = "text", .choices = command_log_formats,                                      \
     .help = "How the log on stderr is written: text for people, json for collectors."},                               \
    {.name = "log-level", .kind = CONFIG_CHOICE, .offset = offsetof(type, common.log_level), .placeholder = "LEVEL",    \
     .fallback = "info", .choices = command_log_levels, .help = "The least important lines that are still logged."}

/* Options of many commands, for settings with `const char *store`, `bool is_json`, `int64_t wait_ms`. */
#define COMMAND_STORE_OPTION(type)                                                                                     \
    {.name = "store", .kind = CONFIG_TEXT, .offset = offsetof(type, store), .placeholder = "DIR", .is_required = true, \
     .help = "The store's directory."}
#define COMMAND_JSON_OPTION(type)                                                                                      \
    {.name = "json", .kind = CONFIG_FLAG, .offset = offsetof(type, is_json), .help = "Prints the answer as JSON."}
#define COMMAND_WAIT_OPTION(type)                                                                                      \
    {.name = "wait", .kind = CONFIG_TIME_MS, .offset = offsetof(type, wait_ms), .placeholder = "TIME",                 \
     .fallback = "30s", .min = 100, .max = 3600 * 1000, .help = "How long a running projector may take."}

extern const char *const command_log_formats[]; /* NULL-terminated */
extern const char *const command_log_levels[];

extern const struct command command_run; /* run.c */
extern const struct command command_check;
extern const struct command command_status;
extern const struct command command_get;
extern const struct command command_digest;
extern const struct command command_parked;
extern const struct command command_generations;
extern const struct command command_rebuild;
extern const struct command command_compare;
extern const struct command command_copy;
extern const struct command command_restore;
extern const struct command command_promote;
extern const struct command command_rollback;
extern const struct command command_drop;
extern const struct command command_relay;
extern const struct command command_verify;

/* A fault's exit code: ERR_INPUT and ERR_ABSENT are the user's (2), everything else is ours (1). */
int command_exit_of(const struct err *err);

#endif
