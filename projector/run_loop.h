/* projector/run_loop.h - the main loop: Kafka -> materializer, until a stop is requested. */
#ifndef TARN_PROJECTOR_RUN_LOOP_H
#define TARN_PROJECTOR_RUN_LOOP_H

#include "projector/kafka_source.h"
#include "projector/log_watch.h"
#include "projector/materializer.h"
#include "projector/requests.h"
#include "projector/run_admin.h"

/* All borrowed. */
struct run_parts {
    const char *directory;
    const struct generation *generation;
    const struct config_list *partitioners; /* TOPIC=NAME, checked: run_loop_check_partitioners() */
    const struct clock_port *clock;
    struct kafka_source *source;
    struct log_watch watch;
    struct materializer *materializer;
    struct requests *requests;
    struct run_admin *admin;
};

MUST_CHECK int run_loop_check_partitioners(const struct config_list *partitioners,
                                           const struct generation_settings *settings, struct err *err);

/* Returns 0 when a stop was requested. ERR_BROKEN and others: the store or the Kafka client can't go on. */
MUST_CHECK int run_loop(const struct run_parts *parts, struct err *err);

#endif
