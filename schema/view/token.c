/* A hand-written scanner: the expressions are a line long and their alphabet is small. Names are what protobuf
 * allows as field names. A number begins with a digit and has no leading zeros, so that nobody reads 010 as eight. */
#include "schema/view/token.h"

#include "schema/view/mistakes.h"
#include "schema/message/utf8.h"

static int scan_text(struct token_reader *reader, struct err *err);
static int scan_number(struct token_reader *reader, struct err *err);
static int scan_sign(struct token_reader *reader, struct err *err);

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool begins_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

int token_begin(struct token_reader *reader, struct span text, struct arena *arena, struct err *err)
{
    const char *at = text.at;

    *reader = (struct token_reader){.at = at, .end = text.len ? at + text.len : at, .arena = arena};
    return token_next(reader, err);
}

int token_next(struct token_reader *reader, struct err *err)
{
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\t' || *reader->at == '\n'))
        reader->at++;
    if (reader->at == reader->end) {
        reader->token = (struct token){TOKEN_END, {NULL, 0}};
        return 0;
    }
    if (*reader->at == '\'')
        return scan_text(reader, err);
    if (is_digit(*reader->at))
        return scan_number(reader, err);
    if (!begins_name(*reader->at))
        return scan_sign(reader, err);

    const char *begin = reader->at;
    while (reader->at < reader->end && (begins_name(*reader->at) || is_digit(*reader->at)))
        reader->at++;
    reader->token = (struct token){TOKEN_NAME, {begin, (size_t)(reader->at - begin)}};
    return 0;
}

bool token_is(const struct token_reader *reader, const char *sign)
{
    return reader->token.kind == TOKEN_SIGN && span_equal_text(reader->token.text, sign);
}

static int scan_text(struct token_reader *reader, struct err *err)
{
    char *text = arena_alloc(reader->arena, (size_t)(reader->end - reader->at));
    size_t length = 0;

    for (reader->at++; reader->at < reader->end; reader->at++) {
        if (*reader->at == '\'') {
            if (reader->at + 1 == reader->end || reader->at[1] != '\'')
                break;
            reader->at++;
        }
        text[length++] = *reader->at;
    }
    if (reader->at == reader->end)
        return err_set(err, ERR_INPUT, "a text has no closing quote");
    reader->at++;
    if (!utf8_is_valid(span_of(text, length)))
        return err_set(err, ERR_INPUT, "a text is not UTF-8");
    reader->token = (struct token){TOKEN_TEXT, {text, length}};
    return 0;
}

static void scan_digits(struct token_reader *reader)
{
    while (reader->at < reader->end && is_digit(*reader->at))
        reader->at++;
}

static int scan_number(struct token_reader *reader, struct err *err)
{
    const char *begin = reader->at;

    scan_digits(reader);
    bool leads_with_zero = *begin == '0' && reader->at - begin > 1;
    if (reader->end - reader->at >= 2 && *reader->at == '.' && is_digit(reader->at[1])) {
        reader->at++;
        scan_digits(reader);
    }
    if (reader->at < reader->end && (*reader->at == 'e' || *reader->at == 'E')) {
        reader->at++;
        if (reader->at < reader->end && (*reader->at == '-' || *reader->at == '+'))
            reader->at++;
        if (reader->at == reader->end || !is_digit(*reader->at))
            return err_set(err, ERR_INPUT, "a number's exponent has no digits");
        scan_digits(reader);
    }
    struct span text = span_of(begin, (size_t)(reader->at - begin));
    if (leads_with_zero || (reader->at < reader->end && begins_name(*reader->at)))
        return err_set(err, ERR_INPUT, "\"%.*s\" is neither a number nor a name; a text stands in single quotes",
                       QUOTE_ARGS(span_of(begin, (size_t)(reader->end - begin))));
    reader->token = (struct token){TOKEN_NUMBER, text};
    return 0;
}

static int scan_sign(struct token_reader *reader, struct err *err)
{
    static const char *const signs[] = {"!=", "<=", ">=", "=", "<", ">", ".", ",", "-", "(", ")", "[", "]"};
    struct span rest = span_of(reader->at, (size_t)(reader->end - reader->at));

    if (span_starts_with(rest, SPAN_LITERAL("==")))
        return err_set(err, ERR_INPUT, "\"==\": equal is written \"=\"");
    if (span_starts_with(rest, SPAN_LITERAL("<>")))
        return err_set(err, ERR_INPUT, "\"<>\": not equal is written \"!=\"");
    if (*reader->at == '"')
        return err_set(err, ERR_INPUT, "a text stands in single quotes");
    for (size_t i = 0; i < ARRAY_COUNT(signs); i++) {
        if (span_starts_with(rest, span_of_text(signs[i]))) {
            reader->token = (struct token){TOKEN_SIGN, {reader->at, strlen(signs[i])}};
            reader->at += strlen(signs[i]);
            return 0;
        }
    }
    return err_set(err, ERR_INPUT, "\"%.*s\" is not understood", QUOTE_ARGS(rest));
}
