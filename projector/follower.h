/* projector/follower.h - one generation kept up to date: its settings, views, store, Kafka source and watch, keeper and
 * materializer, on a thread of its own, so that a generation that people read never waits for one under construction.
 *
 * The supervisor opens one for each generation, reads its reports, hands it tasks and closes it. A task is done between
 * two turns, and told as done only when the commit that holds its effects is made. A generation under construction
 * (its folder has a file `building`) runs on a thread of low priority, may skip syncing, is held back by its rate, by the
 * free disk and by what it does to the others (throttle.h), and ends by itself once it is whole: the supervisor then
 * opens it anew, as one that is live. */
#ifndef TARN_PROJECTOR_FOLLOWER_H
#define TARN_PROJECTOR_FOLLOWER_H

#include <jansson.h>

#include "projector/announcer.h"
#include "projector/materializer.h"
#include "projector/run_settings.h"
#include "projector/throttle.h"
#include "schema/store/dropped.h"

struct follower;

/* All borrowed but for the name; they outlive it. */
struct follower_options {
    const struct run_settings *settings;
    const char *name; /* the generation */
    const struct clock_port *clock;
    struct dropped *dropped;   /* shared by all */
    struct pressure *pressure; /* shared by all: what the live ones suffer */
    struct announcer *announcer; /* shared by all; NULL: nothing is announced */
    size_t memory_bytes;       /* its part of --memory */
    bool is_incumbent;         /* --group is its consumer group, and its lines in the log don't say whose they are */
};

/* Starts the thread, which opens the rest: see follower_phase. */
MUST_CHECK int follower_open(const struct follower_options *options, struct follower **ret_follower, struct err *err);
/* Asks it to stop at its next turn. */
void follower_stop(struct follower *follower);
/* Stops it, and waits until it has. False: it didn't within patience_ms (0: forever) and is left behind with all it uses;
 * only for a process that ends. */
bool follower_close(struct follower **follower, int patience_ms);

enum follower_phase {
    FOLLOWER_OPENING,
    FOLLOWER_FOLLOWING,
    FOLLOWER_CLOSING, /* its loop has ended, one of the following comes: closing what Kafka needs may take its time */
    FOLLOWER_WHOLE,  /* it was under construction, has caught up, is synced and marked; its thread ends */
    FOLLOWER_FAILED, /* its thread ends; the report's err says why */
    FOLLOWER_ENDED,  /* follower_stop() was obeyed */
};

struct follower_partition {
    const char *topic; /* the follower's; lives as long as it does */
    int32_t number;
    enum partition_state state;
    int64_t next_offset;
    int64_t end_offset; /* -1: not known */
    size_t parked;
};

struct follower_report {
    enum follower_phase phase;
    struct err err;
    bool is_building;
    bool is_ready; /* has been caught up once */
    bool is_connected;
    int64_t kafka_errors;
    int64_t told_at_us;   /* by the clock: a loop that hangs is found out by it; 0: not yet */
    int64_t records;      /* handled since it was opened */
    int64_t events_per_s;
    int64_t time_left_s;  /* -1: not known */
    int64_t lag;          /* records; -1: not known */
    int64_t rate;          /* of --rate; 0: none */
    int64_t share_percent; /* of its time that it may work, for the others' sake */
    char problem[600];    /* "" or one sentence */
    struct follower_partition *partitions;
    size_t partition_count;
};

/* A copy of what it told last (a few times a second). follower_report_release() ends it. */
void follower_look(struct follower *follower, struct follower_report *ret_report);
void follower_report_release(struct follower_report *report);
enum follower_phase follower_phase(struct follower *follower);

const char *follower_name(const struct follower *follower);
/* NULL: not open (yet). For readers on the supervisor's thread, which closes the follower. */
struct store *follower_store(struct follower *follower);

/* --- tasks: made by the supervisor, done by the follower's thread --- */

enum task_kind {
    TASK_PARKED_RETRY,
    TASK_PARKED_DROP,
    TASK_DECISIONS,  /* drops what was decided in another generation */
    TASK_COMMIT,     /* everything handled so far is in the store */
    TASK_MAKE_WHOLE, /* and is synced, and every commit from now on: FOLLOWER_WHOLE follows when it was under construction */
    TASK_SET_MEMORY, /* how much its cache may take */
    TASK_HOLD,       /* stands still, with everything committed, until held_until_us or TASK_RELEASE; tells positions */
    TASK_GO_TO,      /* held: goes on to exactly `positions`, and stands still again. ERR_AGAIN: not in time */
    TASK_RELEASE,
};

struct task_position {
    char *topic;
    int32_t partition;
    int64_t next_offset;
};

struct follower_task {
    enum task_kind kind;
    const json_t *arguments;         /* PARKED_*: the request's; borrowed */
    int64_t held_until_us;           /* HOLD, GO_TO: by the clock */
    size_t memory_bytes;             /* SET_MEMORY */
    struct task_position *positions; /* GO_TO: in; HOLD: out */
    size_t position_count;
    /* the outcome */
    bool is_done; /* the follower's until then; ask follower_is_done() */
    int rc;
    struct err err;
    struct parked_outcome parked;
};

/* The task is the caller's, and the follower's until it is done. Those that a follower can't do any more fail with
 * ERR_AGAIN. */
void follower_give(struct follower *follower, struct follower_task *task);
bool follower_is_done(struct follower *follower, const struct follower_task *task);
void task_release(struct follower_task *task);

#endif
