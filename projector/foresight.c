/* Only views whose whole key is the owner can be foreseen: the record's key is all that is known of an event before it
 * is read. Rows that are changed between two looks, by the records in between, make a look useless, never wrong: it
 * reads the table as it is at that moment. */
#include "projector/foresight.h"

#include "projector/lane.h"

static void ask(const struct foresight *foresight, size_t index, enum cache_prefetch what)
{
    if (index >= foresight->count || !foresight->records[index].record->has_key)
        return;
    const struct routed *routed = &foresight->records[index];
    size_t count = 0;
    const struct view *const *views = intake_topic_views(foresight->intake, routed->record->topic, &count);

    for (size_t i = 0; i < count; i++)
        if (views[i]->key_count == 1)
            cache_prefetch(foresight->cache, routed->unit_hash, views[i]->number, what);
}

void foresight_look(const struct foresight *foresight, size_t index)
{
    ask(foresight, index + FORESIGHT_SLOT, CACHE_PREFETCH_SLOT);
    ask(foresight, index + FORESIGHT_ROW, CACHE_PREFETCH_ROW);
    ask(foresight, index + FORESIGHT_VALUE, CACHE_PREFETCH_VALUE);
}
