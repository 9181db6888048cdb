/* Queues: librdkafka 2.0.2 stops asking a broker for up to a second once its queue is full, so the queue must hold more
 * than the projector handles in that second. What it holds is bounded twice, by bytes and by records, as each record
 * costs some hundred bytes of book-keeping beside its own. */
#include "projector/kafka_client.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ops/runtime/kafka_conf.h"
#include "schema/base/mem.h"

enum {
    RECORD_OVERHEAD_BYTES = 400, /* rd_kafka_op_t and what hangs on it */
    QUEUE_KIBIBYTES_MIN = 4096,
    QUEUE_RECORDS_MIN = 10000,
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

    {"bootstrap.servers", NULL, NULL, KAFKA_OURS, "--brokers sets it"},
    {"metadata.broker.list", NULL, NULL, KAFKA_OURS, "--brokers sets it"},
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

static int apply_layers(rd_kafka_conf_t *conf, enum kafka_role role, const struct config_list *extra, struct err *err)
{
    struct kafka_setting settings[ARRAY_COUNT(settings_table)];

    for (size_t i = 0; i < ARRAY_COUNT(settings_table); i++) {
        const struct setting *setting = &settings_table[i];
        settings[i] = (struct kafka_setting){setting->name, role == KAFKA_READER ? setting->reader : setting->watcher,
                                             setting->layer, setting->why};
    }
    return kafka_conf_layers(conf, settings, ARRAY_COUNT(settings), extra, err);
}

/* A queue that isn't full is overshot by one answer. */
static int apply_fetch(rd_kafka_conf_t *conf, uint64_t memory_bytes, struct err *err)
{
    char text[32];
    uint64_t bytes = memory_bytes / 8;
    if (bytes < FETCH_BYTES_MIN)
        bytes = FETCH_BYTES_MIN;
    if (bytes > FETCH_BYTES_MAX)
        bytes = FETCH_BYTES_MAX;
    snprintf(text, sizeof(text), "%" PRIu64, bytes);
    return kafka_conf_set(conf, "fetch.max.bytes", text, "", err);
}

static int apply_queue(rd_kafka_conf_t *conf, uint64_t memory_bytes, struct err *err)
{
    /* Half for the records, half for the book-keeping of small ones: whichever bound is met first holds. */
    uint64_t half = memory_bytes / 2;
    uint64_t kibibytes = half / 1024 > QUEUE_KIBIBYTES_MIN ? half / 1024 : QUEUE_KIBIBYTES_MIN;
    uint64_t records =
        half / RECORD_OVERHEAD_BYTES > QUEUE_RECORDS_MIN ? half / RECORD_OVERHEAD_BYTES : QUEUE_RECORDS_MIN;
    char text[32];

    snprintf(text, sizeof(text), "%" PRIu64, kibibytes < 2097151 ? kibibytes : 2097151);
    int rc = kafka_conf_set(conf, "queued.max.messages.kbytes", text, "", err);
    if (rc < 0)
        return rc;
    snprintf(text, sizeof(text), "%" PRIu64, records < 10000000 ? records : 10000000);
    return kafka_conf_set(conf, "queued.min.messages", text, "", err);
}

static int make_conf(const struct kafka_settings *settings, enum kafka_role role, rd_kafka_conf_t **ret_conf,
                     struct err *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    /* A default too, whose value is computed: --kafka comes behind it. */
    int rc = role == KAFKA_READER ? apply_fetch(conf, settings->memory_bytes, err) : 0;
    if (rc == 0)
        rc = apply_layers(conf, role, settings->extra, err);
    if (rc == 0 && role == KAFKA_READER)
        rc = apply_queue(conf, settings->memory_bytes, err);
    if (rc == 0 && settings->brokers)
        rc = kafka_conf_set(conf, "bootstrap.servers", settings->brokers, "--brokers: ", err);
    if (rc == 0 && settings->group)
        rc = kafka_conf_set(conf, "group.id", settings->group, "--group: ", err);
    if (rc < 0) {
        rd_kafka_conf_destroy(conf);
        return rc;
    }
    *ret_conf = conf;
    return 0;
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
    /* librdkafka repeats itself while a broker is away; whoever polls the client logs the change once. */
    rd_kafka_conf_set_log_cb(conf, kafka_conf_log);
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
