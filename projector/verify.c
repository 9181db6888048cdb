/* Suspects are settled in batches, so that logs are asked and waited for once for many. What a suspect's rows say is kept
 * as the bytes of their events, one behind the other: equal bytes, equal rows, as far as the view is concerned.
 *
 * Every read of rows and outbox together is one snapshot. A database that is behind its writer (a replica) is a risk that
 * only time between the looks makes small: settle_ms. */
#include "projector/verify.h"

#include <poll.h>
#include <stdlib.h>

#include "ops/runtime/log.h"
#include "projector/first_load_query.h"
#include "projector/first_load_rows.h"
#include "projector/positions.h"
#include "projector/verify_view.h"
#include "schema/base/clock.h"
#include "schema/base/hash.h"
#include "schema/base/mem.h"
#include "schema/view/key.h"

enum {
    BATCH = 500,
    ROUNDS_MAX = 6,
    STORE_LOOK_MS = 20,
};

struct suspect {
    const struct view *view;
    struct span owner; /* in verify->kept */
    struct buf rows;   /* the first look: see add_row() */
    bool has_outbox_row;
    bool is_settled;
    size_t drift_from, drift_count; /* of this round, in `found` */
};

struct verify {
    struct verify_options options;
    struct comparison_plan plan;
    struct verify_view view_check;
    const struct view **views; /* that are verified */
    size_t view_count;
    struct suspect *suspects;
    size_t suspect_count, suspect_capacity;
    uint64_t *seen; /* hash of (view, key) of views that rows told of */
    size_t seen_count, seen_capacity;
    struct arena kept;
    struct verify_result *result;
};

/* --- views -------------------------------------------------------------------------------------------------------- */

static int choose_views(struct verify *verify, struct err *err)
{
    const struct view_set *set = verify->options.opened->views;
    const struct config_list *names = verify->options.names;

    verify->views = mem_zero(set->view_count + names->count, sizeof(*verify->views));
    for (size_t i = 0; names->count == 0 && i < set->view_count; i++)
        if (set->views[i].first_load_count > 0)
            verify->views[verify->view_count++] = &set->views[i];
    for (size_t i = 0; i < names->count; i++) {
        const struct view *view = view_set_find(set, span_of_text(names->items[i]));
        if (view == NULL || view->first_load_count == 0)
            return err_set(err, ERR_INPUT, "%s %s",
                           view ? "without first_load there is nothing to compare with: view" : "there is no view",
                           names->items[i]);
        verify->views[verify->view_count++] = view;
    }
    return verify->view_count > 0 ? 0 : err_set(err, ERR_INPUT, "no view of the store has a first_load");
}

static bool is_verified(const struct verify *verify, const struct view *view)
{
    for (size_t i = 0; i < verify->view_count; i++)
        if (verify->views[i] == view)
            return true;
    return false;
}

/* Rows make its views, so a view without one is one too many. */
static bool is_made_by_rows(const struct view *view)
{
    for (size_t i = 0; i < view->first_load_count; i++)
        if (view->first_loads[i].handler->is_home)
            return true;
    return false;
}

static bool is_sampled(const struct verify *verify, uint64_t owner_hash)
{
    uint64_t salted = hash64(span_of(&(uint64_t[]){owner_hash, verify->options.sample_salt}, 2 * sizeof(uint64_t)));

    return salted % 10000 < verify->options.sample_per_10000;
}

/* --- the walk ----------------------------------------------------------------------------------------------------- */

static void suspect_add(struct verify *verify, const struct view *view, struct span owner)
{
    struct suspect *last = verify->suspect_count > 0 ? &verify->suspects[verify->suspect_count - 1] : NULL;

    if (last != NULL && last->view == view && span_equal(last->owner, owner))
        return; /* many rows of one owner come one behind the other */
    if (verify->suspect_count == verify->options.suspects_max) {
        verify->result->is_cut = true;
        return;
    }
    verify->suspects =
        mem_grow(verify->suspects, verify->suspect_count, &verify->suspect_capacity, sizeof(*verify->suspects));
    verify->suspects[verify->suspect_count++] =
        (struct suspect){.view = view, .owner = span_of(arena_copy(&verify->kept, owner.at, owner.len), owner.len)};
}

static uint64_t hash_of_view(const struct view *view, struct span key)
{
    return hash64(key) ^ (uint64_t)(view->number + 1) * 0x9e3779b97f4a7c15U;
}

static void note_seen(void *self, const struct view *view, struct span key)
{
    struct verify *verify = self;

    verify->seen = mem_grow(verify->seen, verify->seen_count, &verify->seen_capacity, sizeof(*verify->seen));
    verify->seen[verify->seen_count++] = hash_of_view(view, key);
}

struct walk {
    struct verify *verify;
    struct load_cursor cursor;
    struct row_mapping *mapping;
    struct arena arena;
    struct buf owner, event, next_key;
    enum column_kind next_kind;
    bool has_next;
};

struct suspicion {
    struct verify *verify;
    struct span owner;
};

static void suspect_difference(void *self, const struct view_difference *difference,
                               const struct differing_fields *fields)
{
    const struct suspicion *suspicion = self;
    (void)fields;

    if (is_verified(suspicion->verify, difference->view))
        suspect_add(suspicion->verify, difference->view, suspicion->owner);
}

static int walk_row(void *self, const struct database_row *row, struct err *err)
{
    struct walk *walk = self;
    struct verify *verify = walk->verify;
    ProtobufCMessage *message;
    int rc = 0;

    if (walk->mapping == NULL)
        rc = row_mapping_new(walk->cursor.load, row, &walk->mapping, err);
    if (rc < 0)
        return rc;
    struct span key = row_mapping_key(walk->mapping, row, &walk->next_kind);
    buf_clear(&walk->next_key);
    buf_add_span(&walk->next_key, key);
    walk->has_next = true;
    verify->result->rows++;
    arena_reset(&walk->arena);
    buf_clear(&walk->owner);
    buf_clear(&walk->event);
    rc = row_mapping_event(walk->mapping, row, &walk->arena, &message, &walk->owner, err);
    if (rc < 0)
        return err_prefix(err, "row %lld", (long long)verify->result->rows);
    if (!is_sampled(verify, hash64(buf_span(&walk->owner))))
        return 0;
    message_encode(message, &walk->event);
    struct suspicion suspicion = {verify, buf_span(&walk->owner)};
    rc = verify_view_event(&verify->view_check, walk->cursor.load->handler, buf_span(&walk->event),
                           buf_span(&walk->owner), suspect_difference, &suspicion, err);
    return verify->result->is_cut && rc == 0 ? DATABASE_ENOUGH : rc;
}

/* The store's snapshot is as of one chunk: none is held for long. */
static int walk_query(struct verify *verify, const struct first_load *load, struct err *err)
{
    struct walk walk = {.verify = verify, .cursor = {.load = load}};
    bool is_last = false;
    int rc = 0;

    while (rc == 0 && !is_last && !verify->result->is_cut) {
        walk.has_next = false;
        rc = store_read_begin(verify->options.opened->reader, err);
        if (rc == 0)
            rc = load_query_chunk(verify->options.database, &walk.cursor, verify->options.chunk_rows, walk_row, &walk,
                                  &is_last, err);
        if (walk.has_next) {
            walk.cursor.has_key = true;
            walk.cursor.key_kind = walk.next_kind;
            buf_clear(&walk.cursor.last_key);
            buf_add_span(&walk.cursor.last_key, buf_span(&walk.next_key));
        }
    }
    row_mapping_free(&walk.mapping);
    arena_release(&walk.arena);
    buf_release(&walk.owner);
    buf_release(&walk.event);
    buf_release(&walk.next_key);
    buf_release(&walk.cursor.last_key);
    return rc;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

/* The owner's text from an encoded key. */
static int owner_of(const struct view *view, struct span key, struct arena *arena, struct buf *owner, struct err *err)
{
    struct value value;

    int rc = key_decode_value(view->keys[0], &key, arena, &value, err);
    if (rc == 0)
        key_owner_text(view->keys[0], value, owner);
    return rc;
}

static int walk_store(struct verify *verify, struct err *err)
{
    struct store_reader *reader = verify->options.opened->reader;
    const struct view_set *set = verify->options.opened->views;
    struct store_cursor *cursor = NULL;
    struct span row_key, value, key;
    struct arena arena = ARENA_INIT;
    struct buf owner = BUF_INIT;

    qsort(verify->seen, verify->seen_count, sizeof(*verify->seen), by_number);
    int rc = store_read_begin(reader, err);
    if (rc == 0)
        rc = store_cursor_open(reader, TABLE_VIEWS, span_of(NULL, 0), span_of(NULL, 0), &cursor, err);
    while (rc == 0 && !verify->result->is_cut && (rc = store_cursor_next(cursor, &row_key, &value, err)) == 0) {
        struct stored_view stored;
        uint64_t owner_hash;
        uint16_t number;
        rc = layout_parse_view_key(row_key, &owner_hash, &number, &key, err);
        if (rc == 0)
            rc = layout_parse_view_value(value, &stored, err);
        if (rc < 0 || number >= set->view_count || !stored.is_made)
            continue;
        const struct view *view = &set->views[number];
        uint64_t hash = hash_of_view(view, key);
        if (!is_verified(verify, view) || !is_made_by_rows(view) || !is_sampled(verify, owner_hash) ||
            bsearch(&hash, verify->seen, verify->seen_count, sizeof(hash), by_number) != NULL)
            continue;
        buf_clear(&owner);
        rc = owner_of(view, key, &arena, &owner, err);
        if (rc == 0)
            suspect_add(verify, view, buf_span(&owner));
        arena_reset(&arena);
    }
    store_cursor_close(&cursor);
    arena_release(&arena);
    buf_release(&owner);
    return rc == ERR_ABSENT ? 0 : rc;
}

/* --- settling ----------------------------------------------------------------------------------------------------- */

/* An owner's rows as events: number of the query (1), length (4), bytes; one behind the other. */
struct rows_of_owner {
    const struct first_load *load;
    size_t ordinal;
    struct span owner;
    struct row_mapping *mapping;
    struct arena arena;
    struct buf text;
    struct buf *rows;
};

static int add_row(void *self, const struct database_row *row, struct err *err)
{
    struct rows_of_owner *reading = self;
    ProtobufCMessage *message;
    int rc = 0;

    if (reading->mapping == NULL)
        rc = row_mapping_new(reading->load, row, &reading->mapping, err);
    arena_reset(&reading->arena);
    buf_clear(&reading->text);
    if (rc == 0)
        rc = row_mapping_event(reading->mapping, row, &reading->arena, &message, &reading->text, err);
    if (rc < 0 || !span_equal(buf_span(&reading->text), reading->owner)) /* the column's collation may be laxer */
        return rc;
    uint32_t len = (uint32_t)message_encoded_size(message);
    buf_add_byte(reading->rows, (uint8_t)reading->ordinal);
    buf_add(reading->rows, &len, sizeof(len));
    message_encode(message, reading->rows);
    return 0;
}

static int read_rows(const struct verify *verify, const struct suspect *suspect, struct buf *rows, struct err *err)
{
    int rc = 0;

    buf_clear(rows);
    for (size_t i = 0; rc == 0 && i < suspect->view->first_load_count; i++) {
        struct rows_of_owner reading = {
            .load = &suspect->view->first_loads[i], .ordinal = i, .owner = suspect->owner, .rows = rows};
        rc = load_query_owner(verify->options.database, reading.load, suspect->owner, add_row, &reading, err);
        row_mapping_free(&reading.mapping);
        arena_release(&reading.arena);
        buf_release(&reading.text);
    }
    return rc;
}

/* Rows and outbox as of one snapshot. */
static int look(const struct verify *verify, const struct suspect *suspect, struct buf *rows, bool *ret_has_outbox_row,
                struct err *err)
{
    const struct database *database = verify->options.database;
    struct err ignored = {0};

    int rc = database_do(database, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", err);
    if (rc == 0)
        rc = database_do(database, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", err);
    if (rc == 0)
        rc = read_rows(verify, suspect, rows, err);
    if (rc == 0)
        rc = outbox_has_key(verify->options.outbox, database, suspect->owner, ret_has_outbox_row, err);
    if (database->is_open(database->self) && database_do(database, "ROLLBACK", &ignored) < 0)
        database->close(database->self);
    return rc;
}

/* All ranges of all partitions, so that every key of every view is as new as that. */
static int has_passed(const struct verify *verify, const struct log_end *ends, size_t count, bool *ret_has_passed,
                      struct err *err)
{
    const struct opened_store *opened = verify->options.opened;
    struct positions positions;

    positions_init(&positions, opened->generation->settings.topic_count);
    int rc = store_read_begin(opened->reader, err);
    if (rc == 0)
        rc = positions_load(&positions, opened->reader, err);
    bool passed = rc == 0;
    for (size_t i = 0; passed && i < count; i++) {
        const struct partition *partition = positions_find(&positions, ends[i].topic, ends[i].partition);
        passed = partition != NULL || ends[i].end_offset == 0;
        for (unsigned range = 0; passed && partition != NULL && range < RANGE_COUNT; range++)
            passed = partition->stored[range].next_offset >= ends[i].end_offset;
    }
    positions_release(&positions);
    *ret_has_passed = passed;
    return rc;
}

static int wait_for_store(const struct verify *verify, struct err *err)
{
    struct log_end *ends = NULL;
    size_t count = 0;
    bool passed = false;

    int rc = kafka_ends_ask(verify->options.ends, &ends, &count, err);
    int64_t until_us = clock_monotonic_us(&clock_system) + verify->options.patience_ms * 1000;
    while (rc == 0 && !passed) {
        rc = has_passed(verify, ends, count, &passed, err);
        if (rc < 0 || passed)
            break;
        if (clock_monotonic_us(&clock_system) > until_us)
            rc = err_set(err, ERR_AGAIN, "the store doesn't reach the ends of the logs: is its projector running?");
        store_read_end(verify->options.opened->reader);
        poll(NULL, 0, STORE_LOOK_MS);
    }
    free(ends);
    return rc;
}

struct settling {
    struct verify *verify;
    struct suspect *suspect;
    struct drift *found;
    size_t count, capacity;
    uint64_t *seen; /* keys that the owner's rows told of */
    size_t seen_count, seen_capacity;
};

static struct drift *drift_of(struct settling *settling, struct span key)
{
    struct buf text = BUF_INIT;
    struct err ignored = {0};

    if (key_text(settling->suspect->view, key, &text, &ignored) < 0)
        buf_clear(&text);
    for (size_t i = 0; i < settling->count; i++) {
        if (strcmp(settling->found[i].key, buf_text(&text)) == 0) {
            buf_release(&text);
            return &settling->found[i];
        }
    }
    settling->found = mem_grow(settling->found, settling->count, &settling->capacity, sizeof(*settling->found));
    struct drift *drift = &settling->found[settling->count++];
    *drift = (struct drift){.view = settling->suspect->view,
                            .key = mem_text(buf_text(&text)),
                            .fields = mem_text(""),
                            .owner = settling->suspect->owner};
    buf_release(&text);
    return drift;
}

static void drift_release(struct drift *drift)
{
    free(drift->key);
    free(drift->fields);
}

static void note_difference(void *self, const struct view_difference *difference, const struct differing_fields *fields)
{
    struct settling *settling = self;
    struct buf text = BUF_INIT;

    if (difference->view != settling->suspect->view)
        return;
    struct drift *drift = drift_of(settling, difference->key);
    drift->is_missing = drift->is_missing || difference->is_missing;
    buf_add_text(&text, drift->fields);
    for (size_t i = 0; i < fields->count; i++) {
        bool is_leaf = true;
        for (size_t k = 0; k < fields->count; k++)
            is_leaf = is_leaf && fields->items[k].parent != i;
        if (!is_leaf)
            continue;
        struct buf path = BUF_INIT;
        differing_field_path(fields, i, &path);
        if (memmem(text.at, text.len, path.at, path.len) == NULL)
            buf_add_format(&text, "%s%s", text.len > 0 ? ", " : "", buf_text(&path));
        buf_release(&path);
    }
    free(drift->fields);
    drift->fields = mem_text(buf_text(&text));
    buf_release(&text);
}

static void note_key(void *self, const struct view *view, struct span key)
{
    struct settling *settling = self;

    if (view != settling->suspect->view)
        return;
    settling->seen = mem_grow(settling->seen, settling->seen_count, &settling->seen_capacity, sizeof(*settling->seen));
    settling->seen[settling->seen_count++] = hash_of_view(view, key);
}

/* Views of the owner that no row tells of. */
static int find_extra(struct settling *settling, struct err *err)
{
    const struct suspect *suspect = settling->suspect;
    struct store_cursor *cursor = NULL;
    struct buf prefix = BUF_INIT;
    struct span row_key, value;

    if (!is_made_by_rows(suspect->view))
        return 0;
    layout_view_key(hash64(suspect->owner), suspect->view->number, span_of(NULL, 0), &prefix);
    int rc = store_cursor_open(settling->verify->options.opened->reader, TABLE_VIEWS, buf_span(&prefix),
                               span_of(NULL, 0), &cursor, err);
    while (rc == 0 && (rc = store_cursor_next(cursor, &row_key, &value, err)) == 0) {
        struct span key = span_of(span_bytes(row_key) + prefix.len, row_key.len - prefix.len);
        struct stored_view stored;
        uint64_t hash = hash_of_view(suspect->view, key);
        bool is_told = false;
        rc = layout_parse_view_value(value, &stored, err);
        for (size_t i = 0; !is_told && i < settling->seen_count; i++)
            is_told = settling->seen[i] == hash;
        if (rc == 0 && stored.is_made && !is_told)
            drift_of(settling, key)->is_extra = true;
    }
    store_cursor_close(&cursor);
    buf_release(&prefix);
    return rc == ERR_ABSENT ? 0 : rc;
}

static int compare(struct settling *settling, struct err *err)
{
    struct verify *verify = settling->verify;
    const struct suspect *suspect = settling->suspect;
    struct span left = buf_span(&suspect->rows);
    int rc = 0;

    verify->view_check.touched = note_key;
    verify->view_check.touched_self = settling;
    while (rc == 0 && left.len > 0) {
        uint32_t len;
        size_t ordinal = span_bytes(left)[0];
        memcpy(&len, span_bytes(left) + 1, sizeof(len));
        struct span event = span_of(span_bytes(left) + 5, len);
        left = span_of(span_bytes(event) + len, left.len - 5 - len);
        rc = verify_view_event(&verify->view_check, suspect->view->first_loads[ordinal].handler, event, suspect->owner,
                               note_difference, settling, err);
    }
    return rc == 0 ? find_extra(settling, err) : rc;
}

/* What was compared, and whether it still counts. */
static int conclude(struct settling *settling, struct err *err)
{
    struct verify *verify = settling->verify;
    struct suspect *suspect = settling->suspect;
    struct verify_result *result = verify->result;
    struct buf rows = BUF_INIT;
    bool has_outbox_row = false;
    int rc = 0;

    if (settling->count == 0) {
        suspect->is_settled = true;
    } else {
        rc = look(verify, suspect, &rows, &has_outbox_row, err);
        suspect->is_settled = rc == 0 && !has_outbox_row && !suspect->has_outbox_row &&
                              span_equal(buf_span(&rows), buf_span(&suspect->rows));
    }
    for (size_t i = 0; i < settling->count; i++) {
        if (!suspect->is_settled) {
            drift_release(&settling->found[i]);
            continue;
        }
        result->drifts =
            mem_grow(result->drifts, result->drift_count, &result->drift_capacity, sizeof(*result->drifts));
        result->drifts[result->drift_count++] = settling->found[i];
    }
    settling->count = 0;
    buf_release(&rows);
    return rc;
}

static void sleep_until(int64_t until_us)
{
    int64_t left_us = until_us - clock_monotonic_us(&clock_system);

    if (left_us > 0)
        poll(NULL, 0, (int)(left_us / 1000 + 1));
}

/* One round over a batch. */
static int settle_batch(struct verify *verify, struct suspect *suspects, size_t count, struct err *err)
{
    struct settling *settlings = mem_zero(count, sizeof(*settlings));
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count; i++)
        if (!suspects[i].is_settled)
            rc = look(verify, &suspects[i], &suspects[i].rows, &suspects[i].has_outbox_row, err);
    int64_t settled_us = clock_monotonic_us(&clock_system) + verify->options.settle_ms * 1000;
    if (rc == 0)
        rc = wait_for_store(verify, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        settlings[i].verify = verify;
        settlings[i].suspect = &suspects[i];
        if (!suspects[i].is_settled)
            rc = compare(&settlings[i], err);
    }
    if (rc == 0) {
        store_read_end(verify->options.opened->reader);
        sleep_until(settled_us);
    }
    for (size_t i = 0; i < count; i++) {
        if (rc == 0 && !suspects[i].is_settled)
            rc = conclude(&settlings[i], err);
        for (size_t k = 0; k < settlings[i].count; k++)
            drift_release(&settlings[i].found[k]);
        free(settlings[i].found);
        free(settlings[i].seen);
    }
    free(settlings);
    return rc;
}

static bool are_settled(const struct suspect *suspects, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!suspects[i].is_settled)
            return false;
    return true;
}

static int settle(struct verify *verify, struct err *err)
{
    int rc = 0;

    for (size_t from = 0; rc == 0 && from < verify->suspect_count; from += BATCH) {
        size_t count = verify->suspect_count - from < BATCH ? verify->suspect_count - from : BATCH;
        struct suspect *suspects = &verify->suspects[from];
        for (int round = 0; rc == 0 && round < ROUNDS_MAX && !are_settled(suspects, count); round++)
            rc = settle_batch(verify, suspects, count, err);
    }
    for (size_t i = 0; i < verify->suspect_count; i++) {
        verify->result->settled += verify->suspects[i].is_settled;
        verify->result->unsettled += !verify->suspects[i].is_settled;
    }
    verify->result->suspects = (int64_t)verify->suspect_count;
    return rc;
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

static int by_view_and_owner(const void *a, const void *b)
{
    const struct suspect *left = a, *right = b;

    if (left->view != right->view)
        return left->view->number < right->view->number ? -1 : 1;
    return span_compare(left->owner, right->owner);
}

/* Several queries of a view may suspect the same owner. */
static void drop_doubles(struct verify *verify)
{
    size_t kept = 0;

    if (verify->suspect_count > 0)
        qsort(verify->suspects, verify->suspect_count, sizeof(*verify->suspects), by_view_and_owner);
    for (size_t i = 0; i < verify->suspect_count; i++)
        if (kept == 0 || by_view_and_owner(&verify->suspects[kept - 1], &verify->suspects[i]) != 0)
            verify->suspects[kept++] = verify->suspects[i];
    verify->suspect_count = kept;
}

int verify_run(const struct verify_options *options, struct verify **ret_verify, struct verify_result *ret_result,
               struct err *err)
{
    struct verify *verify = mem_zero(1, sizeof(*verify));
    struct verify_result result = {0};

    verify->options = *options;
    verify->result = &result;
    comparison_plan_make(options->opened->views, options->opened->views, &verify->plan);
    verify->view_check = (struct verify_view){.reader = options->opened->reader,
                                              .views = options->opened->views,
                                              .plan = &verify->plan,
                                              .touched = note_seen,
                                              .touched_self = verify};
    int rc = choose_views(verify, err);
    for (size_t i = 0; rc == 0 && i < verify->view_count; i++) {
        const struct view *view = verify->views[i];
        for (size_t k = 0; rc == 0 && k < view->first_load_count; k++) {
            rc = walk_query(verify, &view->first_loads[k], err);
            if (rc < 0)
                err_prefix(err, "%s.first_load[%zu]", view->type->name, k);
        }
    }
    if (rc == 0)
        rc = walk_store(verify, err);
    if (rc == 0) {
        drop_doubles(verify);
        rc = settle(verify, err);
    }
    verify->result = NULL;
    if (rc < 0) {
        verify_result_release(&result);
        verify_free(&verify);
        return rc;
    }
    *ret_verify = verify;
    *ret_result = result;
    return 0;
}

void verify_free(struct verify **verify)
{
    if (*verify == NULL)
        return;
    for (size_t i = 0; i < (*verify)->suspect_count; i++)
        buf_release(&(*verify)->suspects[i].rows);
    free((*verify)->suspects);
    free((*verify)->seen);
    free((*verify)->views);
    verify_view_release(&(*verify)->view_check);
    comparison_plan_release(&(*verify)->plan);
    arena_release(&(*verify)->kept);
    free(*verify);
    *verify = NULL;
}

void verify_result_release(struct verify_result *result)
{
    for (size_t i = 0; i < result->drift_count; i++)
        drift_release(&result->drifts[i]);
    free(result->drifts);
    *result = (struct verify_result){0};
}

/* SERIALIZABLE makes plain reads take shared locks, inside the user's query too: no writer comes between what is read and
 * its row in the outbox. */
int verify_repair(struct verify *verify, const struct drift *drift, size_t *ret_rows, struct err *err)
{
    const struct database *database = verify->options.database;
    struct suspect suspect = {.view = drift->view, .owner = drift->owner};
    struct err ignored = {0};
    struct buf rows = BUF_INIT;
    size_t count = 0;

    int rc = database_do(database, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", err);
    if (rc == 0)
        rc = database_do(database, "START TRANSACTION", err);
    if (rc == 0)
        rc = read_rows(verify, &suspect, &rows, err);
    struct span left = buf_span(&rows);
    while (rc == 0 && left.len > 0) {
        uint32_t len;
        const struct first_load *load = &drift->view->first_loads[span_bytes(left)[0]];
        memcpy(&len, span_bytes(left) + 1, sizeof(len));
        struct span event = span_of(span_bytes(left) + 5, len);
        left = span_of(span_bytes(event) + len, left.len - 5 - len);
        rc = outbox_add(verify->options.outbox, database, SPAN_LITERAL(OUTBOX_STATE_AGAIN), drift->owner,
                        span_of_text(load->handler->event->full_name), event, err);
        count++;
    }
    if (rc == 0)
        rc = database_do(database, "COMMIT", err);
    else if (database->is_open(database->self) && database_do(database, "ROLLBACK", &ignored) < 0)
        database->close(database->self);
    buf_release(&rows);
    if (rc == 0)
        *ret_rows = count;
    return rc;
}
