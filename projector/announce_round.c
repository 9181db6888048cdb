/* Snapshots are taken one behind the other and let go of before anything is published. A row that is in a snapshot is
 * visible, but only a position says that no other row with a smaller offset will come: another owner range may be
 * behind. So the limit of a partition is the position of its slowest range in the slowest served generation. */
#include "projector/announce_round.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "schema/base/mem.h"
#include "schema/view/key.h"

/* A partition as the served generations have it. */
struct reach {
    struct announced_partition *entry;
    uint16_t topics[SERVING_SHARES_MAX]; /* its topic's number in each */
    bool is_read[SERVING_SHARES_MAX];
    const char *topic;
    int32_t partition;
    int64_t next_offset; /* visible everywhere before it */
};

struct round {
    struct announce_member *const *members;
    const struct serving_shares *shares;
    struct announce_batch *batch;
    struct reach *reaches;
    size_t count, capacity;
};

static int begin_snapshots(struct round *round, struct err *err);
static void end_snapshots(struct round *round);
static int look_at_filled(struct announce_member *member, struct err *err);
static int find_reaches(struct round *round, size_t member, struct err *err);
static bool is_read_everywhere(const struct round *round, const struct reach *reach);
static int collect(struct round *round, const struct reach *reach, struct err *err);

void announce_batch_release(struct announce_batch *batch)
{
    arena_release(&batch->arena);
    free(batch->items);
    free(batch->moves);
    *batch = (struct announce_batch){.arena = ARENA_INIT};
}

static int fill(struct round *round, size_t items_max, struct err *err)
{
    struct announce_batch *batch = round->batch;
    bool is_filled = true;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < round->shares->count; i++) {
        rc = look_at_filled(round->members[i], err);
        is_filled = is_filled && round->members[i]->is_filled;
        batch->pending += store_read_count(round->members[i]->reader, TABLE_ANNOUNCEMENTS);
    }
    for (size_t i = 0; rc == 0 && is_filled && i < round->shares->count; i++)
        rc = find_reaches(round, i, err);
    for (size_t i = 0; rc == 0 && i < round->count; i++) {
        const struct reach *reach = &round->reaches[i];
        int64_t from = atomic_load(&reach->entry->next_offset);
        if (from == ANNOUNCED_NOT_YET || from >= reach->next_offset || !is_read_everywhere(round, reach))
            continue;
        if (batch->count >= items_max) {
            batch->is_cut = true;
            break;
        }
        rc = collect(round, reach, err);
    }
    return rc;
}

int announce_round(struct announce_member *const *members, const struct serving_shares *shares, size_t items_max,
                   struct announce_batch *batch, struct err *err)
{
    struct round round = {.members = members, .shares = shares, .batch = batch};

    arena_reset(&batch->arena);
    batch->count = batch->move_count = batch->pending = batch->erased = 0;
    batch->is_cut = false;
    int rc = begin_snapshots(&round, err);
    if (rc == 0)
        rc = fill(&round, items_max, err);
    end_snapshots(&round);
    free(round.reaches);
    return rc;
}

static int begin_snapshots(struct round *round, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < round->shares->count; i++)
        rc = store_read_begin(round->members[i]->reader, err);
    return rc;
}

static void end_snapshots(struct round *round)
{
    for (size_t i = 0; i < round->shares->count; i++)
        store_read_end(round->members[i]->reader);
}

/* --- how far ------------------------------------------------------------------------------------------------------ */

static int has_caught_up(struct store_reader *reader, uint16_t topic, int32_t partition,
                         const struct partition_row *row, bool *ret_has, struct err *err)
{
    struct buf key = BUF_INIT;
    bool has = true;
    int rc = 0;

    for (unsigned range = 0; rc == 0 && has && range < RANGE_COUNT; range++) {
        struct position position;
        struct span value;
        buf_clear(&key);
        layout_position_key(topic, partition, range, &key);
        rc = store_find(reader, TABLE_POSITIONS, buf_span(&key), &value, err);
        if (rc == 0)
            rc = layout_parse_position(value, &position, err);
        has = rc == 0 && layout_has_caught_up(&position, row);
        rc = rc == ERR_ABSENT ? 0 : rc;
    }
    buf_release(&key);
    if (rc == 0)
        *ret_has = has;
    return rc;
}

/* Every partition that is followed has been caught up in every range, and there is one of each topic: the query server
 * answers from then on. */
static int look_at_filled(struct announce_member *member, struct err *err)
{
    const struct span all = {NULL, 0};
    size_t topic_count = member->settings->topic_count;
    bool *has_partition = mem_zero(topic_count + 1, sizeof(bool));
    struct store_cursor *cursor = NULL;
    struct span key, value;
    bool is_filled = true;

    int rc = member->is_filled ? ERR_ABSENT
                               : store_cursor_open(member->reader, TABLE_PARTITIONS, all, all, &cursor, err);
    while (rc == 0 && is_filled && (rc = store_cursor_next(cursor, &key, &value, err)) == 0) {
        struct partition_row row;
        uint16_t topic;
        int32_t partition;
        rc = layout_parse_partition_key(key, &topic, &partition, err);
        if (rc == 0)
            rc = layout_parse_partition(value, &row, err);
        if (rc == 0 && topic < topic_count)
            has_partition[topic] = true;
        if (rc == 0 && row.state == PARTITION_FOLLOWING)
            rc = has_caught_up(member->reader, topic, partition, &row, &is_filled, err);
    }
    store_cursor_close(&cursor);
    for (size_t i = 0; i < topic_count && !member->is_filled; i++)
        is_filled = is_filled && has_partition[i];
    free(has_partition);
    if (rc < 0 && rc != ERR_ABSENT)
        return rc;
    member->is_filled = is_filled;
    return 0;
}

/* The partition's place in the list; those of the second generation mostly stand where the first one's do. */
static struct reach *reach_of(struct round *round, struct announced_partition *entry, const char *topic,
                              int32_t partition, size_t hint)
{
    if (hint < round->count && round->reaches[hint].entry == entry)
        return &round->reaches[hint];
    for (size_t i = 0; i < round->count; i++)
        if (round->reaches[i].entry == entry)
            return &round->reaches[i];
    round->reaches = mem_grow(round->reaches, round->count, &round->capacity, sizeof(*round->reaches));
    struct reach *reach = &round->reaches[round->count++];
    *reach = (struct reach){.entry = entry, .topic = topic, .partition = partition, .next_offset = INT64_MAX};
    return reach;
}

/* Positions stand by topic, partition and range. */
static int find_reaches(struct round *round, size_t number, struct err *err)
{
    const struct announce_member *member = round->members[number];
    const struct span all = {NULL, 0};
    struct store_cursor *cursor = NULL;
    struct reach *reach = NULL;
    struct span key, value;
    uint16_t last_topic = 0;
    int32_t last_partition = -1;

    int rc = store_cursor_open(member->reader, TABLE_POSITIONS, all, all, &cursor, err);
    for (size_t hint = 0; rc == 0 && (rc = store_cursor_next(cursor, &key, &value, err)) == 0;) {
        struct position position;
        uint16_t topic;
        int32_t partition;
        unsigned range;
        rc = layout_parse_position_key(key, &topic, &partition, &range, err);
        if (rc == 0)
            rc = layout_parse_position(value, &position, err);
        if (rc < 0 || topic >= member->settings->topic_count)
            continue;
        if (topic != last_topic || partition != last_partition) {
            struct announced_partition *entry = announcing_entry(member->announcing, topic, partition);
            last_topic = topic;
            last_partition = partition;
            reach = entry == NULL
                        ? NULL
                        : reach_of(round, entry, member->settings->topics[topic], partition, hint++);
            if (reach != NULL) {
                reach->topics[number] = topic;
                reach->is_read[number] = true;
            }
        }
        if (reach != NULL && position.next_offset < reach->next_offset)
            reach->next_offset = position.next_offset;
    }
    store_cursor_close(&cursor);
    return rc == ERR_ABSENT ? 0 : rc;
}

/* One whose schema doesn't have the topic has nothing to wait for. */
static bool is_read_everywhere(const struct round *round, const struct reach *reach)
{
    for (size_t i = 0; i < round->shares->count; i++)
        if (!reach->is_read[i] &&
            generation_topic_number(round->members[i]->settings, span_of_text(reach->topic)) >= 0)
            return false;
    return true;
}

/* --- rows --------------------------------------------------------------------------------------------------------- */

/* Whether a mark stands for the key or for leading fields of it. */
static int is_erased(struct store_reader *reader, const struct view *view, uint64_t owner_hash, struct span view_key,
                     struct arena *arena, bool *ret_is_erased, struct err *err)
{
    struct buf key = BUF_INIT;
    struct span rest = view_key;
    bool is_there = false;
    int rc = 0;

    for (size_t i = 0; rc == 0 && !is_there && i < view->key_count; i++) {
        struct value ignored;
        struct span mark;
        rc = key_decode_value(view->keys[i], &rest, arena, &ignored, err);
        if (rc < 0)
            break;
        buf_clear(&key);
        layout_view_key(owner_hash, view->number, span_of(view_key.at, view_key.len - rest.len), &key);
        rc = store_find(reader, TABLE_MARKS, buf_span(&key), &mark, err);
        is_there = rc == 0;
        rc = rc == ERR_ABSENT ? 0 : rc;
    }
    buf_release(&key);
    if (rc == 0)
        *ret_is_erased = is_there;
    return rc;
}

static int add_item(struct round *round, const struct announce_member *member, const struct reach *reach,
                    const struct announcement_key *key, const struct pending_announcement *pending, struct err *err)
{
    struct announce_batch *batch = round->batch;
    bool erased = false;

    if (key->view_number >= member->views->view_count ||
        key->ordinal >= member->views->views[key->view_number].announcement_count)
        return err_set(err, ERR_BROKEN, "a pending announcement of a view that isn't in generation %s", member->name);
    const struct view *view = &member->views->views[key->view_number];
    int rc = is_erased(member->reader, view, key->owner_hash, pending->view_key, &batch->arena, &erased, err);
    if (rc < 0 || erased) {
        batch->erased += erased;
        return rc;
    }
    const struct announcement_facts facts = {
        .view = view,
        .ordinal = key->ordinal,
        .view_key = pending->view_key,
        .topic = reach->topic,
        .partition = reach->partition,
        .offset = key->offset,
        .generation = member->name,
        .event_time_ms = pending->event_time_ms,
        .visible_at_ms = announcing_visible_at_ms(member->announcing, pending->written_at_ms),
    };
    batch->items = mem_grow(batch->items, batch->count, &batch->capacity, sizeof(*batch->items));
    struct announce_item *item = &batch->items[batch->count];
    *item = (struct announce_item){.offset = key->offset,
                                   .visible_at_ms = facts.visible_at_ms,
                                   .move = batch->move_count};
    rc = announcement_record_make(&facts, &batch->arena, &item->record, err);
    if (rc == 0)
        batch->count++;
    return rc;
}

/* Rows of one generation from `from` on, up to *to; that many at most, but never half an offset's: *to is where it
 * ended. */
static int collect_rows(struct round *round, const struct reach *reach, size_t number, int64_t from, int64_t *to,
                        struct err *err)
{
    enum { ROWS_MAX = 2048 };
    const struct announce_member *member = round->members[number];
    struct buf prefix = BUF_INIT, start = BUF_INIT;
    struct store_cursor *cursor = NULL;
    struct announcement_key at;
    struct pending_announcement pending;
    struct span key, value;
    int64_t last_offset = -1;

    layout_announcement_prefix(reach->topics[number], reach->partition, from, &start);
    buf_add(&prefix, start.at, 6); /* topic and partition */
    int rc = store_cursor_open(member->reader, TABLE_ANNOUNCEMENTS, buf_span(&prefix), buf_span(&start), &cursor, err);
    for (size_t rows = 0; rc == 0 && (rc = store_cursor_next(cursor, &key, &value, err)) == 0; rows++) {
        rc = layout_parse_announcement_key(key, &at, err);
        if (rc < 0 || at.offset >= *to)
            break;
        if (rows >= ROWS_MAX && at.offset != last_offset) {
            *to = at.offset;
            round->batch->is_cut = true;
            break;
        }
        last_offset = at.offset;
        if (serving_side(round->shares, at.owner_hash) != number)
            continue;
        rc = layout_parse_announcement(value, &pending, err);
        if (rc == 0)
            rc = add_item(round, member, reach, &at, &pending, err);
    }
    store_cursor_close(&cursor);
    buf_release(&prefix);
    buf_release(&start);
    return rc == ERR_ABSENT ? 0 : rc;
}

static int collect(struct round *round, const struct reach *reach, struct err *err)
{
    struct announce_batch *batch = round->batch;
    int64_t from = atomic_load(&reach->entry->next_offset);
    int64_t to = reach->next_offset;
    size_t first = batch->count, kept = batch->count;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < round->shares->count && batch->pending > 0; i++)
        if (reach->is_read[i])
            rc = collect_rows(round, reach, i, from, &to, err);
    if (rc < 0)
        return rc;
    for (size_t i = first; i < batch->count; i++) /* the second generation's rows may have ended earlier */
        if (batch->items[i].offset < to)
            batch->items[kept++] = batch->items[i];
    batch->count = kept;
    batch->moves = mem_grow(batch->moves, batch->move_count, &batch->move_capacity, sizeof(*batch->moves));
    batch->moves[batch->move_count++] = (struct announce_move){reach->entry, to, kept - first};
    return 0;
}
