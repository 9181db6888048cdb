/* Which shortcuts a plan has, and that they are nothing but shorter: with and without them events give the same views. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <string.h>

#include "schema/base/compiler.h"
#include "tests/unit/view_fold.h"

#define LISTED "shop.v1.Listed"
#define DROPPED "shop.v1.LineDropped"

static int open_fold(void **state)
{
    static struct fold fold;

    fold_open(&fold, "shortcut");
    *state = &fold;
    return 0;
}

static int close_fold(void **state)
{
    fold_close(*state);
    return 0;
}

static const struct view *tally_of(const struct fold *fold)
{
    return view_set_find(fold->set, SPAN_LITERAL("tally"));
}

static const struct derived_field *derived_named(const struct fold *fold, const char *name)
{
    const struct message_rules *rules = tally_of(fold)->rules;

    for (size_t i = 0; i < rules->derived_count; i++)
        if (strcmp(rules->derived[i].target->name, name) == 0)
            return &rules->derived[i];
    fail_msg("%s isn't derived", name);
    return NULL;
}

static const struct assignment *assignment_named(const struct fold *fold, const char *name)
{
    const struct handler *handler = &tally_of(fold)->handlers[1];

    for (size_t i = 0; i < handler->assignment_count; i++)
        if (strcmp(handler->assignments[i].target->name, name) == 0)
            return &handler->assignments[i];
    fail_msg("%s isn't assigned", name);
    return NULL;
}

static void take_shortcuts_away(struct fold *fold)
{
    const struct view *view = tally_of(fold);

    for (size_t i = 0; i < view->rules->derived_count; i++)
        ((struct derived_field *)(uintptr_t)&view->rules->derived[i])->shortcut = DERIVED_SHORTCUT_NONE;
    for (size_t i = 0; i < view->handler_count; i++) {
        const struct handler *handler = &view->handlers[i];
        for (size_t k = 0; k < handler->assignment_count; k++)
            ((struct assignment *)(uintptr_t)&handler->assignments[k])->shortcut = (struct shortcut){.bytes = 0};
        for (size_t k = 0; k < handler->key_count; k++)
            ((struct assignment *)(uintptr_t)&handler->keys[k])->shortcut = (struct shortcut){.bytes = 0};
        for (size_t s = 0; s < handler->into_count; s++)
            for (size_t k = 0; k < handler->into[s].bracket_count; k++)
                ((struct assignment *)(uintptr_t)&handler->into[s].brackets[k])->shortcut = (struct shortcut){.bytes = 0};
    }
}

static void whole_numbers_and_texts_that_are_always_there_are_derived_shortly(void **state)
{
    static const struct {
        const char *name;
        enum derived_shortcut shortcut;
    } rows[] = {
        {"count", DERIVED_SHORTCUT_COUNT},
        {"wide_count", DERIVED_SHORTCUT_NONE},
        {"marked_count", DERIVED_SHORTCUT_NONE},
        {"high", DERIVED_SHORTCUT_COUNT_WHERE},
        {"high_and_free", DERIVED_SHORTCUT_NONE},
        {"named", DERIVED_SHORTCUT_NONE},
        {"sum", DERIVED_SHORTCUT_SUM},
        {"natural_sum", DERIVED_SHORTCUT_SUM},
        {"wide_sum", DERIVED_SHORTCUT_NONE},
        {"high_sum", DERIVED_SHORTCUT_NONE},
        {"first", DERIVED_SHORTCUT_FIRST_TEXT},
        {"marked_first", DERIVED_SHORTCUT_NONE},
        {"free_first", DERIVED_SHORTCUT_NONE},
        {"first_score", DERIVED_SHORTCUT_NONE},
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_int_equal(derived_named(*state, rows[i].name)->shortcut, rows[i].shortcut);
}

static void values_of_one_kind_are_copied_and_messages_that_may_be_missing_are_looked_at_first(void **state)
{
    const struct fold *fold = *state;

    const struct shortcut score = assignment_named(fold, "score")->shortcut;
    assert_int_equal(score.bytes, 4);
    assert_true(score.is_asked); /* optional in the event */
    assert_false(score.is_marked);
    assert_int_equal(assignment_named(fold, "weight")->shortcut.bytes, 8);
    assert_true(assignment_named(fold, "amount")->shortcut.is_marked);
    assert_int_equal(assignment_named(fold, "state")->shortcut.bytes, 0); /* an enum becomes a text */
    assert_false(assignment_named(fold, "state")->shortcut.is_behind);
    assert_int_equal(assignment_named(fold, "city")->shortcut.bytes, 0);
    assert_true(assignment_named(fold, "city")->shortcut.is_behind);
    assert_int_equal(tally_of(fold)->handlers[0].keys[0].shortcut.bytes, 16);
}

static void a_view_is_the_same_without_them(void **state)
{
    struct fold *fold = *state;
    char text[2000];

    for (int round = 0; round < 2; round++) {
        if (round == 1)
            take_shortcuts_away(fold);
        const char *owner = round == 0 ? "ann" : "bob";
        snprintf(text, sizeof(text),
                 "{'person':'%s','lines':[{'code':'b','score':11,'state':'PAID','weight':1.5,'place':{'city':'Rome'}},"
                 "{'code':'a','score':-3,'place':{}},{'code':'c','score':12,'amount':7},{'code':'b','score':13}]}",
                 owner);
        assert_int_equal(fold_event(fold, owner, LISTED, text), 0);
        snprintf(text, sizeof(text),
                 "{'person':'%s','rows':[{'code':'a','score':-3,'state':'UNKNOWN','amount':0},"
                 "{'code':'b','score':13,'city':'Rome','state':'UNKNOWN','amount':0},"
                 "{'code':'c','score':12,'state':'UNKNOWN','amount':7}],"
                 "'count':3,'wide_count':3,'marked_count':3,'high':2,'high_and_free':2,'named':1,'sum':22,"
                 "'wide_sum':22,'high_sum':25,'first':'a','marked_first':'a','free_first':'b','first_score':-3}",
                 owner);
        fold_expect(fold, "tally", owner, text);
        for (const char *code = "abc"; *code != '\0'; code++) {
            snprintf(text, sizeof(text), "{'person':'%s','code':'%c'}", owner, *code);
            assert_int_equal(fold_event(fold, owner, DROPPED, text), 0);
        }
        snprintf(text, sizeof(text), "{'person':'%s','marked_count':0}", owner);
        fold_expect(fold, "tally", owner, text);
    }
}

static void a_sum_beyond_its_field_is_refused_with_them_and_without(void **state)
{
    static const char *const events[] = {
        "{'person':'ann','lines':[{'code':'a','score':2147483647},{'code':'b','score':1}]}",
        "{'person':'ann','lines':[{'code':'a','score':-2147483648},{'code':'b','score':-1}]}",
    };
    struct fold *fold = *state;

    for (int round = 0; round < 2; round++) {
        if (round == 1)
            take_shortcuts_away(fold);
        for (size_t i = 0; i < ARRAY_COUNT(events); i++) {
            assert_int_equal(fold_event(fold, "ann", LISTED, events[i]), ERR_INPUT);
            assert_int_equal(fold->reason, PARK_OVERFLOW);
            assert_non_null(strstr(fold->err.text, "Tally.sum: the sum doesn't fit"));
        }
        assert_int_equal(fold_event(fold, "ann", LISTED, "{'person':'ann','lines':[{'code':'a','score':2147483647},"
                                                         "{'code':'b','score':-2147483648}]}"),
                         0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole_numbers_and_texts_that_are_always_there_are_derived_shortly, open_fold,
                                        close_fold),
        cmocka_unit_test_setup_teardown(values_of_one_kind_are_copied_and_messages_that_may_be_missing_are_looked_at_first,
                                        open_fold, close_fold),
        cmocka_unit_test_setup_teardown(a_view_is_the_same_without_them, open_fold, close_fold),
        cmocka_unit_test_setup_teardown(a_sum_beyond_its_field_is_refused_with_them_and_without, open_fold, close_fold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
