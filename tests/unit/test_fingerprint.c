/* Is the log still the one that was read? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "projector/fingerprint.h"
#include "schema/base/compiler.h"

static const struct anchor ten = {10, 1000, 77};

static const struct {
    const char *what;
    struct log_memory memory;
    struct log_facts facts;
    enum log_verdict verdict;
} cases[] = {
    {"an empty log that was never read", {0, 0, {-1, 0, 0}}, {0, 0, ANCHOR_NOT_READ, {0, 0, 0}}, LOG_SAME},
    {"the record is there", {11, 11, {10, 1000, 77}}, {0, 11, ANCHOR_READ, {10, 1000, 77}}, LOG_SAME},
    {"another hash", {11, 11, {10, 1000, 77}}, {0, 11, ANCHOR_READ, {10, 1000, 78}}, LOG_REWRITTEN},
    {"the same bytes at another time", {11, 11, {10, 1000, 77}}, {0, 11, ANCHOR_READ, {10, 1001, 77}}, LOG_REWRITTEN},
    {"compacted away", {11, 11, {10, 1000, 77}}, {0, 20, ANCHOR_GONE, {0, 0, 0}}, LOG_SAME},
    {"deleted by retention, nothing unread", {11, 11, {10, 1000, 77}}, {11, 20, ANCHOR_NOT_READ, {0, 0, 0}}, LOG_SAME},
    {"the end lies before the position", {11, 11, {10, 1000, 77}}, {0, 10, ANCHOR_GONE, {0, 0, 0}}, LOG_REWRITTEN},
    {"the end lies before what another range has",
     {5, 11, {10, 1000, 77}},
     {0, 9, ANCHOR_GONE, {0, 0, 0}},
     LOG_REWRITTEN},
    {"the next record is deleted", {11, 11, {10, 1000, 77}}, {12, 20, ANCHOR_NOT_READ, {0, 0, 0}}, LOG_LOST},
    {"a range's next record is deleted", {5, 11, {10, 1000, 77}}, {6, 20, ANCHOR_READ, {10, 1000, 77}}, LOG_LOST},
    {"made again and shortened at its start", {5, 11, {10, 1000, 77}}, {6, 20, ANCHOR_READ, {10, 5, 5}}, LOG_REWRITTEN},
    {"everything deleted, the end stands", {11, 11, {10, 1000, 77}}, {11, 11, ANCHOR_NOT_READ, {0, 0, 0}}, LOG_SAME},
};

static void each_finding_has_its_verdict_and_a_bad_one_its_sentence(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char sentence[600] = "";
        enum log_verdict verdict = fingerprint_judge(&cases[i].memory, &cases[i].facts, sentence, sizeof(sentence));
        if (verdict != cases[i].verdict)
            fail_msg("%s: verdict %d", cases[i].what, (int)verdict);
        if ((verdict == LOG_SAME) != (sentence[0] == '\0'))
            fail_msg("%s: sentence \"%s\"", cases[i].what, sentence);
    }
}

static void null_and_empty_keys_and_values_have_hashes_of_their_own(void **state)
{
    (void)state;
    uint64_t hashes[4];
    for (unsigned i = 0; i < 4; i++) {
        struct record record = {.has_key = i & 1, .is_null = i & 2};
        hashes[i] = fingerprint_hash(&record);
        for (unsigned j = 0; j < i; j++)
            assert_int_not_equal(hashes[i], hashes[j]);
    }
}

static void a_byte_that_moves_from_key_to_value_changes_the_hash(void **state)
{
    (void)state;
    struct record left = {.has_key = true, .key = SPAN_LITERAL("ab"), .value = SPAN_LITERAL("c")};
    struct record right = {.has_key = true, .key = SPAN_LITERAL("a"), .value = SPAN_LITERAL("bc")};
    assert_int_not_equal(fingerprint_hash(&left), fingerprint_hash(&right));
}

static void the_newest_record_of_all_ranges_is_the_anchor(void **state)
{
    (void)state;
    struct partition partition = {0};
    for (unsigned range = 0; range < RANGE_COUNT; range++)
        partition.stored[range].last_offset = -1;
    assert_int_equal(fingerprint_newest(&partition).offset, -1);
    partition.stored[3] = (struct position){.next_offset = 8, .last_offset = 7, .last_time_ms = 1, .last_hash = 2};
    partition.stored[9] =
        (struct position){.next_offset = 11, .last_offset = 10, .last_time_ms = 1000, .last_hash = 77};
    struct anchor newest = fingerprint_newest(&partition);
    assert_int_equal(newest.offset, ten.offset);
    assert_int_equal(newest.time_ms, ten.time_ms);
    assert_int_equal(newest.hash, ten.hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_finding_has_its_verdict_and_a_bad_one_its_sentence),
        cmocka_unit_test(null_and_empty_keys_and_values_have_hashes_of_their_own),
        cmocka_unit_test(a_byte_that_moves_from_key_to_value_changes_the_hash),
        cmocka_unit_test(the_newest_record_of_all_ranges_is_the_anchor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
