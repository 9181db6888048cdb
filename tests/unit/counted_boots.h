/* tests/unit/counted_boots.h - a machine whose boots the test counts. */
#ifndef TARN_TEST_COUNTED_BOOTS_H
#define TARN_TEST_COUNTED_BOOTS_H

#include "schema/store/store.h"

struct counted_boots {
    int boot;
    struct store_platform platform; /* for store_options; refers to this struct, which stays where it is */
};

void counted_boots_init(struct counted_boots *boots);

#endif
