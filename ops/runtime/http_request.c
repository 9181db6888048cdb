#include "ops/runtime/http_request.h"

#include <strings.h>

struct span http_request_header(const struct http_request *request, const char *name)
{
    const struct http_field *first = NULL;
    size_t total = 0, count = 0;

    for (size_t i = 0; i < request->field_count; i++) {
        if (!http_name_equal(request->fields[i].name, name))
            continue;
        if (first == NULL)
            first = &request->fields[i];
        total += request->fields[i].value.len + 2;
        count++;
    }
    if (count == 0)
        return (struct span){NULL, 0};
    if (count == 1)
        return first->value;

    char *joined = arena_alloc(request->arena, total);
    size_t len = 0;
    for (size_t i = 0; i < request->field_count; i++) {
        struct span value = request->fields[i].value;
        if (!http_name_equal(request->fields[i].name, name))
            continue;
        if (len > 0) {
            memcpy(joined + len, ", ", 2);
            len += 2;
        }
        if (value.len > 0)
            memcpy(joined + len, value.at, value.len);
        len += value.len;
    }
    return span_of(joined, len);
}

bool http_request_has_header(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->field_count; i++)
        if (http_name_equal(request->fields[i].name, name))
            return true;
    return false;
}

bool http_name_equal(struct span name, const char *text)
{
    return strlen(text) == name.len && strncasecmp(name.at, text, name.len) == 0;
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

bool http_list_next(struct span *list, struct span *ret_item)
{
    const char *at = list->at;
    size_t begin = 0;

    while (begin < list->len && (is_blank(at[begin]) || at[begin] == ','))
        begin++;
    if (begin == list->len)
        return false;

    size_t end = begin;
    for (bool is_quoted = false; end < list->len && (is_quoted || at[end] != ','); end++) {
        if (at[end] == '"')
            is_quoted = !is_quoted;
        else if (is_quoted && at[end] == '\\' && end + 1 < list->len)
            end++;
    }
    size_t next = end;
    while (end > begin && is_blank(at[end - 1]))
        end--;
    *ret_item = span_of(at + begin, end - begin);
    *list = span_of(at + next, list->len - next);
    return true;
}
