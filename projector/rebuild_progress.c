/* A store is committed range by range, so what it tells jumps; the rate is taken over the last few looks, which are as
 * far apart as the caller makes them. */
#include "projector/rebuild_progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { BAR_LEAST = 10, BAR_MOST = 40, LINE_PARTITIONS_MAX = 8 };

static void note(struct rebuild_progress *progress, int64_t now_ms)
{
    if (progress->seen_count == PROGRESS_SPEEDS) {
        memmove(progress->seen, progress->seen + 1, sizeof(progress->seen) - sizeof(progress->seen[0]));
        progress->seen_count--;
    }
    progress->seen[progress->seen_count].at_ms = now_ms;
    progress->seen[progress->seen_count++].handled = progress->handled;

    int64_t took_ms = now_ms - progress->seen[0].at_ms;
    int64_t more = progress->handled - progress->seen[0].handled;
    progress->events_per_s = took_ms > 0 && more > 0 ? more * 1000 / took_ms : 0;
    int64_t left = progress->total - progress->handled;
    if (progress->is_caught_up)
        progress->time_left_s = 0;
    else
        progress->time_left_s = progress->events_per_s > 0 && progress->total > 0 ? left / progress->events_per_s : -1;
}

/* The mean of the ranges' positions: they are committed one after the other. */
static int64_t mean_offset(const struct partition *partition)
{
    int64_t sum = 0;

    for (unsigned range = 0; range < RANGE_COUNT; range++)
        sum += partition->stored[range].next_offset;
    return sum / RANGE_COUNT;
}

void rebuild_progress_look(struct rebuild_progress *progress, const struct positions *positions, int64_t now_ms)
{
    bool is_caught_up = positions->count > 0;

    progress->handled = 0;
    progress->total = 0;
    for (size_t i = 0; i < positions->count; i++) {
        const struct partition *partition = positions->partitions[i];
        int64_t offset = mean_offset(partition);
        int64_t end = partition->row.end_offset > offset ? partition->row.end_offset : offset;
        progress->handled += offset;
        progress->total += end;
        for (unsigned range = 0; range < RANGE_COUNT; range++)
            is_caught_up &= partition->row.state != PARTITION_FOLLOWING ||
                            layout_has_caught_up(&partition->stored[range], &partition->row);
    }
    progress->is_caught_up = is_caught_up;
    note(progress, now_ms);
}

/* 1234567 -> "1,234,567" */
static void add_number(struct buf *out, int64_t number)
{
    char digits[24];
    int length = snprintf(digits, sizeof(digits), "%" PRId64, number < 0 ? 0 : number);

    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            buf_add_byte(out, ',');
        buf_add_byte(out, (uint8_t)digits[i]);
    }
}

static void add_time_left(struct buf *out, int64_t seconds)
{
    if (seconds < 0)
        buf_add_literal(out, "time left not known");
    else if (seconds >= 3600)
        buf_add_format(out, "%" PRId64 " h %02" PRId64 " min left", seconds / 3600, seconds / 60 % 60);
    else if (seconds >= 60)
        buf_add_format(out, "%" PRId64 " min %02" PRId64 " s left", seconds / 60, seconds % 60);
    else
        buf_add_format(out, "%" PRId64 " s left", seconds);
}

static int percent_of(const struct rebuild_progress *progress)
{
    if (progress->is_caught_up)
        return 100;
    int64_t percent = progress->total > 0 ? progress->handled * 100 / progress->total : 0;
    return percent > 99 ? 99 : (int)percent; /* 100 is for what is finished */
}

static void add_figures(const struct rebuild_progress *progress, struct buf *out)
{
    buf_add_format(out, "%3d%%  ", percent_of(progress));
    add_number(out, progress->events_per_s);
    buf_add_literal(out, " events/s  ");
    add_number(out, progress->handled);
    buf_add_literal(out, " of ");
    add_number(out, progress->total);
    buf_add_literal(out, "  ");
    add_time_left(out, progress->time_left_s);
}

void rebuild_progress_bar(const struct rebuild_progress *progress, size_t columns, struct buf *out)
{
    struct buf figures = BUF_INIT;

    add_figures(progress, &figures);
    size_t room = columns > figures.len + 4 ? columns - figures.len - 4 : 0;
    if (room > BAR_MOST)
        room = BAR_MOST;
    if (room >= BAR_LEAST) {
        size_t full = room * (size_t)percent_of(progress) / 100;
        buf_add_byte(out, '[');
        for (size_t i = 0; i < room; i++)
            buf_add_byte(out, i < full ? '#' : '.');
        buf_add_literal(out, "] ");
    }
    buf_add(out, figures.at, figures.len < columns || columns == 0 ? figures.len : columns - 1);
    buf_release(&figures);
}

void rebuild_progress_line(const struct rebuild_progress *progress, const struct positions *positions,
                           char *const *topics, struct buf *out)
{
    add_figures(progress, out);
    for (size_t i = 0; i < positions->count && i < LINE_PARTITIONS_MAX; i++)
        buf_add_format(out, "%s%s/%" PRId32 "@%" PRId64, i == 0 ? "  at " : ", ",
                       topics[positions->partitions[i]->topic], positions->partitions[i]->number,
                       positions->partitions[i]->cursor.next_offset - 1);
    if (positions->count > LINE_PARTITIONS_MAX)
        buf_add_format(out, " and %zu more", positions->count - LINE_PARTITIONS_MAX);
}
