/* projector/projection_sort.h - a list of messages in the order that its rule asks for. */
#ifndef TARN_PROJECTOR_PROJECTION_SORT_H
#define TARN_PROJECTOR_PROJECTION_SORT_H

#include "schema/base/arena.h"
#include "schema/view/plan.h"

/* Sorts by order_by, then by the bracket fields (ascending), then as the elements stood: stable, so that arrival
 * decides what nothing else does. Linear when only a few elements are out of place. */
void list_sort(const struct list_rule *rule, ProtobufCMessage **items, size_t count, struct arena *arena);

#endif
