/* Pending rows go the way of all rows, through the cache and the job of their owner's range, so that they are committed
 * with the change that they tell of. They are written and never read back by the projection; so the flusher turns their
 * keys round on the way into the table, whose order is that of the logs: what is to be told next, and what may go, are
 * stretches of it.
 *
 * Where a partition is announced up to is asked for each record, by several threads: the entries are found through a
 * table that only grows, without a lock. */
#include "projector/announcing.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "ops/runtime/log.h"
#include "projector/announcement_rule.h"
#include "schema/base/mem.h"

enum {
    CHUNK_PARTITIONS = 256,
    CHUNKS = 400, /* for more partitions than positions.h takes */
    LET_GO_ROWS = 4096,               /* a commit */
    COMMITS_KEPT = 64,
    COMPARE_EVERY_US = 1000 * 1000,
    OTHER_LOG_US = 10 * 1000 * 1000, /* a leader that has just changed may tell an older end for a moment */
};

struct chunk {
    _Atomic(struct announced_partition *) partitions[CHUNK_PARTITIONS];
};

struct known_topic {
    _Atomic(struct chunk *) chunks[CHUNKS];
};

struct announcing {
    struct announcing_options options; /* what it borrows outlives it */
    bool has_announcements;
    struct known_topic *topics;
    size_t topic_count;
    _Atomic bool is_served;

    /* the loop's */
    uint64_t looked_version;
    bool has_looked;
    bool was_due;
    int64_t compared_us;
    int64_t beyond_since_us; /* an offset lies beyond its log's end; 0: none does */

    size_t given_up; /* the flusher's: in the transaction that it writes */

    pthread_mutex_t lock; /* of what follows: when the last transactions ended, in a ring */
    int64_t ended_at_ms[COMMITS_KEPT];
    size_t ended;
};

struct announcing *announcing_new(const struct announcing_options *options)
{
    struct announcing *announcing = mem_zero(1, sizeof(*announcing));

    announcing->options = *options;
    for (size_t i = 0; i < options->views->view_count; i++)
        if (options->views->views[i].announcement_count > 0)
            announcing->has_announcements = true;
    announcing->topic_count = options->settings->topic_count;
    announcing->topics = mem_zero(announcing->topic_count + 1, sizeof(*announcing->topics));
    pthread_mutex_init(&announcing->lock, NULL);
    announcing->ended_at_ms[announcing->ended++] = clock_wall_ms(options->clock);
    return announcing;
}

void announcing_free(struct announcing **announcing)
{
    struct announcing *freed = *announcing;

    if (freed == NULL)
        return;
    for (size_t i = 0; i < freed->topic_count; i++)
        for (size_t k = 0; k < CHUNKS; k++)
            free(atomic_load(&freed->topics[i].chunks[k]));
    free(freed->topics);
    pthread_mutex_destroy(&freed->lock);
    free(freed);
    *announcing = NULL;
}

/* --- partitions --------------------------------------------------------------------------------------------------- */

struct announced_partition *announcing_entry(const struct announcing *announcing, uint16_t topic, int32_t partition)
{
    if (topic >= announcing->topic_count || partition < 0 || partition >= CHUNKS * CHUNK_PARTITIONS)
        return NULL;
    struct chunk *chunk = atomic_load_explicit(&announcing->topics[topic].chunks[partition / CHUNK_PARTITIONS],
                                               memory_order_acquire);
    return chunk == NULL ? NULL
                         : atomic_load_explicit(&chunk->partitions[partition % CHUNK_PARTITIONS], memory_order_acquire);
}

/* Of the loop's thread alone. */
static struct announced_partition *know(struct announcing *announcing, uint16_t topic, int32_t partition)
{
    struct announced_partition *entry = announcing_entry(announcing, topic, partition);

    if (entry != NULL || topic >= announcing->topic_count || partition >= CHUNKS * CHUNK_PARTITIONS)
        return entry;
    _Atomic(struct chunk *) *slot = &announcing->topics[topic].chunks[partition / CHUNK_PARTITIONS];
    if (atomic_load(slot) == NULL)
        atomic_store_explicit(slot, mem_zero(1, sizeof(struct chunk)), memory_order_release);
    entry = announced_at(announcing->options.announced, announcing->options.settings->topics[topic], partition);
    atomic_store_explicit(&atomic_load(slot)->partitions[partition % CHUNK_PARTITIONS], entry, memory_order_release);
    return entry;
}

/* Unless it has begun: then false. */
static bool begin(struct announced_partition *entry, int64_t next_offset)
{
    int64_t not_yet = ANNOUNCED_NOT_YET;

    return entry != NULL && atomic_compare_exchange_strong(&entry->next_offset, &not_yet, next_offset);
}

/* Before anything behind a beginning is read: after a crash that forgot it, what is to be announced would begin anew,
 * further on, and what lies between would be lost. */
static void write_beginnings(struct announcing *announcing)
{
    struct err err = {0};

    if (announced_write(announcing->options.announced, &err) < 0)
        log_warn("from where on changes are announced can't be written down: %s; trying again", err.text);
}

/* The log ends here, and has been announced further: it isn't the log that was announced. */
static bool is_beyond_end(const struct announcing *announcing, const struct partition *partition)
{
    struct announced_partition *entry = announcing_entry(announcing, partition->topic, partition->number);

    return entry != NULL && partition->row.state == PARTITION_FOLLOWING && partition->row.end_offset >= 0 &&
           partition->cursor.next_offset >= partition->row.end_offset &&
           atomic_load(&entry->next_offset) > partition->cursor.next_offset;
}

/* A topic that was made anew, and read by a rebuild, begins to be announced at its end. */
static void look_for_other_logs(struct announcing *announcing, const struct positions *positions)
{
    int64_t now_us = clock_monotonic_us(announcing->options.clock);
    bool is_any_beyond = false;

    if (now_us - announcing->compared_us < COMPARE_EVERY_US)
        return;
    announcing->compared_us = now_us;
    for (size_t i = 0; i < positions->count; i++) {
        const struct partition *partition = positions->partitions[i];
        if (!is_beyond_end(announcing, partition))
            continue;
        is_any_beyond = true;
        if (announcing->beyond_since_us == 0 || now_us - announcing->beyond_since_us < OTHER_LOG_US)
            continue;
        struct announced_partition *entry = announcing_entry(announcing, partition->topic, partition->number);
        atomic_store(&entry->sent_offset, partition->cursor.next_offset);
        atomic_store(&entry->next_offset, partition->cursor.next_offset);
    }
    if (!is_any_beyond)
        announcing->beyond_since_us = 0;
    else if (announcing->beyond_since_us == 0)
        announcing->beyond_since_us = now_us;
}

void announcing_look(struct announcing *announcing, const struct positions *positions, bool is_ready)
{
    if (announcing == NULL)
        return;
    bool is_due = is_ready && atomic_load_explicit(&announcing->is_served, memory_order_relaxed);
    if (is_due)
        look_for_other_logs(announcing, positions);
    if (announcing->has_looked && announcing->looked_version == positions->states_version &&
        announcing->was_due == is_due)
        return;
    announcing->has_looked = true;
    announcing->looked_version = positions->states_version;
    announcing->was_due = is_due;
    bool has_begun = false;
    for (size_t i = 0; i < positions->count; i++) {
        const struct partition *partition = positions->partitions[i];
        struct announced_partition *entry = know(announcing, partition->topic, partition->number);
        if (is_due && partition->row.state == PARTITION_FOLLOWING)
            has_begun |= begin(entry, partition->cursor.next_offset);
    }
    if (has_begun)
        write_beginnings(announcing);
}

void announcing_end_reached(struct announcing *announcing, uint16_t topic, int32_t partition, int64_t next_offset)
{
    if (announcing != NULL && atomic_load_explicit(&announcing->is_served, memory_order_relaxed) &&
        begin(know(announcing, topic, partition), next_offset))
        write_beginnings(announcing);
}

int announcing_resume(struct announcing *announcing, struct store_reader *reader, struct err *err)
{
    const struct span all = {NULL, 0};
    struct store_cursor *cursor = NULL;
    struct announcement_key at;
    struct span key, value;

    int rc = store_cursor_open(reader, TABLE_ANNOUNCEMENTS, all, all, &cursor, err);
    while (rc == 0 && (rc = store_cursor_next(cursor, &key, &value, err)) == 0) {
        rc = layout_parse_announcement_key(key, &at, err);
        if (rc == 0) /* the first row of a partition is the first to come */
            begin(know(announcing, at.topic, at.partition), at.offset);
    }
    store_cursor_close(&cursor);
    return rc == ERR_ABSENT ? 0 : rc;
}

/* --- records ------------------------------------------------------------------------------------------------------ */

bool announcing_takes(const struct announcing *announcing, const struct record_source *source,
                      const struct record *record)
{
    struct span ignored;

    if (announcing == NULL || !announcing->has_announcements)
        return false;
    struct announced_partition *entry = announcing_entry(announcing, record->topic, record->partition);
    int64_t next_offset =
        entry != NULL ? atomic_load_explicit(&entry->next_offset, memory_order_relaxed) : ANNOUNCED_NOT_YET;
    if (next_offset == ANNOUNCED_NOT_YET || record->offset < next_offset)
        return false;
    return source == NULL || source->header == NULL || !source->header(source->self, record, "first-load", &ignored);
}

static int stored_before(struct rows *rows, uint64_t owner_hash, const struct view_change *change,
                         struct stored_view *ret_view, struct err *err)
{
    struct buf key = BUF_INIT;
    struct cache_row *row = NULL;

    layout_view_key(owner_hash, change->view->number, change->key, &key);
    int rc = rows_find(rows, TABLE_VIEWS, buf_span(&key), &row, err);
    buf_release(&key);
    *ret_view = (struct stored_view){false, {NULL, 0}};
    if (rc == 0 && row->value != NULL)
        rc = layout_parse_view_value(cache_row_value(row), ret_view, err);
    return rc;
}

static void put_row(struct rows *rows, const struct parked_key *at, int64_t time_ms, const struct view_change *change,
                    size_t ordinal)
{
    const struct announcement_key key = {
        .owner_hash = at->unit_hash,
        .topic = at->topic,
        .partition = at->partition,
        .offset = at->offset,
        .view_number = change->view->number,
        .view_key_hash = hash64(change->key),
        .ordinal = (uint16_t)ordinal,
    };
    const struct pending_announcement pending = {.event_time_ms = time_ms, .view_key = change->key};
    struct buf row_key = BUF_INIT, value = BUF_INIT;

    layout_announcement_cache_key(&key, &row_key);
    layout_announcement(&pending, &value);
    cache_put(rows->cache, TABLE_ANNOUNCEMENTS, buf_span(&row_key), buf_span(&value));
    buf_release(&row_key);
    buf_release(&value);
}

int announcing_note(struct rows *rows, const struct parked_key *at, int64_t time_ms, const struct view_change *change,
                    struct arena *arena, struct err *err)
{
    const struct view *view = change->view;
    struct stored_view before;

    if (change->is_gone || view->announcement_count == 0)
        return 0;
    bool *is_made = arena_alloc(arena, view->announcement_count * sizeof(*is_made));
    int rc = stored_before(rows, at->unit_hash, change, &before, err);
    if (rc == 0)
        rc = announcement_rule_apply(view, before, change->after, arena, is_made, err);
    for (size_t i = 0; rc == 0 && i < view->announcement_count; i++)
        if (is_made[i])
            put_row(rows, at, time_ms, change, i);
    return rc;
}

/* --- the flusher -------------------------------------------------------------------------------------------------- */

int announcing_put(const struct announcing *announcing, struct store_writer *writer, struct span cache_key,
                   struct span value, struct err *err)
{
    uint8_t row_key[ANNOUNCEMENT_KEY_BYTES];
    struct pending_announcement pending;
    struct buf stamped = BUF_INIT;

    int rc = layout_parse_announcement(value, &pending, err);
    if (rc < 0)
        return rc;
    pending.written_at_ms = clock_wall_ms(announcing->options.clock);
    layout_announcement(&pending, &stamped);
    layout_announcement_row_key(cache_key, row_key);
    rc = store_put(writer, TABLE_ANNOUNCEMENTS, span_of(row_key, sizeof(row_key)), buf_span(&stamped), err);
    buf_release(&stamped);
    return rc;
}

/* The first row of a partition from an offset on. ERR_ABSENT: none. */
struct head {
    struct announcement_key key;
    uint8_t row_key[ANNOUNCEMENT_KEY_BYTES];
    int64_t written_at_ms;
};

static int read_head(struct store_writer *writer, struct span from, struct head *ret_head, struct err *err)
{
    struct span key, value;
    struct pending_announcement pending;

    int rc = store_writer_next(writer, TABLE_ANNOUNCEMENTS, from, &key, &value, err);
    if (rc == 0)
        rc = layout_parse_announcement_key(key, &ret_head->key, err);
    if (rc == 0)
        rc = layout_parse_announcement(value, &pending, err);
    if (rc < 0)
        return rc;
    ret_head->written_at_ms = pending.written_at_ms;
    memcpy(ret_head->row_key, key.at, ANNOUNCEMENT_KEY_BYTES);
    return 0;
}

static int read_head_at(struct store_writer *writer, uint16_t topic, int32_t partition, int64_t offset,
                        struct head *ret_head, struct err *err)
{
    struct buf from = BUF_INIT;

    layout_announcement_prefix(topic, partition, offset, &from);
    int rc = read_head(writer, buf_span(&from), ret_head, err);
    buf_release(&from);
    return rc;
}

static int delete_head(struct store_writer *writer, const struct head *head, struct err *err)
{
    return store_delete(writer, TABLE_ANNOUNCEMENTS, span_of(head->row_key, ANNOUNCEMENT_KEY_BYTES), err);
}

static int let_go_of_announced(const struct announcing *announcing, struct store_writer *writer, struct err *err)
{
    struct head head;
    size_t left = LET_GO_ROWS;

    int rc = read_head(writer, (struct span){NULL, 0}, &head, err);
    while (rc == 0) {
        struct announced_partition *entry = announcing_entry(announcing, head.key.topic, head.key.partition);
        int64_t next_offset = entry != NULL ? atomic_load(&entry->next_offset) : 0;
        if (next_offset != ANNOUNCED_NOT_YET && head.key.offset >= next_offset) {
            if (head.key.partition == INT32_MAX)
                break;
            rc = read_head_at(writer, head.key.topic, head.key.partition + 1, 0, &head, err);
            continue;
        }
        if (left-- == 0)
            break;
        rc = delete_head(writer, &head, err);
        if (rc == 0)
            rc = read_head_at(writer, head.key.topic, head.key.partition, head.key.offset, &head, err);
    }
    return rc == ERR_ABSENT ? 0 : rc;
}

/* The oldest row that isn't on its way. ERR_ABSENT: none. */
static int find_oldest(const struct announcing *announcing, struct store_writer *writer, struct head *ret_head,
                       struct err *err)
{
    struct head head, oldest = {.written_at_ms = INT64_MAX};

    int rc = read_head(writer, (struct span){NULL, 0}, &head, err);
    while (rc == 0) {
        struct announced_partition *entry = announcing_entry(announcing, head.key.topic, head.key.partition);
        int64_t told_offset = entry != NULL ? atomic_load(&entry->next_offset) : ANNOUNCED_NOT_YET;
        if (entry != NULL && atomic_load(&entry->sent_offset) > told_offset)
            told_offset = atomic_load(&entry->sent_offset);
        if (head.key.offset < told_offset) {
            rc = read_head_at(writer, head.key.topic, head.key.partition, told_offset, &head, err);
            continue;
        }
        if (head.written_at_ms < oldest.written_at_ms)
            oldest = head;
        if (head.key.partition == INT32_MAX)
            break;
        rc = read_head_at(writer, head.key.topic, head.key.partition + 1, 0, &head, err);
    }
    if (rc < 0 && rc != ERR_ABSENT)
        return rc;
    if (oldest.written_at_ms == INT64_MAX)
        return ERR_ABSENT;
    *ret_head = oldest;
    return 0;
}

static int give_up_oldest(struct announcing *announcing, struct store_writer *writer, struct err *err)
{
    size_t count = store_writer_count(writer, TABLE_ANNOUNCEMENTS);
    struct head head;
    int rc = 0;

    for (; rc == 0 && count > announcing->options.row_limit; count--) {
        rc = find_oldest(announcing, writer, &head, err);
        if (rc == 0)
            rc = delete_head(writer, &head, err);
        if (rc == 0)
            announcing->given_up++;
    }
    return rc == ERR_ABSENT ? 0 : rc;
}

int announcing_let_go(struct announcing *announcing, struct store_writer *writer, struct err *err)
{
    if (announcing == NULL)
        return 0;
    announcing->given_up = 0;
    int rc = store_writer_count(writer, TABLE_ANNOUNCEMENTS) > 0 ? let_go_of_announced(announcing, writer, err) : 0;
    return rc == 0 ? give_up_oldest(announcing, writer, err) : rc;
}

void announcing_committed(struct announcing *announcing)
{
    if (announcing == NULL)
        return;
    pthread_mutex_lock(&announcing->lock);
    announcing->ended_at_ms[announcing->ended++ % COMMITS_KEPT] = clock_wall_ms(announcing->options.clock);
    pthread_mutex_unlock(&announcing->lock);
    if (announcing->given_up > 0 && atomic_load_explicit(&announcing->is_served, memory_order_relaxed))
        announcing->options.gave_up(announcing->options.self, announcing->given_up);
    announcing->given_up = 0;
    announcing->options.committed(announcing->options.self);
}

/* --- the announcer ------------------------------------------------------------------------------------------------ */

void announcing_set_served(struct announcing *announcing, bool is_served)
{
    atomic_store_explicit(&announcing->is_served, is_served, memory_order_relaxed);
}

/* The transaction that wrote the row is the first to have ended behind the writing. Of one that isn't remembered any
 * more, or was another process's, the row's own time is all that is known. */
int64_t announcing_visible_at_ms(struct announcing *announcing, int64_t written_at_ms)
{
    int64_t visible_at_ms = clock_wall_ms(announcing->options.clock); /* it is seen before its end was noted */

    pthread_mutex_lock(&announcing->lock);
    size_t kept = announcing->ended < COMMITS_KEPT ? announcing->ended : COMMITS_KEPT;
    size_t back = 1;
    for (; back <= kept; back++) {
        int64_t ended_at_ms = announcing->ended_at_ms[(announcing->ended - back) % COMMITS_KEPT];
        if (ended_at_ms < written_at_ms)
            break;
        visible_at_ms = ended_at_ms;
    }
    if (back > kept)
        visible_at_ms = written_at_ms;
    pthread_mutex_unlock(&announcing->lock);
    return visible_at_ms;
}
