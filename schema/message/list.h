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

/* Makes room for `more` elements behind the list's last and returns where they go; the count stays. */
void *list_reserve(ProtobufCMessage *message, const struct field_type *field, size_t more, struct arena *arena);

#endif
