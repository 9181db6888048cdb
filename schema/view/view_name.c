/* A word begins at a capital behind a small letter or digit, and at the last of several capitals when a small letter
 * follows it. */
#include "schema/view/view_name.h"

static bool is_capital(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_small(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

void view_name_default(const char *message_name, struct buf *name)
{
    for (const char *at = message_name; *at != '\0'; at++) {
        char before = at == message_name ? '\0' : at[-1];
        bool begins_word = is_capital(*at) && (is_small(before) || is_digit(before) ||
                                               (is_capital(before) && is_small(at[1])));
        if (begins_word)
            buf_add_byte(name, '-');
        if (*at == '_')
            buf_add_byte(name, '-');
        else
            buf_add_byte(name, (uint8_t)(is_capital(*at) ? *at - 'A' + 'a' : *at));
    }
}

bool view_name_is_good(struct span name)
{
    const char *text = name.at;

    if (name.len == 0 || name.len > VIEW_NAME_MAX || text[0] == '-' || text[0] == '_')
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!is_capital(text[i]) && !is_small(text[i]) && !is_digit(text[i]) && text[i] != '-' && text[i] != '_')
            return false;
    return true;
}
