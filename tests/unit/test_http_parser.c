/* What is a request, what is refused and how: each row is bytes on the wire and the verdict. Every row is also fed byte
 * by byte, which must not change it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ops/runtime/http_chunks.h"
#include "schema/base/buf.h"

static const struct http_limits limits = {
    .header_bytes = 1024,
    .header_fields = 8,
    .url_bytes = 100,
    .body_bytes = 64,
};

struct verdict {
    enum http_parse parse;
    struct http_refusal refusal;
    struct http_head head;
    struct http_field fields[8];
    size_t body_bytes; /* encoded */
};

/* Parses `text`, of which step bytes more are there at each call; each call sees a copy of exactly what is there, so
 * that reading behind it is caught by the sanitizer. */
static struct verdict parse(struct span text, size_t step)
{
    struct http_head_scan head_scan = {0};
    struct http_chunk_scan chunk_scan = {0};
    struct verdict verdict = {.parse = HTTP_PARSE_MORE};
    struct http_field fields[8];

    for (size_t there = step; verdict.parse == HTTP_PARSE_MORE; there += step) {
        size_t len = there < text.len ? there : text.len;
        uint8_t *copy = malloc(len + 1);
        memcpy(copy, text.at, len);
        verdict.parse =
            http_parse_head(&head_scan, span_of(copy, len), &limits, fields, &verdict.head, &verdict.refusal);
        if (verdict.parse == HTTP_PARSE_DONE && verdict.head.is_chunked)
            verdict.parse =
                http_parse_chunks(&chunk_scan, span_of(copy + verdict.head.head_bytes, len - verdict.head.head_bytes),
                                  &limits, &verdict.body_bytes, &verdict.refusal);
        free(copy);
        if (len == text.len)
            break;
    }
    if (verdict.parse == HTTP_PARSE_DONE) { /* once more, with spans that stay */
        head_scan = (struct http_head_scan){0};
        verdict.parse = http_parse_head(&head_scan, text, &limits, verdict.fields, &verdict.head, &verdict.refusal);
    }
    return verdict;
}

static struct verdict parse_text(const char *text)
{
    return parse(span_of_text(text), strlen(text));
}

#define END "Host: a\r\n\r\n"

static void requests_of_rfc_9112_are_understood(void **state)
{
    static const struct {
        const char *text;
        enum http_method method;
        const char *path, *query;
        bool keep_alive;
    } rows[] = {
        {"GET / HTTP/1.1\r\n" END, HTTP_GET, "/", "", true},
        {"HEAD /a/b?c=d&e HTTP/1.1\r\n" END, HTTP_HEAD, "/a/b", "c=d&e", true},
        {"POST /v1/x:batchGet? HTTP/1.1\r\n" END, HTTP_POST, "/v1/x:batchGet", "", true},
        {"get / HTTP/1.1\r\n" END, HTTP_OTHER, "/", "", true},
        {"DELETE /%C3%A4?x=?/ HTTP/1.1\r\n" END, HTTP_OTHER, "/%C3%A4", "x=?/", true},
        {"\r\nGET / HTTP/1.1\r\n" END, HTTP_GET, "/", "", true},
        {"GET http://example.org:80/a?b HTTP/1.1\r\n" END, HTTP_GET, "/a", "b", true},
        {"GET HTTPS://example.org HTTP/1.1\r\n" END, HTTP_GET, "/", "", true},
        {"GET http://[::1]?b HTTP/1.1\r\n" END, HTTP_GET, "/", "b", true},
        {"GET / HTTP/1.0\r\n\r\n", HTTP_GET, "/", "", false},
        {"GET / HTTP/1.0\r\nConnection: x, Keep-Alive\r\n\r\n", HTTP_GET, "/", "", true},
        {"GET / HTTP/1.1\r\nConnection: keep-alive , CLOSE\r\n" END, HTTP_GET, "/", "", false},
        {"GET / HTTP/1.1\r\nHOST:\r\n\r\n", HTTP_GET, "/", "", true},
        {"GET / HTTP/1.1\r\nX:\xff\t y \t\r\n" END, HTTP_GET, "/", "", true},
        {"GET / HTTP/1.1\r\nContent-Length: 007\r\n" END "1234567", HTTP_GET, "/", "", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        for (size_t step = 1; step <= 2; step++) {
            struct verdict verdict = parse(span_of_text(rows[i].text), step == 1 ? 1 : strlen(rows[i].text));
            if (verdict.parse != HTTP_PARSE_DONE)
                fail_msg("row %zu: %d %s", i, verdict.refusal.status, verdict.refusal.detail);
            assert_int_equal(verdict.head.method, rows[i].method);
            if (!span_equal_text(verdict.head.path, rows[i].path) ||
                !span_equal_text(verdict.head.query, rows[i].query))
                fail_msg("row %zu: %.*s", i, SPAN_ARGS(verdict.head.path));
            assert_int_equal(verdict.head.keep_alive, rows[i].keep_alive);
        }
    }
}

static void what_is_not_rfc_9112_is_refused(void **state)
{
    static const struct {
        const char *text;
        int status;
    } rows[] = {
        /* request lines */
        {"GET  / HTTP/1.1\r\n" END, 400},
        {"GET /  HTTP/1.1\r\n" END, 400},
        {"GET\t/\tHTTP/1.1\r\n" END, 400},
        {" GET / HTTP/1.1\r\n" END, 400},
        {"GET / HTTP/1.1 \r\n" END, 400},
        {"GET /\r\n" END, 400},
        {"GET\r\n" END, 400},
        {"G(T / HTTP/1.1\r\n" END, 400},
        {"GET a HTTP/1.1\r\n" END, 400},
        {"GET ?a HTTP/1.1\r\n" END, 400},
        {"GET /#a HTTP/1.1\r\n" END, 400},
        {"GET /\xc3\xa4 HTTP/1.1\r\n" END, 400},
        {"GET /\x01 HTTP/1.1\r\n" END, 400},
        {"GET /a\rb HTTP/1.1\r\n" END, 400},
        {"GET http:/// HTTP/1.1\r\n" END, 400},
        {"GET http://u@h/ HTTP/1.1\r\n" END, 400},
        {"GET ftp://h/ HTTP/1.1\r\n" END, 400},
        {"GET / http/1.1\r\n" END, 400},
        {"GET / HTTP/1.10\r\n" END, 400},
        {"GET / HTTP/2.0\r\n" END, 505},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        {"GET / HTTP/1.2\r\n" END, 505},
        {"CONNECT a:443 HTTP/1.1\r\n" END, 501},
        {"OPTIONS * HTTP/1.1\r\n" END, 501},
        {"\r\n\r\nGET / HTTP/1.1\r\n" END, 400},
        {"\x16\x03\x01\x02", 400},
        /* line ends */
        {"GET / HTTP/1.1\nHost: a\n\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
        {"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nX: a\rb\r\n" END, 400},
        /* fields */
        {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\n\tX: b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nno colon\r\n" END, 400},
        {"GET / HTTP/1.1\r\n: x\r\n" END, 400},
        {"GET / HTTP/1.1\r\nX\x01: y\r\n" END, 400},
        {"GET / HTTP/1.1\r\nX: y\x01\r\n" END, 400},
        {"GET / HTTP/1.1\r\nX: y\x7f\r\n" END, 400},
        /* Host */
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
        {"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
        /* smuggling: two ways to say where the body ends */
        {"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n" END "0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n" END "0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n" END "abc", 400},
        {"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n" END "abc", 400},
        {"POST / HTTP/1.1\r\nContent-Length: 3, 3\r\n" END "abc", 400},
        {"POST / HTTP/1.1\r\nContent-Length: +3\r\n" END "abc", 400},
        {"POST / HTTP/1.1\r\nContent-Length: -3\r\n" END "abc", 400},
        {"POST / HTTP/1.1\r\nContent-Length: 0x3\r\n" END "abc", 400},
        {"POST / HTTP/1.1\r\nContent-Length: 3 4\r\n" END "abc", 400},
        {"POST / HTTP/1.1\r\nContent-Length:\r\n" END, 400},
        {"POST / HTTP/1.1\r\nContent-Length : 3\r\n" END "abc", 400},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" END "0\r\n\r\n", 400},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n" END, 501},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n" END, 501},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n" END, 501},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: \"chunked\"\r\n" END, 501},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n" END, 501},
        {"POST / HTTP/1.1\r\nTransfer-Encoding:\x0b"
         "chunked\r\n" END,
         400},
        {"POST / HTTP/1.1\r\nTransfer-Encoding:\r\n chunked\r\n" END, 400},
        /* chunks */
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END "3\r\nabcd\r\n0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END "3\nabc\r\n0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END "3\r\nabc\n0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END "g\r\n", 400},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END "0x3\r\n", 400},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END " 3\r\n", 400},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END "3 \r\n", 400},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END "-3\r\n", 400},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END "\r\n", 400},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END "000000003\r\n", 400},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END "fffffffffffffffff\r\n", 413},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END "3;a\x01\r\nabc\r\n0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END "0\r\nX : y\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END "0\r\n folded\r\n\r\n", 400},
        /* what isn't offered */
        {"GET / HTTP/1.1\r\nExpect: 200-ok\r\n" END, 417},
        {"POST / HTTP/1.1\r\nContent-Length: 65\r\n" END, 413},
        {"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999999\r\n" END, 413},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END "41\r\n", 413},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        for (size_t step = 1; step <= 2; step++) {
            struct verdict verdict = parse(span_of_text(rows[i].text), step == 1 ? 1 : strlen(rows[i].text));
            if (verdict.parse != HTTP_PARSE_REFUSED || verdict.refusal.status != rows[i].status)
                fail_msg("row %zu (%s): %d, %d %s", i, rows[i].text, verdict.parse, verdict.refusal.status,
                         verdict.refusal.detail);
        }
    }
}

static void a_nul_is_refused_wherever_it_stands(void **state)
{
    static const char request[] = "GET /abc HTTP/1.1\r\nX: y\r\nHost: a\r\n\r\n";

    (void)state;
    for (size_t i = 0; i + 1 < sizeof(request); i++) {
        char damaged[sizeof(request)];
        memcpy(damaged, request, sizeof(request));
        damaged[i] = '\0';
        struct verdict verdict = parse(span_of(damaged, sizeof(request) - 1), sizeof(request) - 1);
        if (verdict.parse == HTTP_PARSE_DONE)
            fail_msg("a NUL at %zu is accepted", i);
    }
}

static void a_request_that_is_not_whole_needs_more(void **state)
{
    static const char request[] = "POST /abc HTTP/1.1\r\nX: y\r\nTransfer-Encoding: chunked\r\nHost: a\r\n\r\n"
                                  "3;x=y\r\nabc\r\n00\r\nTrailer: t\r\n\r\n";

    (void)state;
    for (size_t len = 1; len + 1 < sizeof(request); len++)
        assert_int_equal(parse(span_of(request, len), len).parse, HTTP_PARSE_MORE);
    struct verdict verdict = parse_text(request);
    assert_int_equal(verdict.parse, HTTP_PARSE_DONE);
    assert_int_equal(verdict.head.field_count, 3);
    assert_true(verdict.head.is_chunked);
    assert_true(span_equal_text(verdict.fields[0].value, "y"));
    assert_int_equal(verdict.head.head_bytes + verdict.body_bytes, sizeof(request) - 1);
}

static void bytes_behind_a_request_are_the_next_one(void **state)
{
    const char *request = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
    char two[200];

    (void)state;
    snprintf(two, sizeof(two), "%s%s", request, "GARBAGE\n");
    struct verdict verdict = parse_text(two);
    assert_int_equal(verdict.parse, HTTP_PARSE_DONE);
    assert_int_equal(verdict.head.head_bytes, strlen(request));
}

static void chunks_are_joined_in_place(void **state)
{
    char encoded[] = "3;x=y\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX: y\r\n\r\nnext";
    struct http_chunk_scan scan = {0};
    struct http_refusal refusal;
    size_t bytes;

    (void)state;
    assert_int_equal(http_parse_chunks(&scan, span_of_text(encoded), &limits, &bytes, &refusal), HTTP_PARSE_DONE);
    assert_int_equal(bytes, sizeof(encoded) - 5);
    /* Asked again, it says the same. */
    assert_int_equal(http_parse_chunks(&scan, span_of_text(encoded), &limits, &bytes, &refusal), HTTP_PARSE_DONE);
    assert_int_equal(bytes, sizeof(encoded) - 5);
    assert_int_equal(http_chunks_join((uint8_t *)encoded, bytes), 13);
    assert_memory_equal(encoded, "abc0123456789", 13);
}

static void limits_are_refused_as_soon_as_they_are_passed(void **state)
{
    char text[4000];
    struct verdict verdict;

    (void)state;
    memset(text, 'a', sizeof(text));
    memcpy(text, "GET /", 5);
    verdict = parse(span_of(text, 200), 200); /* no line end yet */
    assert_int_equal(verdict.refusal.status, 414);
    snprintf(text, sizeof(text), "GET /%0100d HTTP/1.1\r\n" END, 0);
    assert_int_equal(parse_text(text).refusal.status, 414);
    snprintf(text, sizeof(text), "GET /%099d HTTP/1.1\r\n" END, 0);
    assert_int_equal(parse_text(text).parse, HTTP_PARSE_DONE);

    snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nX: %01100d", 0);
    assert_int_equal(parse_text(text).refusal.status, 431);
    size_t len = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 8; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "X: y\r\n");
    snprintf(text + len, sizeof(text) - len, "\r\n");
    assert_int_equal(parse_text(text).refusal.status, 431);
}

static void a_body_of_tiny_chunks_is_refused(void **state)
{
    struct http_limits wide = limits;
    struct http_chunk_scan scan = {0};
    struct http_refusal refusal;
    struct buf body = BUF_INIT;
    size_t bytes;

    (void)state;
    wide.body_bytes = 1 << 20;
    for (int i = 0; i < 5000; i++)
        buf_add_literal(&body, "1\r\nx\r\n");
    assert_int_equal(http_parse_chunks(&scan, buf_span(&body), &wide, &bytes, &refusal), HTTP_PARSE_REFUSED);
    assert_int_equal(refusal.status, 413);
    buf_release(&body);
}

static void headers_of_one_name_are_joined_and_compare_without_case(void **state)
{
    struct verdict verdict = parse_text("GET / HTTP/1.1\r\nX-a: 1\r\nhOsT: h\r\nx-A: 2\r\n\r\n");
    struct arena arena = ARENA_INIT;
    struct http_request request = {.fields = verdict.fields, .field_count = verdict.head.field_count, .arena = &arena};

    (void)state;
    assert_true(span_equal_text(http_request_header(&request, "X-A"), "1, 2"));
    assert_true(span_equal_text(http_request_header(&request, "host"), "h"));
    assert_int_equal(http_request_header(&request, "Y").len, 0);
    assert_non_null(http_request_header(&request, "HOST").at);
    assert_null(http_request_header(&request, "Y").at);
    arena_release(&arena);
}

static void lists_are_split_at_commas_outside_of_quotes(void **state)
{
    static const char *const expected[] = {"a", "W/\"b,c\"", "\"d\\\",e\"", "f g"};
    struct span list = SPAN_LITERAL(" a ,, W/\"b,c\",\"d\\\",e\"\t, f g , ");
    struct span item;
    size_t count = 0;

    (void)state;
    while (http_list_next(&list, &item)) {
        assert_true(count < ARRAY_COUNT(expected));
        assert_true(span_equal_text(item, expected[count++]));
    }
    assert_int_equal(count, ARRAY_COUNT(expected));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_of_rfc_9112_are_understood),
        cmocka_unit_test(what_is_not_rfc_9112_is_refused),
        cmocka_unit_test(a_nul_is_refused_wherever_it_stands),
        cmocka_unit_test(a_request_that_is_not_whole_needs_more),
        cmocka_unit_test(bytes_behind_a_request_are_the_next_one),
        cmocka_unit_test(chunks_are_joined_in_place),
        cmocka_unit_test(limits_are_refused_as_soon_as_they_are_passed),
        cmocka_unit_test(a_body_of_tiny_chunks_is_refused),
        cmocka_unit_test(headers_of_one_name_are_joined_and_compare_without_case),
        cmocka_unit_test(lists_are_split_at_commas_outside_of_quotes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
