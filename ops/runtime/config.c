/* The sources are applied from the weakest to the strongest: default, file, environment, flags. Each option remembers
 * which source gave its value; a stronger source replaces it, and within one source a list grows while anything else
 * given twice is refused, because one of the two would be ignored silently. The environment is asked for known names
 * only: an orchestrator puts TARN_… variables of its own there. */
#include "ops/runtime/config.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

#include "ops/runtime/config_value.h"
#include "schema/base/mem.h"
#include "schema/base/span.h"

enum source { FROM_NOWHERE, FROM_DEFAULT, FROM_FILE, FROM_ENVIRONMENT, FROM_FLAGS };

/* A setting's line in the file may hold a long list of brokers or a whole certificate's path, not a novel. */
enum { FILE_LINE_BYTES = 64 * 1024, NAME_BYTES = 128 };

struct parsing {
    const struct config_command *command;
    void *settings;
    enum source *given_by; /* beside command->options */
    const char *path;      /* of the file being read */
    FILE *file;
    int line;
    bool has_config_flag;
    struct err *err;
    int rc;
};

static int apply_defaults(struct parsing *parsing);
static int apply_file(struct parsing *parsing, const char *path);
static int apply_environment(struct parsing *parsing);
static int apply_flags(struct parsing *parsing, int argc, char **argv, struct config_list *arguments);
static int check_required(struct parsing *parsing);
static const char *find_config_path(int argc, char **argv);
static void variable_name(const char *option, char *name, size_t size);

int config_parse(const struct config_command *command, int argc, char **argv, void *settings,
                 struct config_list *ret_arguments, struct err *err)
{
    struct config_list arguments = {mem_zero((size_t)argc + 1, sizeof(char *)), 0};
    struct parsing parsing = {.command = command, .settings = settings, .err = err};
    const char *path = find_config_path(argc, argv);

    parsing.given_by = mem_zero(command->option_count + 1, sizeof(*parsing.given_by));
    int rc = apply_defaults(&parsing);
    if (rc == 0 && path != NULL)
        rc = apply_file(&parsing, path);
    if (rc == 0)
        rc = apply_environment(&parsing);
    if (rc == 0)
        rc = apply_flags(&parsing, argc, argv, &arguments);
    if (rc == 0)
        rc = check_required(&parsing);
    free(parsing.given_by);

    if (rc < 0) {
        free(arguments.items);
        config_release(command, settings);
        return rc;
    }
    if (ret_arguments != NULL)
        *ret_arguments = arguments;
    else
        free(arguments.items);
    return 0;
}

void config_release(const struct config_command *command, void *settings)
{
    for (size_t i = 0; i < command->option_count; i++)
        if (command->options[i].refused == NULL)
            config_value_clear(&command->options[i], settings);
}

bool config_wants_help(int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0)
            return false;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    }
    return false;
}

static bool is_list(const struct config_option *option)
{
    return option->kind == CONFIG_LIST || option->kind == CONFIG_PAIRS;
}

/* `where` is how the user wrote it: "--memory", "TARN_MEMORY", "tarn.conf:7: memory". */
static int apply(struct parsing *parsing, size_t index, const char *text, enum source source, const char *where)
{
    const struct config_option *option = &parsing->command->options[index];

    if (option->refused != NULL)
        return err_set(parsing->err, ERR_INPUT, "%s: %s", where, option->refused);
    if (parsing->given_by[index] == source && !is_list(option))
        return err_set(parsing->err, ERR_INPUT, "%s is given twice", where);
    if (parsing->given_by[index] != source)
        config_value_clear(option, parsing->settings);
    parsing->given_by[index] = source;
    if (config_value_set(option, text, parsing->settings, parsing->err) < 0)
        return err_prefix(parsing->err, "%s", where);
    return 0;
}

static int apply_defaults(struct parsing *parsing)
{
    for (size_t i = 0; i < parsing->command->option_count; i++) {
        const struct config_option *option = &parsing->command->options[i];
        if (option->fallback == NULL || option->refused != NULL)
            continue;
        int rc = apply(parsing, i, option->fallback, FROM_DEFAULT, option->name);
        if (rc < 0)
            return err_prefix(parsing->err, "default");
    }
    return 0;
}

/* --- names ------------------------------------------------------------------------------------------------------ */

static bool find_option(const struct config_command *command, struct span name, size_t *ret_index)
{
    for (size_t i = 0; i < command->option_count; i++) {
        if (span_equal_text(name, command->options[i].name)) {
            *ret_index = i;
            return true;
        }
    }
    return false;
}

/* How many letters must be added, removed or replaced to make b of a. */
static size_t edit_distance(struct span a, const char *b)
{
    size_t row[NAME_BYTES];
    size_t columns = strlen(b);

    if (a.len >= NAME_BYTES || columns >= NAME_BYTES)
        return NAME_BYTES;
    for (size_t j = 0; j <= columns; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= columns; j++) {
            size_t best = diagonal + (span_bytes(a)[i - 1] != (uint8_t)b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[columns];
}

static int refuse_unknown(struct parsing *parsing, const char *where, const char *dashes, struct span name)
{
    const char *nearest = NULL;
    size_t least = 4; /* further away it is another word, not a slip */

    for (size_t i = 0; i < parsing->command->option_count; i++) {
        size_t distance = edit_distance(name, parsing->command->options[i].name);
        if (distance < least) {
            least = distance;
            nearest = parsing->command->options[i].name;
        }
    }
    if (nearest != NULL)
        return err_set(parsing->err, ERR_INPUT, "%s: unknown setting; did you mean %s%s?", where, dashes, nearest);
    return err_set(parsing->err, ERR_INPUT, "%s: unknown setting; --help lists those that %s%s%s knows", where,
                   parsing->command->program, parsing->command->name != NULL ? " " : "",
                   parsing->command->name != NULL ? parsing->command->name : "");
}

static void variable_name(const char *option, char *name, size_t size)
{
    size_t used = (size_t)snprintf(name, size, "TARN_");

    for (; *option != '\0' && used + 1 < size; option++)
        name[used++] = *option == '-' ? '_' : (char)toupper((unsigned char)*option);
    name[used] = '\0';
}

/* --- the file --------------------------------------------------------------------------------------------------- */

/* The file must be known before anything else is applied, so it is looked for on its own. */
static const char *find_config_path(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--config") == 0)
            return i + 1 < argc ? argv[i + 1] : NULL;
        if (strncmp(argv[i], "--config=", 9) == 0)
            return argv[i] + 9;
    }
    return getenv("TARN_CONFIG");
}

/* Sections narrow a file down that several programs share: `[tarn-query]`, `[tarn-projector]`, `[tarn-projector run]`.
 * What stands before the first section, or in one of this command, counts. */
static bool section_counts(const struct config_command *command, const char *section, bool *ret_known)
{
    struct span program = span_of(section, strcspn(section, " "));

    *ret_known =
        program.len == 0 || span_equal_text(program, "tarn-projector") || span_equal_text(program, "tarn-query");
    if (program.len == 0)
        return true;
    if (!span_equal_text(program, command->program))
        return false;
    return section[program.len] == '\0' ||
           (command->name != NULL && strcmp(section + program.len + 1, command->name) == 0);
}

/* inih calls this for each entry; 0 makes it stop at that line. */
static int take_entry(void *self, const char *section, const char *name, const char *value)
{
    struct parsing *parsing = self;
    char where[4096 + NAME_BYTES];
    size_t index;
    bool is_known;

    if (parsing->rc < 0)
        return 0;
    bool counts = section_counts(parsing->command, section, &is_known);
    snprintf(where, sizeof(where), "%s:%d: %.*s", parsing->path, parsing->line, NAME_BYTES, name);
    if (!is_known)
        parsing->rc = err_set(parsing->err, ERR_INPUT,
                              "%s:%d: unknown section [%s]; sections are [tarn-query], [tarn-projector] and "
                              "[tarn-projector COMMAND]",
                              parsing->path, parsing->line, section);
    else if (!counts)
        return 1;
    else if (find_option(parsing->command, span_of_text(name), &index))
        parsing->rc = apply(parsing, index, value, FROM_FILE, where);
    else
        parsing->rc = refuse_unknown(parsing, where, "", span_of_text(name));
    return parsing->rc == 0;
}

static char *read_line(char *line, int size, void *self)
{
    struct parsing *parsing = self;
    char *got = fgets(line, size, parsing->file);

    if (got == NULL)
        return NULL;
    parsing->line++;
    size_t len = strlen(got);
    if (len + 1 == (size_t)size && got[len - 1] != '\n' && parsing->rc == 0)
        parsing->rc = err_set(parsing->err, ERR_INPUT, "%s:%d: the line is longer than %d bytes", parsing->path,
                              parsing->line, FILE_LINE_BYTES - 2);
    return parsing->rc < 0 ? NULL : got;
}

static int apply_file(struct parsing *parsing, const char *path)
{
    parsing->path = path;
    parsing->file = fopen(path, "re");
    if (parsing->file == NULL)
        return err_set_errno(parsing->err, ERR_INPUT, errno, "--config %s", path);

    ini_use_stack = false;
    ini_initial_alloc = ini_max_line = FILE_LINE_BYTES;
    ini_allow_inline_comments = false; /* a password may hold " ;" */
    ini_stop_on_first_error = true;
    int bad_line = ini_parse_stream(read_line, parsing, take_entry, parsing);
    int read_error = ferror(parsing->file) ? errno : 0;
    fclose(parsing->file);
    if (parsing->rc < 0)
        return parsing->rc;
    if (read_error != 0)
        return err_set_errno(parsing->err, ERR_INPUT, read_error, "--config %s", path);
    if (bad_line != 0)
        return err_set(parsing->err, ERR_INPUT, "%s:%d: expected `name = value`, [section] or a # comment", path,
                       bad_line);
    return 0;
}

/* --- environment and flags -------------------------------------------------------------------------------------- */

static int apply_environment(struct parsing *parsing)
{
    char name[NAME_BYTES];

    for (size_t i = 0; i < parsing->command->option_count; i++) {
        variable_name(parsing->command->options[i].name, name, sizeof(name));
        const char *text = getenv(name);
        if (text == NULL)
            continue;
        int rc = apply(parsing, i, text, FROM_ENVIRONMENT, name);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static bool looks_like_flag(const char *argument)
{
    return argument[0] == '-' && argument[1] != '\0' && !isdigit((unsigned char)argument[1]);
}

/* One flag at argv[*at]; moves *at to the last argument it took. */
static int apply_flag(struct parsing *parsing, int argc, char **argv, int *at)
{
    const char *argument = argv[*at];
    char where[NAME_BYTES + 8];
    size_t index;

    if (strncmp(argument, "--", 2) != 0)
        return err_set(parsing->err, ERR_INPUT, "%s: flags are written --name; behind `--` everything is an argument",
                       argument);
    struct span name = span_of(argument + 2, strcspn(argument + 2, "="));
    const char *value = argument[2 + name.len] == '=' ? argument + 2 + name.len + 1 : NULL;
    snprintf(where, sizeof(where), "--%.*s", name.len < NAME_BYTES ? (int)name.len : NAME_BYTES, argument + 2);

    bool is_config = span_equal_text(name, "config");
    bool is_negated = false;
    bool is_found = is_config || find_option(parsing->command, name, &index);
    if (!is_found && span_starts_with(name, SPAN_LITERAL("no-")) && value == NULL) {
        is_negated = find_option(parsing->command, span_of(argument + 5, name.len - 3), &index) &&
                     parsing->command->options[index].kind == CONFIG_FLAG;
        is_found = is_negated;
    }
    if (!is_found)
        return refuse_unknown(parsing, where, "--", name);

    const struct config_option *option = is_config ? NULL : &parsing->command->options[index];
    if (option != NULL && option->refused != NULL)
        return apply(parsing, index, "", FROM_FLAGS, where);
    if (option != NULL && option->kind == CONFIG_FLAG)
        return apply(parsing, index, value != NULL ? value : is_negated ? "false" : "true", FROM_FLAGS, where);
    if (value == NULL) {
        if (*at + 1 >= argc || strncmp(argv[*at + 1], "--", 2) == 0)
            return err_set(parsing->err, ERR_INPUT, "%s needs a value (%s)", where,
                           option != NULL && option->placeholder != NULL ? option->placeholder : "FILE");
        value = argv[++*at];
    }
    if (!is_config)
        return apply(parsing, index, value, FROM_FLAGS, where);
    if (parsing->has_config_flag)
        return err_set(parsing->err, ERR_INPUT, "%s is given twice", where);
    parsing->has_config_flag = true; /* the file itself was read before */
    return 0;
}

static int apply_flags(struct parsing *parsing, int argc, char **argv, struct config_list *arguments)
{
    bool only_arguments = false;

    for (int i = 0; i < argc; i++) {
        if (!only_arguments && strcmp(argv[i], "--") == 0) {
            only_arguments = true;
        } else if (!only_arguments && looks_like_flag(argv[i])) {
            int rc = apply_flag(parsing, argc, argv, &i);
            if (rc < 0)
                return rc;
        } else if (parsing->command->arguments == NULL) {
            return err_set(parsing->err, ERR_INPUT, "%s: unexpected argument; settings are written --name VALUE",
                           argv[i]);
        } else {
            arguments->items[arguments->count++] = argv[i];
        }
    }
    return 0;
}

static int check_required(struct parsing *parsing)
{
    char variable[NAME_BYTES];

    for (size_t i = 0; i < parsing->command->option_count; i++) {
        const struct config_option *option = &parsing->command->options[i];
        if (!option->is_required || parsing->given_by[i] != FROM_NOWHERE)
            continue;
        variable_name(option->name, variable, sizeof(variable));
        return err_set(parsing->err, ERR_INPUT, "--%s %s is missing (also as %s, or `%s = …` in --config FILE)",
                       option->name, option->placeholder != NULL ? option->placeholder : "VALUE", variable,
                       option->name);
    }
    return 0;
}
