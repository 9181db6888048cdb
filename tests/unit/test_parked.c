#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "projector/parked.h"
#include "projector/parked_request.h"
#include "schema/base/mem.h"

struct shelf {
    struct rows rows;
    struct positions positions;
    struct partition *partition;
    struct parked_units parked;
};

static void open_shelf(struct shelf *shelf, size_t limit)
{
    struct err err;

    *shelf = (struct shelf){.rows.cache = cache_new(1 << 20, NULL, 0)};
    positions_init(&shelf->positions, 2);
    assert_int_equal(positions_add(&shelf->positions, 0, 3, 0, PARTITION_FOLLOWING, &shelf->partition, &err), 0);
    parked_init(&shelf->parked, &shelf->rows, &shelf->positions, limit);
}

static void close_shelf(struct shelf *shelf)
{
    parked_release(&shelf->parked);
    positions_release(&shelf->positions);
    cache_free(&shelf->rows.cache);
}

static struct incoming event_at(const char *key, uint16_t topic, int64_t offset)
{
    return (struct incoming){.at = {hash64(span_of_text(key)), topic, 3, offset},
                             .has_key = true,
                             .time_ms = offset,
                             .key = span_of_text(key),
                             .type = SPAN_LITERAL("a.B"),
                             .value = SPAN_LITERAL("value")};
}

static int park(struct shelf *shelf, const char *key, uint16_t topic, int64_t offset, enum park_reason reason)
{
    struct incoming event = event_at(key, topic, offset);
    struct err err;

    return parked_put(&shelf->parked, &event, reason, "because", &err);
}

static void a_unit_is_a_topic_and_a_key(void **state)
{
    struct shelf shelf;

    (void)state;
    open_shelf(&shelf, 100);
    assert_null(parked_find(&shelf.parked, hash64(span_of_text("ann")), 0));
    assert_int_equal(park(&shelf, "ann", 0, 5, PARK_OVERFLOW), 0);
    assert_int_equal(park(&shelf, "ann", 0, 9, PARK_WAITING), 0);
    assert_int_equal(park(&shelf, "bob", 0, 7, PARK_OVERFLOW), 0);
    const struct parked_unit *unit = parked_find(&shelf.parked, hash64(span_of_text("ann")), 0);
    assert_non_null(unit);
    if (unit != NULL) {
        assert_int_equal(unit->count, 2);
        assert_int_equal(unit->entries[0].offset, 5);
        assert_false(unit->entries[0].is_waiting);
        assert_true(unit->entries[1].is_waiting);
    }
    assert_null(parked_find(&shelf.parked, hash64(span_of_text("ann")), 1));
    assert_int_equal(shelf.parked.unit_count, 2);
    assert_int_equal(shelf.partition->parked, 3);
    close_shelf(&shelf);
}

static void what_was_parked_is_read_back_as_it_came(void **state)
{
    struct shelf shelf;
    struct incoming event = event_at("ann", 0, 5), read;
    struct parked_event stored;
    struct err err;

    (void)state;
    open_shelf(&shelf, 100);
    assert_int_equal(park(&shelf, "ann", 0, 5, PARK_OVERFLOW), 0);
    assert_int_equal(parked_read(&shelf.parked, &event.at, &read, &stored, &err), 0);
    assert_true(read.has_key && !read.is_null);
    assert_int_equal(read.time_ms, 5);
    assert_true(span_equal_text(read.key, "ann"));
    assert_true(span_equal_text(read.type, "a.B"));
    assert_true(span_equal_text(read.value, "value"));
    assert_int_equal(stored.reason, PARK_OVERFLOW);
    assert_true(span_equal_text(stored.message, "because"));

    parked_put_reason(&shelf.parked, &read, PARK_TOO_LARGE, "of its size");
    assert_int_equal(parked_read(&shelf.parked, &event.at, &read, &stored, &err), 0);
    assert_int_equal(stored.reason, PARK_TOO_LARGE);
    assert_true(span_equal_text(stored.message, "of its size"));
    assert_true(span_equal_text(read.value, "value"));
    close_shelf(&shelf);
}

static void the_limit_of_a_partition_counts_what_waits_and_ends_when_something_goes(void **state)
{
    struct shelf shelf;
    struct incoming first = event_at("ann", 0, 1);

    (void)state;
    open_shelf(&shelf, 2);
    assert_int_equal(park(&shelf, "ann", 0, 1, PARK_OVERFLOW), 0);
    assert_int_equal(park(&shelf, "ann", 0, 2, PARK_WAITING), 0);
    assert_int_equal(park(&shelf, "bob", 0, 3, PARK_OVERFLOW), ERR_FULL);
    assert_int_equal(shelf.parked.event_count, 2);

    positions_set_state(&shelf.positions, shelf.partition, PARTITION_PARKED);
    positions_unpark(&shelf.positions, 2);
    assert_int_equal(shelf.partition->row.state, PARTITION_PARKED);
    parked_remove(&shelf.parked, &first.at);
    positions_unpark(&shelf.positions, 2);
    assert_int_equal(shelf.partition->row.state, PARTITION_FOLLOWING);
    assert_int_equal(park(&shelf, "bob", 0, 3, PARK_OVERFLOW), 0);
    close_shelf(&shelf);
}

static void thousands_of_units_come_and_go(void **state)
{
    enum { UNITS = 3000 };
    struct shelf shelf;
    struct parked_key keys[UNITS];
    size_t count = UNITS;

    (void)state;
    open_shelf(&shelf, SIZE_MAX);
    for (int i = 0; i < UNITS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "p%d", i);
        assert_int_equal(park(&shelf, key, 0, i, PARK_OVERFLOW), 0);
    }
    assert_int_equal(shelf.parked.event_count, UNITS);
    parked_list(&shelf.parked, keys);
    for (size_t i = 0; i < count; i++)
        if (i % 3 != 0)
            parked_remove(&shelf.parked, &keys[i]);
    assert_int_equal(shelf.parked.unit_count, UNITS / 3);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(parked_find(&shelf.parked, keys[i].unit_hash, 0) != NULL, i % 3 == 0);
    close_shelf(&shelf);
}

static void a_request_is_read_as_it_was_written_whatever_bytes_the_key_has(void **state)
{
    char *topics[] = {(char[]){"a"}, (char[]){"b"}};
    struct generation_settings settings = {.topics = topics, .topic_count = 2};
    struct parked_selection selection = {.topic = 1, .key = SPAN_LITERAL("\0\xff k")}, read;
    struct arena arena = ARENA_INIT;
    struct err err;

    (void)state;
    json_t *request = parked_request_write(&selection, &settings);
    assert_int_equal(parked_request_read(request, &settings, &arena, &read, &err), 0);
    assert_int_equal(read.topic, 1);
    assert_true(span_equal(read.key, selection.key));
    json_object_set_new(request, "topic", json_string("c"));
    assert_int_equal(parked_request_read(request, &settings, &arena, &read, &err), ERR_INPUT);
    json_object_set_new(request, "topic", json_string("a"));
    json_object_set_new(request, "key", json_string("0g"));
    assert_int_equal(parked_request_read(request, &settings, &arena, &read, &err), ERR_INPUT);
    json_object_clear(request);
    assert_int_equal(parked_request_read(request, &settings, &arena, &read, &err), ERR_INPUT);
    json_decref(request);

    selection = (struct parked_selection){.is_all = true};
    request = parked_request_write(&selection, &settings);
    assert_int_equal(parked_request_read(request, &settings, &arena, &read, &err), 0);
    assert_true(read.is_all);
    json_decref(request);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_unit_is_a_topic_and_a_key),
        cmocka_unit_test(what_was_parked_is_read_back_as_it_came),
        cmocka_unit_test(the_limit_of_a_partition_counts_what_waits_and_ends_when_something_goes),
        cmocka_unit_test(thousands_of_units_come_and_go),
        cmocka_unit_test(a_request_is_read_as_it_was_written_whatever_bytes_the_key_has),
    };

    return cmocka_run_group_tests_name("parked", tests, NULL, NULL);
}
