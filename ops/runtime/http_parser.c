/* The end of the head is searched line by line with memchr; only a head that is whole is parsed, in one pass over its
 * lines, with a table of byte classes. What a scan can see early (a bare LF, a head or URL that has grown too long, a
 * first byte that begins no method) is refused before the rest has come. A refusal never quotes the client's bytes. */
#include "ops/runtime/http_parser.h"

#include <strings.h>

#include "ops/runtime/http_bytes.h"
#include "schema/base/compiler.h"

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
static bool note_field(const struct http_field *field, struct http_head *head, struct framing_fields *framing,
                       struct http_refusal *refusal);
static bool settle_framing(const struct framing_fields *framing, const struct http_limits *limits,
                           struct http_head *head, struct http_refusal *refusal);

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
            return http_refused(ret_refusal, 431, "too many header fields");
        struct http_field *field = &fields[head.field_count];
        if (!http_parse_field(line, field, ret_refusal) || !note_field(field, &head, &framing, ret_refusal))
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

        if (scan->lines == 0 && at[scan->begin] != '\r' && !(http_bytes[at[scan->begin]] & HTTP_TOKEN))
            return http_refused(refusal, 400, "a request begins with a method");
        if (scan->lines == 0 && line_end - scan->begin > limits->url_bytes + 64)
            return http_refused(refusal, 414, "the URL is too long");
        if (line_end > limits->header_bytes)
            return http_refused(refusal, 431, "the request's header is too long");
        if (lf == NULL) {
            scan->looked = (uint32_t)bytes.len;
            return HTTP_PARSE_MORE;
        }
        if (line_end == scan->line || at[line_end - 1] != '\r')
            return http_refused(refusal, 400, "a line ends in CR LF");
        bool is_empty = line_end == scan->line + 1;
        scan->looked = scan->line = (uint32_t)line_end + 1;
        if (!is_empty) {
            scan->lines++;
        } else if (scan->lines > 0) {
            scan->is_whole = true;
        } else if (scan->begin > 0) {
            return http_refused(refusal, 400, "empty lines before the request");
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
    if (version.len == 8 && memcmp(at, "HTTP/", 5) == 0 && (http_bytes[at[5]] & HTTP_DIGIT) && at[6] == '.' &&
        (http_bytes[at[7]] & HTTP_DIGIT))
        return http_refuse(refusal, 505, "HTTP/1.1 and HTTP/1.0 are spoken here");
    return http_refuse(refusal, 400, "a request line is METHOD SP URL SP HTTP/1.1");
}

/* Takes scheme and host off a target in absolute-form: there is one site here. False when the host isn't one. */
static bool strip_authority(struct span *target, bool *ret_is_absolute)
{
    static const char *const schemes[] = {"http://", "https://"};

    *ret_is_absolute = false;
    if (target->len > 0 && *span_bytes(*target) == '/')
        return true;
    for (size_t i = 0; i < ARRAY_COUNT(schemes); i++) {
        size_t len = strlen(schemes[i]);
        if (target->len <= len || strncasecmp(target->at, schemes[i], len) != 0)
            continue;
        size_t end = len;
        while (end < target->len && span_bytes(*target)[end] != '/' && span_bytes(*target)[end] != '?')
            end++;
        bool is_host = end > len && http_all_of(part(*target, len, end), HTTP_HOST);
        *target = part(*target, end, target->len);
        *ret_is_absolute = true;
        return is_host;
    }
    return true;
}

static bool parse_target(struct span target, struct http_head *head, struct http_refusal *refusal)
{
    bool is_absolute;

    if (!strip_authority(&target, &is_absolute))
        return http_refuse(refusal, 400, "the URL's host isn't one");
    if (!http_all_of(target, HTTP_TARGET))
        return http_refuse(refusal, 400, "the URL holds a byte that must be percent-encoded");
    const uint8_t *mark = target.len > 0 ? memchr(target.at, '?', target.len) : NULL;
    size_t path_len = mark != NULL ? (size_t)(mark - span_bytes(target)) : target.len;
    head->path = part(target, 0, path_len);
    head->query = mark != NULL ? part(target, path_len + 1, target.len) : part(target, target.len, target.len);
    if (path_len == 0 && is_absolute)
        head->path = SPAN_LITERAL("/");
    if (head->path.len == 0 || *span_bytes(head->path) != '/')
        return http_refuse(refusal, 400, "the URL begins with a slash");
    return true;
}

static bool parse_request_line(struct span line, const struct http_limits *limits, struct http_head *head,
                               struct http_refusal *refusal)
{
    const uint8_t *at = line.at;
    const uint8_t *first = memchr(at, ' ', line.len);
    const uint8_t *last = memrchr(at, ' ', line.len);

    if (first == NULL || first == last || first == at)
        return http_refuse(refusal, 400, "a request line is METHOD SP URL SP HTTP/1.1");
    size_t method_len = (size_t)(first - at);
    size_t target_end = (size_t)(last - at);
    struct span target = part(line, method_len + 1, target_end);

    head->method_text = part(line, 0, method_len);
    if (!http_all_of(head->method_text, HTTP_TOKEN))
        return http_refuse(refusal, 400, "the method isn't a token");
    if (target.len == 0)
        return http_refuse(refusal, 400, "a request line is METHOD SP URL SP HTTP/1.1");
    if (target.len > limits->url_bytes)
        return http_refuse(refusal, 414, "the URL is too long");
    if (!parse_version(part(line, target_end + 1, line.len), head, refusal))
        return false;
    if (span_equal_text(head->method_text, "CONNECT") || span_equal_text(target, "*"))
        return http_refuse(refusal, 501, "this is no proxy: CONNECT and OPTIONS * aren't served");
    head->method = method_of(head->method_text);
    return parse_target(target, head, refusal);
}

/* --- fields --------------------------------------------------------------------------------------------------------- */

bool http_parse_field(struct span line, struct http_field *field, struct http_refusal *refusal)
{
    const uint8_t *at = line.at;
    const uint8_t *colon = memchr(at, ':', line.len);
    size_t name_len = colon != NULL ? (size_t)(colon - at) : 0;

    if (at[0] == ' ' || at[0] == '\t')
        return http_refuse(refusal, 400, "folded header lines aren't accepted");
    if (name_len == 0 || !http_all_of(part(line, 0, name_len), HTTP_TOKEN))
        return http_refuse(refusal, 400, "a header field is `Name: value`");
    size_t begin = name_len + 1, end = line.len;
    while (begin < end && (at[begin] == ' ' || at[begin] == '\t'))
        begin++;
    while (end > begin && (at[end - 1] == ' ' || at[end - 1] == '\t'))
        end--;
    field->name = part(line, 0, name_len);
    field->value = part(line, begin, end);
    if (!http_all_of(field->value, HTTP_VALUE))
        return http_refuse(refusal, 400, "a header field's value holds a control character");
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
            if (!http_all_of(field->value, HTTP_HOST))
                return http_refuse(refusal, 400, "the Host isn't one");
        }
        break;
    case 6:
        if (http_name_equal(field->name, "Expect")) {
            if (!http_name_equal(field->value, "100-continue"))
                return http_refuse(refusal, 417, "only 100-continue can be expected");
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
        return http_refuse(refusal, 400, "a request has exactly one Host");
    if (framing->encodings > 0 && framing->lengths > 0)
        return http_refuse(refusal, 400, "Content-Length and Transfer-Encoding exclude each other");
    if (framing->encodings > 1 || (framing->encodings == 1 && head->is_http_1_0))
        return http_refuse(refusal, 400, "Transfer-Encoding stands once, in HTTP/1.1");
    if (framing->encodings == 1) {
        if (!http_name_equal(framing->encoding, "chunked"))
            return http_refuse(refusal, 501, "the only transfer coding is chunked");
        head->is_chunked = true;
        return true;
    }
    if (framing->lengths > 1)
        return http_refuse(refusal, 400, "Content-Length stands once");
    if (framing->lengths == 1 && (framing->length.len == 0 || !http_all_of(framing->length, HTTP_DIGIT)))
        return http_refuse(refusal, 400, "Content-Length is digits");
    for (size_t i = 0; i < framing->length.len; i++) {
        head->content_length = head->content_length * 10 + (size_t)(span_bytes(framing->length)[i] - '0');
        if (head->content_length > limits->body_bytes)
            return http_refuse(refusal, 413, "the body is too large");
    }
    return true;
}
