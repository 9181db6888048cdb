/* Any bytes, in pieces of any size: the parser must neither read behind them nor change its mind. The first byte of the
 * input chooses the size of the pieces; what is understood piece by piece must be understood the same way at once. */
#include <assert.h>
#include <stdlib.h>

#include "ops/runtime/http_chunks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_limits limits = {
    .header_bytes = 2048,
    .header_fields = 16,
    .url_bytes = 256,
    .body_bytes = 512,
};

struct verdict {
    enum http_parse parse;
    struct http_refusal refusal;
    struct http_head head;
    size_t encoded_bytes;
};

/* Of a copy that ends where the bytes do, so that the sanitizer sees the first one too many. */
static void parse(struct span bytes, struct http_head_scan *head_scan, struct http_chunk_scan *chunk_scan,
                  struct verdict *verdict)
{
    struct http_field fields[16];
    uint8_t *copy = malloc(bytes.len > 0 ? bytes.len : 1);

    memcpy(copy, bytes.at, bytes.len);
    verdict->parse =
        http_parse_head(head_scan, span_of(copy, bytes.len), &limits, fields, &verdict->head, &verdict->refusal);
    if (verdict->parse == HTTP_PARSE_DONE) {
        const struct http_head *head = &verdict->head;
        struct span rest = span_of(copy + head->head_bytes, bytes.len - head->head_bytes);
        assert(head->head_bytes <= bytes.len && head->content_length <= limits.body_bytes);
        assert(head->path.len > 0 && *span_bytes(head->path) == '/');
        if (head->is_chunked)
            verdict->parse = http_parse_chunks(chunk_scan, rest, &limits, &verdict->encoded_bytes, &verdict->refusal);
        if (head->is_chunked && verdict->parse == HTTP_PARSE_DONE) {
            assert(verdict->encoded_bytes <= rest.len);
            assert(http_chunks_join(copy + head->head_bytes, verdict->encoded_bytes) == chunk_scan->body_bytes);
        }
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_head_scan head_scan = {0}, head_scan_at_once = {0};
    struct http_chunk_scan chunk_scan = {0}, chunk_scan_at_once = {0};
    struct verdict verdict = {.parse = HTTP_PARSE_MORE}, at_once = {.parse = HTTP_PARSE_MORE};
    size_t step;

    if (size < 2)
        return 0;
    step = 1 + data[0];
    data++;
    size--;
    for (size_t there = 0; verdict.parse == HTTP_PARSE_MORE && there < size;) {
        there = size - there < step ? size : there + step;
        parse(span_of(data, there), &head_scan, &chunk_scan, &verdict);
    }
    parse(span_of(data, size), &head_scan_at_once, &chunk_scan_at_once, &at_once);
    /* A limit may be noticed sooner or later than a grammatical mistake; a request is one either way. */
    if (verdict.parse == HTTP_PARSE_DONE || at_once.parse == HTTP_PARSE_DONE) {
        assert(verdict.parse == at_once.parse);
        assert(verdict.head.head_bytes == at_once.head.head_bytes && verdict.encoded_bytes == at_once.encoded_bytes);
    }
    return 0;
}
