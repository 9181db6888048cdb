/* By the ranges that RFC 3629 gives for the second byte. Most texts are ASCII throughout and never come here. */
#include "schema/message/utf8.h"

/* Length of the sequence that starts here, 0 when it isn't one. */
static size_t sequence_length(const uint8_t *at, size_t left)
{
    uint8_t first = at[0];

    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (left < length)
        return 0;
    uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    return length;
}

bool utf8_is_valid_beyond_ascii(struct span text)
{
    const uint8_t *at = text.at;
    size_t left = text.len;

    while (left > 0) {
        size_t length = sequence_length(at, left);
        if (length == 0)
            return false;
        at += length;
        left -= length;
    }
    return true;
}
