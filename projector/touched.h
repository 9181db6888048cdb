/* projector/touched.h - which messages of a view a handler has touched, so that only their rules are applied again.
 *
 * What isn't in the set holds its rules still: it did when the view was stored. A message that was put into the view from
 * an event has never held them, nor has a new view; for those the whole view is touched. */
#ifndef TARN_PROJECTOR_TOUCHED_H
#define TARN_PROJECTOR_TOUCHED_H

#include "schema/message/message.h"

enum { TOUCHED_MAX = 8 }; /* more are looked through slower than the rules are applied */

struct touched_message {
    const ProtobufCMessage *message;
    const struct field_type *list; /* the list that was changed, or holds an element that was; NULL: any may be */
};

struct touched {
    bool is_everything;
    size_t count;
    struct touched_message messages[TOUCHED_MAX];
};

static inline void touched_clear(struct touched *touched)
{
    touched->is_everything = false;
    touched->count = 0;
}

static inline void touched_everything(struct touched *touched)
{
    touched->is_everything = true;
}

/* list NULL: any field of the message may have changed. */
static inline void touched_add(struct touched *touched, const ProtobufCMessage *message, const struct field_type *list)
{
    for (size_t i = 0; i < touched->count; i++) {
        if (touched->messages[i].message == message) {
            if (touched->messages[i].list != list)
                touched->messages[i].list = NULL;
            return;
        }
    }
    if (touched->count == TOUCHED_MAX)
        touched->is_everything = true;
    else
        touched->messages[touched->count++] = (struct touched_message){message, list};
}

/* Whether the rules of a message are due, and which of its lists (*ret_list NULL: all). */
static inline bool touched_find(const struct touched *touched, const ProtobufCMessage *message,
                                const struct field_type **ret_list)
{
    *ret_list = NULL;
    if (touched->is_everything)
        return true;
    for (size_t i = 0; i < touched->count; i++) {
        if (touched->messages[i].message == message) {
            *ret_list = touched->messages[i].list;
            return true;
        }
    }
    return false;
}

#endif
