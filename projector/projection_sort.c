/* A natural merge sort: stretches that are in order already are found and merged pairwise until one is left. A list
 * that an event changed in one place is two or three stretches, and one that it didn't change is found sorted by
 * comparing neighbours. qsort() is out: it isn't stable, and its order of equals would be the C library's. */
#include "projector/projection_sort.h"

#include "projector/projection_source.h"
#include "schema/message/sealed.h"

/* value_compare() of a field, with a short way for what lists are mostly ordered by. */
static int compare_field(const struct field_type *field, const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    union message_item rooms[2];

    if (field->presence == PRESENCE_IMPLICIT && field->kind == KIND_STRING) {
        const ProtobufCBinaryData *left_text = message_peek_item(a, field, &rooms[0]);
        const ProtobufCBinaryData *right_text = message_peek_item(b, field, &rooms[1]);
        return span_compare(span_of(left_text->data, left_text->len), span_of(right_text->data, right_text->len));
    }
    if (field->presence == PRESENCE_IMPLICIT && field->kind == KIND_DOUBLE) {
        double left_number = *(const double *)message_peek_item(a, field, &rooms[0]);
        double right_number = *(const double *)message_peek_item(b, field, &rooms[1]);
        if (left_number < right_number || left_number > right_number) /* neither is NaN */
            return left_number < right_number ? -1 : 1;
    }
    return value_compare(message_peek(a, field), message_peek(b, field));
}

static int compare_elements(const struct list_rule *rule, const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    int order = compare_field(rule->order_by, a, b);
    if (order != 0)
        return rule->is_descending ? -order : order; /* turned round as a whole: unset comes last then */
    for (size_t i = 0; i < rule->bracket_count; i++) {
        order = compare_field(rule->brackets[i], a, b);
        if (order != 0)
            return order;
    }
    return 0;
}

/* The end of the sorted stretch that begins at start. */
static size_t stretch_end(const struct list_rule *rule, ProtobufCMessage *const *items, size_t start, size_t count)
{
    size_t end = start + 1;

    while (end < count && compare_elements(rule, items[end - 1], items[end]) <= 0)
        end++;
    return end < count ? end : count;
}

static void merge(const struct list_rule *rule, ProtobufCMessage *const *from, size_t start, size_t middle, size_t end,
                  ProtobufCMessage **to)
{
    size_t left = start;
    size_t right = middle;

    for (size_t i = start; i < end; i++) {
        bool take_right = left == middle || (right < end && compare_elements(rule, from[right], from[left]) < 0);
        to[i] = take_right ? from[right++] : from[left++];
    }
}

void list_sort(const struct list_rule *rule, ProtobufCMessage **items, size_t count, struct arena *arena)
{
    if (count < 2 || stretch_end(rule, items, 0, count) == count)
        return;

    ProtobufCMessage **from = items;
    ProtobufCMessage **to = arena_alloc(arena, count * sizeof(ProtobufCMessage *));
    for (bool is_sorted = false; !is_sorted;) {
        for (size_t start = 0; start < count;) {
            size_t middle = stretch_end(rule, from, start, count);
            size_t end = middle < count ? stretch_end(rule, from, middle, count) : count;
            is_sorted = start == 0 && end == count;
            merge(rule, from, start, middle, end, to);
            start = end;
        }
        ProtobufCMessage **merged = to;
        to = from;
        from = merged;
    }
    if (from != items)
        memcpy(items, from, count * sizeof(ProtobufCMessage *));
}
