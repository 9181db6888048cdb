/* Suspects are settled in batches, so that logs are asked and waited for once for many.
 *
 * Every read of rows and outbox together is one snapshot. A database that is behind its writer (a replica) is a risk that
 * only time between the looks makes small: settle_ms. */
#include "projector/verify_settle.h"

#include <poll.h>
#include <stdlib.h>

#include "projector/positions.h"
#include "projector/verify_rows.h"
#include "schema/base/clock.h"
#include "schema/base/hash.h"
#include "schema/base/mem.h"
#include "schema/view/key.h"

enum {
    BATCH = 500,
    ROUNDS_MAX = 6,
    STORE_LOOK_MS = 20,
};

struct settle {
    const struct verify_options *options;
    struct verify_view *view_check;
    struct verify_result *result;
};

/* A suspect on its way. What is found counts once it is settled. */
struct settling {
    const struct settle *settle;
    const struct suspect *suspect;
    struct buf rows; /* the first look */
    bool has_outbox_row;
    bool is_settled;
    struct drift *found; /* of this round */
    size_t count, capacity;
    struct views_seen seen; /* keys that the owner's rows told of */
};

static int settle_batch(struct settling *settlings, size_t count, struct err *err);
static void settling_release(struct settling *settling);

static bool are_settled(const struct settling *settlings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!settlings[i].is_settled)
            return false;
    return true;
}

int verify_settle(const struct verify_options *options, struct verify_view *view_check, const struct suspects *suspects,
                  struct verify_result *result, struct err *err)
{
    struct settle settle = {options, view_check, result};
    int rc = 0;

    for (size_t from = 0; rc == 0 && from < suspects->count; from += BATCH) {
        size_t count = suspects->count - from < BATCH ? suspects->count - from : BATCH;
        struct settling *settlings = mem_zero(count, sizeof(*settlings));
        for (size_t i = 0; i < count; i++)
            settlings[i] = (struct settling){.settle = &settle, .suspect = &suspects->items[from + i]};
        for (int round = 0; rc == 0 && round < ROUNDS_MAX && !are_settled(settlings, count); round++)
            rc = settle_batch(settlings, count, err);
        for (size_t i = 0; i < count; i++) {
            result->settled += settlings[i].is_settled;
            result->unsettled += !settlings[i].is_settled;
            settling_release(&settlings[i]);
        }
        free(settlings);
    }
    return rc;
}

/* --- the store past the logs -------------------------------------------------------------------------------------- */

/* All ranges of all partitions, so that every key of every view is as new as that. */
static int has_passed(const struct verify_options *options, const struct log_end *ends, size_t count,
                      bool *ret_has_passed, struct err *err)
{
    const struct opened_store *opened = options->opened;
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

static int wait_for_store(const struct verify_options *options, struct err *err)
{
    struct log_end *ends = NULL;
    size_t count = 0;
    bool passed = false;

    int rc = kafka_ends_ask(options->ends, &ends, &count, err);
    int64_t until_us = clock_monotonic_us(&clock_system) + options->patience_ms * 1000;
    while (rc == 0 && !passed) {
        rc = has_passed(options, ends, count, &passed, err);
        if (rc < 0 || passed)
            break;
        if (clock_monotonic_us(&clock_system) > until_us)
            rc = err_set(err, ERR_AGAIN, "the store doesn't reach the ends of the logs: is its projector running?");
        store_read_end(options->opened->reader);
        poll(NULL, 0, STORE_LOOK_MS);
    }
    free(ends);
    return rc;
}

/* --- what differs ------------------------------------------------------------------------------------------------- */

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

    if (view == settling->suspect->view)
        views_seen_add(&settling->seen, view, key);
}

/* Views of the owner that no row tells of. */
static int find_extra(struct settling *settling, struct err *err)
{
    const struct suspect *suspect = settling->suspect;
    struct store_cursor *cursor = NULL;
    struct buf prefix = BUF_INIT;
    struct span row_key, value;

    if (!verify_is_made_by_rows(suspect->view))
        return 0;
    views_seen_sort(&settling->seen);
    layout_view_key(hash64(suspect->owner), suspect->view->number, span_of(NULL, 0), &prefix);
    int rc = store_cursor_open(settling->settle->options->opened->reader, TABLE_VIEWS, buf_span(&prefix),
                               span_of(NULL, 0), &cursor, err);
    while (rc == 0 && (rc = store_cursor_next(cursor, &row_key, &value, err)) == 0) {
        struct span key = span_of(span_bytes(row_key) + prefix.len, row_key.len - prefix.len);
        struct stored_view stored;
        rc = layout_parse_view_value(value, &stored, err);
        if (rc == 0 && stored.is_made && !views_seen_has(&settling->seen, suspect->view, key))
            drift_of(settling, key)->is_extra = true;
    }
    store_cursor_close(&cursor);
    buf_release(&prefix);
    return rc == ERR_ABSENT ? 0 : rc;
}

static int compare(struct settling *settling, struct err *err)
{
    struct verify_view *view_check = settling->settle->view_check;
    const struct suspect *suspect = settling->suspect;
    struct span left = buf_span(&settling->rows), event;
    const struct first_load *load;
    int rc = 0;

    view_check->touched = note_key;
    view_check->touched_self = settling;
    while (rc == 0 && verify_rows_next(&left, suspect->view, &load, &event))
        rc = verify_view_event(view_check, load->handler, event, suspect->owner, note_difference, settling, err);
    view_check->touched = NULL;
    return rc == 0 ? find_extra(settling, err) : rc;
}

/* --- a round ------------------------------------------------------------------------------------------------------ */

static int look(const struct settling *settling, struct buf *rows, bool *ret_has_outbox_row, struct err *err)
{
    const struct verify_options *options = settling->settle->options;

    return verify_rows_look(options->database, options->outbox, settling->suspect->view, settling->suspect->owner, rows,
                            ret_has_outbox_row, err);
}

static void forget_found(struct settling *settling)
{
    for (size_t i = 0; i < settling->count; i++)
        drift_release(&settling->found[i]);
    settling->count = 0;
    views_seen_release(&settling->seen);
}

static void settling_release(struct settling *settling)
{
    forget_found(settling);
    free(settling->found);
    buf_release(&settling->rows);
}

/* What was compared, and whether it still counts. */
static int conclude(struct settling *settling, struct err *err)
{
    struct verify_result *result = settling->settle->result;
    struct buf rows = BUF_INIT;
    bool has_outbox_row = false;
    int rc = 0;

    if (settling->count == 0) {
        settling->is_settled = true;
    } else {
        rc = look(settling, &rows, &has_outbox_row, err);
        settling->is_settled = rc == 0 && !has_outbox_row && !settling->has_outbox_row &&
                               span_equal(buf_span(&rows), buf_span(&settling->rows));
    }
    buf_release(&rows);
    for (size_t i = 0; settling->is_settled && i < settling->count; i++) {
        result->drifts =
            mem_grow(result->drifts, result->drift_count, &result->drift_capacity, sizeof(*result->drifts));
        result->drifts[result->drift_count++] = settling->found[i];
    }
    if (settling->is_settled)
        settling->count = 0; /* they are the result's now */
    forget_found(settling);
    return rc;
}

static void sleep_until(int64_t until_us)
{
    int64_t left_us = until_us - clock_monotonic_us(&clock_system);

    if (left_us > 0)
        poll(NULL, 0, (int)(left_us / 1000 + 1));
}

static int settle_batch(struct settling *settlings, size_t count, struct err *err)
{
    const struct verify_options *options = settlings[0].settle->options;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count; i++)
        if (!settlings[i].is_settled)
            rc = look(&settlings[i], &settlings[i].rows, &settlings[i].has_outbox_row, err);
    int64_t settled_us = clock_monotonic_us(&clock_system) + options->settle_ms * 1000;
    if (rc == 0)
        rc = wait_for_store(options, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (!settlings[i].is_settled)
            rc = compare(&settlings[i], err);
    if (rc == 0) {
        store_read_end(options->opened->reader);
        sleep_until(settled_us);
    }
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (!settlings[i].is_settled)
            rc = conclude(&settlings[i], err);
    return rc;
}
