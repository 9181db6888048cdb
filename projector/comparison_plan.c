/* Pairs of message types are gathered from a list and not by recursion, as types may hold themselves. Messages are compared
 * by recursion: what a store holds is nested MESSAGE_OWN_DEPTH_MAX deep at most, or it wouldn't have been decoded. */
#include "projector/comparison_plan.h"

#include <stdlib.h>

#include "schema/base/mem.h"

enum { PATH_DEPTH_MAX = 12 }; /* deeper differences are counted where the path is cut */

static void note(struct comparison_plan *plan, char *text)
{
    plan->notes = mem_grow(plan->notes, plan->note_count, &plan->note_capacity, sizeof(*plan->notes));
    plan->notes[plan->note_count++] = text;
}

static bool has_same_type(const struct field_type *a, const struct field_type *b)
{
    if (a->kind != b->kind || a->presence != b->presence || a->is_map != b->is_map)
        return false;
    if (a->kind == KIND_ENUM)
        return strcmp(a->enumeration->full_name, b->enumeration->full_name) == 0;
    return a->kind != KIND_MESSAGE || a->is_map || strcmp(a->message->full_name, b->message->full_name) == 0;
}

static struct type_pair *pair_of(struct comparison_plan *plan, const struct message_type *a,
                                 const struct message_type *b)
{
    for (size_t i = 0; i < plan->type_count; i++)
        if (plan->types[i]->a == a && plan->types[i]->b == b)
            return plan->types[i];
    struct type_pair *pair = mem_zero(1, sizeof(*pair));
    pair->a = a;
    pair->b = b;
    plan->types = mem_grow(plan->types, plan->type_count, &plan->type_capacity, sizeof(struct type_pair *));
    plan->types[plan->type_count++] = pair;
    return pair;
}

static void fill_pair(struct comparison_plan *plan, struct type_pair *pair)
{
    pair->fields = mem_zero(pair->a->field_count, sizeof(*pair->fields));
    for (size_t i = 0; i < pair->a->field_count; i++) {
        const struct field_type *a = &pair->a->fields[i];
        const struct field_type *b = message_type_field_number(pair->b, a->number);
        if (b == NULL || strcmp(a->name, b->name) != 0) {
            note(plan, mem_format("%s.%s: only in A", pair->a->full_name, a->name));
            continue;
        }
        if (!has_same_type(a, b)) {
            note(plan, mem_format("%s.%s: has another type", pair->a->full_name, a->name));
            continue;
        }
        pair->fields[pair->count++] =
            (struct shared_field){a, b, a->kind == KIND_MESSAGE ? pair_of(plan, a->message, b->message) : NULL};
    }
    for (size_t i = 0; i < pair->b->field_count; i++) {
        const struct field_type *b = &pair->b->fields[i];
        const struct field_type *a = message_type_field_number(pair->a, b->number);
        if (a == NULL || strcmp(a->name, b->name) != 0)
            note(plan, mem_format("%s.%s: only in B", pair->b->full_name, b->name));
    }
}

static bool has_same_key(const struct view *a, const struct view *b)
{
    bool is_same = a->key_count == b->key_count;

    for (size_t i = 0; is_same && i < a->key_count; i++)
        is_same = a->keys[i]->kind == b->keys[i]->kind && strcmp(a->keys[i]->name, b->keys[i]->name) == 0;
    return is_same;
}

void comparison_plan_make(const struct view_set *a, const struct view_set *b, struct comparison_plan *ret_plan)
{
    struct comparison_plan plan = {.views = mem_zero(a->view_count, sizeof(*plan.views))};

    for (size_t i = 0; i < a->view_count; i++) {
        const struct view *own = &a->views[i];
        const struct view *other = view_set_find(b, span_of_text(own->name));
        if (other == NULL)
            note(&plan, mem_format("view %s: only in A", own->name));
        else if (!has_same_key(own, other))
            note(&plan, mem_format("view %s: has another key", own->name));
        else
            plan.views[plan.view_count++] = (struct view_pair){own, other, pair_of(&plan, own->type, other->type)};
    }
    for (size_t i = 0; i < b->view_count; i++)
        if (view_set_find(a, span_of_text(b->views[i].name)) == NULL)
            note(&plan, mem_format("view %s: only in B", b->views[i].name));
    for (size_t i = 0; i < plan.type_count; i++)
        fill_pair(&plan, plan.types[i]);
    *ret_plan = plan;
}

void comparison_plan_release(struct comparison_plan *plan)
{
    for (size_t i = 0; i < plan->type_count; i++) {
        free(plan->types[i]->fields);
        free(plan->types[i]);
    }
    for (size_t i = 0; i < plan->note_count; i++)
        free(plan->notes[i]);
    free(plan->types);
    free(plan->notes);
    free(plan->views);
    *plan = (struct comparison_plan){.views = NULL};
}

/* --- paths --- */

void differing_fields_release(struct differing_fields *fields)
{
    free(fields->items);
    *fields = (struct differing_fields){NULL, 0, 0};
}

static size_t find_place(struct differing_fields *fields, size_t parent, const struct field_type *field)
{
    for (size_t i = 0; i < fields->count; i++)
        if (fields->items[i].parent == parent && fields->items[i].field == field)
            return i;
    fields->items = mem_grow(fields->items, fields->count, &fields->capacity, sizeof(*fields->items));
    fields->items[fields->count] = (struct differing_field){parent, field, 0, 0};
    return fields->count++;
}

size_t differing_fields_note(struct differing_fields *fields, size_t parent, const struct field_type *field,
                             uint64_t number)
{
    size_t at = find_place(fields, parent, field);

    if (fields->items[at].last != number) {
        fields->items[at].last = number;
        fields->items[at].count++;
    }
    return at;
}

void differing_field_path(const struct differing_fields *fields, size_t at, struct buf *out)
{
    const char *names[PATH_DEPTH_MAX + 1];
    size_t depth = 0;

    for (; at != SIZE_MAX; at = fields->items[at].parent)
        names[depth++] = fields->items[at].field != NULL ? fields->items[at].field->name : "(served or not)";
    while (depth > 0) {
        buf_add_text(out, names[--depth]);
        if (depth > 0)
            buf_add_byte(out, '.');
    }
}

/* --- messages --- */

/* Where a comparison stands. */
struct place {
    struct differing_fields *fields;
    size_t parent; /* as in differing_field */
    unsigned depth;
    uint64_t number;
};

static bool differ(const struct type_pair *pair, const ProtobufCMessage *a, const ProtobufCMessage *b,
                   struct place place);

static uint64_t bits_of(double number)
{
    uint64_t bits;

    memcpy(&bits, &number, sizeof(bits));
    return bits;
}

static bool values_differ(struct value a, struct value b)
{
    if (a.kind != b.kind)
        return true;
    switch (a.kind) {
    case VALUE_ABSENT:
    case VALUE_MESSAGE:
        return false;
    case VALUE_BOOL:
        return a.boolean != b.boolean;
    case VALUE_INT:
    case VALUE_ENUM:
        return a.integer != b.integer;
    case VALUE_UINT:
        return a.natural != b.natural;
    case VALUE_FLOAT:
    case VALUE_DOUBLE:
        return bits_of(a.number) != bits_of(b.number); /* NaN is NaN, -0 isn't 0: as in the bytes */
    case VALUE_STRING:
    case VALUE_BYTES:
        return !span_equal(a.text, b.text);
    }
    return true;
}

/* The place inside the field; past the longest path it is the field that the path ended with. */
static struct place inside(struct place place, const struct field_type *field)
{
    if (place.depth >= PATH_DEPTH_MAX)
        return place;
    place.parent = find_place(place.fields, place.parent, field);
    place.depth++;
    return place;
}

static void count(struct place place, const struct field_type *field)
{
    struct place at = inside(place, field);
    struct differing_field *here = &place.fields->items[at.parent];

    if (here->last != place.number) {
        here->last = place.number;
        here->count++;
    }
}

static bool lists_differ(const struct shared_field *shared, const ProtobufCMessage *a, const ProtobufCMessage *b,
                         struct place place)
{
    size_t length = *message_list_count(a, shared->a);
    bool is_different = length != *message_list_count(b, shared->b);

    if (is_different) {
        count(place, shared->a);
        return true;
    }
    const uint8_t *items_a = length > 0 ? (const uint8_t *)*message_list_items(a, shared->a) : NULL;
    const uint8_t *items_b = length > 0 ? (const uint8_t *)*message_list_items(b, shared->b) : NULL;
    for (size_t i = 0; i < length; i++) {
        struct value own = message_get_item(shared->a, items_a + i * shared->a->element_size);
        struct value other = message_get_item(shared->b, items_b + i * shared->b->element_size);
        if (shared->inside != NULL) {
            is_different |= differ(shared->inside, own.message, other.message, inside(place, shared->a));
        } else if (values_differ(own, other)) {
            count(place, shared->a);
            return true;
        }
    }
    return is_different;
}

static bool fields_differ(const struct shared_field *shared, const ProtobufCMessage *a, const ProtobufCMessage *b,
                          struct place place)
{
    if (shared->a->presence == PRESENCE_REPEATED)
        return lists_differ(shared, a, b, place);
    if (shared->inside == NULL) {
        bool is_different = values_differ(message_get(a, shared->a), message_get(b, shared->b));
        if (is_different)
            count(place, shared->a);
        return is_different;
    }
    const ProtobufCMessage *own = message_get_message(a, shared->a), *other = message_get_message(b, shared->b);
    if (own != NULL && other != NULL)
        return differ(shared->inside, own, other, inside(place, shared->a));
    if (own != other)
        count(place, shared->a);
    return own != other;
}

static bool differ(const struct type_pair *pair, const ProtobufCMessage *a, const ProtobufCMessage *b,
                   struct place place)
{
    bool is_different = false;

    for (size_t i = 0; i < pair->count; i++)
        is_different |= fields_differ(&pair->fields[i], a, b, place);
    return is_different;
}

bool comparison_differs(const struct type_pair *pair, const ProtobufCMessage *a, const ProtobufCMessage *b,
                        uint64_t number, struct differing_fields *fields)
{
    const struct place root = {fields, SIZE_MAX, 0, number};

    return differ(pair, a, b, root);
}
