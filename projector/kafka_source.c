/* One librdkafka consumer, one queue for all partitions. poll() waits for a first message and takes the rest without
 * waiting, because rd_kafka_consume_batch_queue() would wait its whole timeout for a full batch.
 *
 * A partition is added and taken with rd_kafka_incremental_(un)assign(). librdkafka drops what it fetched before under
 * an older assignment; `next_offset` is a second guard: offsets only grow within one assignment.
 *
 * The end of a log is its last stable offset, from librdkafka's statistics (kafka_statistics.h): records of a
 * transaction that is still open can't be read and are no lag. A position that stands at that end is told as an end
 * once more with each statistics by which that end is fresh. */
#include "projector/kafka_source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "projector/kafka_header.h"
#include "projector/kafka_statistics.h"
#include "schema/base/mem.h"

enum {
    BATCH_MAX = 16384,
    UNASSIGN_MS = 1000,
};

struct source_partition {
    bool is_assigned;
    bool is_at_end;  /* the last thing it gave was its end */
    bool end_is_due; /* tell the end again */
    int64_t next_offset;
    int64_t end_offset;
    bool has_trouble;
    enum trouble_kind trouble;
    char trouble_text[200];
};

struct source_topic {
    const char *name;
    rd_kafka_topic_t *handle; /* its address tells the topic of a message */
    struct source_partition *partitions;
    size_t partition_count;
};

struct kafka_source {
    rd_kafka_t *client;
    rd_kafka_queue_t *queue;
    int event_fd; /* librdkafka writes to it when the queue was empty and isn't any more */
    struct source_topic *topics;
    size_t topic_count;
    rd_kafka_message_t *messages[BATCH_MAX]; /* of the last poll */
    size_t message_count;
    struct kafka_held_message held[BATCH_MAX]; /* the same, and what was asked of their headers */
    size_t due_count; /* partitions whose end is due */
    size_t trouble_count;
    struct kafka_link link;
    int64_t disconnects; /* summed up over brokers, as of the last statistics */
};

static const uint64_t one_event = 1;

static void on_error(rd_kafka_t *client, int code, const char *reason, void *opaque);
static int on_statistics(rd_kafka_t *client, char *text, size_t text_len, void *opaque);

int kafka_source_open(const struct kafka_settings *settings, char *const *topics, size_t topic_count,
                      struct kafka_source **ret_source, struct err *err)
{
    int event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event_fd < 0)
        return err_set_errno(err, ERR_BROKEN, errno, "eventfd");

    struct kafka_source *source = mem_zero(1, sizeof(*source));
    source->event_fd = event_fd;
    struct kafka_callbacks callbacks = {on_error, on_statistics, source};

    int rc = kafka_client_new(settings, KAFKA_READER, &callbacks, &source->client, err);
    if (rc < 0) {
        close(event_fd);
        free(source);
        return rc;
    }
    snprintf(source->link.reason, sizeof(source->link.reason), "no broker has answered yet");
    source->queue = rd_kafka_queue_get_consumer(source->client);
    rd_kafka_queue_io_event_enable(source->queue, source->event_fd, &one_event, sizeof(one_event));
    source->topics = mem_zero(topic_count, sizeof(*source->topics));
    source->topic_count = topic_count;
    for (size_t i = 0; i < topic_count; i++) {
        source->topics[i].name = topics[i];
        source->topics[i].handle = rd_kafka_topic_new(source->client, topics[i], NULL);
        if (!source->topics[i].handle) {
            rc = err_set(err, ERR_INPUT, "topic %s: %s", topics[i], rd_kafka_err2str(rd_kafka_last_error()));
            kafka_source_close(&source);
            return rc;
        }
    }
    *ret_source = source;
    return 0;
}

static void give_back(struct kafka_source *source)
{
    for (size_t i = 0; i < source->message_count; i++)
        rd_kafka_message_destroy(source->messages[i]);
    source->message_count = 0;
}

void kafka_source_close(struct kafka_source **source)
{
    struct kafka_source *self = *source;
    if (!self)
        return;
    give_back(self);
    for (size_t i = 0; i < self->topic_count; i++) {
        if (self->topics[i].handle)
            rd_kafka_topic_destroy(self->topics[i].handle);
        free(self->topics[i].partitions);
    }
    free(self->topics);
    if (self->queue)
        rd_kafka_queue_destroy(self->queue);
    kafka_client_destroy(&self->client);
    close(self->event_fd); /* behind the client, whose threads write to it */
    free(self);
    *source = NULL;
}

/* --- partitions --------------------------------------------------------------------------------------------------- */

static struct source_partition *find_partition(struct kafka_source *source, uint16_t topic, int32_t partition)
{
    if (topic >= source->topic_count || partition < 0 || (size_t)partition >= source->topics[topic].partition_count)
        return NULL;
    return &source->topics[topic].partitions[partition];
}

static struct source_partition *make_partition(struct source_topic *topic, int32_t partition)
{
    size_t wanted = (size_t)partition + 1;
    if (wanted > topic->partition_count) {
        topic->partitions = mem_resize(topic->partitions, wanted, sizeof(*topic->partitions));
        for (size_t i = topic->partition_count; i < wanted; i++)
            topic->partitions[i] = (struct source_partition){.next_offset = -1, .end_offset = -1};
        topic->partition_count = wanted;
    }
    return &topic->partitions[partition];
}

static void forget_end(struct kafka_source *source, struct source_partition *partition)
{
    source->due_count -= partition->end_is_due;
    partition->end_is_due = false;
    partition->is_at_end = false;
}

static void forget_trouble(struct kafka_source *source, struct source_partition *partition)
{
    source->trouble_count -= partition->has_trouble;
    partition->has_trouble = false;
}

static int source_assign(void *self, uint16_t topic, int32_t number, int64_t next_offset, struct err *err)
{
    struct kafka_source *source = self;
    struct source_partition *partition = make_partition(&source->topics[topic], number);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, source->topics[topic].name, number)->offset = next_offset;

    rd_kafka_error_t *error = NULL;
    if (partition->is_assigned) {
        rd_kafka_error_destroy(rd_kafka_incremental_unassign(source->client, list));
        partition->is_assigned = false;
    }
    error = rd_kafka_incremental_assign(source->client, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (error) {
        int rc = err_set(err, ERR_BROKEN, "topic %s, partition %d: can't be assigned: %s", source->topics[topic].name,
                         (int)number, rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
        return rc;
    }
    forget_end(source, partition);
    forget_trouble(source, partition);
    partition->is_assigned = true;
    partition->next_offset = next_offset;
    return 0;
}

static void source_drop(void *self, uint16_t topic, int32_t number)
{
    struct kafka_source *source = self;
    struct source_partition *partition = find_partition(source, topic, number);
    if (!partition || !partition->is_assigned)
        return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, source->topics[topic].name, number);
    rd_kafka_error_t *error = rd_kafka_incremental_unassign(source->client, list);
    if (error)
        rd_kafka_error_destroy(error);
    rd_kafka_topic_partition_list_destroy(list);
    partition->is_assigned = false;
    forget_end(source, partition);
    forget_trouble(source, partition);
}

static int64_t source_end_offset(void *self, uint16_t topic, int32_t number)
{
    const struct source_partition *partition = find_partition(self, topic, number);
    return partition ? partition->end_offset : -1;
}

/* --- records ------------------------------------------------------------------------------------------------------ */

static bool topic_of_message(const struct kafka_source *source, const rd_kafka_message_t *message, uint16_t *ret_topic)
{
    if (!message->rkt)
        return false;
    for (size_t i = 0; i < source->topic_count; i++) {
        if (source->topics[i].handle == message->rkt) {
            *ret_topic = (uint16_t)i;
            return true;
        }
    }
    const char *name = rd_kafka_topic_name(message->rkt);
    for (size_t i = 0; i < source->topic_count; i++) {
        if (strcmp(source->topics[i].name, name) == 0) {
            *ret_topic = (uint16_t)i;
            return true;
        }
    }
    return false;
}

static enum trouble_kind trouble_of(rd_kafka_resp_err_t code)
{
    if (code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
        return TROUBLE_OFFSET;
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
        code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
        return TROUBLE_TOPIC;
    return TROUBLE_OTHER;
}

static void note_trouble(struct kafka_source *source, struct source_partition *partition,
                         const rd_kafka_message_t *message)
{
    source->trouble_count += !partition->has_trouble;
    partition->has_trouble = true;
    partition->trouble = trouble_of(message->err);
    snprintf(partition->trouble_text, sizeof(partition->trouble_text), "%s", rd_kafka_message_errstr(message));
}

static void fill_end(struct record *record, uint16_t topic, int32_t number, const struct source_partition *partition)
{
    *record = (struct record){
        .topic = topic, .partition = number, .offset = partition->next_offset, .is_partition_end = true};
}

/* False: nothing for the caller. */
static bool convert(struct kafka_source *source, size_t index, struct record *record)
{
    rd_kafka_message_t *message = source->messages[index];
    uint16_t topic;
    if (!topic_of_message(source, message, &topic))
        return false;
    struct source_partition *partition = find_partition(source, topic, message->partition);
    if (!partition || !partition->is_assigned)
        return false;

    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        if (message->offset < partition->next_offset)
            return false;
        partition->next_offset = message->offset;
        partition->is_at_end = true;
        if (partition->end_offset < message->offset)
            partition->end_offset = message->offset;
        fill_end(record, topic, message->partition, partition);
        return true;
    }
    if (message->err) {
        note_trouble(source, partition, message);
        return false;
    }
    if (message->offset < partition->next_offset)
        return false;
    partition->next_offset = message->offset + 1;
    partition->is_at_end = false;

    *record = kafka_record(message);
    record->topic = topic;
    kafka_hold(&source->held[index], message);
    record->opaque = &source->held[index];
    return true;
}

static size_t take_due_ends(struct kafka_source *source, struct record *records, size_t capacity)
{
    size_t count = 0;
    for (size_t t = 0; source->due_count > 0 && t < source->topic_count; t++) {
        for (size_t p = 0; p < source->topics[t].partition_count && count < capacity; p++) {
            struct source_partition *partition = &source->topics[t].partitions[p];
            if (!partition->end_is_due)
                continue;
            partition->end_is_due = false;
            source->due_count--;
            fill_end(&records[count++], (uint16_t)t, (int32_t)p, partition);
        }
    }
    return count;
}

/* Cleared before the queue is emptied, set again when it may not be empty. */
static void clear_event(struct kafka_source *source)
{
    uint64_t ignored;
    ssize_t got = read(source->event_fd, &ignored, sizeof(ignored));
    (void)got; /* non-blocking; it only has to be unreadable afterwards */
}

static void set_event(struct kafka_source *source)
{
    ssize_t put = write(source->event_fd, &one_event, sizeof(one_event));
    (void)put; /* can't fill up: it is cleared with each poll */
}

static int source_poll(void *self, struct record *records, size_t capacity, int wait_ms, size_t *ret_count,
                       struct err *err)
{
    struct kafka_source *source = self;
    (void)err;

    give_back(source);
    clear_event(source);
    rd_kafka_poll(source->client, 0); /* the callbacks */
    size_t count = take_due_ends(source, records, capacity);
    size_t room = capacity - count < BATCH_MAX ? capacity - count : BATCH_MAX;

    ssize_t taken = 0;
    if (count == 0 && wait_ms > 0 && room > 0)
        taken = rd_kafka_consume_batch_queue(source->queue, wait_ms, source->messages, 1);
    if (taken >= 0 && (taken == 1 || count > 0 || wait_ms <= 0) && (size_t)taken < room) {
        ssize_t more = rd_kafka_consume_batch_queue(source->queue, 0, source->messages + taken, room - (size_t)taken);
        taken += more > 0 ? more : 0;
    }
    source->message_count = taken > 0 ? (size_t)taken : 0;
    if (source->message_count == room || source->due_count > 0)
        set_event(source);
    for (size_t i = 0; i < source->message_count; i++)
        count += convert(source, i, &records[count]);
    *ret_count = count;
    return 0;
}

static bool source_header(void *self, const struct record *record, const char *name, struct span *ret_value)
{
    (void)self;
    return record->opaque != NULL && kafka_header_find(record->opaque, name, ret_value);
}

struct record_source kafka_source_port(struct kafka_source *source)
{
    return (struct record_source){
        .assign = source_assign,
        .drop = source_drop,
        .poll = source_poll,
        .header = source_header,
        .end_offset = source_end_offset,
        .self = source,
    };
}

int kafka_source_event_fd(const struct kafka_source *source)
{
    return source->event_fd;
}

/* --- what else Kafka says ----------------------------------------------------------------------------------------- */

bool kafka_source_take_trouble(struct kafka_source *source, struct partition_trouble *ret_trouble)
{
    for (size_t t = 0; source->trouble_count > 0 && t < source->topic_count; t++) {
        for (size_t p = 0; p < source->topics[t].partition_count; p++) {
            struct source_partition *partition = &source->topics[t].partitions[p];
            if (!partition->has_trouble)
                continue;
            *ret_trouble =
                (struct partition_trouble){.topic = (uint16_t)t, .partition = (int32_t)p, .kind = partition->trouble};
            memcpy(ret_trouble->text, partition->trouble_text, sizeof(ret_trouble->text));
            forget_trouble(source, partition);
            return true;
        }
    }
    return false;
}

const struct kafka_link *kafka_source_link(const struct kafka_source *source)
{
    return &source->link;
}

void kafka_source_commit(struct kafka_source *source, const struct kafka_offset *offsets, size_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_topic_partition_list_add(list, source->topics[offsets[i].topic].name, offsets[i].partition)->offset =
            offsets[i].next_offset;
    }
    (void)rd_kafka_commit(source->client, list, true);
    rd_kafka_topic_partition_list_destroy(list);
}

static void on_error(rd_kafka_t *client, int code, const char *reason, void *opaque)
{
    struct kafka_source *source = opaque;
    (void)client;
    (void)code;
    source->link.errors++;
    snprintf(source->link.reason, sizeof(source->link.reason), "%s", reason);
}

static void read_brokers(struct kafka_source *source, struct kafka_brokers brokers)
{
    if (brokers.disconnects != source->disconnects || (source->link.is_up && !brokers.is_up))
        source->link.losses++;
    source->disconnects = brokers.disconnects;
    source->link.is_up = brokers.is_up;
}

struct end_reading {
    struct kafka_source *source;
    uint16_t topic;
};

static void read_end(void *self, const struct kafka_log_end *end)
{
    const struct end_reading *reading = self;
    struct source_partition *partition = find_partition(reading->source, reading->topic, end->partition);

    if (!partition || !partition->is_assigned)
        return;
    if (end->offset >= 0)
        partition->end_offset = end->offset;
    if (partition->is_at_end && !partition->end_is_due && partition->end_offset == partition->next_offset &&
        end->is_fresh) {
        partition->end_is_due = true;
        reading->source->due_count++;
    }
}

static int on_statistics(rd_kafka_t *client, char *text, size_t text_len, void *opaque)
{
    struct kafka_source *source = opaque;
    struct kafka_statistics *statistics = kafka_statistics_read(text, text_len);
    (void)client;

    read_brokers(source, kafka_statistics_brokers(statistics));
    for (size_t i = 0; i < source->topic_count; i++) {
        struct end_reading reading = {source, (uint16_t)i};
        kafka_statistics_ends(statistics, source->topics[i].name, read_end, &reading);
    }
    kafka_statistics_free(&statistics);
    return 0; /* librdkafka frees the text */
}
