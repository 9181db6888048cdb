/* schema/view/expression.h - the small texts inside options, taken apart: sources, conditions, `into` paths.
 *
 * Grammar only: whether a name is a field is resolve.h's question.
 *
 *     source    = path | "-" path | text | number | "true" | "false" | nothing
 *               | "time" "(" ")" | ("day" | "month") "(" path ")"
 *     condition = path ("=" | "!=" | "<" | "<=" | ">" | ">=") source
 *     into      = step ("." step)*         step = name [ "[" name ("," name)* "]" ]
 *     path      = name ("." name)*         text = "'" (any character but ', or '') * "'"
 *
 * What is returned lives in the arena; names point into the text that was parsed. */
#ifndef TARN_VIEW_EXPRESSION_H
#define TARN_VIEW_EXPRESSION_H

#include "schema/base/arena.h"
#include "schema/base/err.h"
#include "schema/base/span.h"
#include "schema/view/plan.h"

enum {
    EXPRESSION_BYTES_MAX = 4096,
    PATH_STEPS_MAX = 100, /* as deep as a message may nest */
};

/* Names with dots between them. */
struct path_text {
    const struct span *names;
    size_t count;
    struct span text; /* as written */
};

enum expression_kind {
    EXPRESSION_NONE, /* an empty source */
    EXPRESSION_PATH,
    EXPRESSION_NEGATED_PATH,
    EXPRESSION_TEXT,
    EXPRESSION_NUMBER,
    EXPRESSION_BOOL,
    EXPRESSION_TIME,
    EXPRESSION_DAY,
    EXPRESSION_MONTH,
};

struct source_text {
    enum expression_kind kind;
    struct path_text path;
    struct span literal; /* of EXPRESSION_TEXT without its quotes, of EXPRESSION_NUMBER its characters */
    bool is_true;        /* of EXPRESSION_BOOL */
};

struct condition_text {
    struct path_text left;
    enum comparison comparison;
    struct source_text right;
};

struct step_text {
    struct span name;
    bool has_brackets;
    const struct span *brackets;
    size_t bracket_count;
};

struct into_text {
    const struct step_text *steps;
    size_t count;
};

/* ERR_INPUT says what is wrong, without the place. */
MUST_CHECK int expression_parse_source(struct span text, struct arena *arena, struct source_text *ret_source,
                                       struct err *err);
MUST_CHECK int expression_parse_condition(struct span text, struct arena *arena, struct condition_text *ret_condition,
                                          struct err *err);
MUST_CHECK int expression_parse_into(struct span text, struct arena *arena, struct into_text *ret_into,
                                     struct err *err);
MUST_CHECK int expression_parse_path(struct span text, struct arena *arena, struct path_text *ret_path,
                                     struct err *err);

const char *comparison_name(enum comparison comparison); /* "<=" */

#endif
