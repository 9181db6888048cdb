/* schema/view/token.h - words, numbers, quoted texts and signs of the view language's small expressions. */
#ifndef TARN_VIEW_TOKEN_H
#define TARN_VIEW_TOKEN_H

#include "schema/base/arena.h"
#include "schema/base/err.h"
#include "schema/base/span.h"

enum token_kind {
    TOKEN_END,
    TOKEN_NAME,
    TOKEN_NUMBER, /* digits, with a fraction and an exponent; a sign is a token of its own */
    TOKEN_TEXT,
    TOKEN_SIGN, /* . , - ( ) [ ] = != < <= > >= */
};

struct token {
    enum token_kind kind;
    struct span text; /* as written; of TOKEN_TEXT what it stands for, without quotes */
};

struct token_reader {
    const char *at;
    const char *end;
    struct arena *arena; /* texts with a doubled quote are put together here */
    struct token token;  /* the current one */
};

/* Each reads on to the next token. ERR_INPUT: a character that no token begins with, a text that doesn't end, a text
 * that isn't UTF-8. */
MUST_CHECK int token_begin(struct token_reader *reader, struct span text, struct arena *arena, struct err *err);
MUST_CHECK int token_next(struct token_reader *reader, struct err *err);

bool token_is(const struct token_reader *reader, const char *sign);

#endif
