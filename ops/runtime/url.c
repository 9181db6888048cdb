#include "ops/runtime/url.h"

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f')
        return (byte | 0x20) - 'a' + 10;
    return -1;
}

bool url_decode(struct span encoded, bool is_query, struct arena *arena, struct span *ret_decoded)
{
    const uint8_t *from = encoded.at;
    size_t len = 0;

    if (encoded.len == 0 ||
        (memchr(from, '%', encoded.len) == NULL && (!is_query || memchr(from, '+', encoded.len) == NULL))) {
        *ret_decoded = encoded;
        return true;
    }
    uint8_t *to = arena_alloc(arena, encoded.len);
    for (size_t i = 0; i < encoded.len; i++) {
        if (from[i] != '%') {
            to[len++] = is_query && from[i] == '+' ? ' ' : from[i];
            continue;
        }
        if (encoded.len - i < 3 || hex_digit(from[i + 1]) < 0 || hex_digit(from[i + 2]) < 0)
            return false;
        to[len++] = (uint8_t)(hex_digit(from[i + 1]) << 4 | hex_digit(from[i + 2]));
        i += 2;
    }
    *ret_decoded = span_of(to, len);
    return true;
}

bool url_query_next(struct span *query, struct arena *arena, struct span *ret_name, struct span *ret_value,
                    bool *ret_ok)
{
    while (query->len > 0 && *span_bytes(*query) == '&')
        *query = span_of(span_bytes(*query) + 1, query->len - 1);
    if (query->len == 0)
        return false;

    const char *begin = query->at;
    const char *ampersand = memchr(begin, '&', query->len);
    size_t len = ampersand != NULL ? (size_t)(ampersand - begin) : query->len;
    const char *equals = memchr(begin, '=', len);
    struct span name = span_of(begin, equals != NULL ? (size_t)(equals - begin) : len);
    struct span value = equals != NULL ? span_of(equals + 1, len - name.len - 1) : span_of(begin + len, 0);

    *query = span_of(begin + len, query->len - len);
    *ret_ok = url_decode(name, true, arena, ret_name) && url_decode(value, true, arena, ret_value);
    return true;
}
