/* GET and HEAD of a view by its key: every header field, status and refusal that a client may meet, the handler called
 * directly on a real store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "query/view_answer.h"
#include "tests/unit/served_world.h"

static struct served_world world;

#define SHELF                                                                                                          \
    "{'reader': 'u1', 'books': [{'title': 'A', 'rating': 4.5}, {'title': 'B'}, {'title': 'C'}], "                      \
    "'points': 7, 'secret': 'hush'}"
#define SHELF_JSON                                                                                                     \
    "{\"reader\":\"u1\",\"books\":[{\"title\":\"A\",\"rating\":4.5,\"cover\":\"PAPER\"},"                              \
    "{\"title\":\"B\",\"rating\":0,\"cover\":\"PAPER\"}],\"points\":\"7\"}"

static int set_up(void **state)
{
    (void)state;
    served_world_open(&world);
    served_world_fill(&world);
    served_world_put(&world, "shelf", "u1", SHELF);
    return 0;
}

static int set_up_nothing(void **state)
{
    (void)state;
    served_world_open(&world);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    served_world_close(&world);
    return 0;
}

static void assert_header(const char *name, const char *expected)
{
    const char *value = served_world_header(&world, name);

    if (value == NULL || expected == NULL) {
        if (value != expected)
            fail_msg("%s: %s", name, value != NULL ? value : "isn't there");
        return;
    }
    assert_string_equal(value, expected);
}

static void assert_answer(const char *request, const char *header_lines, int status, const char *detail)
{
    int got = served_world_ask(&world, request, header_lines);

    if (got != status)
        fail_msg("%s: %d %s", request, got, served_world_body(&world));
    if (detail != NULL && strstr(served_world_body(&world), detail) == NULL)
        fail_msg("%s: %s", request, served_world_body(&world));
    if (status >= 400)
        assert_header("Content-Type", "application/problem+json");
}

static void a_view_is_answered_as_json_with_all_that_a_client_must_know(void **state)
{
    (void)state;
    assert_answer("GET /v1/shelf/u1", NULL, 200, NULL);
    assert_string_equal(served_world_body(&world), SHELF_JSON);
    assert_header("Content-Type", "application/json");
    assert_header("Cache-Control", "private, no-cache");
    assert_header("Vary", "Accept");
    assert_header("Tarn-Generation", world.loop->generation->generation->name);
    assert_header("Tarn-Age", "0");
    assert_header("Tarn-Position", "people/0@9, shop.events/0@9"); /* branches don't feed shelves */
    assert_header("Tarn-Incomplete", NULL);
    assert_int_equal(strlen(served_world_header(&world, "ETag")), 18);
}

static void head_says_the_same_as_get(void **state)
{
    struct buf of_get = BUF_INIT;

    (void)state;
    assert_answer("GET /v1/shelf/u1", NULL, 200, NULL);
    buf_add_span(&of_get, buf_span(&world.headers));
    assert_answer("HEAD /v1/shelf/u1", NULL, 200, NULL);
    assert_string_equal(buf_text(&world.headers), buf_text(&of_get));
    buf_release(&of_get);
}

static void protobuf_is_served_to_who_asks_for_it(void **state)
{
    char json_etag[32];

    (void)state;
    assert_answer("GET /v1/shelf/u1", NULL, 200, NULL);
    snprintf(json_etag, sizeof(json_etag), "%s", served_world_header(&world, "ETag"));
    assert_answer("GET /v1/shelf/u1", "Accept: application/x-protobuf\r\n", 200, NULL);
    assert_header("Content-Type", "application/x-protobuf");
    assert_string_not_equal(served_world_header(&world, "ETag"), json_etag);
    /* reader u1, books A (4.5) and B, points 7; neither the third book nor the secret. */
    assert_memory_equal(world.body.at,
                        "\x0a\x02u1\x12\x0c\x0a\x01"
                        "A\x11\0\0\0\0\0\0\x12\x40\x12\x03\x0a\x01"
                        "B\x20\x07",
                        world.body.len);
    assert_int_equal(world.body.len, 4 + 14 + 5 + 2);
}

static void the_client_s_preferences_decide_the_representation(void **state)
{
    static const struct {
        const char *accept;
        int status;
        const char *type;
    } rows[] = {
        {"*/*", 200, "application/json"},
        {"application/*", 200, "application/json"},
        {"application/json, application/x-protobuf", 200, "application/json"},
        {"application/json;q=0.5, application/x-protobuf", 200, "application/x-protobuf"},
        {"application/json;q=0.5, application/x-protobuf;q=0.501", 200, "application/x-protobuf"},
        {"application/x-protobuf;q=0.1, */*;q=0.01", 200, "application/x-protobuf"},
        {"Application/X-Protobuf", 200, "application/x-protobuf"},
        {"application/json;q=0, */*", 200, "application/x-protobuf"},
        {"text/html, application/xhtml+xml, */*;q=0.8", 200, "application/json"},
        {"application/json;charset=utf-8;q=0.7", 200, "application/json"},
        {"text/html", 406, NULL},
        {"application/json;q=0", 406, NULL},
        {"application/json;q=nonsense", 406, NULL},
        {"*/*;q=0", 406, NULL},
        {"text/event-stream", 501, NULL},
        {"text/event-stream, application/json;q=0.5", 501, NULL},
        {"text/event-stream;q=0.5, application/json", 200, "application/json"},
    };
    char line[200];

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        snprintf(line, sizeof(line), "Accept: %s\r\n", rows[i].accept);
        assert_answer("GET /v1/shelf/u1", line, rows[i].status, NULL);
        if (rows[i].type != NULL)
            assert_header("Content-Type", rows[i].type);
    }
}

static void a_part_of_the_view_is_served_with_a_tag_of_its_own(void **state)
{
    char whole[32];

    (void)state;
    assert_answer("GET /v1/shelf/u1", NULL, 200, NULL);
    snprintf(whole, sizeof(whole), "%s", served_world_header(&world, "ETag"));
    assert_answer("GET /v1/shelf/u1?fields=points,books.title", NULL, 200, NULL);
    assert_string_equal(served_world_body(&world),
                        "{\"books\":[{\"title\":\"A\"},{\"title\":\"B\"}],\"points\":\"7\"}");
    assert_string_not_equal(served_world_header(&world, "ETag"), whole);
    assert_answer("GET /v1/shelf/u1?fields=points", "Accept: application/x-protobuf\r\n", 200, NULL);
    assert_memory_equal(world.body.at, "\x20\x07", 2);
    assert_answer("GET /v1/shelf/u1?fields=nonsense", NULL, 400, "nonsense");
    assert_answer("GET /v1/shelf/u1?fields=secret", NULL, 400, "secret");
}

static void a_client_that_has_the_view_gets_304(void **state)
{
    char lines[200], etag[32];

    (void)state;
    assert_answer("GET /v1/shelf/u1", NULL, 200, NULL);
    snprintf(etag, sizeof(etag), "%s", served_world_header(&world, "ETag"));
    const struct {
        const char *format;
        int status;
    } rows[] = {
        {"If-None-Match: %s\r\n", 304},
        {"If-None-Match: W/%s\r\n", 304},
        {"If-None-Match: \"x\", W/%s, \"y\"\r\n", 304},
        {"If-None-Match: \"x\"\r\nIf-None-Match: %s\r\n", 304},
        {"If-None-Match: *\r\n", 304},
        {"If-None-Match: \"x,%s\r\n", 200},
        {"If-None-Match: \"0000000000000000\"\r\n", 200},
        {"If-None-Match: %s\r\nAccept: application/x-protobuf\r\n", 200},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const char *at = strstr(rows[i].format, "%s");
        size_t before = at != NULL ? (size_t)(at - rows[i].format) : strlen(rows[i].format);
        snprintf(lines, sizeof(lines), "%.*s%s%s", (int)before, rows[i].format, at != NULL ? etag : "",
                 at != NULL ? at + 2 : "");
        assert_answer("GET /v1/shelf/u1", lines, rows[i].status, NULL);
        if (rows[i].status == 304) {
            assert_header("ETag", etag);
            assert_header("Tarn-Position", "people/0@9, shop.events/0@9");
            assert_header("Cache-Control", "private, no-cache");
            assert_header("Vary", "Accept");
            assert_header("Content-Type", NULL);
        }
    }
    assert_answer("GET /v1/shelf/nobody", "If-None-Match: *\r\n", 404, NULL);
}

static void the_tag_changes_exactly_when_the_served_bytes_do(void **state)
{
    char first[32];

    (void)state;
    assert_answer("GET /v1/shelf/u1", NULL, 200, NULL);
    snprintf(first, sizeof(first), "%s", served_world_header(&world, "ETag"));
    /* hidden, and behind the limit: stored otherwise, served the same */
    served_world_put(&world, "shelf", "u1",
                     "{'reader': 'u1', 'books': [{'title': 'A', 'rating': 4.5}, {'title': 'B'}, "
                     "{'title': 'D'}], 'points': 7, 'secret': 'louder'}");
    assert_answer("GET /v1/shelf/u1", NULL, 200, NULL);
    assert_header("ETag", first);
    served_world_put(&world, "shelf", "u1", "{'reader': 'u1', 'points': 8}");
    assert_answer("GET /v1/shelf/u1", NULL, 200, NULL);
    assert_string_not_equal(served_world_header(&world, "ETag"), first);
}

static void a_key_without_a_view_is_404_with_its_freshness(void **state)
{
    (void)state;
    assert_answer("GET /v1/shelf/nobody", NULL, 404, "\"title\":\"Not Found\",\"status\":404");
    assert_header("Tarn-Position", "people/0@9, shop.events/0@9");
    assert_header("Tarn-Age", "0");
    assert_header("Tarn-Generation", world.loop->generation->generation->name);
    assert_header("ETag", NULL);
}

static void a_view_that_its_home_stream_has_not_made_is_404(void **state)
{
    struct served_change change = {
        .kind = CHANGE_UNMADE, .view = "shelf", .key1 = "u2", .json = "{'reader': 'u2', 'name': 'Ada'}"};

    (void)state;
    served_world_change(&world, &change, 1);
    assert_answer("GET /v1/shelf/u2", NULL, 404, NULL);
    change.kind = CHANGE_VIEW;
    served_world_change(&world, &change, 1);
    assert_answer("GET /v1/shelf/u2", NULL, 200, "Ada");
}

static void keys_are_percent_decoded_segment_by_segment(void **state)
{
    struct served_change loan = {.kind = CHANGE_VIEW,
                                 .view = "loan",
                                 .key1 = "a/b %",
                                 .key2 = "-5",
                                 .key3 = "CLOTH",
                                 .json = "{'reader': 'a/b %', 'number': -5, 'cover': 1, 'title': 'T'}"};
    struct served_change branch = {
        .kind = CHANGE_VIEW, .view = "branch", .key1 = "-9223372036854775808", .json = "{'id': -9223372036854775808}"};
    struct served_change scan = {
        .kind = CHANGE_VIEW, .view = "scan", .key1 = "_-8", .json = "{'code': 'x', 'text': 'found'}"};

    (void)state;
    served_world_change(&world, &loan, 1);
    served_world_change(&world, &branch, 1);
    served_world_change(&world, &scan, 1);
    assert_answer("GET /v1/loan/a%2fb%20%25/-5/CLOTH", NULL, 200, "\"title\":\"T\"");
    assert_answer("GET /v1/loan/a%2fb%20%25/%2d5/1", NULL, 200, "\"title\":\"T\"");
    assert_answer("GET /v1/l%6fan/a%2Fb%20%25/-5/1", NULL, 200, "\"title\":\"T\"");
    assert_header("Tarn-Position", "shop.events/0@9");
    assert_answer("GET /v1/loan/a+b/-5/1", NULL, 404, NULL);
    assert_answer("GET /v1/branch/-9223372036854775808", NULL, 200, NULL);
    assert_header("Tarn-Position", "branches/0@9");
    assert_answer("GET /v1/scan/_-8", NULL, 200, "found");
}

static void a_malformed_key_is_400_and_names_the_field(void **state)
{
    static const struct {
        const char *request;
        const char *detail;
    } rows[] = {
        {"GET /v1/loan/u1/five/PAPER", "number"},
        {"GET /v1/loan/u1/99999999999/PAPER", "number"},
        {"GET /v1/loan/u1/5/LEATHER", "cover"},
        {"GET /v1/loan/u1/5/PAPER/6", "the key has 3 fields, the URL gives 4"},
        {"GET /v1/shelf/%zz", "reader: a malformed % escape"},
        {"GET /v1/shelf/%4", "reader: a malformed % escape"},
        {"GET /v1/loan/u1/%/PAPER", "number: a malformed % escape"},
        {"GET /v1/shelf/%ff", "reader"},
        {"GET /v1/shelf/", "reader"},
        {"GET /v1/scan/a+b", "code"},
        {"GET /v1/scan/abcde", "code"},
        {"GET /v1/%zz/u1", "a malformed % escape"},
        {"GET /v1/shelf/u1?fields=%", "a malformed % escape"},
        {"GET /v1/shelf/u1?limit=5", "unknown parameter \\\"limit\\\""},
    };
    char line[700];

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_answer(rows[i].request, NULL, 400, rows[i].detail);
    snprintf(line, sizeof(line), "GET /v1/shelf/%0300d", 0);
    assert_answer(line, NULL, 400, NULL); /* longer than any key */
}

static void what_is_not_there_is_404_and_what_may_not_be_done_405(void **state)
{
    (void)state;
    assert_answer("GET /v1/nothing/u1", NULL, 404, "there is no such view");
    assert_answer("GET /v1/", NULL, 404, NULL);
    assert_answer("GET /v1/Shelf/u1", NULL, 404, NULL);
    assert_answer("GET /v1/shelf:merge/u1", NULL, 404, NULL);
    assert_answer("GET /", NULL, 404, NULL);
    assert_answer("GET /v2/shelf/u1", NULL, 404, NULL);
    assert_answer("GET /metrics", NULL, 404, NULL); /* not on this listener */
    assert_answer("POST /v1/shelf/u1", NULL, 405, NULL);
    assert_header("Allow", "GET, HEAD");
    assert_answer("DELETE /v1/shelf/u1", NULL, 405, NULL);
    assert_header("Allow", "GET, HEAD");
    assert_answer("POST /healthz", NULL, 405, NULL);
    assert_header("Allow", "GET, HEAD");
    assert_answer("GET /v1/shelf:batchGet", NULL, 405, NULL);
    assert_header("Allow", "POST");
}

static void what_later_versions_bring_is_refused_by_name(void **state)
{
    (void)state;
    assert_answer("GET /v1/loan/u1", NULL, 501, "lists of views");
    assert_answer("GET /v1/loan/u1/5?limit=3", NULL, 501, "lists of views");
    assert_answer("GET /v1/shelf", NULL, 501, "lists of views");
    assert_answer("GET /v1/shelf?name=Ada", NULL, 501, "indexed field");
    assert_answer("POST /v1/shelf:batchGet", NULL, 501, ":batchGet");
    assert_answer("GET /v1/shelf/u1", "Accept: text/event-stream\r\n", 501, "text/event-stream");
}

static void parked_events_of_the_key_make_it_incomplete(void **state)
{
    struct served_change parked[] = {
        {.kind = CHANGE_PARKED, .topic = TOPIC_SHOP, .record_key = "u1"},
        {.kind = CHANGE_PARKED, .topic = TOPIC_PEOPLE, .record_key = "nobody"},
    };

    (void)state;
    served_world_change(&world, parked, ARRAY_COUNT(parked));
    assert_answer("GET /v1/shelf/u1", NULL, 200, NULL);
    assert_header("Tarn-Incomplete", "true");
    assert_answer("GET /v1/shelf/nobody", NULL, 404, NULL);
    assert_header("Tarn-Incomplete", "true");
    assert_answer("GET /v1/shelf/u3", NULL, 404, NULL);
    assert_header("Tarn-Incomplete", NULL);
}

static void the_age_grows_while_the_store_stands_still(void **state)
{
    (void)state;
    world.now_ms += 999;
    assert_answer("GET /v1/shelf/u1", NULL, 200, NULL);
    assert_header("Tarn-Age", "0");
    world.now_ms += 41001;
    assert_answer("GET /v1/shelf/u1", NULL, 200, NULL);
    assert_header("Tarn-Age", "42");
}

/* --- Tarn-At-Least -------------------------------------------------------------------------------------------------- */

static void a_position_that_the_store_has_is_no_wait(void **state)
{
    (void)state;
    assert_answer("GET /v1/shelf/u1", "Tarn-At-Least: shop.events/0@9, people/0@-1\r\n", 200, NULL);
    assert_answer("GET /v1/shelf/u1?at-least=shop.events/0@9", NULL, 200, NULL);
    assert_answer("GET /v1/shelf/u1?at-least=branches%2f0%409", NULL, 200, NULL);
}

static void a_position_that_comes_in_time_is_answered(void **state)
{
    struct served_change moved = {.kind = CHANGE_POSITION,
                                  .topic = TOPIC_SHOP,
                                  .range = -1,
                                  .position = {.next_offset = 11, .last_offset = 10, .caught_up_at_ms = 1}};

    (void)state;
    assert_int_equal(served_world_ask(&world, "GET /v1/shelf/u1", "Tarn-At-Least: shop.events/0@10\r\n"), 0);
    assert_int_equal(world.wait.deadline_us, world.now_ms * 1000 + 500 * 1000);
    assert_false(world.loop->side->has_snapshot);
    world.wait.is_again = true;
    assert_int_equal(served_world_resume(&world, false), 0);
    served_world_change(&world, &moved, 1);
    assert_int_equal(served_world_resume(&world, false), 200);
    assert_header("Tarn-Position", "people/0@9, shop.events/0@10");
}

static void a_position_that_does_not_come_is_409(void **state)
{
    (void)state;
    assert_int_equal(
        served_world_ask(&world, "GET /v1/shelf/u1", "Tarn-At-Least: shop.events/0@10\r\nTarn-Wait: 1200\r\n"), 0);
    assert_int_equal(world.wait.deadline_us, world.now_ms * 1000 + 1200 * 1000);
    assert_int_equal(served_world_resume(&world, true), 409);
    assert_header("Retry-After", "1");
    assert_header("Tarn-Position", "people/0@9, shop.events/0@9");
    assert_header("Content-Type", "application/problem+json");
    assert_answer("GET /v1/shelf/u1?at-least=shop.events/0@10&wait=0", NULL, 409, NULL);
    assert_answer("GET /v1/shelf/nobody?wait=0", "Tarn-At-Least: shop.events/0@10\r\n", 409, NULL);
}

static void a_position_is_awaited_of_the_key_s_range(void **state)
{
    unsigned range = owner_range(hash64(SPAN_LITERAL("u1")));
    struct served_change moved = {.kind = CHANGE_POSITION,
                                  .topic = TOPIC_SHOP,
                                  .range = (int)range,
                                  .position = {.next_offset = 11, .last_offset = 10, .caught_up_at_ms = 1}};
    char other[16];

    (void)state;
    for (int i = 0;; i++) {
        snprintf(other, sizeof(other), "u%d", i);
        if (owner_range(hash64(span_of_text(other))) != range)
            break;
    }
    served_world_change(&world, &moved, 1);
    assert_answer("GET /v1/shelf/u1?at-least=shop.events/0@10&wait=0", NULL, 200, NULL);
    char request[100];
    snprintf(request, sizeof(request), "GET /v1/shelf/%s?at-least=shop.events/0@10&wait=0", other);
    assert_answer(request, NULL, 409, NULL);
}

static void an_event_s_id_is_awaited_of_the_key_s_owner(void **state)
{
    struct served_change handled = {.kind = CHANGE_ID, .topic = TOPIC_SHOP, .record_key = "u1", .id = "e-77"};
    struct served_change others[] = {{.kind = CHANGE_ID, .topic = TOPIC_SHOP, .record_key = "u2", .id = "e-77"},
                                     {.kind = CHANGE_ID, .topic = TOPIC_SHOP, .record_key = "u1", .id = "e-7"}};

    (void)state;
    assert_int_equal(served_world_ask(&world, "GET /v1/shelf/u1", "Tarn-At-Least: shop.events/0@9, id=e-77\r\n"), 0);
    assert_int_equal(world.wait.deadline_us, world.now_ms * 1000 + 500 * 1000);
    served_world_change(&world, others, ARRAY_COUNT(others)); /* another owner's, and another id */
    world.wait.is_again = true;
    assert_true(view_answer_still_waits(world.loop, &world.wait));
    assert_int_equal(served_world_resume(&world, false), 0);
    served_world_change(&world, &handled, 1);
    assert_false(view_answer_still_waits(world.loop, &world.wait));
    assert_int_equal(served_world_resume(&world, false), 200);

    assert_answer("GET /v1/shelf/u1?at-least=id=e-77,id=e-7,people/0@9&wait=0", NULL, 200, NULL);
    assert_answer("GET /v1/shelf/u1?at-least=id=e-77&at-least=id=e-78&wait=0", NULL, 409, NULL);
    assert_header("Retry-After", "1");
    assert_answer("GET /v1/shelf/u2?at-least=id=e-7&wait=0", NULL, 409, NULL);
}

static void a_malformed_or_unknown_position_is_400(void **state)
{
    static const struct {
        const char *at_least;
        const char *detail;
    } rows[] = {
        {"shop.events/0@9x", "is not topic/partition@offset"},
        {"shop.events/0", "is not topic/partition@offset"},
        {"shop.events@9", "is not topic/partition@offset"},
        {"shop.events/-1@9", "is not topic/partition@offset"},
        {"shop.events/0@-2", "is not topic/partition@offset"},
        {"shop.events/0@99999999999999999999", "is not topic/partition@offset"},
        {"shop.events/4294967296@1", "is not topic/partition@offset"},
        {"nothing/0@9", "unknown topic \\\"nothing\\\""},
        {"shop.events/1@9", "topic shop.events has no partition 1"},
        {"id=", "without an event's id"},
        {"shop.events/0@1, id=", "without an event's id"},
        {"", "expected topic/partition@offset"},
        {", ,", "expected topic/partition@offset"},
    };
    char line[200];

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        snprintf(line, sizeof(line), "Tarn-At-Least: %s\r\n", rows[i].at_least);
        assert_answer("GET /v1/shelf/u1", line, 400, rows[i].detail);
    }
    assert_answer("GET /v1/shelf/u1?wait=soon", NULL, 400, "Tarn-Wait");
    assert_answer("GET /v1/shelf/u1?wait=60001", NULL, 400, "Tarn-Wait");
    assert_answer("GET /v1/shelf/u1", "Tarn-Wait: -1\r\n", 400, "Tarn-Wait");
    /* Also while the position would have to be awaited. */
    assert_answer("GET /v1/shelf/u1", "Tarn-At-Least: shop.events/0@10, shop.events/7@1\r\n", 400, NULL);
}

/* --- before there is anything --------------------------------------------------------------------------------------- */

static void without_a_store_the_server_is_alive_and_not_ready(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(served_refresh(world.query.served, &err), ERR_ABSENT);
    assert_answer("GET /healthz", NULL, 200, "ok");
    assert_answer("GET /readyz", NULL, 503, "there is no store yet");
    assert_answer("GET /v1/shelf/u1", NULL, 503, "there is no store yet");
    assert_header("Retry-After", "1");
}

static void a_store_is_served_once_it_has_been_caught_up(void **state)
{
    struct served_change first[] = {
        {.kind = CHANGE_PARTITION, .topic = 0, .row = {.end_offset = 10, .partition_count = 1}},
        {.kind = CHANGE_PARTITION, .topic = 1, .row = {.end_offset = 10, .partition_count = 1}},
        {.kind = CHANGE_PARTITION, .topic = 2, .row = {.end_offset = 10, .partition_count = 1}},
        {.kind = CHANGE_POSITION, .topic = 0, .range = -1, .position = {.next_offset = 10, .caught_up_at_ms = 1}},
        {.kind = CHANGE_POSITION, .topic = 1, .range = -1, .position = {.next_offset = 10, .caught_up_at_ms = 1}},
        {.kind = CHANGE_POSITION, .topic = 2, .range = -1, .position = {.next_offset = 10, .caught_up_at_ms = 1}},
        {.kind = CHANGE_POSITION, .topic = 2, .range = 7, .position = {.next_offset = 9}},
    };

    (void)state;
    served_world_make(&world);
    served_world_refresh(&world);
    assert_answer("GET /v1/shelf/u1", NULL, 503, "filled for the first time");
    assert_header("Retry-After", "1");
    served_world_change(&world, first, ARRAY_COUNT(first));
    served_world_refresh(&world);
    assert_answer("GET /readyz", NULL, 503, "filled for the first time");
    assert_answer("GET /v1/shelf/u1", NULL, 503, "filled for the first time");
    first[6].position.caught_up_at_ms = 1;
    served_world_change(&world, &first[6], 1);
    served_world_refresh(&world);
    assert_answer("GET /readyz", NULL, 200, "ready");
    assert_answer("GET /v1/shelf/u1", NULL, 404, NULL);
    /* A partition that comes later doesn't take it back. */
    struct served_change later = {.kind = CHANGE_PARTITION, .topic = 2, .partition = 1, .row = {.partition_count = 2}};
    served_world_change(&world, &later, 1);
    served_world_refresh(&world);
    assert_answer("GET /readyz", NULL, 200, NULL);
}

static void readiness_survives_a_stall_unless_told_otherwise(void **state)
{
    (void)state;
    world.now_ms += 3600 * 1000;
    assert_answer("GET /readyz", NULL, 200, NULL);
    world.query.unready_after_s = 3600;
    assert_answer("GET /readyz", NULL, 200, NULL);
    world.now_ms += 1000;
    assert_answer("GET /readyz", NULL, 503, "--unready-after");
    assert_answer("GET /healthz", NULL, 200, NULL);
    assert_answer("GET /v1/shelf/u1", NULL, 200, NULL);
    assert_header("Tarn-Age", "3601");
}

static void readiness_ends_when_the_server_drains(void **state)
{
    (void)state;
    world.query.is_draining = true;
    assert_answer("GET /readyz", NULL, 503, "stopping");
    assert_answer("GET /healthz", NULL, 200, NULL);
    assert_answer("GET /v1/shelf/u1", NULL, 200, NULL);
}

static void another_generation_is_taken_up_between_two_requests(void **state)
{
    char first[32];

    (void)state;
    assert_answer("GET /v1/shelf/u1", NULL, 200, NULL);
    snprintf(first, sizeof(first), "%s", served_world_header(&world, "Tarn-Generation"));
    served_world_fill(&world); /* makes a second one and serves it */
    assert_answer("GET /v1/shelf/u1", NULL, 404, NULL);
    assert_string_not_equal(served_world_header(&world, "Tarn-Generation"), first);
}

static void a_store_made_anew_in_the_same_place_is_taken_up(void **state)
{
    char first[32], *old = NULL;

    (void)state;
    assert_answer("GET /v1/shelf/u1", NULL, 200, NULL);
    snprintf(first, sizeof(first), "%s", served_world_header(&world, "Tarn-Generation"));
    assert_true(asprintf(&old, "%s-old", world.directory) > 0);
    assert_int_equal(rename(world.directory, old), 0);
    free(old);
    assert_answer("GET /v1/shelf/u1", NULL, 200, NULL);
    served_world_fill(&world);
    assert_answer("GET /v1/shelf/u1", NULL, 404, NULL);
    assert_header("Tarn-Generation", first); /* the same name, another store */
}

static void a_request_that_waits_survives_a_change_of_generations(void **state)
{
    (void)state;
    assert_int_equal(served_world_ask(&world, "GET /v1/shelf/u1", "Tarn-At-Least: shop.events/0@10\r\n"), 0);
    assert_true(view_answer_still_waits(world.loop, &world.wait));
    query_loop_rest(world.loop);
    served_world_fill(&world);
    assert_false(view_answer_still_waits(world.loop, &world.wait));
    assert_int_equal(served_world_resume(&world, false), 0);
    assert_true(view_answer_still_waits(world.loop, &world.wait));
}

static void bytes_that_are_no_view_are_our_fault_and_told_to_nobody(void **state)
{
    struct served_change garbage = {.kind = CHANGE_GARBAGE, .view = "shelf", .key1 = "u9"};

    (void)state;
    served_world_change(&world, &garbage, 1);
    assert_answer("GET /v1/shelf/u9", NULL, 500, "the server's log says why");
    assert_int_equal(world.query.counters.faults, 1);
    assert_answer("GET /v1/shelf/u1", NULL, 200, NULL);
}

static void administration_has_a_listener_of_its_own(void **state)
{
    (void)state;
    world.loop->listener = LISTENER_ADMIN;
    assert_answer("GET /healthz", NULL, 200, NULL);
    assert_answer("GET /readyz", NULL, 200, NULL);
    assert_answer("GET /metrics", NULL, 200, "# TYPE tarn_query_views_total counter\ntarn_query_views_total 0\n");
    assert_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    assert_answer("GET /openapi.json", NULL, 200, "\"openapi\": \"3.1.0\"");
    assert_header("Content-Type", "application/json");
    assert_answer("GET /v1/shelf/u1", NULL, 404, NULL);
}

#define WITH_STORE(test)    cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define WITHOUT_STORE(test) cmocka_unit_test_setup_teardown(test, set_up_nothing, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(a_view_is_answered_as_json_with_all_that_a_client_must_know),
        WITH_STORE(head_says_the_same_as_get),
        WITH_STORE(protobuf_is_served_to_who_asks_for_it),
        WITH_STORE(the_client_s_preferences_decide_the_representation),
        WITH_STORE(a_part_of_the_view_is_served_with_a_tag_of_its_own),
        WITH_STORE(a_client_that_has_the_view_gets_304),
        WITH_STORE(the_tag_changes_exactly_when_the_served_bytes_do),
        WITH_STORE(a_key_without_a_view_is_404_with_its_freshness),
        WITH_STORE(a_view_that_its_home_stream_has_not_made_is_404),
        WITH_STORE(keys_are_percent_decoded_segment_by_segment),
        WITH_STORE(a_malformed_key_is_400_and_names_the_field),
        WITH_STORE(what_is_not_there_is_404_and_what_may_not_be_done_405),
        WITH_STORE(what_later_versions_bring_is_refused_by_name),
        WITH_STORE(parked_events_of_the_key_make_it_incomplete),
        WITH_STORE(the_age_grows_while_the_store_stands_still),
        WITH_STORE(a_position_that_the_store_has_is_no_wait),
        WITH_STORE(a_position_that_comes_in_time_is_answered),
        WITH_STORE(a_position_that_does_not_come_is_409),
        WITH_STORE(a_position_is_awaited_of_the_key_s_range),
        WITH_STORE(an_event_s_id_is_awaited_of_the_key_s_owner),
        WITH_STORE(a_malformed_or_unknown_position_is_400),
        WITHOUT_STORE(without_a_store_the_server_is_alive_and_not_ready),
        WITHOUT_STORE(a_store_is_served_once_it_has_been_caught_up),
        WITH_STORE(readiness_survives_a_stall_unless_told_otherwise),
        WITH_STORE(readiness_ends_when_the_server_drains),
        WITH_STORE(another_generation_is_taken_up_between_two_requests),
        WITH_STORE(a_store_made_anew_in_the_same_place_is_taken_up),
        WITH_STORE(a_request_that_waits_survives_a_change_of_generations),
        WITH_STORE(bytes_that_are_no_view_are_our_fault_and_told_to_nobody),
        WITH_STORE(administration_has_a_listener_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
