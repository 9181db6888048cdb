/* librdkafka's own message about a wrong value may quote it, so that ours take its place. */
#include "ops/runtime/kafka_conf.h"

#include <stdlib.h>
#include <string.h>

#include "ops/runtime/log.h"
#include "schema/base/mem.h"

static const struct kafka_setting brokers_settings[] = {
    {"bootstrap.servers", NULL, KAFKA_OURS, "--brokers sets it"},
    {"metadata.broker.list", NULL, KAFKA_OURS, "--brokers sets it"},
};

static int set_layer(rd_kafka_conf_t *conf, const struct kafka_setting *settings, size_t count, enum kafka_layer layer,
                     struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count; i++)
        if (settings[i].layer == layer && settings[i].value != NULL)
            rc = kafka_conf_set(conf, settings[i].name, settings[i].value, "", err);
    return rc;
}

static const struct kafka_setting *find_ours(const struct kafka_setting *settings, size_t count, struct span name)
{
    for (size_t i = 0; i < count; i++)
        if (settings[i].layer == KAFKA_OURS && span_equal_text(name, settings[i].name))
            return &settings[i];
    return NULL;
}

static int set_pair(rd_kafka_conf_t *conf, const struct kafka_setting *settings, size_t count, const char *pair,
                    struct err *err)
{
    const char *equals = strchr(pair, '=');

    if (equals == NULL || equals == pair)
        return err_set(err, ERR_INPUT, "--kafka takes NAME=VALUE");
    struct span name = span_of(pair, (size_t)(equals - pair));
    const struct kafka_setting *ours = find_ours(settings, count, name);
    if (ours == NULL)
        ours = find_ours(brokers_settings, ARRAY_COUNT(brokers_settings), name);
    if (ours != NULL)
        return err_set(err, ERR_INPUT, "--kafka %s can't be changed: %s", ours->name, ours->why);
    char *text = mem_text_of(name);
    int rc = kafka_conf_set(conf, text, equals + 1, "--kafka ", err);
    free(text);
    return rc;
}

static void to_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    (void)client;
    (void)level;
    log_debug("kafka: %s: %s", facility, text);
}

int kafka_conf_new(const struct kafka_setting *settings, size_t count, const char *brokers,
                   const struct config_list *extra, rd_kafka_conf_t **ret_conf, struct err *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    rd_kafka_conf_set_log_cb(conf, to_log);
    int rc = set_layer(conf, settings, count, KAFKA_DEFAULT, err);
    for (size_t i = 0; rc == 0 && extra != NULL && i < extra->count; i++)
        rc = set_pair(conf, settings, count, extra->items[i], err);
    if (rc == 0)
        rc = set_layer(conf, settings, count, KAFKA_OURS, err);
    if (rc == 0 && brokers != NULL)
        rc = kafka_conf_set(conf, "bootstrap.servers", brokers, "--brokers: ", err);
    if (rc < 0)
        rd_kafka_conf_destroy(conf);
    else
        *ret_conf = conf;
    return rc;
}

int kafka_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value, const char *origin, struct err *err)
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
    return err_set(err, ERR_INPUT, "%s%s: librdkafka refuses the value, or was built without what it needs", origin,
                   name);
}
