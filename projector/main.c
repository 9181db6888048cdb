/* tarn-projector: picks the command, parses its settings, runs it, and is the one place that logs its fault. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/runtime/log.h"
#include "ops/runtime/stop.h"
#include "projector/command.h"
#include "schema/base/mem.h"

static const char PROGRAM[] = "tarn-projector";

/* run stays until SIGTERM and ends in order; a signal just ends the others. */
static const struct {
    const struct command *command;
    bool stays;
} commands[] = {
    {&command_check, false},   {&command_run, true},       {&command_status, false},   {&command_digest, false},
    {&command_get, false},     {&command_parked, false},   {&command_generations, false}, {&command_promote, false},
    {&command_rollback, false}, {&command_drop, false},     {&command_rebuild, false},
    {&command_compare, false}, {&command_copy, false},      {&command_restore, false},    {&command_relay, true},
    {&command_verify, false},
};

const char *const command_log_formats[] = {"text", "json", NULL};
const char *const command_log_levels[] = {"debug", "info", "warn", "error", NULL};

int command_exit_of(const struct err *err)
{
    return err->kind == ERR_INPUT || err->kind == ERR_ABSENT ? EXIT_MISTAKE : EXIT_FAULT;
}

static void print_help(FILE *to)
{
    fprintf(to,
            "Usage: %s COMMAND [--name VALUE]...\n\n"
            "Folds protobuf events from Kafka into views for result screens, in a store that tarn-query serves.\n\n"
            "Commands:\n",
            PROGRAM);
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        fprintf(to, "  %-11s %s\n", commands[i].command->config.name, commands[i].command->config.summary);
    fprintf(to,
            "\nA first store in two steps:\n"
            "  %s check screens.binpb\n"
            "  %s run --schema screens.binpb --store DIR --brokers localhost:9092 --topics events\n\n"
            "`%s COMMAND --help` says what a command takes.\n"
            "Exit codes: 0 done, 1 fault, 2 usage or a mistake in the input, 3 a check found differences.\n",
            PROGRAM, PROGRAM, PROGRAM);
}

static enum log_level level_of(const char *name)
{
    enum log_level level = LOG_DEBUG;

    while (command_log_levels[level] != NULL && strcmp(command_log_levels[level], name) != 0)
        level++;
    return level;
}

static int run_command(const struct command *command, bool stays, int argc, char **argv)
{
    struct config_list arguments = {0};
    struct err err = {0};

    if (config_wants_help(argc, argv)) {
        config_print_help(&command->config, stdout);
        return EXIT_DONE;
    }
    void *settings = mem_zero(1, command->settings_size);
    int rc = config_parse(&command->config, argc, argv, settings, &arguments, &err);
    if (rc < 0) {
        fprintf(stderr, "%s %s: %s\n`%s %s --help` says what it takes.\n", PROGRAM, command->config.name, err.text,
                PROGRAM, command->config.name);
        free(settings);
        return EXIT_MISTAKE;
    }
    const struct command_common *common = settings;
    log_init(PROGRAM, strcmp(common->log_format, "json") == 0, level_of(common->log_level));
    int code = EXIT_FAULT;
    if (!stays || stop_init(&err) == 0)
        code = command->run(settings, &arguments, &err);
    if (code != EXIT_DONE && err.kind < 0)
        log_error("%s", err.text);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        log_error("the answer can't be written to stdout");
        code = EXIT_FAULT;
    }
    config_release(&command->config, settings);
    free(settings);
    free(arguments.items);
    return code;
}

int main(int argc, char **argv)
{
    log_init(PROGRAM, false, LOG_INFO);
    if (argc < 2) {
        print_help(stderr);
        return EXIT_MISTAKE;
    }
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        if (strcmp(argv[1], commands[i].command->config.name) == 0)
            return run_command(commands[i].command, commands[i].stays, argc - 2, argv + 2);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return EXIT_DONE;
    }
    fprintf(stderr, "%s: there is no command %s; `%s --help` lists them\n", PROGRAM, argv[1], PROGRAM);
    return EXIT_MISTAKE;
}
