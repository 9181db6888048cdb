#include "fake_logs.h"

#include <stdio.h>

void fake_logs_init(struct fake_logs *logs)
{
    memset(logs, 0, sizeof(*logs));
    for (int t = 0; t < FAKE_TOPICS; t++) {
        for (int p = 0; p < FAKE_PARTITIONS; p++)
            logs->logs[t][p].compacted_offset = -1;
    }
}

struct anchor fake_logs_record(uint64_t incarnation, int64_t offset)
{
    return (struct anchor){offset, 1000 + offset, incarnation * 1000003u + (uint64_t)offset * 7919u};
}

static void watch_topic(void *self, uint16_t topic, struct watched_topic *ret_topic)
{
    struct fake_logs *logs = self;
    *ret_topic = (struct watched_topic){.is_known = !logs->is_silent, .partition_count = logs->partition_counts[topic]};
}

static bool watch_ask(void *self, const struct log_check *checks, size_t count)
{
    struct fake_logs *logs = self;
    if (logs->is_asked)
        return false;
    memcpy(logs->checks, checks, count * sizeof(*checks));
    logs->check_count = count;
    logs->is_asked = true;
    logs->questions++;
    return true;
}

static bool watch_answer(void *self, struct log_check *checks, size_t *ret_count)
{
    struct fake_logs *logs = self;
    if (!logs->is_asked)
        return false;
    for (size_t i = 0; i < logs->check_count; i++) {
        struct log_check *check = &logs->checks[i];
        const struct fake_log *log = &logs->logs[check->topic][check->partition];
        check->is_answered = !logs->is_silent && check->partition < logs->partition_counts[check->topic];
        check->facts = (struct log_facts){.start_offset = log->start, .end_offset = log->end};
        if (check->anchor_offset < log->start)
            continue;
        bool is_gone = check->anchor_offset >= log->end || check->anchor_offset == log->compacted_offset;
        check->facts.sight = is_gone ? ANCHOR_GONE : ANCHOR_READ;
        check->facts.seen = fake_logs_record(log->incarnation, check->anchor_offset);
    }
    memcpy(checks, logs->checks, logs->check_count * sizeof(*checks));
    *ret_count = logs->check_count;
    logs->is_asked = false;
    return true;
}

struct log_watch fake_logs_watch(struct fake_logs *logs)
{
    return (struct log_watch){watch_topic, watch_ask, watch_answer, logs};
}

static int source_assign(void *self, uint16_t topic, int32_t partition, int64_t next_offset, struct err *err)
{
    struct fake_log *log = &((struct fake_logs *)self)->logs[topic][partition];
    (void)err;
    log->is_assigned = true;
    log->assigned_at = next_offset;
    log->assigns++;
    return 0;
}

static void source_drop(void *self, uint16_t topic, int32_t partition)
{
    struct fake_log *log = &((struct fake_logs *)self)->logs[topic][partition];
    log->is_assigned = false;
    log->drops++;
}

struct record_source fake_logs_source(struct fake_logs *logs)
{
    return (struct record_source){.assign = source_assign, .drop = source_drop, .self = logs};
}

static int64_t now_us(void *self)
{
    return ((struct fake_logs *)self)->now_us;
}

struct clock_port fake_logs_clock(struct fake_logs *logs)
{
    return (struct clock_port){.wall_ms = now_us, .monotonic_us = now_us, .self = logs};
}
