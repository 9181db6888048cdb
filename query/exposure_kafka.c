/* librdkafka's producer keeps what it was given, up to the bounds set here, and tries until message.timeout.ms; then,
 * or when a bound is reached, the record is given back as not published. Its own log lines are for --log-level debug:
 * what an operator needs is the one line when exposures stop getting through, and the one when they do again. */
#include "query/exposure_kafka.h"

#include <librdkafka/rdkafka.h>
#include <stdlib.h>

#include "ops/runtime/kafka_conf.h"
#include "ops/runtime/log.h"
#include "schema/base/mem.h"

struct exposure_kafka {
    rd_kafka_t *client;
    char *topic;
    exposure_told_fn *told;
    void *told_self;
    bool is_failing;
};

static const struct kafka_setting settings_table[] = {
    {"client.id", "tarn-query", KAFKA_DEFAULT, NULL},
    {"linger.ms", "20", KAFKA_DEFAULT, NULL},
    {"queue.buffering.max.messages", "100000", KAFKA_DEFAULT, NULL},
    {"queue.buffering.max.kbytes", "65536", KAFKA_DEFAULT, NULL},
    {"message.timeout.ms", "30000", KAFKA_DEFAULT, NULL},
    /* As Java's producers: beside the owner's events, where those are keyed so. */
    {"partitioner", "murmur2_random", KAFKA_DEFAULT, NULL},
    {"socket.keepalive.enable", "true", KAFKA_DEFAULT, NULL},
    {"reconnect.backoff.max.ms", "2000", KAFKA_DEFAULT, NULL},
};

static void on_error(rd_kafka_t *client, int code, const char *reason, void *opaque)
{
    (void)client;
    (void)code;
    (void)opaque;
    log_debug("kafka: %s", reason);
}

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    struct exposure_kafka *kafka = opaque;
    bool is_published = message->err == RD_KAFKA_RESP_ERR_NO_ERROR;

    (void)client;
    if (!is_published && !kafka->is_failing)
        log_error("exposures don't reach topic %s: %s", kafka->topic, rd_kafka_err2str(message->err));
    if (is_published && kafka->is_failing)
        log_info("exposures reach topic %s again", kafka->topic);
    kafka->is_failing = !is_published;
    kafka->told(kafka->told_self, (uint64_t)(uintptr_t)message->_private, is_published);
}

int exposure_kafka_open(const struct exposure_kafka_settings *settings, exposure_told_fn *told, void *told_self,
                        struct exposure_kafka **ret_kafka, struct err *err)
{
    struct exposure_kafka *kafka;
    rd_kafka_conf_t *conf;
    char reason[300];

    int rc =
        kafka_conf_new(settings_table, ARRAY_COUNT(settings_table), settings->brokers, settings->extra, &conf, err);
    if (rc < 0)
        return rc;
    kafka = mem_zero(1, sizeof(*kafka));
    kafka->topic = mem_text(settings->topic);
    kafka->told = told;
    kafka->told_self = told_self;
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, kafka);
    kafka->client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    if (kafka->client == NULL) {
        rd_kafka_conf_destroy(conf);
        rc = err_set(err, ERR_INPUT, "Kafka client: %s", reason);
        exposure_kafka_close(&kafka);
        return rc;
    }
    *ret_kafka = kafka;
    return 0;
}

void exposure_kafka_close(struct exposure_kafka **kafka)
{
    if (*kafka == NULL)
        return;
    if ((*kafka)->client != NULL)
        rd_kafka_destroy((*kafka)->client);
    free((*kafka)->topic);
    free(*kafka);
    *kafka = NULL;
}

/* --- the port ------------------------------------------------------------------------------------------------------- */

static bool publish(void *self, const struct exposure_record *record)
{
    struct exposure_kafka *kafka = self;
    struct span key = exposure_record_key(record), id = exposure_record_id(record);
    struct span value = exposure_record_value(record);

    const rd_kafka_vu_t arguments[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = kafka->topic},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {.ptr = (void *)(uintptr_t)key.at, .size = key.len}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {.ptr = (void *)(uintptr_t)value.at, .size = value.len}},
        {.vtype = RD_KAFKA_VTYPE_HEADER, .u.header = {.name = "type", .val = "tarn.Exposure", .size = -1}},
        {.vtype = RD_KAFKA_VTYPE_HEADER, .u.header = {.name = "id", .val = id.at, .size = (ssize_t)id.len}},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = (void *)(uintptr_t)record->mark},
    };
    rd_kafka_error_t *error = rd_kafka_produceva(kafka->client, arguments, ARRAY_COUNT(arguments));
    if (error != NULL)
        rd_kafka_error_destroy(error);
    return error == NULL;
}

static void poll_client(void *self, int64_t ms)
{
    rd_kafka_poll(((struct exposure_kafka *)self)->client, (int)ms);
}

static void flush(void *self, int64_t ms)
{
    rd_kafka_t *client = ((struct exposure_kafka *)self)->client;

    rd_kafka_flush(client, (int)ms);
    rd_kafka_purge(client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(client, 0); /* tells what became of them */
}

struct exposure_port exposure_kafka_port(struct exposure_kafka *kafka)
{
    return (struct exposure_port){publish, poll_client, flush, kafka};
}
