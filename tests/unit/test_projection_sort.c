/* Lists in order: against the plainest sort there is, on random lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "projector/projection_sort.h"
#include "tests/unit/view_fold.h"

/* Lines of fold.Group: by -score, brackets [code]. */
static const struct list_rule *line_rule(const struct fold *fold)
{
    const struct view *view = view_set_find(fold->set, SPAN_LITERAL("board"));
    const struct message_rules *rules = view->rules;

    for (size_t i = 0; i < rules->child_count; i++)
        if (strcmp(rules->children[i]->name, "groups") == 0)
            return &rules->child_rules[i]->lists[0];
    fail_msg("no rule");
    return NULL;
}

static ProtobufCMessage *new_line(const struct list_rule *rule, int code, int score, int64_t arrival,
                                  struct arena *arena)
{
    static const char *const codes[] = {"a", "b", "c"};
    const struct message_type *type = rule->list->message;
    ProtobufCMessage *line = message_new(type, arena);

    message_set(line, message_type_field(type, SPAN_LITERAL("code")),
                (struct value){.kind = VALUE_STRING, .text = span_of_text(codes[code])});
    message_set(line, message_type_field(type, SPAN_LITERAL("amount")),
                (struct value){.kind = VALUE_INT, .integer = arrival});
    if (score >= 0)
        message_set(line, message_type_field(type, SPAN_LITERAL("score")),
                    (struct value){.kind = VALUE_INT, .integer = score});
    return line;
}

static int64_t field_of(const ProtobufCMessage *line, const char *name)
{
    struct value value = message_get(line, message_type_field(message_type_of(line), span_of_text(name)));
    if (value.kind == VALUE_STRING)
        return span_bytes(value.text)[0];
    return value.kind == VALUE_ABSENT ? -1 : value.integer;
}

/* Whether a stands before b: -score (not set comes last), code, arrival. */
static bool stands_before(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    static const char *const names[] = {"score", "code", "amount"};

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        int64_t left = field_of(a, names[i]), right = field_of(b, names[i]);
        if (left != right)
            return i == 0 ? left > right : left < right;
    }
    return true;
}

static void any_list_comes_into_order(void **state)
{
    struct fold fold;
    struct arena arena = ARENA_INIT;
    ProtobufCMessage *items[300];
    uint32_t seed = 1;

    (void)state;
    fold_open(&fold, "fold");
    const struct list_rule *rule = line_rule(&fold);
    for (size_t round = 0; round < 400; round++) {
        size_t count = round % ARRAY_COUNT(items);
        arena_reset(&arena);
        for (size_t i = 0; i < count; i++) {
            seed = seed * 1664525 + 1013904223;
            items[i] = new_line(rule, (int)(seed >> 20) % 3, (int)(seed >> 24) % 12 - 1, (int64_t)i, &arena);
        }
        list_sort(rule, items, count, &arena);
        for (size_t i = 1; i < count; i++)
            assert_true(stands_before(items[i - 1], items[i]));

        /* one more, and one taken from where it was: what an event does to a sorted list */
        if (count > 2) {
            items[count / 2] = new_line(rule, 1, (int)(round % 11), 1000, &arena);
            items[count - 1] = new_line(rule, 2, (int)(round % 7), 1001, &arena);
            for (size_t i = 0; i < count; i++) /* arrival is where it stands */
                message_set(items[i], message_type_field(rule->list->message, SPAN_LITERAL("amount")),
                            (struct value){.kind = VALUE_INT, .integer = (int64_t)i});
            list_sort(rule, items, count, &arena);
            for (size_t i = 1; i < count; i++)
                assert_true(stands_before(items[i - 1], items[i]));
        }
    }
    arena_release(&arena);
    fold_close(&fold);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_list_comes_into_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
