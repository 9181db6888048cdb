/* Queues: librdkafka 2.0.2 stops asking a broker for up to a second once its queue is full, so the queue must hold more
 * than the projector handles in that second. What it holds is bounded twice, by bytes and by records, as each record
 * costs some hundred bytes of book-keeping beside its own. */
#include "projector/kafka_client.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ops/runtime/kafka_conf.h"
#include "schema/base/mem.h"

enum {
    RECORD_OVERHEAD_BYTES = 400, /* rd_kafka_op_t and what hangs on it */
    QUEUE_KIBIBYTES_MIN = 4096,
    QUEUE_KIBIBYTES_MAX = 2097151, /* as librdkafka bounds it */
    QUEUE_RECORDS_MIN = 10000,
    QUEUE_RECORDS_MAX = 10000000, /* as librdkafka bounds it */
    FETCH_BYTES_MIN = 4 << 20,
    FETCH_BYTES_MAX = 50 << 20,
};

struct setting {
    const char *name;
    const char *reader; /* NULL: left alone, or computed */
    const char *watcher;
    enum kafka_layer layer;
    const char *why; /* of KAFKA_OURS */
};

static const struct setting settings_table[] = {
    {"client.id", "tarn-projector", "tarn-projector-watch", KAFKA_DEFAULT, NULL},
    /* One record is enough to answer a fetch, so its wait bounds only how soon a quiet partition is known to be alive,
     * and how long a newly assigned one waits for the fetch that is under way. */
    {"fetch.wait.max.ms", "100", "100", KAFKA_DEFAULT, NULL},
    {"fetch.error.backoff.ms", "100", "100", KAFKA_DEFAULT, NULL},
    {"reconnect.backoff.ms", "100", "100", KAFKA_DEFAULT, NULL},
    {"reconnect.backoff.max.ms", "2000", "2000", KAFKA_DEFAULT, NULL},
    {"socket.keepalive.enable", "true", "true", KAFKA_DEFAULT, NULL},
    {"socket.nagle.disable", "true", "true", KAFKA_DEFAULT, NULL},
    {"topic.metadata.refresh.interval.ms", "30000", "30000", KAFKA_DEFAULT, NULL},
    {"topic.metadata.propagation.max.ms", "5000", "1000", KAFKA_DEFAULT, NULL},
    /* The watcher takes one record of each partition, but Kafka gives whole batches. */
    {"fetch.message.max.bytes", NULL, "1048576", KAFKA_DEFAULT, NULL},
    {"fetch.max.bytes", NULL, "8388608", KAFKA_DEFAULT, NULL},
    /* rd_kafka_query_watermark_offsets() waits this long for a broker that went away, whatever timeout it is given. */
    {"socket.timeout.ms", NULL, "3000", KAFKA_DEFAULT, NULL},

    {"group.id", NULL, NULL, KAFKA_OURS, "--group sets it"},
    {"group.instance.id", NULL, NULL, KAFKA_OURS, "positions are the store's; no consumer group is joined"},
    {"partition.assignment.strategy", NULL, NULL, KAFKA_OURS, "positions are the store's; no consumer group is joined"},
    {"enable.auto.commit", "false", "false", KAFKA_OURS, "the position that counts is in the store"},
    {"auto.commit.enable", NULL, NULL, KAFKA_OURS, "the position that counts is in the store"},
    {"auto.commit.interval.ms", NULL, NULL, KAFKA_OURS, "the position that counts is in the store"},
    {"enable.auto.offset.store", "false", "false", KAFKA_OURS, "the position that counts is in the store"},
    {"auto.offset.reset", "error", "error", KAFKA_OURS, "records that are gone must be noticed, not skipped"},
    /* The watcher asks for a record by its offset and for the log's very end, so it must see all there is. */
    {"isolation.level", "read_committed", "read_uncommitted", KAFKA_OURS, "aborted transactions never happened"},
    {"enable.partition.eof", "true", "true", KAFKA_OURS, "the ends of partitions tell that the store has caught up"},
    {"allow.auto.create.topics", "false", "false", KAFKA_OURS, "a misspelt topic would be created"},
    {"check.crcs", "true", "true", KAFKA_OURS, "a record that was damaged on the way must not be applied"},
    /* The watcher's holds what one fetch brings: when it is full, nothing is fetched for up to a second. */
    {"queued.min.messages", NULL, "100000", KAFKA_OURS, "--memory sets it"},
    {"queued.max.messages.kbytes", NULL, "16384", KAFKA_OURS, "--memory sets it"},
    {"statistics.interval.ms", "500", "0", KAFKA_OURS, "lag and age are made of the statistics"},
    {"log.queue", "true", "true", KAFKA_OURS, "Kafka's messages are part of our log"},
    {"enabled_events", NULL, NULL, KAFKA_OURS, "callbacks are ours"},
};

/* The reader's settings that are computed. */
struct bounds {
    char fetch_bytes[32];
    char queue_kibibytes[32];
    char queue_records[32];
};

static void write_within(char text[32], uint64_t value, uint64_t least, uint64_t most)
{
    snprintf(text, 32, "%" PRIu64, value < least ? least : value > most ? most : value);
}

static void compute_bounds(uint64_t memory_bytes, struct bounds *ret_bounds)
{
    /* Half for the records, half for the book-keeping of small ones: whichever bound is met first holds. */
    uint64_t half = memory_bytes / 2;

    write_within(ret_bounds->queue_kibibytes, half / 1024, QUEUE_KIBIBYTES_MIN, QUEUE_KIBIBYTES_MAX);
    write_within(ret_bounds->queue_records, half / RECORD_OVERHEAD_BYTES, QUEUE_RECORDS_MIN, QUEUE_RECORDS_MAX);
    /* A queue that isn't full is overshot by one answer. */
    write_within(ret_bounds->fetch_bytes, memory_bytes / 8, FETCH_BYTES_MIN, FETCH_BYTES_MAX);
}

static void set_value(struct kafka_setting *rows, const char *name, const char *value)
{
    for (size_t i = 0; i < ARRAY_COUNT(settings_table); i++)
        if (strcmp(rows[i].name, name) == 0)
            rows[i].value = value;
}

static int make_conf(const struct kafka_settings *settings, enum kafka_role role, rd_kafka_conf_t **ret_conf,
                     struct err *err)
{
    struct kafka_setting rows[ARRAY_COUNT(settings_table)];
    struct bounds bounds;

    for (size_t i = 0; i < ARRAY_COUNT(settings_table); i++) {
        const struct setting *setting = &settings_table[i];
        rows[i] = (struct kafka_setting){setting->name, role == KAFKA_READER ? setting->reader : setting->watcher,
                                         setting->layer, setting->why};
    }
    if (role == KAFKA_READER) {
        compute_bounds(settings->memory_bytes, &bounds);
        set_value(rows, "fetch.max.bytes", bounds.fetch_bytes);
        set_value(rows, "queued.max.messages.kbytes", bounds.queue_kibibytes);
        set_value(rows, "queued.min.messages", bounds.queue_records);
    }
    set_value(rows, "group.id", settings->group);
    return kafka_conf_new(rows, ARRAY_COUNT(settings_table), settings->brokers, settings->extra, ret_conf, err);
}

int kafka_settings_check(const struct kafka_settings *settings, struct err *err)
{
    rd_kafka_conf_t *conf;
    int rc = make_conf(settings, KAFKA_READER, &conf, err);
    if (rc == 0)
        rd_kafka_conf_destroy(conf);
    return rc;
}

int kafka_client_new(const struct kafka_settings *settings, enum kafka_role role,
                     const struct kafka_callbacks *callbacks, rd_kafka_t **ret_client, struct err *err)
{
    rd_kafka_conf_t *conf;
    char reason[300];

    int rc = make_conf(settings, role, &conf, err);
    if (rc < 0)
        return rc;
    rd_kafka_conf_set_error_cb(conf, callbacks->on_error);
    rd_kafka_conf_set_stats_cb(conf, callbacks->on_statistics);
    rd_kafka_conf_set_opaque(conf, callbacks->opaque);

    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));
    if (!client) {
        rd_kafka_conf_destroy(conf);
        return err_set(err, ERR_INPUT, "Kafka client: %s", reason);
    }
    rd_kafka_set_log_queue(client, NULL); /* into rd_kafka_poll() */
    *ret_client = client;
    return 0;
}

struct record kafka_record(const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t time_type;
    int64_t time_ms = rd_kafka_message_timestamp(message, &time_type);

    return (struct record){
        .partition = message->partition,
        .offset = message->offset,
        .has_key = message->key != NULL,
        .is_null = message->payload == NULL,
        .time_ms = time_type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? 0 : time_ms,
        .key = span_of(message->key, message->key ? message->key_len : 0),
        .value = span_of(message->payload, message->payload ? message->len : 0),
    };
}

void kafka_client_destroy(rd_kafka_t **client)
{
    if (*client)
        rd_kafka_destroy_flags(*client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    *client = NULL;
}
