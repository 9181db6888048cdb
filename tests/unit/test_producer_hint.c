#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "projector/producer_hint.h"

struct case_row {
    enum park_reason reason;
    enum framing framing;
    struct span key;
    struct span value;
    const char *wanted; /* a part of what is added; NULL: nothing is */
};

#define BYTES(text)                                                                                                    \
    {                                                                                                                  \
        (text), sizeof(text) - 1                                                                                       \
    }
static const struct case_row cases[] = {
    {PARK_UNPARSEABLE, FRAMING_NONE, BYTES("u1"), BYTES("{\"userId\":\"u1\"}"), "looks like JSON"},
    {PARK_UNPARSEABLE, FRAMING_CONFLUENT, BYTES("u1"), BYTES("{\"userId\":\"u1\"}"), "looks like JSON"},
    {PARK_UNPARSEABLE, FRAMING_NONE, BYTES("u1"), BYTES("\0\0\0\0\7\0\12\2u1"), "--framing confluent"},
    {PARK_UNPARSEABLE, FRAMING_CONFLUENT, BYTES("u1"), BYTES("\12\2u1"), "without --framing"},
    {PARK_UNPARSEABLE, FRAMING_CONFLUENT, BYTES("u1"), BYTES("\0\0\0\0\7\0\12\2u1"), NULL},
    {PARK_UNPARSEABLE, FRAMING_NONE, BYTES("u1"), BYTES("\12\7u1"), NULL},
    {PARK_UNPARSEABLE, FRAMING_NONE, BYTES("u1"), BYTES("{"), NULL},
    {PARK_UNPARSEABLE, FRAMING_NONE, BYTES("u1"), BYTES(""), NULL},
    {PARK_FOREIGN_KEY, FRAMING_NONE, BYTES("\"u1\""), BYTES("\12\2u1"), "StringConverter"},
    {PARK_FOREIGN_KEY, FRAMING_NONE, BYTES("\0\0\0\130"), BYTES("\10\130"), "StringSerializer"},
    {PARK_FOREIGN_KEY, FRAMING_NONE, BYTES("\0\0\0\0\0\0\0\130"), BYTES("\10\130"), "StringSerializer"},
    {PARK_FOREIGN_KEY, FRAMING_NONE, BYTES("\0\0\0\0\7u1"), BYTES("\12\2u1"), "keys are plain"},
    {PARK_FOREIGN_KEY, FRAMING_CONFLUENT, BYTES("\0\0\0\0\7u1"), BYTES("\12\2u1"), "keys are plain"},
    {PARK_FOREIGN_KEY, FRAMING_NONE, BYTES("u2"), BYTES("\12\2u1"), NULL},
    {PARK_FOREIGN_KEY, FRAMING_NONE, BYTES(""), BYTES("{}"), NULL},
    {PARK_OVERFLOW, FRAMING_NONE, BYTES("\"u1\""), BYTES("{}"), NULL},
};

static void the_usual_mistakes_of_producers_are_named_with_what_to_do(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct case_row *row = &cases[i];
        const struct incoming incoming = {.has_key = true, .key = row->key, .value = row->value};
        struct err err;
        err_set(&err, ERR_INPUT, "why");
        producer_hint_add(row->framing, &incoming, row->reason, &err);
        if (row->wanted == NULL && strcmp(err.text, "why") != 0)
            fail_msg("case %zu: %s", i, err.text);
        if (row->wanted != NULL && (strstr(err.text, row->wanted) == NULL || strncmp(err.text, "why; ", 5) != 0))
            fail_msg("case %zu: %s", i, err.text);
    }
}

static void a_text_that_is_full_stays_within_its_room(void **state)
{
    const struct incoming incoming = {.value = SPAN_LITERAL("{}")};
    struct err err = {.kind = ERR_INPUT};

    (void)state;
    memset(err.text, 'x', sizeof(err.text) - 3);
    producer_hint_add(FRAMING_NONE, &incoming, PARK_UNPARSEABLE, &err);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_usual_mistakes_of_producers_are_named_with_what_to_do),
        cmocka_unit_test(a_text_that_is_full_stays_within_its_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
