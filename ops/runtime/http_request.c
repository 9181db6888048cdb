#include "ops/runtime/http_request.h"

/* The next field of that name from *index on, which moves behind it; NULL at the end. */
static const struct http_field *next_field(const struct http_request *request, const char *name, size_t name_len,
                                           size_t *index)
{
    while (*index < request->field_count) {
        const struct http_field *field = &request->fields[(*index)++];
        if (field->name.len == name_len && strncasecmp(field->name.at, name, name_len) == 0)
            return field;
    }
    return NULL;
}

struct span http_request_find(const struct http_request *request, const char *name, size_t name_len)
{
    size_t index = 0;
    const struct http_field *first = next_field(request, name, name_len, &index);

    if (first == NULL)
        return (struct span){NULL, 0};
    size_t second_index = index, total = first->value.len;
    for (const struct http_field *more; (more = next_field(request, name, name_len, &index)) != NULL;)
        total += more->value.len + 2;
    if (total == first->value.len)
        return first->value;

    char *joined = arena_alloc(request->arena, total);
    size_t len = first->value.len;
    memcpy(joined, first->value.at, len);
    index = second_index;
    for (const struct http_field *more; (more = next_field(request, name, name_len, &index)) != NULL;) {
        memcpy(joined + len, ", ", 2);
        memcpy(joined + len + 2, more->value.at, more->value.len);
        len += more->value.len + 2;
    }
    return span_of(joined, len);
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
