/* librdkafka's own message about a wrong value may quote it, so that ours take its place. */
#include "projector/kafka_conf.h"

#include <stdlib.h>
#include <string.h>

#include "ops/runtime/log.h"
#include "schema/base/mem.h"

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

int kafka_conf_extra(rd_kafka_conf_t *conf, const struct config_list *extra, const struct kafka_fixed *fixed,
                     size_t fixed_count, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && extra != NULL && i < extra->count; i++) {
        const char *equals = strchr(extra->items[i], '=');
        if (equals == NULL || equals == extra->items[i])
            return err_set(err, ERR_INPUT, "--kafka takes NAME=VALUE");
        struct span name = span_of(extra->items[i], (size_t)(equals - extra->items[i]));
        for (size_t k = 0; k < fixed_count; k++)
            if (span_equal_text(name, fixed[k].name))
                return err_set(err, ERR_INPUT, "--kafka %s can't be changed: %s", fixed[k].name, fixed[k].why);
        char *text = mem_text_of(name);
        rc = kafka_conf_set(conf, text, equals + 1, "--kafka ", err);
        free(text);
    }
    return rc;
}

void kafka_conf_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    (void)client;
    (void)level;
    log_debug("kafka: %s: %s", facility, text);
}
