/* librdkafka's own message about a wrong value may quote it, so that ours take its place. */
#include "ops/runtime/kafka_conf.h"

#include <stdlib.h>
#include <string.h>

#include "ops/runtime/log.h"
#include "schema/base/mem.h"

static int set_layer(rd_kafka_conf_t *conf, const struct kafka_setting *settings, size_t count, enum kafka_layer layer,
                     struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count; i++)
        if (settings[i].layer == layer && settings[i].value != NULL)
            rc = kafka_conf_set(conf, settings[i].name, settings[i].value, "", err);
    return rc;
}

static int set_pair(rd_kafka_conf_t *conf, const struct kafka_setting *settings, size_t count, const char *pair,
                    struct err *err)
{
    const char *equals = strchr(pair, '=');

    if (equals == NULL || equals == pair)
        return err_set(err, ERR_INPUT, "--kafka takes NAME=VALUE");
    struct span name = span_of(pair, (size_t)(equals - pair));
    for (size_t i = 0; i < count; i++)
        if (settings[i].layer == KAFKA_OURS && span_equal_text(name, settings[i].name))
            return err_set(err, ERR_INPUT, "--kafka %s can't be changed: %s", settings[i].name, settings[i].why);
    char *text = mem_text_of(name);
    int rc = kafka_conf_set(conf, text, equals + 1, "--kafka ", err);
    free(text);
    return rc;
}

int kafka_conf_layers(rd_kafka_conf_t *conf, const struct kafka_setting *settings, size_t count,
                      const struct config_list *extra, struct err *err)
{
    int rc = set_layer(conf, settings, count, KAFKA_DEFAULT, err);

    for (size_t i = 0; rc == 0 && extra != NULL && i < extra->count; i++)
        rc = set_pair(conf, settings, count, extra->items[i], err);
    return rc < 0 ? rc : set_layer(conf, settings, count, KAFKA_OURS, err);
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

void kafka_conf_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    (void)client;
    (void)level;
    log_debug("kafka: %s: %s", facility, text);
}
