#include "tests/unit/scripted_source.h"

#include <stdlib.h>

#include "schema/base/hash.h"
#include "schema/base/mem.h"

struct scripted_record {
    struct record record;
    char *type;
    char *id;
};

struct scripted_log {
    struct scripted_record *records;
    size_t count, capacity;
    size_t next;         /* to be read */
    int64_t end_offset;
    bool is_assigned;
    bool is_end_told;
};

struct scripted_source {
    struct scripted_log *logs;
    size_t topic_count;
    int32_t partition_count;
    uint64_t seed;
    char *id; /* of what is added */
};

struct scripted_source *scripted_source_new(size_t topic_count, int32_t partition_count, uint64_t seed)
{
    struct scripted_source *source = mem_zero(1, sizeof(*source));

    source->topic_count = topic_count;
    source->partition_count = partition_count;
    source->logs = mem_zero(topic_count * (size_t)partition_count, sizeof(*source->logs));
    source->seed = seed;
    return source;
}

void scripted_source_free(struct scripted_source **source)
{
    if (*source == NULL)
        return;
    struct scripted_source *s = *source;
    for (size_t i = 0; i < s->topic_count * (size_t)s->partition_count; i++) {
        for (size_t k = 0; k < s->logs[i].count; k++) {
            free((void *)(uintptr_t)s->logs[i].records[k].record.key.at);
            free((void *)(uintptr_t)s->logs[i].records[k].record.value.at);
            free(s->logs[i].records[k].type);
            free(s->logs[i].records[k].id);
        }
        free(s->logs[i].records);
    }
    free(s->logs);
    free(s->id);
    free(s);
    *source = NULL;
}

int32_t scripted_source_partitions(const struct scripted_source *source)
{
    return source->partition_count;
}

static struct scripted_log *log_of(struct scripted_source *source, uint16_t topic, int32_t partition)
{
    return &source->logs[(size_t)topic * (size_t)source->partition_count + (size_t)partition];
}

void scripted_source_add(struct scripted_source *source, uint16_t topic, const char *key, const char *type,
                         const struct span *value)
{
    struct span key_span = key != NULL ? span_of_text(key) : span_of(NULL, 0);
    int32_t partition = key != NULL ? (int32_t)(hash64(key_span) % (uint64_t)source->partition_count) : 0;
    struct scripted_log *log = log_of(source, topic, partition);

    log->records = mem_grow(log->records, log->count, &log->capacity, sizeof(*log->records));
    log->records[log->count++] = (struct scripted_record){
        .record = {.topic = topic,
                   .partition = partition,
                   .offset = log->end_offset,
                   .has_key = key != NULL,
                   .is_null = value == NULL,
                   .time_ms = 1700000000000 + log->end_offset,
                   .key = span_of(mem_copy(key_span.at, key_span.len), key_span.len),
                   .value = value != NULL ? span_of(mem_copy(value->at, value->len), value->len) : span_of(NULL, 0)},
        .type = type != NULL ? mem_text(type) : NULL,
        .id = source->id != NULL ? mem_text(source->id) : NULL};
    log->end_offset++;
    log->is_end_told = false;
}

void scripted_source_set_id(struct scripted_source *source, const char *id)
{
    free(source->id);
    source->id = id != NULL ? mem_text(id) : NULL;
}

void scripted_source_skip(struct scripted_source *source, uint16_t topic, int32_t partition, int64_t offsets)
{
    log_of(source, topic, partition)->end_offset += offsets;
}

static int assign(void *self, uint16_t topic, int32_t partition, int64_t next_offset, struct err *err)
{
    struct scripted_log *log = log_of(self, topic, partition);

    (void)err;
    log->is_assigned = true;
    log->is_end_told = false;
    for (log->next = 0; log->next < log->count && log->records[log->next].record.offset < next_offset;)
        log->next++;
    return 0;
}

static void drop(void *self, uint16_t topic, int32_t partition)
{
    log_of(self, topic, partition)->is_assigned = false;
}

static uint64_t next_random(struct scripted_source *source)
{
    source->seed = source->seed * 6364136223846793005u + 1442695040888963407u;
    return source->seed >> 33;
}

static bool take(struct scripted_source *source, size_t index, struct record *record)
{
    struct scripted_log *log = &source->logs[index];

    if (!log->is_assigned)
        return false;
    if (log->next < log->count) {
        *record = log->records[log->next].record;
        record->opaque = &log->records[log->next];
        log->next++;
        return true;
    }
    if (log->is_end_told)
        return false;
    log->is_end_told = true;
    *record = (struct record){.topic = (uint16_t)(index / (size_t)source->partition_count),
                              .partition = (int32_t)(index % (size_t)source->partition_count),
                              .offset = log->end_offset,
                              .is_partition_end = true};
    return true;
}

static int poll_logs(void *self, struct record *records, size_t capacity, int wait_ms, size_t *ret_count,
                     struct err *err)
{
    struct scripted_source *source = self;
    size_t log_count = source->topic_count * (size_t)source->partition_count;
    size_t count = 0;

    (void)wait_ms;
    (void)err;
    while (count < capacity) {
        size_t first = next_random(source) % log_count;
        size_t i = 0;
        while (i < log_count && !take(source, (first + i) % log_count, &records[count]))
            i++;
        if (i == log_count)
            break;
        count++;
    }
    *ret_count = count;
    return 0;
}

static bool header(void *self, const struct record *record, const char *name, struct span *ret_value)
{
    const struct scripted_record *scripted = record->opaque;

    const char *value = strcmp(name, "type") == 0 ? scripted->type : strcmp(name, "id") == 0 ? scripted->id : NULL;

    (void)self;
    if (value == NULL)
        return false;
    *ret_value = span_of_text(value);
    return true;
}

static int64_t end_offset(void *self, uint16_t topic, int32_t partition)
{
    return log_of(self, topic, partition)->end_offset;
}

struct record_source scripted_source_port(struct scripted_source *source)
{
    return (struct record_source){assign, drop, poll_logs, header, end_offset, source};
}
