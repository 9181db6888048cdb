/* A table: each row looks at one end of a record for one habit of serializers. The first row that recognizes it speaks. A
 * guess never decides anything, it only adds words; so a test may be crude where a wrong guess does no harm. */
#include "projector/producer_hint.h"

#include <stdio.h>
#include <string.h>

struct hint {
    enum park_reason reason;
    bool is_of_key; /* looks at the key, else at the value */
    bool (*looks_so)(struct span bytes, enum framing framing);
    const char *text;
};

static bool is_json(struct span bytes, enum framing framing)
{
    const uint8_t *at = bytes.at;

    (void)framing;
    return bytes.len >= 2 && ((at[0] == '{' && at[bytes.len - 1] == '}') ||
                              (at[0] == '[' && at[bytes.len - 1] == ']') || (at[0] == '"' && at[bytes.len - 1] == '"'));
}

/* No message begins with a 0: there is no field of that number. */
static bool is_framed(struct span bytes, enum framing framing)
{
    return framing == FRAMING_NONE && bytes.len > 5 && *span_bytes(bytes) == 0;
}

static bool lacks_framing(struct span bytes, enum framing framing)
{
    return framing == FRAMING_CONFLUENT && bytes.len > 0 && *span_bytes(bytes) != 0;
}

/* Of Java's IntegerSerializer or LongSerializer: numbers that people give to things have leading zero bytes. */
static bool is_binary_number(struct span bytes, enum framing framing)
{
    (void)framing;
    return (bytes.len == 4 || bytes.len == 8) && *span_bytes(bytes) == 0;
}

static bool is_framed_key(struct span bytes, enum framing framing)
{
    (void)framing;
    return is_framed(bytes, FRAMING_NONE);
}

static const struct hint hints[] = {
    {PARK_UNPARSEABLE, false, is_json, "the value looks like JSON, and events are protobuf messages"},
    {PARK_UNPARSEABLE, false, is_framed,
     "the value begins as the Schema Registry's framing does, for which the store is made with --framing confluent"},
    {PARK_UNPARSEABLE, false, lacks_framing,
     "for a producer without the Schema Registry's serializer the store is made without --framing confluent"},
    {PARK_FOREIGN_KEY, true, is_json,
     "the key looks like JSON: it must be the bare text (Kafka Connect: StringConverter)"},
    {PARK_FOREIGN_KEY, true, is_binary_number,
     "the key looks like a number in binary: it must be decimal text (Java: StringSerializer)"},
    {PARK_FOREIGN_KEY, true, is_framed_key,
     "the key begins as the Schema Registry's framing does: keys are plain text"},
};

void producer_hint_add(enum framing framing, const struct incoming *incoming, enum park_reason reason, struct err *err)
{
    size_t len = strlen(err->text);

    for (size_t i = 0; i < ARRAY_COUNT(hints); i++) {
        const struct hint *hint = &hints[i];
        if (hint->reason == reason && hint->looks_so(hint->is_of_key ? incoming->key : incoming->value, framing)) {
            snprintf(err->text + len, sizeof(err->text) - len, "; %s", hint->text);
            return;
        }
    }
}
