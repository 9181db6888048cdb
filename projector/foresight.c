/* Only views whose whole key is the owner can be foreseen: the record's key is all that is known of an event before it
 * is read. Rows that are changed between two looks, by the records in between, make a look useless, never wrong: it
 * reads the table as it is at that moment. */
#include "projector/foresight.h"

void foresight_begin(struct foresight *foresight, const struct intake *intake, const struct cache *cache,
                     const struct record *records, size_t count)
{
    foresight->intake = intake;
    foresight->cache = cache;
    foresight->records = records;
    foresight->count = count;
    foresight->next = 0;
}

static void ask(struct foresight *foresight, size_t index, enum cache_prefetch what)
{
    if (index >= foresight->next)
        return;
    const struct record *record = &foresight->records[index];
    size_t count = 0;

    if (!record->has_key || record->is_partition_end)
        return;
    const struct view *const *views = intake_topic_views(foresight->intake, record->topic, &count);
    for (size_t i = 0; i < count; i++)
        if (views[i]->key_count == 1)
            cache_prefetch(foresight->cache, foresight->hashes[index % ARRAY_COUNT(foresight->hashes)],
                           views[i]->number, what);
}

void foresight_look(struct foresight *foresight, size_t index)
{
    size_t ahead = index + FORESIGHT_SLOT;

    for (; foresight->next <= ahead && foresight->next < foresight->count; foresight->next++) {
        const struct record *record = &foresight->records[foresight->next];
        if (record->has_key && !record->is_partition_end)
            foresight->hashes[foresight->next % ARRAY_COUNT(foresight->hashes)] = hash64(record->key);
    }
    ask(foresight, ahead, CACHE_PREFETCH_SLOT);
    ask(foresight, index + FORESIGHT_ROW, CACHE_PREFETCH_ROW);
    ask(foresight, index + FORESIGHT_VALUE, CACHE_PREFETCH_VALUE);
}
