/* What a client may put into a URL and its header fields: percent escapes, queries, Accept, If-None-Match and
 * Tarn-At-Least, all read from the same bytes. */
#include <assert.h>
#include <stdlib.h>

#include "ops/runtime/http_request.h"
#include "ops/runtime/json_escape.h"
#include "ops/runtime/url.h"
#include "query/at_least.h"
#include "query/negotiation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char topic_name[] = "users";
static char *topics[] = {topic_name};
static const struct generation_settings settings = {.topics = topics, .topic_count = 1};

static void read_query(struct span query, struct arena *arena)
{
    struct span name, value;
    bool is_ok;
    size_t left = query.len + 1;

    while (url_query_next(&query, arena, &name, &value, &is_ok)) {
        assert(query.len < left); /* it moves on */
        left = query.len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = ARENA_INIT;
    struct at_least at_least = {0};
    struct buf escaped = BUF_INIT;
    struct span decoded, item, list;
    struct err err;
    int64_t wait_ms;

    uint8_t *copy = malloc(size > 0 ? size : 1); /* ends where the bytes do */
    if (size > 0)
        memcpy(copy, data, size);
    struct span bytes = span_of(copy, size);

    if (url_decode(bytes, size % 2 == 0, &arena, &decoded))
        assert(decoded.len <= size);
    read_query(bytes, &arena);
    assert(negotiate(bytes) <= REPRESENTATION_NONE);
    (void)etag_matches(bytes, SPAN_LITERAL("\"0123456789abcdef\""));
    for (list = bytes; http_list_next(&list, &item);)
        assert(item.len > 0);
    if (at_least_add(&settings, bytes, &arena, &at_least, &err) == 0)
        for (size_t i = 0; i < at_least.count; i++)
            assert(at_least.items[i].topic == 0 && at_least.items[i].partition >= 0 && at_least.items[i].offset >= -1);
    if (at_least_parse_wait(bytes, &wait_ms, &err) == 0)
        assert(wait_ms >= 0 && wait_ms <= AT_LEAST_WAIT_MAX_MS);
    json_escape(bytes, &escaped);
    assert(memchr(escaped.len > 0 ? escaped.at : (const uint8_t *)"", '\n', escaped.len) == NULL);

    buf_release(&escaped);
    arena_release(&arena);
    free(copy);
    return 0;
}
