/* schema/view/effect.h - what each `apply` is: the table that the compiler asks instead of branching on effects. */
#ifndef TARN_VIEW_EFFECT_H
#define TARN_VIEW_EFFECT_H

#include "schema/view/plan.h"

/* Where an effect's `into` may end. */
enum effect_end {
    END_MESSAGE,         /* the view itself or a message, never a list */
    END_ELEMENT,         /* an element, by brackets; or, behind one, a message inside it */
    END_MATCHES,         /* the elements that brackets match */
    END_LIST,            /* a list, without brackets */
    END_MESSAGE_ELEMENT, /* the view itself, a message, or an element by brackets */
    END_VIEW,            /* no `into` */
};

struct effect_traits {
    const char *name;
    enum effect_end end;
    bool assigns;       /* writes fields of its target */
    bool makes_view;    /* when it is of the home stream */
    bool is_removal;    /* DELETE, ERASE: may be a tombstone, may not be first */
};

const struct effect_traits *effect_traits(enum effect effect);

#endif
