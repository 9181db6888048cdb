/* projector/kafka_watch.h - asks Kafka about topics and logs, in a thread and with a client of its own: its calls wait,
 * and reading an old record must not disturb those that read new ones. */
#ifndef TARN_PROJECTOR_KAFKA_WATCH_H
#define TARN_PROJECTOR_KAFKA_WATCH_H

#include "projector/kafka_client.h"
#include "projector/log_watch.h"

struct kafka_watch;

/* The topics' numbers are their places; they must outlive it. */
MUST_CHECK int kafka_watch_open(const struct kafka_settings *settings, char *const *topics, size_t topic_count,
                                struct kafka_watch **ret_watch, struct err *err);

/* Waits for the call under way, a second at most: at the end of the process. */
void kafka_watch_close(struct kafka_watch **watch);

struct log_watch kafka_watch_port(struct kafka_watch *watch);

#endif
