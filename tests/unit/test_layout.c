/* Keys and values of the tables: what is written is what is read, in the order that keys must have, and nothing that
 * was cut or grew is taken for whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/store/layout.h"

static void a_view_key_reads_back(void **state)
{
    struct buf key = BUF_INIT;
    struct err err = {0};
    uint64_t owner_hash;
    uint16_t view_number;
    struct span rest;

    (void)state;
    layout_view_key(UINT64_C(0x0123456789abcdef), 0x0203, SPAN_LITERAL("u1"), &key);
    assert_int_equal(key.len, VIEW_KEY_PREFIX_BYTES + 2);
    assert_memory_equal(key.at, "\x01\x23\x45\x67\x89\xab\xcd\xef\x02\x03u1", key.len);
    assert_int_equal(layout_parse_view_key(buf_span(&key), &owner_hash, &view_number, &rest, &err), 0);
    assert_true(owner_hash == UINT64_C(0x0123456789abcdef));
    assert_int_equal(view_number, 0x0203);
    assert_true(span_equal_text(rest, "u1"));
    buf_release(&key);
}

static void keys_sort_as_owners_ranges_and_buckets_do(void **state)
{
    static const uint64_t hashes[] = {0, 1, 0xff, 0x100, UINT64_C(1) << 54, UINT64_C(1) << 60, UINT64_MAX};
    struct buf keys[2] = {BUF_INIT, BUF_INIT};

    (void)state;
    for (size_t i = 0; i + 1 < ARRAY_COUNT(hashes); i++) {
        buf_clear(&keys[0]);
        buf_clear(&keys[1]);
        layout_view_key(hashes[i], 9, SPAN_LITERAL("z"), &keys[0]);
        layout_view_key(hashes[i + 1], 2, SPAN_LITERAL("a"), &keys[1]);
        assert_true(span_compare(buf_span(&keys[0]), buf_span(&keys[1])) < 0);
        assert_true(owner_range(hashes[i]) <= owner_range(hashes[i + 1]));
        assert_true(owner_bucket(hashes[i]) <= owner_bucket(hashes[i + 1]));
    }
    assert_int_equal(owner_range(UINT64_MAX), RANGE_COUNT - 1);
    assert_int_equal(owner_bucket(UINT64_MAX), (1 << BUCKET_BITS) - 1);
    assert_int_equal(owner_range(UINT64_C(1) << 60), 1);
    buf_release(&keys[0]);
    buf_release(&keys[1]);
}

/* Over every length that stays in a page, and some beyond. */
static void a_view_reads_back_without_its_padding(void **state)
{
    struct buf bytes = BUF_INIT;
    struct buf value = BUF_INIT;
    struct err err = {0};
    struct stored_view view;

    (void)state;
    for (size_t length = 0; length < 9000; length += length < 2100 ? 1 : 531) {
        buf_clear(&bytes);
        buf_clear(&value);
        memset(buf_reserve(&bytes, length + 1), (int)length | 1, length);
        bytes.len = length;
        layout_view_value(22, (struct stored_view){length % 2, buf_span(&bytes)}, &value);
        assert_int_equal(layout_parse_view_value(buf_span(&value), &view, &err), 0);
        assert_int_equal(view.is_made, length % 2);
        assert_true(span_equal(view.bytes, buf_span(&bytes)));
    }
    buf_release(&value);
    buf_release(&bytes);
}

static void a_view_that_grows_a_little_keeps_the_size_of_its_row(void **state)
{
    struct buf value = BUF_INIT;
    char bytes[2100] = {0};
    size_t sizes = 0;
    size_t last = 0;

    (void)state;
    for (size_t length = 0; length <= 2006; length++) { /* the last that stays in a page: 8 + 22 + 2 + 2006 bytes */
        buf_clear(&value);
        layout_view_value(22, (struct stored_view){true, span_of(bytes, length)}, &value);
        assert_true(value.len >= last); /* classes never shrink as views grow */
        assert_true(value.len - 2 - length < 64);
        assert_true(8 + 22 + value.len <= 2038); /* padding never drives a row out of its page */
        sizes += value.len != last;
        last = value.len;
    }
    assert_int_equal(sizes, 512 / 32 + (2038 - 512 + 63) / 64);
    buf_release(&value);
}

static void a_view_too_large_for_a_page_is_not_padded(void **state)
{
    struct buf value = BUF_INIT;
    char bytes[4000] = {0};

    (void)state;
    layout_view_value(22, (struct stored_view){true, span_of(bytes, sizeof(bytes))}, &value);
    assert_int_equal(value.len, sizeof(bytes) + 2);
    buf_release(&value);
}

static void the_hash_of_a_view_is_of_its_key_bytes_and_whether_it_is_made(void **state)
{
    struct stored_view view = {true, SPAN_LITERAL("bytes")};
    struct stored_view unmade = {false, SPAN_LITERAL("bytes")};
    struct stored_view other = {true, SPAN_LITERAL("bytez")};
    struct hash128 hash = layout_view_hash(SPAN_LITERAL("key-of-a-view"), view);
    struct hash128 same = layout_view_hash(SPAN_LITERAL("key-of-a-view"), view);

    (void)state;
    assert_memory_equal(&hash, &same, sizeof(hash));
    same = layout_view_hash(SPAN_LITERAL("key-of-a-view"), unmade);
    assert_memory_not_equal(&hash, &same, sizeof(hash));
    same = layout_view_hash(SPAN_LITERAL("key-of-a-view"), other);
    assert_memory_not_equal(&hash, &same, sizeof(hash));
    same = layout_view_hash(SPAN_LITERAL("key-of-a-viev"), view);
    assert_memory_not_equal(&hash, &same, sizeof(hash));
}

static void a_position_reads_back(void **state)
{
    struct position position = {INT64_MAX, -1, INT64_MIN, UINT64_MAX, 1763800000000};
    struct position read;
    struct buf bytes = BUF_INIT;
    struct err err = {0};
    uint16_t topic;
    int32_t partition;
    unsigned range;

    (void)state;
    layout_position(&position, &bytes);
    assert_int_equal(layout_parse_position(buf_span(&bytes), &read, &err), 0);
    assert_memory_equal(&position, &read, sizeof(read));
    buf_clear(&bytes);
    layout_position_key(3, 70000, 15, &bytes);
    assert_int_equal(layout_parse_position_key(buf_span(&bytes), &topic, &partition, &range, &err), 0);
    assert_int_equal(topic, 3);
    assert_int_equal(partition, 70000);
    assert_int_equal(range, 15);
    buf_release(&bytes);
}

static void a_partition_reads_back(void **state)
{
    struct partition_row row = {PARTITION_LOST, 12, 34, -1, 1024, 2};
    struct partition_row read;
    struct buf bytes = BUF_INIT;
    struct err err = {0};
    uint16_t topic;
    int32_t partition;

    (void)state;
    layout_partition(&row, &bytes);
    assert_int_equal(layout_parse_partition(buf_span(&bytes), &read, &err), 0);
    assert_int_equal(read.state, PARTITION_LOST);
    assert_int_equal(read.end_offset, 12);
    assert_int_equal(read.seen_at_ms, 34);
    assert_int_equal(read.start_after, -1);
    assert_int_equal(read.partition_count, 1024);
    assert_int_equal(read.partitioner, 2);
    assert_string_equal(partition_state_name(read.state), "lost");
    buf_clear(&bytes);
    layout_partition_key(1, 2, &bytes);
    assert_int_equal(layout_parse_partition_key(buf_span(&bytes), &topic, &partition, &err), 0);
    assert_int_equal(topic, 1);
    assert_int_equal(partition, 2);
    buf_release(&bytes);
}

static void a_parked_event_reads_back(void **state)
{
    struct parked_event event = {
        .reason = PARK_WAITING,      .time_ms = -5,          .has_key = true,           .is_null = false,
        .key = SPAN_LITERAL("u1"),   .type = SPAN_LITERAL("a.B"), .value = SPAN_LITERAL("\0\1\2"),
        .message = SPAN_LITERAL("behind another"),
    };
    struct parked_key key = {hash64(SPAN_LITERAL("u1")), 2, 3, 4};
    struct parked_event read;
    struct parked_key read_key;
    struct buf bytes = BUF_INIT;
    struct err err = {0};

    (void)state;
    layout_parked_event(&event, &bytes);
    assert_int_equal(layout_parse_parked_event(buf_span(&bytes), &read, &err), 0);
    assert_int_equal(read.reason, PARK_WAITING);
    assert_string_equal(park_reason_name(read.reason), "waiting");
    assert_int_equal(read.time_ms, -5);
    assert_true(read.has_key);
    assert_false(read.is_null);
    assert_true(span_equal(read.key, event.key));
    assert_true(span_equal(read.type, event.type));
    assert_true(span_equal(read.value, event.value));
    assert_true(span_equal(read.message, event.message));
    buf_clear(&bytes);
    layout_parked_key(&key, &bytes);
    assert_int_equal(layout_parse_parked_key(buf_span(&bytes), &read_key, &err), 0);
    assert_true(read_key.unit_hash == key.unit_hash);
    assert_int_equal(read_key.topic, 2);
    assert_int_equal(read_key.partition, 3);
    assert_int_equal(read_key.offset, 4);
    buf_release(&bytes);
}

static void keyless_records_are_units_of_their_own(void **state)
{
    struct parked_key one = {0, 1, 2, 3};
    struct parked_key other = {0, 1, 2, 4};

    (void)state;
    assert_true(layout_unit_hash(&one, false, span_of(NULL, 0)) != layout_unit_hash(&other, false, span_of(NULL, 0)));
    assert_true(layout_unit_hash(&one, true, SPAN_LITERAL("k")) == layout_unit_hash(&other, true, SPAN_LITERAL("k")));
    /* A record with an empty key isn't one without. */
    assert_true(layout_unit_hash(&one, true, span_of(NULL, 0)) != layout_unit_hash(&one, false, span_of(NULL, 0)));
}

static void a_digest_reads_back(void **state)
{
    struct digest digest = {7, {8, UINT64_MAX}};
    struct digest read;
    struct buf bytes = BUF_INIT;
    struct err err = {0};
    uint16_t view_number;
    unsigned bucket;

    (void)state;
    layout_digest(&digest, &bytes);
    assert_int_equal(layout_parse_digest(buf_span(&bytes), &read, &err), 0);
    assert_memory_equal(&digest, &read, sizeof(read));
    buf_clear(&bytes);
    layout_bucket_key(513, 1023, &bytes);
    assert_int_equal(layout_parse_bucket_key(buf_span(&bytes), &view_number, &bucket, &err), 0);
    assert_int_equal(view_number, 513);
    assert_int_equal(bucket, 1023);
    buf_release(&bytes);
}

/* One row for each parser, so that all of them meet the same bytes. */
static int parse_view_key(struct span bytes, struct err *err)
{
    uint64_t owner_hash;
    uint16_t view_number;
    struct span key;

    return layout_parse_view_key(bytes, &owner_hash, &view_number, &key, err);
}

static int parse_view_value(struct span bytes, struct err *err)
{
    struct stored_view view;

    return layout_parse_view_value(bytes, &view, err);
}

static int parse_position_key(struct span bytes, struct err *err)
{
    uint16_t topic;
    int32_t partition;
    unsigned range;

    return layout_parse_position_key(bytes, &topic, &partition, &range, err);
}

static int parse_position(struct span bytes, struct err *err)
{
    struct position position;

    return layout_parse_position(bytes, &position, err);
}

static int parse_partition_key(struct span bytes, struct err *err)
{
    uint16_t topic;
    int32_t partition;

    return layout_parse_partition_key(bytes, &topic, &partition, err);
}

static int parse_partition(struct span bytes, struct err *err)
{
    struct partition_row row;

    return layout_parse_partition(bytes, &row, err);
}

static int parse_parked_key(struct span bytes, struct err *err)
{
    struct parked_key key;

    return layout_parse_parked_key(bytes, &key, err);
}

static int parse_parked_event(struct span bytes, struct err *err)
{
    struct parked_event event;

    return layout_parse_parked_event(bytes, &event, err);
}

static int parse_bucket_key(struct span bytes, struct err *err)
{
    uint16_t view_number;
    unsigned bucket;

    return layout_parse_bucket_key(bytes, &view_number, &bucket, err);
}

static int parse_digest(struct span bytes, struct err *err)
{
    struct digest digest;

    return layout_parse_digest(bytes, &digest, err);
}

static const struct {
    int (*parse)(struct span bytes, struct err *err);
    size_t least; /* bytes; 0: of zeros, none are whole */
    bool is_fixed;
} parsers[] = {
    {parse_view_key, 10, false},    {parse_view_value, 2, false}, {parse_position_key, 7, true},
    {parse_position, 40, true},     {parse_partition_key, 6, true}, {parse_partition, 36, true},
    {parse_parked_key, 22, true},   {parse_parked_event, 28, true}, {parse_bucket_key, 4, true},
    {parse_digest, 24, true},
};

static void a_value_that_was_cut_or_grew_is_broken(void **state)
{
    static const char zeros[64];
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(parsers); i++) {
        for (size_t length = 0; length < sizeof(zeros); length++) {
            /* Bytes of the exact length, so that a read past them is seen by the sanitizer. */
            char *bytes = malloc(length + 1);
            memcpy(bytes, zeros, length);
            bool is_whole = parsers[i].is_fixed ? length == parsers[i].least : length >= parsers[i].least;
            assert_int_equal(parsers[i].parse(span_of(bytes, length), &err), is_whole ? 0 : ERR_BROKEN);
            free(bytes);
        }
    }
}

static void any_bytes_are_parsed_without_harm(void **state)
{
    uint64_t random = 88172645463325252u;
    struct err err = {0};
    uint8_t bytes[96];

    (void)state;
    for (int round = 0; round < 20000; round++) {
        for (size_t i = 0; i < sizeof(bytes); i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            bytes[i] = random % 3 == 0 ? (uint8_t)(random >> 32) : 0;
        }
        for (size_t i = 0; i < ARRAY_COUNT(parsers); i++) {
            size_t length = random % sizeof(bytes);
            int rc = parsers[i].parse(span_of(bytes + sizeof(bytes) - length, length), &err);
            assert_true(rc == 0 || rc == ERR_BROKEN);
        }
    }
}

static void numbers_out_of_their_range_are_broken(void **state)
{
    struct err err = {0};
    char bytes[40];

    (void)state;
    memset(bytes, 0, sizeof(bytes));
    bytes[6] = RANGE_COUNT;
    assert_int_equal(parse_position_key(span_of(bytes, 7), &err), ERR_BROKEN);
    memset(bytes, 0, sizeof(bytes));
    bytes[0] = PARTITION_PARKED + 1;
    assert_int_equal(parse_partition(span_of(bytes, 36), &err), ERR_BROKEN);
    bytes[0] = PARK_WAITING + 1;
    assert_int_equal(parse_parked_event(span_of(bytes, 28), &err), ERR_BROKEN);
    memset(bytes, 0, sizeof(bytes));
    bytes[2] = 4; /* bucket 1024 */
    assert_int_equal(parse_bucket_key(span_of(bytes, 4), &err), ERR_BROKEN);
    memset(bytes, 0xff, sizeof(bytes)); /* more padding than bytes */
    assert_int_equal(parse_view_value(span_of(bytes, sizeof(bytes)), &err), ERR_BROKEN);
}

static void states_and_reasons_have_names(void **state)
{
    (void)state;
    assert_string_equal(partition_state_name(PARTITION_FOLLOWING), "following");
    assert_string_equal(partition_state_name(PARTITION_WAITING), "waiting");
    assert_string_equal(partition_state_name(PARTITION_REWRITTEN), "rewritten");
    assert_string_equal(partition_state_name(PARTITION_PARKED), "parked");
    assert_string_equal(park_reason_name(PARK_NO_TYPE), "no type");
    assert_string_equal(park_reason_name(PARK_NO_KEY), "no key");
    assert_string_equal(park_reason_name(PARK_FOREIGN_KEY), "foreign key");
    assert_string_equal(park_reason_name(PARK_WRONG_TOPIC), "wrong topic");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_view_key_reads_back),
        cmocka_unit_test(keys_sort_as_owners_ranges_and_buckets_do),
        cmocka_unit_test(a_view_reads_back_without_its_padding),
        cmocka_unit_test(a_view_that_grows_a_little_keeps_the_size_of_its_row),
        cmocka_unit_test(a_view_too_large_for_a_page_is_not_padded),
        cmocka_unit_test(the_hash_of_a_view_is_of_its_key_bytes_and_whether_it_is_made),
        cmocka_unit_test(a_position_reads_back),
        cmocka_unit_test(a_partition_reads_back),
        cmocka_unit_test(a_parked_event_reads_back),
        cmocka_unit_test(keyless_records_are_units_of_their_own),
        cmocka_unit_test(a_digest_reads_back),
        cmocka_unit_test(a_value_that_was_cut_or_grew_is_broken),
        cmocka_unit_test(any_bytes_are_parsed_without_harm),
        cmocka_unit_test(numbers_out_of_their_range_are_broken),
        cmocka_unit_test(states_and_reasons_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
