/* How far it is is written down by the supervisor, about once a second, rather than by the announcer behind each batch:
 * two fsyncs would keep the next batch waiting for longer than all the rest of its way takes. */
#include "projector/announcements.h"

#include <stdlib.h>

#include "ops/runtime/log.h"
#include "projector/announcer_kafka.h"
#include "schema/base/mem.h"

enum { GRACE_MS = 1000 };

struct announcements {
    struct announced *announced;
    struct announcer_kafka *kafka;
    struct announcer *announcer;
    bool said_fault;
};

int announcements_open(const struct run_settings *settings, const struct serving *serving,
                       const struct clock_port *clock, struct announcements **ret_announcements, struct err *err)
{
    const struct announcer_kafka_settings kafka = {
        .brokers = settings->brokers, .topic = settings->announce_topic, .extra = &settings->kafka};

    if (settings->announce_topic == NULL) {
        *ret_announcements = NULL;
        return 0;
    }
    struct announcements *announcements = mem_zero(1, sizeof(*announcements));
    int rc = announced_open(settings->store, &announcements->announced, err);
    if (rc == 0)
        rc = announcer_kafka_open(&kafka, &announcements->kafka, err);
    if (rc == 0) {
        const struct announcer_options options = {
            .announced = announcements->announced,
            .sink = announcer_kafka_sink(announcements->kafka),
            .clock = clock,
            .topic = settings->announce_topic,
            .row_limit = (size_t)settings->announce_backlog,
        };
        rc = announcer_open(&options, serving, &announcements->announcer, err);
    }
    if (rc < 0)
        announcements_close(&announcements);
    else
        *ret_announcements = announcements;
    return rc;
}

void announcements_close(struct announcements **announcements)
{
    if (*announcements == NULL)
        return;
    announcer_close(&(*announcements)->announcer, GRACE_MS);
    if ((*announcements)->announced != NULL)
        announcements_note(*announcements);
    announcer_kafka_close(&(*announcements)->kafka);
    announced_close(&(*announcements)->announced);
    free(*announcements);
    *announcements = NULL;
}

struct announcer *announcements_announcer(struct announcements *announcements)
{
    return announcements != NULL ? announcements->announcer : NULL;
}

void announcements_note(struct announcements *announcements)
{
    struct err err = {0};

    if (announcements == NULL)
        return;
    int rc = announced_write(announcements->announced, &err);
    if (rc < 0 && !announcements->said_fault)
        log_warn("how far changes are announced can't be written down: %s; after a crash they are announced again",
                 err.text);
    announcements->said_fault = rc < 0;
}
