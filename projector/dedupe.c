/* Every look-up is answered from memory (recent_ids.h): a table on disk that is asked about ids that aren't there, as
 * nearly all are, would cost each event a search. The rows are written for the next start, and for readers that wait
 * for an id. They go through the cache like any other, but leave it with their commit: nobody reads them there. */
#include "projector/dedupe.h"

#include <stdlib.h>

#include "projector/positions.h"
#include "schema/base/mem.h"

struct loaded_ids {
    struct handled_id *items;
    size_t count;
    size_t capacity;
};

static int load_range(struct dedupe *dedupe, unsigned range, struct loaded_ids *loaded, struct err *err);
static int compare_offsets(const void *a, const void *b);

void dedupe_init(struct dedupe *dedupe, struct rows *rows, const struct generation_settings *settings)
{
    *dedupe = (struct dedupe){.rows = rows,
                              .window = (int64_t)settings->dedupe_window,
                              .topics = mem_zero(settings->topic_count + 1, sizeof(*dedupe->topics)),
                              .topic_count = settings->topic_count,
                              .key = BUF_INIT,
                              .value = BUF_INIT};
}

void dedupe_release(struct dedupe *dedupe)
{
    for (size_t topic = 0; topic < dedupe->topic_count; topic++) {
        for (size_t i = 0; i < dedupe->topics[topic].count; i++)
            for (unsigned range = 0; range < RANGE_COUNT; range++)
                recent_ids_release(&dedupe->topics[topic].partitions[i].ranges[range]);
        free(dedupe->topics[topic].partitions);
    }
    free(dedupe->topics);
    buf_release(&dedupe->key);
    buf_release(&dedupe->value);
    *dedupe = (struct dedupe){0};
}

static struct dedupe_partition *find_partition(struct dedupe *dedupe, uint16_t topic, int32_t partition)
{
    struct dedupe_topic *at = &dedupe->topics[topic];
    size_t number = (size_t)partition;

    if (number >= at->count) {
        at->partitions = mem_resize(at->partitions, number + 1, sizeof(*at->partitions));
        memset(at->partitions + at->count, 0, (number + 1 - at->count) * sizeof(*at->partitions));
        at->count = number + 1;
    }
    return &at->partitions[number];
}

static void add(struct dedupe *dedupe, struct recent_ids *ids, const struct handled_id *id)
{
    dedupe->known -= ids->count;
    dedupe->bytes -= recent_ids_bytes(ids);
    recent_ids_add(ids, id->owner_hash, id->id_hash, id->offset, id->content);
    dedupe->known += ids->count;
    dedupe->bytes += recent_ids_bytes(ids);
}

/* --- what the store knows --- */

int dedupe_load(struct dedupe *dedupe, uint32_t ranges, struct err *err)
{
    struct loaded_ids loaded = {NULL, 0, 0};

    if (dedupe->window == 0)
        return 0;
    int rc = rows_begin_snapshot(dedupe->rows, err);
    for (unsigned range = 0; rc == 0 && range < RANGE_COUNT; range++)
        if (ranges >> range & 1)
            rc = load_range(dedupe, range, &loaded, err);
    rows_end_snapshot(dedupe->rows);
    if (rc == 0 && loaded.count > 0)
        qsort(loaded.items, loaded.count, sizeof(*loaded.items), compare_offsets);
    for (size_t i = 0; rc == 0 && i < loaded.count; i++) {
        const struct handled_id *id = &loaded.items[i];
        add(dedupe, &find_partition(dedupe, id->topic, id->partition)->ranges[owner_range(id->owner_hash)], id);
    }
    free(loaded.items);
    return rc;
}

static int load_range(struct dedupe *dedupe, unsigned range, struct loaded_ids *loaded, struct err *err)
{
    const uint8_t first = (uint8_t)(range << 4); /* of an owner hash in the range, big-endian */
    struct store_cursor *cursor = NULL;
    struct span key, value;

    int rc = store_cursor_open(dedupe->rows->reader, TABLE_IDS, span_of(NULL, 0), span_of(&first, 1), &cursor, err);
    while (rc == 0 && (rc = store_cursor_next(cursor, &key, &value, err)) == 0) {
        struct handled_id id;
        rc = layout_parse_id(key, value, &id, err);
        if (rc == 0 && owner_range(id.owner_hash) != range)
            break;
        if (rc == 0 && (id.topic >= dedupe->topic_count || id.partition > PARTITION_NUMBER_MAX))
            rc = err_set(err, ERR_BROKEN, "the store has an event's id of a topic or partition that can't be");
        if (rc == 0) {
            loaded->items = mem_grow(loaded->items, loaded->count, &loaded->capacity, sizeof(*loaded->items));
            loaded->items[loaded->count++] = id;
        }
    }
    store_cursor_close(&cursor);
    return rc == ERR_ABSENT ? 0 : rc;
}

static int compare_offsets(const void *a, const void *b)
{
    const struct handled_id *left = a;
    const struct handled_id *right = b;

    return (left->offset > right->offset) - (left->offset < right->offset);
}

/* --- records --- */

static uint32_t content_of(const struct incoming *incoming)
{
    return (uint32_t)hash128_pair(incoming->type, incoming->value).low;
}

enum dedupe_finding dedupe_find(const struct dedupe *dedupe, const struct incoming *incoming)
{
    const struct parked_key *at = &incoming->at;
    const struct dedupe_topic *topic = &dedupe->topics[at->topic];
    const struct recent_id *found = NULL;

    if ((size_t)at->partition < topic->count)
        found = recent_ids_find(&topic->partitions[at->partition].ranges[owner_range(at->unit_hash)], at->unit_hash,
                                hash64(incoming->id));
    if (found == NULL || found->offset >= at->offset || at->offset - found->offset > dedupe->window)
        return DEDUPE_NEW;
    return found->content == content_of(incoming) ? DEDUPE_DUPLICATE : DEDUPE_REUSED;
}

static void set_key(struct dedupe *dedupe, const struct handled_id *id)
{
    buf_clear(&dedupe->key);
    layout_id_key(id, &dedupe->key);
}

static void delete_row(struct dedupe *dedupe, uint16_t topic, int32_t partition, const struct recent_id *gone)
{
    const struct handled_id id = {
        .owner_hash = gone->owner_hash, .id_hash = gone->id_hash, .topic = topic, .partition = partition};

    dedupe->known--;
    set_key(dedupe, &id);
    cache_put_absent(dedupe->rows->cache, TABLE_IDS, buf_span(&dedupe->key));
}

/* The next record comes behind this one, so what stands `window` before it can't be asked for any more. Deleting it
 * later than that changes no decision, only the table's size: rows of other ranges may be deleted on the way, and it
 * doesn't matter when that is committed. */
static void delete_old(struct dedupe *dedupe, const struct parked_key *at, struct recent_ids *ids)
{
    struct recent_id gone;

    while (recent_ids_take_before(ids, at->offset + 1 - dedupe->window, &gone))
        delete_row(dedupe, at->topic, at->partition, &gone);
}

void dedupe_note(struct dedupe *dedupe, const struct incoming *incoming)
{
    const struct parked_key *at = &incoming->at;
    struct dedupe_partition *partition = find_partition(dedupe, at->topic, at->partition);
    struct recent_ids *ids = &partition->ranges[owner_range(at->unit_hash)];
    const struct handled_id id = {at->unit_hash,  hash64(incoming->id),  at->topic,
                                  at->partition, at->offset, content_of(incoming)};

    add(dedupe, ids, &id);
    set_key(dedupe, &id);
    buf_clear(&dedupe->value);
    layout_id(&id, &dedupe->value);
    cache_put(dedupe->rows->cache, TABLE_IDS, buf_span(&dedupe->key), buf_span(&dedupe->value));
    delete_old(dedupe, at, ids);
    delete_old(dedupe, at, &partition->ranges[partition->next]);
    partition->next = (partition->next + 1) % RANGE_COUNT;
}

void dedupe_forget_owner(struct dedupe *dedupe, uint64_t owner_hash, uint16_t topic)
{
    struct recent_id gone;

    for (size_t i = 0; i < dedupe->topics[topic].count; i++) {
        struct recent_ids *ids = &dedupe->topics[topic].partitions[i].ranges[owner_range(owner_hash)];
        while (recent_ids_take_of_owner(ids, owner_hash, &gone))
            delete_row(dedupe, topic, (int32_t)i, &gone);
    }
}
