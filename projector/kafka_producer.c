/* Each transaction is begun, filled, and committed by one caller that waits: librdkafka's own threads batch, compress and
 * send meanwhile. After any error the client is thrown away and made anew: init_transactions() then ends whatever the
 * one before left open, which is simpler to be sure of than the dozen states of an abortable producer.
 *
 * Nothing here waits longer than its patience for a broker that is away, and less when the process is to stop. */
#include "projector/kafka_producer.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

#include "ops/runtime/kafka_conf.h"
#include "ops/runtime/stop.h"
#include "schema/base/clock.h"
#include "schema/base/mem.h"

enum {
    SLICE_MS = 500, /* of one call that waits, so that a stop is noticed */
    OPEN_PATIENCE_MS = 15000,
    COMMIT_PATIENCE_MS = 25000, /* less than transaction.timeout.ms */
    STOP_PATIENCE_MS = 3000,
    QUEUE_WAIT_MS = 20,
};

static const struct kafka_setting settings_table[] = {
    {"client.id", "tarn-relay", KAFKA_DEFAULT, NULL},
    {"linger.ms", "2", KAFKA_DEFAULT, NULL},
    {"batch.size", "1000000", KAFKA_DEFAULT, NULL},
    {"batch.num.messages", "100000", KAFKA_DEFAULT, NULL},
    {"compression.type", "lz4", KAFKA_DEFAULT, NULL},
    {"queue.buffering.max.messages", "1000000", KAFKA_DEFAULT, NULL},
    {"queue.buffering.max.kbytes", "262144", KAFKA_DEFAULT, NULL},
    /* What is too large is for the topic to say, whose limit can be raised. */
    {"message.max.bytes", "134217728", KAFKA_DEFAULT, NULL},
    {"transaction.timeout.ms", "30000", KAFKA_DEFAULT, NULL},
    {"message.timeout.ms", "20000", KAFKA_DEFAULT, NULL},
    {"reconnect.backoff.ms", "100", KAFKA_DEFAULT, NULL},
    {"reconnect.backoff.max.ms", "2000", KAFKA_DEFAULT, NULL},
    {"retry.backoff.ms", "50", KAFKA_DEFAULT, NULL},
    {"socket.keepalive.enable", "true", KAFKA_DEFAULT, NULL},
    {"socket.nagle.disable", "true", KAFKA_DEFAULT, NULL},
    {"topic.metadata.propagation.max.ms", "5000", KAFKA_DEFAULT, NULL},

    {"transactional.id", NULL, KAFKA_OURS, "--transactional-id sets it"},
    {"enable.idempotence", "true", KAFKA_OURS, "a record sent again must not be there twice, nor behind a later one"},
    {"acks", "all", KAFKA_OURS, "a row is deleted once its record can't get lost"},
    {"request.required.acks", NULL, KAFKA_OURS, "a row is deleted once its record can't get lost"},
    {"partitioner", "murmur2", KAFKA_OURS, "the projector knows a key's partition by it"},
    {"log.queue", "true", KAFKA_OURS, "Kafka's messages are part of our log"},
};

struct kafka_producer {
    char *brokers;
    char *transactional_id;
    const struct config_list *extra;
    rd_kafka_t *client; /* NULL: closed */
    bool is_in_transaction;
    bool has_failed; /* a record of this transaction wasn't taken */
    rd_kafka_resp_err_t failure;
    uint64_t failed_number;
};

/* --- settings ----------------------------------------------------------------------------------------------------- */

static int make_conf(const struct kafka_producer *producer, rd_kafka_conf_t **ret_conf, struct err *err)
{
    rd_kafka_conf_t *conf;

    int rc =
        kafka_conf_new(settings_table, ARRAY_COUNT(settings_table), producer->brokers, producer->extra, &conf, err);
    if (rc < 0)
        return rc;
    rc = kafka_conf_set(conf, "transactional.id", producer->transactional_id, "--transactional-id: ", err);
    if (rc < 0)
        rd_kafka_conf_destroy(conf);
    else
        *ret_conf = conf;
    return rc;
}

int kafka_producer_new(const struct kafka_producer_settings *settings, struct kafka_producer **ret_producer,
                       struct err *err)
{
    struct kafka_producer *producer = mem_zero(1, sizeof(*producer));
    rd_kafka_conf_t *conf;

    producer->brokers = mem_text(settings->brokers);
    producer->transactional_id = mem_text(settings->transactional_id);
    producer->extra = settings->extra;
    int rc = make_conf(producer, &conf, err);
    if (rc < 0) {
        kafka_producer_free(&producer);
        return rc;
    }
    rd_kafka_conf_destroy(conf);
    *ret_producer = producer;
    return 0;
}

/* --- the client --------------------------------------------------------------------------------------------------- */

static void producer_close(void *self)
{
    struct kafka_producer *producer = self;

    if (producer->client == NULL)
        return;
    rd_kafka_purge(producer->client,
                   RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    rd_kafka_destroy(producer->client);
    producer->client = NULL;
    producer->is_in_transaction = false;
}

void kafka_producer_free(struct kafka_producer **producer)
{
    if (*producer == NULL)
        return;
    producer_close(*producer);
    free((*producer)->brokers);
    free((*producer)->transactional_id);
    free(*producer);
    *producer = NULL;
}

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    struct kafka_producer *producer = opaque;
    (void)client;

    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR || producer->has_failed)
        return;
    producer->has_failed = true;
    producer->failure = message->err;
    producer->failed_number = (uint64_t)(uintptr_t)message->_private;
}

/* Is it this record's own fault, or the set-up's, and not the weather's? */
static bool is_records_fault(rd_kafka_resp_err_t code)
{
    static const rd_kafka_resp_err_t codes[] = {
        RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,    RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE,
        RD_KAFKA_RESP_ERR_INVALID_RECORD,        RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP,
        RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,        RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION,       RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE,
    };
    for (size_t i = 0; i < ARRAY_COUNT(codes); i++)
        if (codes[i] == code)
            return true;
    return false;
}

static int fail(struct kafka_producer *producer, int kind, const char *doing, const char *text, struct err *err)
{
    int rc = err_set(err, kind, "Kafka: %s: %s", doing, text);

    producer_close(producer);
    return rc;
}

static int fail_record(struct kafka_producer *producer, uint64_t number, rd_kafka_resp_err_t code, struct err *err)
{
    bool is_own_fault = is_records_fault(code);
    int rc = err_set(err, is_own_fault ? ERR_INPUT : ERR_AGAIN, "Kafka: record of row %" PRIu64 ": %s", number,
                     rd_kafka_err2str(code));

    producer_close(producer);
    return rc;
}

static bool is_setup_fault(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT;
}

/* Calls `step` in slices until it is done, fails for good, or patience ends. Takes over what it returns. */
static int repeat(struct kafka_producer *producer, rd_kafka_error_t *(*step)(rd_kafka_t *client, int timeout_ms),
                  int64_t patience_ms, const char *doing, struct err *err)
{
    int64_t began_us = clock_monotonic_us(&clock_system);

    for (;;) {
        rd_kafka_error_t *error = step(producer->client, SLICE_MS);
        if (error == NULL)
            return 0;
        int64_t waited_ms = (clock_monotonic_us(&clock_system) - began_us) / 1000;
        bool goes_on =
            rd_kafka_error_is_retriable(error) && waited_ms < (stop_requested() ? STOP_PATIENCE_MS : patience_ms);
        if (!goes_on) {
            int kind = is_setup_fault(rd_kafka_error_code(error)) ? ERR_INPUT : ERR_AGAIN;
            int rc = producer->has_failed ? fail_record(producer, producer->failed_number, producer->failure, err)
                                          : fail(producer, kind, doing, rd_kafka_error_string(error), err);
            rd_kafka_error_destroy(error);
            return rc;
        }
        rd_kafka_error_destroy(error);
    }
}

static int producer_open(void *self, struct err *err)
{
    struct kafka_producer *producer = self;
    rd_kafka_conf_t *conf;
    char reason[300];

    producer_close(producer);
    producer->has_failed = false;
    int rc = make_conf(producer, &conf, err);
    if (rc < 0)
        return rc;
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, producer);
    producer->client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    if (producer->client == NULL) {
        rd_kafka_conf_destroy(conf);
        return err_set(err, ERR_INPUT, "Kafka producer: %s", reason);
    }
    rd_kafka_set_log_queue(producer->client, NULL);
    return repeat(producer, rd_kafka_init_transactions, OPEN_PATIENCE_MS, "taking over the transactional id", err);
}

static bool producer_is_open(void *self)
{
    const struct kafka_producer *producer = self;

    return producer->client != NULL;
}

/* --- transactions ------------------------------------------------------------------------------------------------- */

static int producer_begin(void *self, struct err *err)
{
    struct kafka_producer *producer = self;

    if (producer->client == NULL)
        return err_set(err, ERR_AGAIN, "Kafka: not connected");
    producer->has_failed = false;
    rd_kafka_error_t *error = rd_kafka_begin_transaction(producer->client);
    if (error != NULL) {
        int rc = fail(producer, ERR_AGAIN, "beginning a transaction", rd_kafka_error_string(error), err);
        rd_kafka_error_destroy(error);
        return rc;
    }
    producer->is_in_transaction = true;
    return 0;
}

static rd_kafka_headers_t *headers_of(const struct sink_record *record)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(3);

    rd_kafka_header_add(headers, "type", 4, record->type.at, (ssize_t)record->type.len);
    if (record->id.len > 0)
        rd_kafka_header_add(headers, "id", 2, record->id.at, (ssize_t)record->id.len);
    if (record->first_load != NULL)
        rd_kafka_header_add(headers, "first-load", 10, record->first_load, -1);
    return headers;
}

static int producer_add(void *self, const struct sink_record *record, struct err *err)
{
    struct kafka_producer *producer = self;

    if (producer->client == NULL || !producer->is_in_transaction)
        return err_set(err, ERR_AGAIN, "Kafka: not connected");
    rd_kafka_headers_t *headers = headers_of(record);
    for (;;) {
        /* A value of no bytes is an empty event, none is a null value: librdkafka tells them by the address. */
        const void *value = !record->has_value ? NULL : record->value.len > 0 ? record->value.at : "";
        const rd_kafka_vu_t arguments[] = {
            {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = record->topic},
            {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {.ptr = (void *)(uintptr_t)record->key.at, .size = record->key.len}},
            {.vtype = RD_KAFKA_VTYPE_VALUE,
             .u.mem = {.ptr = (void *)(uintptr_t)value, .size = record->has_value ? record->value.len : 0}},
            {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = record->time_ms > 0 ? record->time_ms : 0},
            {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
            {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = (void *)(uintptr_t)record->number},
            {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
        };
        rd_kafka_error_t *error = rd_kafka_produceva(producer->client, arguments, ARRAY_COUNT(arguments));
        if (error == NULL)
            return 0; /* the headers are librdkafka's now */
        rd_kafka_resp_err_t code = rd_kafka_error_code(error);
        rd_kafka_error_destroy(error);
        if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && !producer->has_failed) {
            rd_kafka_poll(producer->client, QUEUE_WAIT_MS);
            continue;
        }
        rd_kafka_headers_destroy(headers);
        return producer->has_failed ? fail_record(producer, producer->failed_number, producer->failure, err)
                                    : fail_record(producer, record->number, code, err);
    }
}

static int producer_commit(void *self, struct err *err)
{
    struct kafka_producer *producer = self;

    if (producer->client == NULL || !producer->is_in_transaction)
        return err_set(err, ERR_AGAIN, "Kafka: not connected");
    int rc = repeat(producer, rd_kafka_commit_transaction, COMMIT_PATIENCE_MS, "committing", err);
    if (rc < 0)
        return rc;
    producer->is_in_transaction = false;
    rd_kafka_poll(producer->client, 0);
    return 0;
}

static void producer_abort(void *self)
{
    struct kafka_producer *producer = self;
    struct err ignored = {0};

    if (producer->client == NULL || !producer->is_in_transaction)
        return;
    producer->has_failed = false;
    if (repeat(producer, rd_kafka_abort_transaction, OPEN_PATIENCE_MS, "aborting", &ignored) == 0)
        producer->is_in_transaction = false;
}

struct record_sink kafka_producer_port(struct kafka_producer *producer)
{
    return (struct record_sink){.open = producer_open,
                                .close = producer_close,
                                .is_open = producer_is_open,
                                .begin = producer_begin,
                                .add = producer_add,
                                .commit = producer_commit,
                                .abort = producer_abort,
                                .self = producer};
}
