/* The end of the head is searched line by line with memchr; only a head that is whole is parsed, in one pass over its
 * lines, with a table of byte classes. What a scan can see early (a bare LF, a head or URL that has grown too long, a
 * first byte that begins no method) is refused before the rest has come. A refusal never quotes the client's bytes. */
#include "ops/runtime/http_parser.h"

#include <strings.h>

#include "schema/base/compiler.h"

enum {
    TOKEN = 1,  /* tchar of RFC 9110: methods and field names */
    TARGET = 2, /* pchar, '/' and '?' of RFC 3986 */
    VALUE = 4,  /* field-vchar, obs-text, blank, tab */
    HOST = 8,   /* uri-host and port */
    DIGIT = 16,
    HEX = 32,
};

#define FOUR(at, class)    [at] = (class), [(at) + 1] = (class), [(at) + 2] = (class), [(at) + 3] = (class)
#define SIXTEEN(at, class) FOUR(at, class), FOUR((at) + 4, class), FOUR((at) + 8, class), FOUR((at) + 12, class)
#define ANYWHERE           (TOKEN | TARGET | VALUE | HOST)

static const uint8_t classes[256] = {
    ['\t'] = VALUE,
    [' '] = VALUE,
    ['!'] = ANYWHERE,
    ['"'] = VALUE,
    ['#'] = TOKEN | VALUE,
    ['$'] = ANYWHERE,
    ['%'] = ANYWHERE,
    ['&'] = ANYWHERE,
    ['\''] = ANYWHERE,
    ['('] = TARGET | VALUE | HOST,
    [')'] = TARGET | VALUE | HOST,
    ['*'] = ANYWHERE,
    ['+'] = ANYWHERE,
    [','] = TARGET | VALUE | HOST,
    ['-'] = ANYWHERE,
    ['.'] = ANYWHERE,
    ['/'] = TARGET | VALUE,
    FOUR('0', ANYWHERE | DIGIT | HEX),
    FOUR('4', ANYWHERE | DIGIT | HEX),
    ['8'] = ANYWHERE | DIGIT | HEX,
    ['9'] = ANYWHERE | DIGIT | HEX,
    [':'] = TARGET | VALUE | HOST,
    [';'] = TARGET | VALUE | HOST,
    ['<'] = VALUE,
    ['='] = TARGET | VALUE | HOST,
    ['>'] = VALUE,
    ['?'] = TARGET | VALUE,
    ['@'] = TARGET | VALUE,
    FOUR('A', ANYWHERE | HEX),
    ['E'] = ANYWHERE | HEX,
    ['F'] = ANYWHERE | HEX,
    SIXTEEN('G', ANYWHERE),
    FOUR('W', ANYWHERE),
    ['['] = VALUE | HOST,
    ['\\'] = VALUE,
    [']'] = VALUE | HOST,
    ['^'] = TOKEN | VALUE,
    ['_'] = ANYWHERE,
    ['`'] = TOKEN | VALUE,
    FOUR('a', ANYWHERE | HEX),
    ['e'] = ANYWHERE | HEX,
    ['f'] = ANYWHERE | HEX,
    SIXTEEN('g', ANYWHERE),
    FOUR('w', ANYWHERE),
    ['{'] = VALUE,
    ['|'] = TOKEN | VALUE,
    ['}'] = VALUE,
    ['~'] = ANYWHERE,
    SIXTEEN(0x80, VALUE),
    SIXTEEN(0x90, VALUE),
    SIXTEEN(0xa0, VALUE),
    SIXTEEN(0xb0, VALUE),
    SIXTEEN(0xc0, VALUE),
    SIXTEEN(0xd0, VALUE),
    SIXTEEN(0xe0, VALUE),
    SIXTEEN(0xf0, VALUE),
};

/* What the fields say about the message itself. */
struct framing_fields {
    unsigned hosts, lengths, encodings;
    struct span length;
    struct span encoding;
};

static enum http_parse find_end(struct http_head_scan *scan, struct span bytes, const struct http_limits *limits,
                                struct http_refusal *refusal);
static bool parse_request_line(struct span line, const struct http_limits *limits, struct http_head *head,
                               struct http_refusal *refusal);
static bool parse_field(struct span line, struct http_field *field, struct http_refusal *refusal);
static bool note_field(const struct http_field *field, struct http_head *head, struct framing_fields *framing,
                       struct http_refusal *refusal);
static bool settle_framing(const struct framing_fields *framing, const struct http_limits *limits,
                           struct http_head *head, struct http_refusal *refusal);

static bool refuse(struct http_refusal *refusal, int status, const char *detail)
{
    *refusal = (struct http_refusal){status, detail};
    return false;
}

static enum http_parse refused(struct http_refusal *refusal, int status, const char *detail)
{
    refuse(refusal, status, detail);
    return HTTP_PARSE_REFUSED;
}

static bool all_of(struct span span, uint8_t class)
{
    const uint8_t *at = span.at;
    uint8_t common = class;

    for (size_t i = 0; i < span.len; i++)
        common &= classes[at[i]];
    return common != 0;
}

static struct span part(struct span span, size_t from, size_t to)
{
    return span_of(span_bytes(span) + from, to - from);
}

/* The next line of a head known to be whole and to have only CRLF as line ends; without its CRLF. */
static struct span next_line(struct span bytes, size_t *at)
{
    const uint8_t *begin = span_bytes(bytes) + *at;
    const uint8_t *lf = memchr(begin, '\n', bytes.len - *at);
    size_t len = (size_t)(lf - begin);

    *at += len + 1;
    return span_of(begin, len - 1);
}

enum http_parse http_parse_head(struct http_head_scan *scan, struct span bytes, const struct http_limits *limits,
                                struct http_field *fields, struct http_head *ret_head, struct http_refusal *ret_refusal)
{
    struct http_head head = {0};
    struct framing_fields framing = {0};
    enum http_parse found = find_end(scan, bytes, limits, ret_refusal);

    if (found != HTTP_PARSE_DONE)
        return found;
    head.head_bytes = scan->looked;

    size_t at = scan->begin;
    if (!parse_request_line(next_line(bytes, &at), limits, &head, ret_refusal))
        return HTTP_PARSE_REFUSED;
    for (struct span line = next_line(bytes, &at); line.len > 0; line = next_line(bytes, &at)) {
        if (head.field_count == limits->header_fields)
            return refused(ret_refusal, 431, "too many header fields");
        struct http_field *field = &fields[head.field_count];
        if (!parse_field(line, field, ret_refusal) || !note_field(field, &head, &framing, ret_refusal))
            return HTTP_PARSE_REFUSED;
        head.field_count++;
    }
    if (!settle_framing(&framing, limits, &head, ret_refusal))
        return HTTP_PARSE_REFUSED;
    *ret_head = head;
    return HTTP_PARSE_DONE;
}

/* Goes on from where it stopped. One empty line before the request is skipped, as RFC 9112 2.2 asks for. */
static enum http_parse find_end(struct http_head_scan *scan, struct span bytes, const struct http_limits *limits,
                                struct http_refusal *refusal)
{
    const uint8_t *at = bytes.at;

    while (scan->looked < bytes.len && !scan->is_whole) {
        const uint8_t *lf = memchr(at + scan->looked, '\n', bytes.len - scan->looked);
        size_t line_end = lf != NULL ? (size_t)(lf - at) : bytes.len;

        if (scan->lines == 0 && at[scan->begin] != '\r' && !(classes[at[scan->begin]] & TOKEN))
            return refused(refusal, 400, "a request begins with a method");
        if (scan->lines == 0 && line_end - scan->begin > limits->url_bytes + 64)
            return refused(refusal, 414, "the URL is too long");
        if (line_end > limits->header_bytes)
            return refused(refusal, 431, "the request's header is too long");
        if (lf == NULL) {
            scan->looked = (uint32_t)bytes.len;
            return HTTP_PARSE_MORE;
        }
        if (line_end == scan->line || at[line_end - 1] != '\r')
            return refused(refusal, 400, "a line ends in CR LF");
        bool is_empty = line_end == scan->line + 1;
        scan->looked = scan->line = (uint32_t)line_end + 1;
        if (!is_empty) {
            scan->lines++;
        } else if (scan->lines > 0) {
            scan->is_whole = true;
        } else if (scan->begin > 0) {
            return refused(refusal, 400, "empty lines before the request");
        } else {
            scan->begin = scan->line;
        }
    }
    return scan->is_whole ? HTTP_PARSE_DONE : HTTP_PARSE_MORE;
}

/* --- the request line --------------------------------------------------------------------------------------------- */

static enum http_method method_of(struct span text)
{
    if (span_equal_text(text, "GET"))
        return HTTP_GET;
    if (span_equal_text(text, "HEAD"))
        return HTTP_HEAD;
    if (span_equal_text(text, "POST"))
        return HTTP_POST;
    return HTTP_OTHER;
}

static bool parse_version(struct span version, struct http_head *head, struct http_refusal *refusal)
{
    const uint8_t *at = version.at;

    if (span_equal_text(version, "HTTP/1.1")) {
        head->keep_alive = true;
        return true;
    }
    if (span_equal_text(version, "HTTP/1.0")) {
        head->is_http_1_0 = true;
        return true;
    }
    if (version.len == 8 && memcmp(at, "HTTP/", 5) == 0 && (classes[at[5]] & DIGIT) && at[6] == '.' &&
        (classes[at[7]] & DIGIT))
        return refuse(refusal, 505, "HTTP/1.1 and HTTP/1.0 are spoken here");
    return refuse(refusal, 400, "a request line is METHOD SP URL SP HTTP/1.1");
}

/* Takes scheme and host off a target in absolute-form: there is one site here. False when the host isn't one. */
static bool strip_authority(struct span *target, bool *ret_is_absolute)
{
    static const char *const schemes[] = {"http://", "https://"};

    for (size_t i = 0; i < ARRAY_COUNT(schemes); i++) {
        size_t len = strlen(schemes[i]);
        if (target->len <= len || strncasecmp(target->at, schemes[i], len) != 0)
            continue;
        size_t end = len;
        while (end < target->len && span_bytes(*target)[end] != '/' && span_bytes(*target)[end] != '?')
            end++;
        bool is_host = end > len && all_of(part(*target, len, end), HOST);
        *target = part(*target, end, target->len);
        *ret_is_absolute = true;
        return is_host;
    }
    *ret_is_absolute = false;
    return true;
}

static bool parse_target(struct span target, struct http_head *head, struct http_refusal *refusal)
{
    bool is_absolute;

    if (!strip_authority(&target, &is_absolute))
        return refuse(refusal, 400, "the URL's host isn't one");
    if (!all_of(target, TARGET))
        return refuse(refusal, 400, "the URL holds a byte that must be percent-encoded");
    const uint8_t *mark = target.len > 0 ? memchr(target.at, '?', target.len) : NULL;
    size_t path_len = mark != NULL ? (size_t)(mark - span_bytes(target)) : target.len;
    head->path = part(target, 0, path_len);
    head->query = mark != NULL ? part(target, path_len + 1, target.len) : part(target, target.len, target.len);
    if (path_len == 0 && is_absolute)
        head->path = SPAN_LITERAL("/");
    if (head->path.len == 0 || *span_bytes(head->path) != '/')
        return refuse(refusal, 400, "the URL begins with a slash");
    return true;
}

static bool parse_request_line(struct span line, const struct http_limits *limits, struct http_head *head,
                               struct http_refusal *refusal)
{
    const uint8_t *at = line.at;
    const uint8_t *first = memchr(at, ' ', line.len);
    const uint8_t *last = memrchr(at, ' ', line.len);

    if (first == NULL || first == last || first == at)
        return refuse(refusal, 400, "a request line is METHOD SP URL SP HTTP/1.1");
    size_t method_len = (size_t)(first - at);
    size_t target_end = (size_t)(last - at);
    struct span target = part(line, method_len + 1, target_end);

    head->method_text = part(line, 0, method_len);
    if (!all_of(head->method_text, TOKEN))
        return refuse(refusal, 400, "the method isn't a token");
    if (target.len == 0)
        return refuse(refusal, 400, "a request line is METHOD SP URL SP HTTP/1.1");
    if (target.len > limits->url_bytes)
        return refuse(refusal, 414, "the URL is too long");
    if (!parse_version(part(line, target_end + 1, line.len), head, refusal))
        return false;
    if (span_equal_text(head->method_text, "CONNECT") || span_equal_text(target, "*"))
        return refuse(refusal, 501, "this is no proxy: CONNECT and OPTIONS * aren't served");
    head->method = method_of(head->method_text);
    return parse_target(target, head, refusal);
}

/* --- fields --------------------------------------------------------------------------------------------------------- */

static bool parse_field(struct span line, struct http_field *field, struct http_refusal *refusal)
{
    const uint8_t *at = line.at;
    const uint8_t *colon = memchr(at, ':', line.len);
    size_t name_len = colon != NULL ? (size_t)(colon - at) : 0;

    if (at[0] == ' ' || at[0] == '\t')
        return refuse(refusal, 400, "folded header lines aren't accepted");
    if (name_len == 0 || !all_of(part(line, 0, name_len), TOKEN))
        return refuse(refusal, 400, "a header field is `Name: value`");
    size_t begin = name_len + 1, end = line.len;
    while (begin < end && (at[begin] == ' ' || at[begin] == '\t'))
        begin++;
    while (end > begin && (at[end - 1] == ' ' || at[end - 1] == '\t'))
        end--;
    field->name = part(line, 0, name_len);
    field->value = part(line, begin, end);
    if (!all_of(field->value, VALUE))
        return refuse(refusal, 400, "a header field's value holds a control character");
    return true;
}

static void note_connection(struct span value, struct http_head *head)
{
    struct span item;

    while (http_list_next(&value, &item)) {
        if (http_name_equal(item, "close")) {
            head->keep_alive = false;
            return; /* wins over keep-alive */
        }
        if (http_name_equal(item, "keep-alive") && head->is_http_1_0)
            head->keep_alive = true;
    }
}

static bool note_field(const struct http_field *field, struct http_head *head, struct framing_fields *framing,
                       struct http_refusal *refusal)
{
    switch (field->name.len) {
    case 4:
        if (http_name_equal(field->name, "Host")) {
            framing->hosts++;
            if (!all_of(field->value, HOST))
                return refuse(refusal, 400, "the Host isn't one");
        }
        break;
    case 6:
        if (http_name_equal(field->name, "Expect")) {
            if (!http_name_equal(field->value, "100-continue"))
                return refuse(refusal, 417, "only 100-continue can be expected");
            head->expects_continue = !head->is_http_1_0;
        }
        break;
    case 10:
        if (http_name_equal(field->name, "Connection"))
            note_connection(field->value, head);
        break;
    case 14:
        if (http_name_equal(field->name, "Content-Length")) {
            framing->lengths++;
            framing->length = field->value;
        }
        break;
    case 17:
        if (http_name_equal(field->name, "Transfer-Encoding")) {
            framing->encodings++;
            framing->encoding = field->value;
        }
        break;
    default:
        break;
    }
    return true;
}

static bool settle_framing(const struct framing_fields *framing, const struct http_limits *limits,
                           struct http_head *head, struct http_refusal *refusal)
{
    if (framing->hosts > 1 || (framing->hosts == 0 && !head->is_http_1_0))
        return refuse(refusal, 400, "a request has exactly one Host");
    if (framing->encodings > 0 && framing->lengths > 0)
        return refuse(refusal, 400, "Content-Length and Transfer-Encoding exclude each other");
    if (framing->encodings > 1 || (framing->encodings == 1 && head->is_http_1_0))
        return refuse(refusal, 400, "Transfer-Encoding stands once, in HTTP/1.1");
    if (framing->encodings == 1) {
        if (!http_name_equal(framing->encoding, "chunked"))
            return refuse(refusal, 501, "the only transfer coding is chunked");
        head->is_chunked = true;
        return true;
    }
    if (framing->lengths > 1)
        return refuse(refusal, 400, "Content-Length stands once");
    if (framing->lengths == 1 && (framing->length.len == 0 || !all_of(framing->length, DIGIT)))
        return refuse(refusal, 400, "Content-Length is digits");
    for (size_t i = 0; i < framing->length.len; i++) {
        head->content_length = head->content_length * 10 + (size_t)(span_bytes(framing->length)[i] - '0');
        if (head->content_length > limits->body_bytes)
            return refuse(refusal, 413, "the body is too large");
    }
    return true;
}

/* --- chunked bodies ------------------------------------------------------------------------------------------------- */

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

    for (; digits < line.len && (classes[at[digits]] & HEX); digits++) {
        size = size << 4 | (size_t)hex_value(at[digits]);
        if (size > limits->body_bytes)
            return refuse(refusal, 413, "the body is too large");
        if (digits == 8)
            return refuse(refusal, 400, "a chunk's size has at most 8 digits");
    }
    if (digits == 0 || (digits < line.len && at[digits] != ';') || !all_of(part(line, digits, line.len), VALUE))
        return refuse(refusal, 400, "a chunk begins with its size in hex");
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
        return line.len == 0 || parse_field(line, &dropped, refusal);
    }
    uint32_t size;
    if (!parse_chunk_size(line, limits, &size, refusal))
        return false;
    if (scan->body_bytes + size > limits->body_bytes)
        return refuse(refusal, 413, "the body is too large");
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
                return refused(ret_refusal, 400, "a chunk ends in CR LF");
            continue;
        }
        const uint8_t *lf = there > 0 ? memchr(at + scan->looked, '\n', there) : NULL;
        size_t len = lf != NULL ? (size_t)(lf - at) - scan->looked : there;
        if (len > LINE_MAX_BYTES || scan->overhead + len > OVERHEAD_MAX)
            return refused(ret_refusal, 413, "the body's chunks are too small or its trailer too long");
        if (lf == NULL)
            return HTTP_PARSE_MORE; /* at most LINE_MAX_BYTES are looked at again */
        if (len == 0 || at[scan->looked + len - 1] != '\r')
            return refused(ret_refusal, 400, "a line ends in CR LF");
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
        for (; classes[encoded[from]] & HEX; from++)
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
