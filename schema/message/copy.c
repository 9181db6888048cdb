/* Deep copies, in the form in which a view keeps a message: maps sorted, nothing that protobuf would drop. */
#include <stdlib.h>

#include "schema/message/list.h"
#include "schema/message/sealed.h"

static void copy_list(const ProtobufCMessage *from, ProtobufCMessage *to, const struct field_type *field,
                      struct arena *arena);
static void sort_map(ProtobufCMessage *message, const struct field_type *field, struct arena *arena);

static bool is_unknown_enum(const struct field_type *field, const void *number)
{
    return field->kind == KIND_ENUM && field->enumeration->is_closed &&
           enum_type_name(field->enumeration, *(const int32_t *)number) == NULL;
}

ProtobufCMessage *message_copy(const ProtobufCMessage *message, struct arena *arena)
{
    const struct message_type *type = message_type_of(message);

    message_unseal((ProtobufCMessage *)(uintptr_t)message);
    ProtobufCMessage *copy = arena_copy(arena, message, type->pb.sizeof_message);

    copy->n_unknown_fields = 0;
    copy->unknown_fields = NULL;
    for (size_t i = 0; i < type->field_count; i++) {
        const struct field_type *field = &type->fields[i];
        if (!field->is_deep)
            continue;
        if (field->presence == PRESENCE_REPEATED) {
            copy_list(message, copy, field, arena);
            if (field->is_map)
                sort_map(copy, field, arena);
        } else if (field->kind == KIND_MESSAGE) {
            ProtobufCMessage *inner = message_get_message(message, field);
            if (inner != NULL)
                *(ProtobufCMessage **)message_at(copy, field->offset) = message_copy(inner, arena);
        } else if (field->kind == KIND_ENUM && message_has(message, field) &&
                   is_unknown_enum(field, message_at(message, field->offset))) {
            message_clear(copy, field);
        }
    }
    return copy;
}

static void copy_list(const ProtobufCMessage *from, ProtobufCMessage *to, const struct field_type *field,
                      struct arena *arena)
{
    size_t count = *message_list_count(from, field);
    size_t size = field->element_size;
    const uint8_t *items = *message_list_items(from, field);
    size_t kept = 0;

    *message_list_count(to, field) = 0;
    *message_list_items(to, field) = NULL;
    if (count == 0)
        return;
    uint8_t *copies = list_reserve(to, field, count, arena);
    if (field->kind != KIND_MESSAGE && !(field->kind == KIND_ENUM && field->enumeration->is_closed)) {
        memcpy(copies, items, count * size);
        kept = count;
    }
    for (size_t i = kept; i < count; i++) {
        if (field->kind == KIND_MESSAGE)
            ((ProtobufCMessage **)(void *)copies)[kept++] =
                message_copy(((ProtobufCMessage *const *)(const void *)items)[i], arena);
        else if (!is_unknown_enum(field, items + i * size))
            memcpy(copies + kept++ * size, items + i * size, size);
    }
    /* list_capacity() follows from the count: fewer elements than reserved only waste room. */
    *message_list_count(to, field) = kept;
}

/* --- maps --------------------------------------------------------------------------------------------------------- */

struct entry {
    ProtobufCMessage *message;
    size_t arrival;
};

static int compare_keys(const struct field_type *key, const ProtobufCMessage *left, const ProtobufCMessage *right)
{
    struct value a = message_get_item(key, message_at(left, key->offset));
    struct value b = message_get_item(key, message_at(right, key->offset));

    switch (a.kind) {
    case VALUE_BOOL:
        return (int)a.boolean - (int)b.boolean;
    case VALUE_INT:
        return (a.integer > b.integer) - (a.integer < b.integer);
    case VALUE_UINT:
        return (a.natural > b.natural) - (a.natural < b.natural);
    case VALUE_STRING:
        return span_compare(a.text, b.text);
    case VALUE_ABSENT:
    case VALUE_FLOAT:
    case VALUE_DOUBLE:
    case VALUE_ENUM:
    case VALUE_BYTES:
    case VALUE_MESSAGE:
        break; /* no key of a map */
    }
    return 0;
}

static int compare_entries(const void *left, const void *right, void *key)
{
    const struct entry *a = left;
    const struct entry *b = right;

    int order = compare_keys(key, a->message, b->message);
    return order != 0 ? order : (a->arrival > b->arrival) - (a->arrival < b->arrival);
}

static void sort_map(ProtobufCMessage *message, const struct field_type *field, struct arena *arena)
{
    struct field_type key = field->message->fields[0]; /* a copy: qsort_r's argument isn't const */
    size_t count = *message_list_count(message, field);
    ProtobufCMessage **items = (ProtobufCMessage **)*message_list_items(message, field);
    bool is_sorted = true;

    for (size_t i = 1; i < count && is_sorted; i++)
        is_sorted = compare_keys(&key, items[i - 1], items[i]) < 0;
    if (is_sorted)
        return;

    struct entry *entries = arena_alloc(arena, count * sizeof(*entries));
    for (size_t i = 0; i < count; i++)
        entries[i] = (struct entry){items[i], i};
    qsort_r(entries, count, sizeof(*entries), compare_entries, &key);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && compare_keys(&key, entries[i].message, entries[i + 1].message) == 0)
            continue; /* a later one has the same key */
        items[kept++] = entries[i].message;
    }
    *message_list_count(message, field) = kept;
}
