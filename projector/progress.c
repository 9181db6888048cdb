/* The rate is over the whole ring: long enough to be steady while ranges are flushed, short enough to follow a broker
 * that slows down. */
#include "projector/progress.h"

#include <inttypes.h>
#include <stdio.h>

static const struct progress_sample *newest_of(const struct progress *progress)
{
    return &progress->samples[(progress->next + PROGRESS_SAMPLES - 1) % PROGRESS_SAMPLES];
}

static const struct progress_sample *oldest_of(const struct progress *progress)
{
    return &progress->samples[(progress->next + PROGRESS_SAMPLES - progress->count) % PROGRESS_SAMPLES];
}

void progress_note(struct progress *progress, int64_t now_us, int64_t handled, int64_t lag)
{
    progress->handled = handled;
    progress->lag = lag;
    if (progress->count > 0 && now_us - newest_of(progress)->at_us < PROGRESS_EVERY_US)
        return;
    progress->samples[progress->next] = (struct progress_sample){now_us, handled};
    progress->next = (progress->next + 1) % PROGRESS_SAMPLES;
    if (progress->count < PROGRESS_SAMPLES)
        progress->count++;
}

int64_t progress_rate(const struct progress *progress)
{
    if (progress->count < 2)
        return 0;
    int64_t us = newest_of(progress)->at_us - oldest_of(progress)->at_us;
    int64_t records = newest_of(progress)->handled - oldest_of(progress)->handled;
    return us > 0 ? (int64_t)((double)records * 1e6 / (double)us + 0.5) : 0;
}

int64_t progress_time_left_s(const struct progress *progress)
{
    int64_t rate = progress_rate(progress);
    if (progress->lag == 0)
        return 0;
    if (progress->lag < 0 || rate <= 0)
        return -1;
    return (progress->lag + rate - 1) / rate;
}

void progress_number(int64_t number, struct buf *text)
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%" PRId64, number);
    for (int i = 0; i < len; i++) {
        buf_add_byte(text, (uint8_t)digits[i]);
        int left = len - 1 - i;
        if (left > 0 && left % 3 == 0 && digits[i] != '-')
            buf_add_byte(text, ',');
    }
}

static void add_duration(int64_t seconds, struct buf *line)
{
    if (seconds >= 3600)
        buf_add_format(line, "%" PRId64 " h %" PRId64 " min", seconds / 3600, seconds % 3600 / 60);
    else if (seconds >= 60)
        buf_add_format(line, "%" PRId64 " min %" PRId64 " s", seconds / 60, seconds % 60);
    else
        buf_add_format(line, "%" PRId64 " s", seconds);
}

void progress_line(const struct progress *progress, struct buf *line)
{
    int64_t left_s = progress_time_left_s(progress);

    buf_add_literal(line, "catching up: ");
    if (progress->lag >= 0) {
        progress_number(progress->lag, line);
        buf_add_literal(line, " records behind, ");
    } else {
        progress_number(progress->handled, line);
        buf_add_literal(line, " records handled, ");
    }
    progress_number(progress_rate(progress), line);
    buf_add_literal(line, "/s");
    if (left_s >= 0) {
        buf_add_literal(line, ", ");
        add_duration(left_s, line);
        buf_add_literal(line, " left");
    }
}
