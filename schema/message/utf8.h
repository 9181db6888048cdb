/* schema/message/utf8.h - is it UTF-8, as protobuf and JSON ask? */
#ifndef TARN_MESSAGE_UTF8_H
#define TARN_MESSAGE_UTF8_H

#include <string.h>

#include "schema/base/span.h"

bool utf8_is_valid_beyond_ascii(struct span text);

/* Eight bytes at a time; the last few once more with those before them, which costs less than one by one. */
static inline bool utf8_is_ascii(const uint8_t *at, size_t len)
{
    uint64_t seen = 0;
    uint64_t eight;
    uint32_t four;
    uint32_t last_four;

    if (len >= 8) {
        for (size_t i = 0; i + 8 < len; i += 8) {
            memcpy(&eight, at + i, 8);
            seen |= eight;
        }
        memcpy(&eight, at + len - 8, 8);
        seen |= eight;
    } else if (len >= 4) {
        memcpy(&four, at, 4);
        memcpy(&last_four, at + len - 4, 4);
        seen = four | last_four;
    } else {
        for (size_t i = 0; i < len; i++)
            seen |= at[i];
    }
    return (seen & UINT64_C(0x8080808080808080)) == 0;
}

/* RFC 3629: shortest forms only, no surrogates, nothing over U+10FFFF. */
static inline bool utf8_is_valid(struct span text)
{
    return utf8_is_ascii(text.at, text.len) || utf8_is_valid_beyond_ascii(text);
}

#endif
