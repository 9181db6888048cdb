/* Recursive descent without recursion: the grammar has none. Lists of names are collected in a scratch array of
 * PATH_STEPS_MAX and copied into the arena, which also bounds them. */
#include "schema/view/expression.h"

#include "schema/view/mistakes.h"
#include "schema/view/token.h"

static int parse_source(struct token_reader *reader, struct source_text *ret_source, struct err *err);

static int begin(struct token_reader *reader, struct span text, struct arena *arena, struct err *err)
{
    if (text.len > EXPRESSION_BYTES_MAX)
        return err_set(err, ERR_INPUT, "is longer than %d bytes", EXPRESSION_BYTES_MAX);
    return token_begin(reader, text, arena, err);
}

static int expect_end(const struct token_reader *reader, struct err *err)
{
    if (reader->token.kind == TOKEN_END)
        return 0;
    return err_set(err, ERR_INPUT, "\"%.*s\" is one too many: nothing was expected behind what stands before it",
                   QUOTE_ARGS(reader->token.text));
}

/* A name, which must be the current token. */
static int take_name(struct token_reader *reader, struct span *ret_name, struct err *err)
{
    struct span name = reader->token.text;

    if (reader->token.kind == TOKEN_END)
        return err_set(err, ERR_INPUT, "ends where a field's name should stand");
    if (reader->token.kind != TOKEN_NAME)
        return err_set(err, ERR_INPUT, "\"%.*s\" stands where a field's name should", QUOTE_ARGS(name));
    int rc = token_next(reader, err);
    if (rc == 0)
        *ret_name = name;
    return rc;
}

/* name (separator name)* */
static int take_names(struct token_reader *reader, const char *separator, const struct span **ret_names,
                      size_t *ret_count, struct err *err)
{
    struct span names[PATH_STEPS_MAX];
    size_t count = 0;

    int rc = take_name(reader, &names[count++], err);
    while (rc == 0 && token_is(reader, separator)) {
        if (count == PATH_STEPS_MAX)
            return err_set(err, ERR_INPUT, "has more than %d names", PATH_STEPS_MAX);
        rc = token_next(reader, err);
        if (rc == 0)
            rc = take_name(reader, &names[count++], err);
    }
    if (rc == 0) {
        *ret_names = arena_copy(reader->arena, names, count * sizeof(*names));
        *ret_count = count;
    }
    return rc;
}

static int take_path(struct token_reader *reader, struct path_text *ret_path, struct err *err)
{
    struct path_text path = {NULL, 0, {NULL, 0}};

    int rc = take_names(reader, ".", &path.names, &path.count, err);
    if (rc < 0)
        return rc;
    const char *first = path.names[0].at;
    const struct span *last = &path.names[path.count - 1];
    path.text = span_of(first, (size_t)((const char *)last->at + last->len - first));
    *ret_path = path;
    return 0;
}

int expression_parse_path(struct span text, struct arena *arena, struct path_text *ret_path, struct err *err)
{
    struct token_reader reader = {0};
    struct path_text path;

    int rc = begin(&reader, text, arena, err);
    if (rc == 0)
        rc = take_path(&reader, &path, err);
    if (rc == 0)
        rc = expect_end(&reader, err);
    if (rc == 0)
        *ret_path = path;
    return rc;
}

int expression_parse_source(struct span text, struct arena *arena, struct source_text *ret_source, struct err *err)
{
    struct token_reader reader = {0};
    struct source_text source = {.kind = EXPRESSION_NONE};

    int rc = begin(&reader, text, arena, err);
    if (rc == 0 && reader.token.kind != TOKEN_END)
        rc = parse_source(&reader, &source, err);
    if (rc == 0)
        rc = expect_end(&reader, err);
    if (rc == 0)
        *ret_source = source;
    return rc;
}

/* The three names that an opening parenthesis makes functions. */
static int parse_function(struct token_reader *reader, struct source_text *source, struct err *err)
{
    static const struct {
        const char *name;
        enum expression_kind kind;
    } functions[] = {{"time", EXPRESSION_TIME}, {"day", EXPRESSION_DAY}, {"month", EXPRESSION_MONTH}};
    struct span name = source->path.text;

    source->kind = EXPRESSION_NONE;
    for (size_t i = 0; i < ARRAY_COUNT(functions); i++)
        if (span_equal_text(name, functions[i].name))
            source->kind = functions[i].kind;
    if (source->kind == EXPRESSION_NONE)
        return err_set(err, ERR_INPUT, "\"%.*s\" is not a function: there are time(), day(path) and month(path)",
                       QUOTE_ARGS(name));
    source->path = (struct path_text){NULL, 0, {NULL, 0}};
    int rc = token_next(reader, err);
    if (rc == 0 && source->kind != EXPRESSION_TIME)
        rc = take_path(reader, &source->path, err);
    if (rc < 0)
        return rc;
    if (!token_is(reader, ")"))
        return err_set(err, ERR_INPUT, source->kind == EXPRESSION_TIME
                                           ? "time() takes nothing between its parentheses"
                                           : "day() and month() take one path between their parentheses");
    return token_next(reader, err);
}

static int parse_number(struct token_reader *reader, struct span written_from, struct source_text *source,
                        struct err *err)
{
    struct span digits = reader->token.text;
    const char *first = written_from.at;

    source->kind = EXPRESSION_NUMBER;
    source->literal = span_of(first, (size_t)((const char *)digits.at + digits.len - first));
    return token_next(reader, err);
}

static int parse_source(struct token_reader *reader, struct source_text *ret_source, struct err *err)
{
    struct source_text source = {.kind = EXPRESSION_PATH};
    struct token first = reader->token;
    int rc;

    if (first.kind == TOKEN_TEXT) {
        source = (struct source_text){.kind = EXPRESSION_TEXT, .literal = first.text};
        rc = token_next(reader, err);
    } else if (first.kind == TOKEN_NUMBER) {
        rc = parse_number(reader, first.text, &source, err);
    } else if (token_is(reader, "-")) {
        source.kind = EXPRESSION_NEGATED_PATH;
        rc = token_next(reader, err);
        if (rc == 0 && reader->token.kind == TOKEN_NUMBER) {
            if ((const char *)reader->token.text.at != (const char *)first.text.at + 1)
                return err_set(err, ERR_INPUT, "a number's sign stands right before it");
            rc = parse_number(reader, first.text, &source, err);
        } else if (rc == 0) {
            rc = take_path(reader, &source.path, err);
        }
        if (rc == 0 && token_is(reader, "("))
            return err_set(err, ERR_INPUT, "only a path can have a minus sign");
    } else if (first.kind != TOKEN_NAME) {
        return err_set(err, ERR_INPUT, "\"%.*s\" stands where a path, a text in single quotes or a number should",
                       QUOTE_ARGS(first.text));
    } else {
        rc = take_path(reader, &source.path, err);
        if (rc == 0 && token_is(reader, "(")) {
            rc = parse_function(reader, &source, err);
        } else if (rc == 0 && span_equal_text(source.path.text, "true")) {
            source = (struct source_text){.kind = EXPRESSION_BOOL, .is_true = true};
        } else if (rc == 0 && span_equal_text(source.path.text, "false")) {
            source = (struct source_text){.kind = EXPRESSION_BOOL, .is_true = false};
        }
    }
    if (rc == 0)
        *ret_source = source;
    return rc;
}

static const char *const comparisons[] = {
    [COMPARE_EQUAL] = "=",       [COMPARE_NOT_EQUAL] = "!=", [COMPARE_LESS] = "<",
    [COMPARE_LESS_EQUAL] = "<=", [COMPARE_GREATER] = ">",    [COMPARE_GREATER_EQUAL] = ">=",
};

const char *comparison_name(enum comparison comparison)
{
    return comparisons[comparison];
}

static int take_comparison(struct token_reader *reader, enum comparison *ret_comparison, struct err *err)
{
    for (size_t i = 0; i < ARRAY_COUNT(comparisons); i++) {
        if (token_is(reader, comparisons[i])) {
            *ret_comparison = (enum comparison)i;
            return token_next(reader, err);
        }
    }
    if (reader->token.kind == TOKEN_END)
        return err_set(err, ERR_INPUT, "is not a condition: write `path = source` (or !=, <, <=, >, >=)");
    return err_set(err, ERR_INPUT, "\"%.*s\" stands where one of = != < <= > >= should",
                   QUOTE_ARGS(reader->token.text));
}

int expression_parse_condition(struct span text, struct arena *arena, struct condition_text *ret_condition,
                               struct err *err)
{
    struct token_reader reader = {0};
    struct condition_text condition = {.comparison = COMPARE_EQUAL};

    int rc = begin(&reader, text, arena, err);
    if (rc == 0)
        rc = take_path(&reader, &condition.left, err);
    if (rc == 0)
        rc = take_comparison(&reader, &condition.comparison, err);
    if (rc == 0 && reader.token.kind == TOKEN_END)
        rc = err_set(err, ERR_INPUT, "ends where the source to compare with should stand");
    if (rc == 0)
        rc = parse_source(&reader, &condition.right, err);
    if (rc == 0)
        rc = expect_end(&reader, err);
    if (rc == 0)
        *ret_condition = condition;
    return rc;
}

static int take_step(struct token_reader *reader, struct step_text *ret_step, struct err *err)
{
    struct step_text step = {.has_brackets = false};

    int rc = take_name(reader, &step.name, err);
    if (rc == 0 && token_is(reader, "[")) {
        step.has_brackets = true;
        rc = token_next(reader, err);
        if (rc == 0)
            rc = take_names(reader, ",", &step.brackets, &step.bracket_count, err);
        if (rc == 0 && !token_is(reader, "]"))
            return err_set(err, ERR_INPUT, "brackets hold field names with commas between them, then \"]\"");
        if (rc == 0)
            rc = token_next(reader, err);
    }
    if (rc == 0)
        *ret_step = step;
    return rc;
}

int expression_parse_into(struct span text, struct arena *arena, struct into_text *ret_into, struct err *err)
{
    struct token_reader reader = {0};
    struct step_text steps[PATH_STEPS_MAX];
    size_t count = 0;

    int rc = begin(&reader, text, arena, err);
    if (rc == 0)
        rc = take_step(&reader, &steps[count++], err);
    while (rc == 0 && token_is(&reader, ".")) {
        if (count == PATH_STEPS_MAX)
            return err_set(err, ERR_INPUT, "has more than %d steps", PATH_STEPS_MAX);
        rc = token_next(&reader, err);
        if (rc == 0)
            rc = take_step(&reader, &steps[count++], err);
    }
    if (rc == 0)
        rc = expect_end(&reader, err);
    if (rc == 0)
        *ret_into = (struct into_text){arena_copy(arena, steps, count * sizeof(*steps)), count};
    return rc;
}
