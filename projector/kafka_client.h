/* projector/kafka_client.h - librdkafka clients with the settings that we rely on.
 *
 * Which settings are ours, which only have another default here, and which --kafka may change, stands in one table. */
#ifndef TARN_PROJECTOR_KAFKA_CLIENT_H
#define TARN_PROJECTOR_KAFKA_CLIENT_H

#include <librdkafka/rdkafka.h>

#include "ops/runtime/config.h"
#include "projector/record_source.h"
#include "schema/base/err.h"

struct kafka_settings {
    const char *brokers;
    const char *group;               /* whose committed offsets show our lag to Kafka's own tools */
    const struct config_list *extra; /* --kafka NAME=VALUE, as given; NULL: none */
    uint64_t memory_bytes;           /* what fetched records may take until they are handled */
};

enum kafka_role {
    KAFKA_READER,  /* follows partitions */
    KAFKA_WATCHER, /* asks about logs, one record at a time */
};

/* Looks at --kafka alone. ERR_INPUT: a malformed pair, an unknown name, a wrong value, or a setting that is ours; names
 * it, never its value. */
MUST_CHECK int kafka_settings_check(const struct kafka_settings *settings, struct err *err);

/* Makes a client; `opaque` goes to the callbacks, each of which may be NULL and runs inside rd_kafka_poll().
 * No broker needs to be there. */
struct kafka_callbacks {
    void (*on_error)(rd_kafka_t *client, int code, const char *reason, void *opaque);
    int (*on_statistics)(rd_kafka_t *client, char *json, size_t json_len, void *opaque);
    void *opaque;
};
MUST_CHECK int kafka_client_new(const struct kafka_settings *settings, enum kafka_role role,
                                const struct kafka_callbacks *callbacks, rd_kafka_t **ret_client, struct err *err);

/* What a message holds, apart from its topic's number. The spans live as long as the message. */
struct record kafka_record(const rd_kafka_message_t *message);

/* Without leaving a group or waiting for brokers: nothing is owed to them. */
void kafka_client_destroy(rd_kafka_t **client);

#endif
