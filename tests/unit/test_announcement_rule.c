#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "projector/announcement_record.h"
#include "projector/announcement_rule.h"
#include "schema/base/mem.h"
#include "schema/view/key.h"
#include "tests/unit/schema_file.h"

/* The announcements of announcing.proto's view, by what has changed. */
enum { TITLE = 1, CHEAP = 2, CHEAPER = 4, PARTS = 8 };

#define U "0a0175"         /* user_id: "u" */
#define TITLE_A "120161"   /* title */
#define TITLE_B "120162"
#define PRICE_5 "1805"
#define PRICE_6 "1806"
#define BUDGET_5 "2005"
#define BUDGET_9 "2009"
#define PART_P "2a030a0170" /* parts */
#define PART_Q "2a030a0171"
#define MAKER_M "32030a016d"
#define MAKER_M_2 "32050a016d1002" /* of another size */
#define MAKER_N "32030a016e"
#define UNSEEN "!" /* what another stream brought is kept, and nobody sees it */

static const struct {
    const char *before, *after;
    unsigned made;
} changes[] = {
    {"", U, 0},
    {"", U TITLE_A, TITLE},
    {U TITLE_A, U TITLE_A, 0},
    {U TITLE_A, U TITLE_B, TITLE},
    {U TITLE_A, U, TITLE},
    {U TITLE_A, U TITLE_A PRICE_5, 0}, /* no budget: nothing holds */
    {"", U PRICE_5 BUDGET_9, CHEAP | CHEAPER},
    {U PRICE_5, U PRICE_5 BUDGET_9, CHEAP | CHEAPER}, /* the condition begins to hold */
    {U PRICE_5 BUDGET_9, U PRICE_6 BUDGET_9, CHEAPER}, /* it goes on to hold, the price is another */
    {U PRICE_5 BUDGET_9, U PRICE_5 BUDGET_5, 0},
    {U PRICE_5 BUDGET_5, U PRICE_6 BUDGET_5, 0}, /* changed, but it doesn't hold */
    {U PRICE_5 BUDGET_9, U TITLE_A PRICE_5 BUDGET_9, TITLE},
    {U, U PART_P, PARTS},
    {U PART_P, U PART_P PART_Q, PARTS},
    {U PART_P PART_Q, U PART_Q PART_P, PARTS},
    {U MAKER_M, U MAKER_M_2, 0}, /* of the message only its name counts */
    {U MAKER_M, U MAKER_N, PARTS},
    {U MAKER_M, U, PARTS},
    {UNSEEN U TITLE_A, UNSEEN U TITLE_B, 0},
    {UNSEEN U TITLE_A PRICE_5 BUDGET_9, U TITLE_A PRICE_5 BUDGET_9, TITLE | CHEAP | CHEAPER}, /* it appears */
    {U TITLE_A, UNSEEN U TITLE_B, 0}, /* it goes */
};

static struct stored_view stored_view_of(const char *text, struct arena *arena)
{
    bool is_unseen = text[0] == '!';

    return (struct stored_view){text[0] != '\0' && !is_unseen, bytes_of_hex(text + is_unseen, arena)};
}

static struct view_set *load(void)
{
    struct buf bytes = schema_file_bytes("announcing");
    struct view_set *set = NULL;
    struct mistakes mistakes = {NULL, 0, 0};
    struct err err = {0};

    if (view_set_load(buf_span(&bytes), &set, &mistakes, &err) < 0)
        fail_msg("%s", err.text);
    mistakes_release(&mistakes);
    buf_release(&bytes);
    return set;
}

static void a_change_is_announced_when_the_conditions_hold_and_something_is_new(void **state)
{
    struct view_set *set = load();
    struct arena arena = ARENA_INIT;
    (void)state;

    for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
        bool is_made[4];
        unsigned made = 0;
        struct err err = {0};
        assert_int_equal(announcement_rule_apply(&set->views[0], stored_view_of(changes[i].before, &arena),
                                                 stored_view_of(changes[i].after, &arena), &arena, is_made, &err),
                         0);
        for (unsigned k = 0; k < 4; k++)
            made |= (unsigned)is_made[k] << k;
        if (made != changes[i].made)
            fail_msg("change %zu: %x instead of %x", i, made, changes[i].made);
        arena_reset(&arena);
    }
    arena_release(&arena);
    view_set_free(&set);
}

static void stored_bytes_that_do_not_parse_are_a_fault(void **state)
{
    struct view_set *set = load();
    struct arena arena = ARENA_INIT;
    struct err err = {0};
    bool is_made[4];
    (void)state;

    assert_int_equal(announcement_rule_apply(&set->views[0], stored_view_of("", &arena),
                                             stored_view_of("12ff", &arena), &arena, is_made, &err),
                     ERR_BROKEN);
    arena_release(&arena);
    view_set_free(&set);
}

static struct announcement_record record_of(const struct view_set *set, const char *generation, int64_t offset,
                                            size_t ordinal, struct arena *arena)
{
    struct announcement_record record;
    struct buf key = BUF_INIT;
    struct err err = {0};

    assert_int_equal(key_encode_value(set->views[0].keys[0],
                                      (struct value){.kind = VALUE_STRING, .text = SPAN_LITERAL("u/1")}, &key, &err),
                     0);
    const struct announcement_facts facts = {.view = &set->views[0],
                                             .ordinal = ordinal,
                                             .view_key = buf_span(&key),
                                             .topic = "shop.events",
                                             .partition = 3,
                                             .offset = offset,
                                             .generation = generation,
                                             .event_time_ms = 1764000000123,
                                             .visible_at_ms = 1764000000200};
    assert_int_equal(announcement_record_make(&facts, arena, &record, &err), 0);
    buf_release(&key);
    return record;
}

static void an_id_is_of_what_who_and_which_event_and_not_of_the_generation(void **state)
{
    struct view_set *set = load();
    struct arena arena = ARENA_INIT;
    (void)state;

    struct announcement_record record = record_of(set, "7f3a9c-1", 42, 0, &arena);
    assert_string_equal(record.id, record_of(set, "91bd0e-1", 42, 0, &arena).id);
    assert_string_not_equal(record.id, record_of(set, "7f3a9c-1", 43, 0, &arena).id);
    assert_string_not_equal(record.id, record_of(set, "7f3a9c-1", 42, 1, &arena).id);
    assert_int_equal(strlen(record.id), ANNOUNCEMENT_ID_CHARS);
    assert_true(span_equal(record.key, SPAN_LITERAL("u/1")));
    arena_release(&arena);
    view_set_free(&set);
}

/* As Python's protobuf wrote them; tests/system reads what is published with it. */
static void a_record_keeps_its_bytes(void **state)
{
    struct view_set *set = load();
    struct arena arena = ARENA_INIT;
    struct buf expected = BUF_INIT;
    (void)state;

    struct announcement_record record = record_of(set, "7f3a9c-1", 42, 0, &arena);
    buf_add_literal(&expected, "\x0a\x05title\x12\x06screen\x1a\x03u/1\x22\x0bshop.events\x28\x03\x30\x2a\x3a\x08"
                               "7f3a9c-1\x42\x0b\x08\x80\x82\x92\xc9\x06\x10\xc0\xa9\xd3\x3a"
                               "\x4a\x0b\x08\x80\x82\x92\xc9\x06\x10\x80\x84\xaf\x5f\x52\x20");
    buf_add_text(&expected, record.id);
    buf_add_literal(&expected, "\x5a\x2a/v1/screen/u%2F1?at-least=shop.events/3@42");
    assert_int_equal(record.value.len, expected.len);
    assert_memory_equal(record.value.at, expected.at, expected.len);
    buf_release(&expected);
    arena_release(&arena);
    view_set_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_is_announced_when_the_conditions_hold_and_something_is_new),
        cmocka_unit_test(stored_bytes_that_do_not_parse_are_a_fault),
        cmocka_unit_test(an_id_is_of_what_who_and_which_event_and_not_of_the_generation),
        cmocka_unit_test(a_record_keeps_its_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
