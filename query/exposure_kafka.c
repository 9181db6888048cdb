/* librdkafka's producer keeps what it was given, up to the bounds set here, and tries until message.timeout.ms; then,
 * or when a bound is reached, the record is given back as not published. Its own log lines are for --log-level debug:
 * what an operator needs is the one line when exposures stop getting through, and the one when they do again. */
#include "query/exposure_kafka.h"

#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

#include "ops/runtime/log.h"
#include "schema/base/mem.h"

struct exposure_kafka {
    rd_kafka_t *client;
    char *topic;
    exposure_told_fn *told;
    void *told_self;
    bool is_failing;
};

/* Before --kafka, which may say otherwise. */
static const struct {
    const char *name, *value;
} defaults[] = {
    {"client.id", "tarn-query"},
    {"linger.ms", "20"},
    {"queue.buffering.max.messages", "100000"},
    {"queue.buffering.max.kbytes", "65536"},
    {"message.timeout.ms", "30000"},
    {"partitioner", "murmur2_random"}, /* as Java's producers: beside the owner's events, where those are keyed so */
    {"socket.keepalive.enable", "true"},
    {"reconnect.backoff.max.ms", "2000"},
};

static int set(rd_kafka_conf_t *conf, const char *origin, const char *name, const char *value, struct err *err)
{
    char reason[300];

    switch (rd_kafka_conf_set(conf, name, value, reason, sizeof(reason))) {
    case RD_KAFKA_CONF_OK:
        return 0;
    case RD_KAFKA_CONF_UNKNOWN:
        return err_set(err, ERR_INPUT, "%s%s: librdkafka has no such setting", origin, name);
    case RD_KAFKA_CONF_INVALID:
        break;
    }
    /* Its text may quote the value, which may be a secret. */
    return err_set(err, ERR_INPUT, "%s%s: librdkafka refuses the value, or was built without what it needs", origin,
                   name);
}

static int set_extra(rd_kafka_conf_t *conf, const char *pair, struct err *err)
{
    const char *equals = strchr(pair, '=');

    if (equals == NULL || equals == pair)
        return err_set(err, ERR_INPUT, "--kafka takes NAME=VALUE");
    char *name = mem_text_of(span_of(pair, (size_t)(equals - pair)));
    int rc = strcmp(name, "bootstrap.servers") == 0 || strcmp(name, "metadata.broker.list") == 0
                 ? err_set(err, ERR_INPUT, "--kafka %s can't be changed: --brokers sets it", name)
                 : set(conf, "--kafka ", name, equals + 1, err);
    free(name);
    return rc;
}

static void on_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    (void)client;
    (void)level;
    log_debug("kafka: %s: %s", facility, text);
}

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
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    struct exposure_kafka *kafka;
    char reason[300];
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < ARRAY_COUNT(defaults); i++)
        rc = set(conf, "", defaults[i].name, defaults[i].value, err);
    for (size_t i = 0; rc == 0 && settings->extra != NULL && i < settings->extra->count; i++)
        rc = set_extra(conf, settings->extra->items[i], err);
    if (rc == 0)
        rc = set(conf, "--brokers: ", "bootstrap.servers", settings->brokers, err);
    if (rc < 0) {
        rd_kafka_conf_destroy(conf);
        return rc;
    }
    kafka = mem_zero(1, sizeof(*kafka));
    kafka->topic = mem_text(settings->topic);
    kafka->told = told;
    kafka->told_self = told_self;
    rd_kafka_conf_set_log_cb(conf, on_log);
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
