/* schema/message/list.h - lists that grow in an arena. Internal to this folder.
 *
 * protobuf-c keeps a count and no capacity, so the capacity follows from the count: every list made here has room for
 * the next power of two of elements, at least LIST_CAPACITY_MIN. */
#ifndef TARN_MESSAGE_LIST_H
#define TARN_MESSAGE_LIST_H

#include "schema/message/message.h"

enum { LIST_CAPACITY_MIN = 4 };

static inline size_t list_capacity(size_t count)
{
    if (count <= LIST_CAPACITY_MIN)
        return count == 0 ? 0 : LIST_CAPACITY_MIN;
    return (size_t)1 << (64 - __builtin_clzll(count - 1));
}

/* Whether a list of that many elements has no room for another. */
static inline bool list_is_full(size_t count)
{
    return (count & (count - 1)) == 0 && (count == 0 || count >= LIST_CAPACITY_MIN);
}

/* Makes room for `more` elements behind the list's last and returns where they go; the count stays. */
void *list_reserve(ProtobufCMessage *message, const struct field_type *field, size_t more, struct arena *arena);

/* The place of one more element, which is counted; what it holds is up to the caller. */
static inline void *list_add(ProtobufCMessage *message, const struct field_type *field, struct arena *arena)
{
    size_t count = *message_list_count(message, field);

    if (list_is_full(count))
        list_reserve(message, field, 1, arena);
    *message_list_count(message, field) = count + 1;
    return (uint8_t *)*message_list_items(message, field) + count * field->element_size;
}

#endif
