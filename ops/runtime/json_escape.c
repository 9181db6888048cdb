#include "ops/runtime/json_escape.h"

#include "schema/base/compiler.h"

/* Bytes of the well-formed UTF-8 sequence at `at`, or 0. */
static size_t utf8_sequence(const uint8_t *at, size_t len)
{
    static const struct {
        uint8_t first_low, first_high, second_low, second_high;
        size_t len;
    } forms[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
        if (at[0] < forms[i].first_low || at[0] > forms[i].first_high)
            continue;
        if (forms[i].len > len)
            return 0;
        if (forms[i].len > 1 && (at[1] < forms[i].second_low || at[1] > forms[i].second_high))
            return 0;
        for (size_t j = 2; j < forms[i].len; j++)
            if ((at[j] & 0xc0) != 0x80)
                return 0;
        return forms[i].len;
    }
    return 0;
}

size_t json_escape_next(struct span *text, char escaped[JSON_ESCAPE_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *at = text->at;
    size_t len = utf8_sequence(at, text->len);

    *text = span_of(at + (len > 0 ? len : 1), text->len - (len > 0 ? len : 1));
    if (len == 0) {
        memcpy(escaped, "\xef\xbf\xbd", 3);
        return 3;
    }
    if (*at == '"' || *at == '\\') {
        escaped[0] = '\\';
        escaped[1] = (char)*at;
        return 2;
    }
    if (*at < 0x20) {
        memcpy(escaped, "\\u00", 4);
        escaped[4] = digits[*at >> 4];
        escaped[5] = digits[*at & 15];
        return 6;
    }
    memcpy(escaped, at, len);
    return len;
}

void json_escape(struct span text, struct buf *out)
{
    while (text.len > 0) {
        char escaped[JSON_ESCAPE_BYTES];
        size_t len = json_escape_next(&text, escaped);
        buf_add(out, escaped, len);
    }
}
