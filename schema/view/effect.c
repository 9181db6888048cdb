/* The table is in the order of `enum effect`, which is that of tarn.Apply. */
#include "schema/view/effect.h"

static const struct effect_traits traits[] = {
    [EFFECT_MERGE] = {"MERGE", END_MESSAGE, true, true, false},
    [EFFECT_REPLACE] = {"REPLACE", END_MESSAGE, true, true, false},
    [EFFECT_UPSERT] = {"UPSERT", END_ELEMENT, true, true, false},
    [EFFECT_REMOVE] = {"REMOVE", END_MATCHES, false, false, false},
    [EFFECT_APPEND] = {"APPEND", END_LIST, true, true, false},
    [EFFECT_ADD] = {"ADD", END_MESSAGE_ELEMENT, true, true, false},
    [EFFECT_DELETE] = {"DELETE", END_VIEW, false, false, true},
    [EFFECT_ERASE] = {"ERASE", END_VIEW, false, false, true},
};

const struct effect_traits *effect_traits(enum effect effect)
{
    return &traits[effect];
}

const char *effect_name(enum effect effect)
{
    return traits[effect].name;
}
