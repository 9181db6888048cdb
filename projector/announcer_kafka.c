/* A record never times out here: within one producer's life librdkafka's idempotence sends it until it is acknowledged,
 * once. What it gives back all the same was refused (an unknown topic, no right to write, too large), so that publishing
 * it again makes no repeat. After a fatal error of the idempotent producer, which needs a broker that has lost what it
 * acknowledged, the client is made anew. */
#include "projector/announcer_kafka.h"

#include <stdlib.h>

#include "ops/runtime/kafka_conf.h"
#include "ops/runtime/log.h"
#include "schema/base/mem.h"

static const struct kafka_setting settings_table[] = {
    {"client.id", "tarn-announcer", KAFKA_DEFAULT, NULL},
    {"linger.ms", "0", KAFKA_DEFAULT, NULL}, /* people wait; what comes at once goes at once all the same */
    {"reconnect.backoff.ms", "100", KAFKA_DEFAULT, NULL},
    {"reconnect.backoff.max.ms", "2000", KAFKA_DEFAULT, NULL},
    {"retry.backoff.ms", "50", KAFKA_DEFAULT, NULL},
    {"socket.keepalive.enable", "true", KAFKA_DEFAULT, NULL},
    {"socket.nagle.disable", "true", KAFKA_DEFAULT, NULL},
    {"topic.metadata.propagation.max.ms", "5000", KAFKA_DEFAULT, NULL},
    {"enable.sparse.connections", "false", KAFKA_DEFAULT, NULL}, /* the first announcement waits for no connection */

    {"enable.idempotence", "true", KAFKA_OURS, "an announcement that is sent again must not be there twice"},
    {"acks", "all", KAFKA_OURS, "an announcement is forgotten once it can't get lost"},
    {"request.required.acks", NULL, KAFKA_OURS, "an announcement is forgotten once it can't get lost"},
    {"message.timeout.ms", "0", KAFKA_OURS, "giving up and publishing again would make repeats"},
    {"delivery.timeout.ms", NULL, KAFKA_OURS, "giving up and publishing again would make repeats"},
    {"transactional.id", NULL, KAFKA_OURS, "announcements aren't transactional"},
    {"partitioner", "murmur2_random", KAFKA_OURS, "announcements lie beside their owner's events"},
    {"log.queue", "true", KAFKA_OURS, "Kafka's messages are part of our log"},
};

typedef void told_fn(void *context, size_t number, enum announce_outcome outcome, const char *reason);

struct announcer_kafka {
    char *brokers;
    char *topic;
    const struct config_list *extra;
    rd_kafka_t *client; /* NULL: to be made anew */
    rd_kafka_topic_t *handle; /* keeps the client asking who leads the topic's partitions */
    struct announce_sink sink;
    told_fn *told; /* while it polls */
    void *context;
};

static const char *publish(void *self, const struct announcement_record *record, size_t number);
static void poll_client(void *self, int ms, told_fn *told, void *context);

/* Is it this record's own fault? */
static bool is_hopeless(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || code == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE ||
           code == RD_KAFKA_RESP_ERR_INVALID_RECORD;
}

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    struct announcer_kafka *kafka = opaque;
    enum announce_outcome outcome = message->err == RD_KAFKA_RESP_ERR_NO_ERROR ? ANNOUNCE_PUBLISHED
                                    : is_hopeless(message->err)                 ? ANNOUNCE_HOPELESS
                                                                                : ANNOUNCE_AGAIN;
    (void)client;
    if (kafka->told != NULL)
        kafka->told(kafka->context, (size_t)(uintptr_t)message->_private, outcome, rd_kafka_err2str(message->err));
}

static void on_error(rd_kafka_t *client, int code, const char *reason, void *opaque)
{
    (void)client;
    (void)code;
    (void)opaque;
    log_debug("kafka: %s", reason);
}

static int make_client(struct announcer_kafka *kafka, struct err *err)
{
    rd_kafka_conf_t *conf;
    char reason[300];

    int rc = kafka_conf_new(settings_table, ARRAY_COUNT(settings_table), kafka->brokers, kafka->extra, &conf, err);
    if (rc < 0)
        return rc;
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, kafka);
    kafka->client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    if (kafka->client == NULL) {
        rd_kafka_conf_destroy(conf);
        return err_set(err, ERR_INPUT, "Kafka client: %s", reason);
    }
    rd_kafka_set_log_queue(kafka->client, NULL); /* into rd_kafka_poll() */
    kafka->handle = rd_kafka_topic_new(kafka->client, kafka->topic, NULL);
    return 0;
}

int announcer_kafka_open(const struct announcer_kafka_settings *settings, struct announcer_kafka **ret_kafka,
                         struct err *err)
{
    struct announcer_kafka *kafka = mem_zero(1, sizeof(*kafka));

    kafka->brokers = mem_text(settings->brokers);
    kafka->topic = mem_text(settings->topic);
    kafka->extra = settings->extra;
    kafka->sink = (struct announce_sink){publish, poll_client, kafka};
    int rc = make_client(kafka, err);
    if (rc < 0)
        announcer_kafka_close(&kafka);
    else
        *ret_kafka = kafka;
    return rc;
}

/* What is given up comes back inside rd_kafka_poll(): as told, or to nobody when there is nobody to tell. */
static void destroy_client(struct announcer_kafka *kafka)
{
    if (kafka->client == NULL)
        return;
    rd_kafka_purge(kafka->client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(kafka->client, 0);
    if (kafka->handle != NULL)
        rd_kafka_topic_destroy(kafka->handle);
    kafka->handle = NULL;
    rd_kafka_destroy(kafka->client);
    kafka->client = NULL;
}

void announcer_kafka_close(struct announcer_kafka **kafka)
{
    if (*kafka == NULL)
        return;
    destroy_client(*kafka);
    free((*kafka)->brokers);
    free((*kafka)->topic);
    free(*kafka);
    *kafka = NULL;
}

const struct announce_sink *announcer_kafka_sink(struct announcer_kafka *kafka)
{
    return &kafka->sink;
}

/* --- the port ----------------------------------------------------------------------------------------------------- */

static const char *publish(void *self, const struct announcement_record *record, size_t number)
{
    static const char type[] = "tarn.Announcement";
    struct announcer_kafka *kafka = self;
    struct err err;

    if (kafka->client == NULL && make_client(kafka, &err) < 0)
        return "Kafka's client can't be made";
    rd_kafka_headers_t *headers = rd_kafka_headers_new(2);
    rd_kafka_header_add(headers, "type", -1, type, sizeof(type) - 1);
    rd_kafka_header_add(headers, "id", -1, record->id, ANNOUNCEMENT_ID_CHARS);
    const rd_kafka_vu_t arguments[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = kafka->topic},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {.ptr = (void *)(uintptr_t)record->key.at, .size = record->key.len}},
        {.vtype = RD_KAFKA_VTYPE_VALUE,
         .u.mem = {.ptr = (void *)(uintptr_t)record->value.at, .size = record->value.len}},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = (void *)(uintptr_t)number},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
    };
    rd_kafka_error_t *error = rd_kafka_produceva(kafka->client, arguments, ARRAY_COUNT(arguments));
    if (error == NULL)
        return NULL; /* the headers are librdkafka's now */
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    rd_kafka_error_destroy(error);
    rd_kafka_headers_destroy(headers);
    return rd_kafka_err2str(code);
}

static void poll_client(void *self, int ms, told_fn *told, void *context)
{
    struct announcer_kafka *kafka = self;
    char reason[300];

    kafka->told = told;
    kafka->context = context;
    if (kafka->client != NULL) {
        rd_kafka_poll(kafka->client, ms);
        rd_kafka_resp_err_t code = rd_kafka_fatal_error(kafka->client, reason, sizeof(reason));
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            log_error("announcements: %s; what isn't acknowledged is published again", reason);
            destroy_client(kafka);
        }
    }
    kafka->told = NULL;
}
