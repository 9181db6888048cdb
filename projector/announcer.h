/* projector/announcer.h - tells a topic what has become visible: a thread that is woken by commits, reads what is pending
 * in the served generations' stores, publishes it, and moves the announced offsets (announced.h) when Kafka has it.
 *
 * At least once: what was published and not yet written down when the process was killed is published again, with the
 * same id. A topic that can't be reached holds up nothing but announcements, which stay in the stores meanwhile. */
#ifndef TARN_PROJECTOR_ANNOUNCER_H
#define TARN_PROJECTOR_ANNOUNCER_H

#include "projector/announce_round.h"
#include "schema/store/store.h"

struct announcer;

enum announce_outcome {
    ANNOUNCE_PUBLISHED,
    ANNOUNCE_AGAIN,    /* not now: it is published again in a while */
    ANNOUNCE_HOPELESS, /* never: it is given up */
};

/* Where announcements go. Used by one thread. */
struct announce_sink {
    /* Takes a copy and returns NULL; `number` comes back from poll(). Or says why it can't be taken now. */
    const char *(*publish)(void *self, const struct announcement_record *record, size_t number);
    /* Waits up to ms for a first outcome, and tells all that there are. reason: of those that aren't published. */
    void (*poll)(void *self, int ms,
                 void (*told)(void *context, size_t number, enum announce_outcome outcome, const char *reason),
                 void *context);
    void *self;
};

struct announcer_options {
    struct announced *announced; /* borrowed, like the rest: they outlive it */
    const struct announce_sink *sink;
    const struct clock_port *clock;
    const char *topic;  /* for what people are told */
    size_t row_limit;   /* --announce-backlog */
};

MUST_CHECK int announcer_open(const struct announcer_options *options, const struct serving *serving,
                              struct announcer **ret_announcer, struct err *err);
/* Waits up to grace_ms for what is on its way. Everybody has left. */
void announcer_close(struct announcer **announcer, int grace_ms);

/* A generation is followed: its views and settings outlive its leaving, and its store too. On the follower's thread,
 * before the first record. */
MUST_CHECK int announcer_join(struct announcer *announcer, const char *name, struct store *store,
                              const struct view_set *views, const struct generation_settings *settings,
                              struct announcing **ret_announcing, struct err *err);
void announcer_leave(struct announcer *announcer, struct announcing **announcing);

/* `serving` was changed. */
void announcer_set_serving(struct announcer *announcer, const struct serving *serving);

#endif
