/* Lines and data by turns; what isn't data is counted, so that a body of one-byte chunks, or a trailer without end, costs
 * its sender more than us. */
#include "ops/runtime/http_chunks.h"

#include "ops/runtime/http_bytes.h"

static int hex_value(uint8_t digit)
{
    return digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10;
}

/* `SIZE[;extension]` in hex; an extension is allowed by the RFC, known to nobody, and dropped. */
static bool parse_chunk_size(struct span line, const struct http_limits *limits, uint32_t *ret_size,
                             struct http_refusal *refusal)
{
    const uint8_t *at = line.at;
    size_t digits = 0, size = 0;

    for (; digits < line.len && (http_bytes[at[digits]] & HTTP_HEX); digits++) {
        size = size << 4 | (size_t)hex_value(at[digits]);
        if (size > limits->body_bytes)
            return http_refuse(refusal, 413, "the body is too large");
        if (digits == 8)
            return http_refuse(refusal, 400, "a chunk's size has at most 8 digits");
    }
    if (digits == 0 || (digits < line.len && at[digits] != ';') ||
        !http_all_of(span_of(at + digits, line.len - digits), HTTP_VALUE))
        return http_refuse(refusal, 400, "a chunk begins with its size in hex");
    *ret_size = (uint32_t)size;
    return true;
}

/* One line of the encoding: a chunk's size, or a line of the trailer. Sets *ret_is_end at the empty line. */
static bool take_chunk_line(struct http_chunk_scan *scan, struct span line, const struct http_limits *limits,
                            bool *ret_is_end, struct http_refusal *refusal)
{
    struct http_field dropped;

    if (scan->in_trailer) {
        *ret_is_end = line.len == 0;
        return line.len == 0 || http_parse_field(line, &dropped, refusal);
    }
    uint32_t size;
    if (!parse_chunk_size(line, limits, &size, refusal))
        return false;
    if (scan->body_bytes + size > limits->body_bytes)
        return http_refuse(refusal, 413, "the body is too large");
    scan->body_bytes += size;
    scan->in_trailer = size == 0;
    scan->remaining = size > 0 ? size + 2 : 0; /* with the CR LF behind the data */
    return true;
}

enum http_parse http_parse_chunks(struct http_chunk_scan *scan, struct span bytes, const struct http_limits *limits,
                                  size_t *ret_encoded_bytes, struct http_refusal *ret_refusal)
{
    enum { OVERHEAD_MAX = 4096, LINE_MAX_BYTES = 512 };
    const uint8_t *at = bytes.at;

    while (!scan->is_whole) {
        size_t there = bytes.len - scan->looked;
        if (scan->remaining > 0) {
            size_t taken = there < scan->remaining ? there : scan->remaining;
            scan->looked += (uint32_t)taken;
            scan->remaining -= (uint32_t)taken;
            if (scan->remaining > 0)
                return HTTP_PARSE_MORE;
            if (at[scan->looked - 2] != '\r' || at[scan->looked - 1] != '\n')
                return http_refused(ret_refusal, 400, "a chunk ends in CR LF");
            continue;
        }
        const uint8_t *lf = there > 0 ? memchr(at + scan->looked, '\n', there) : NULL;
        size_t len = lf != NULL ? (size_t)(lf - at) - scan->looked : there;
        if (len > LINE_MAX_BYTES || scan->overhead + len > OVERHEAD_MAX)
            return http_refused(ret_refusal, 413, "the body's chunks are too small or its trailer too long");
        if (lf == NULL)
            return HTTP_PARSE_MORE; /* at most LINE_MAX_BYTES are looked at again */
        if (len == 0 || at[scan->looked + len - 1] != '\r')
            return http_refused(ret_refusal, 400, "a line ends in CR LF");
        if (!take_chunk_line(scan, span_of(at + scan->looked, len - 1), limits, &scan->is_whole, ret_refusal))
            return HTTP_PARSE_REFUSED;
        scan->looked += (uint32_t)len + 1;
        scan->overhead += (uint32_t)len + 1;
    }
    *ret_encoded_bytes = scan->looked;
    return HTTP_PARSE_DONE;
}

size_t http_chunks_join(uint8_t *encoded, size_t encoded_bytes)
{
    size_t from = 0, to = 0;

    while (from < encoded_bytes) {
        size_t size = 0;
        for (; http_bytes[encoded[from]] & HTTP_HEX; from++)
            size = size << 4 | (size_t)hex_value(encoded[from]);
        if (size == 0)
            break;
        const uint8_t *lf = memchr(encoded + from, '\n', encoded_bytes - from);
        from = (size_t)(lf - encoded) + 1;
        memmove(encoded + to, encoded + from, size);
        to += size;
        from += size + 2;
    }
    return to;
}
