/* projector/materializer.h - keeps one generation up to date: records in, views and everything that belongs to them out.
 *
 *     poll -> materializer_handle() -> cache (dirty rows) -> materializer_turn() -> job -> flusher thread -> store
 *
 * The thread that calls it (the main loop) decides, projects and changes rows in the cache, together with others that it
 * waits for (fold.h); one thread of its own owns the store's writer and commits jobs. A job freezes what one or all owner ranges have changed, together with the
 * positions up to which they are complete, so that a kill at any moment loses only what Kafka gives again, and what it
 * gives again is dropped where it is known already.
 *
 * The loop, in full (a batch's records must live until materializer_turn() has been called behind its last part):
 *
 *     poll(the source's event, materializer_event_fd(m); at most materializer_wait_us(m));
 *     source->poll(self, records, capacity, 0, &count, err);
 *     for (taken = 0; rc == 0 && !stop_requested();) {
 *         rc = materializer_handle(m, records + taken, count - taken, &handled, err);
 *         taken += handled;
 *         rc = materializer_turn(m, &(struct materializer_turn){.is_drained = ..., .lag = ...}, err);
 *         if (taken == count) break;
 *         materializer_wait(m, 50);             // the cache is full of what isn't committed yet
 *     }
 *
 * Which partitions are read is the loop's business: it adds them to materializer_positions() and assigns them to the
 * source as their states say. The materializer changes a state itself in two cases: to PARTITION_PARKED when a partition
 * has too many parked events, and back. Records of a partition that isn't PARTITION_FOLLOWING are ignored. */
#ifndef TARN_PROJECTOR_MATERIALIZER_H
#define TARN_PROJECTOR_MATERIALIZER_H

#include "projector/positions.h"
#include "projector/record_source.h"
#include "schema/base/clock.h"
#include "schema/store/generation.h"
#include "schema/store/layout.h"
#include "schema/store/store.h"
#include "schema/view/plan.h"

struct materializer;
struct announcing;
struct dropped;

/* What the loop may want to tell people. Every function may be NULL; called from within materializer_handle(), on any of
 * its threads, one call at a time. */
struct materializer_listener {
    /* An event was parked for a reason of its own (not for waiting). message names no value. */
    void (*parked)(void *self, const struct parked_key *key, enum park_reason reason, const char *message);
    void *self;
};

struct materializer_options {
    struct store *store;                        /* opened for writing; outlives the materializer */
    const struct view_set *views;               /* outlives it too */
    const struct generation_settings *settings; /* likewise */
    const struct record_source *source;         /* only header() is called, by several threads; NULL: no headers */
    const char *directory;                      /* DIR, for decisions in DIR/control; NULL: none, or `dropped` */
    struct announcing *announcing;              /* outlives it; NULL: nothing is announced */
    struct dropped *dropped;                    /* those decisions, shared with others; outlives it. NULL: its own */
    bool is_building;    /* nobody reads it yet (flush_policy.h) */
    size_t memory_bytes; /* of the cache, jobs included; below MATERIALIZER_MEMORY_MIN it hardly caches */
    size_t park_limit;   /* parked events of one partition, waiting ones included */
    unsigned fold_threads; /* records are handled by so many threads (fold.h), the caller included; 0: as the machine has */
    const struct clock_port *clock;
    struct materializer_listener listener;
};

enum { MATERIALIZER_MEMORY_MIN = 8 << 20, MATERIALIZER_PARK_LIMIT = 1000 };

/* Loads positions, marks and parked events, starts the flusher thread. ERR_INPUT: a stream of the schema without a
 * topic, or a topic without a stream. */
MUST_CHECK int materializer_open(const struct materializer_options *options, struct materializer **ret_materializer,
                                 struct err *err);

/* What isn't committed is dropped: Kafka gives it again. A job that is being written is given up, unless its commit has
 * begun. */
void materializer_close(struct materializer **materializer);

/* The partitions: added, looked at and given states by the loop, between calls of the functions below. */
struct positions *materializer_positions(struct materializer *materializer);

/* Handles records in order; *ret_handled < count: the cache is full of changes that aren't committed, so wait for a job
 * (materializer_turn(), materializer_wait()) and hand in the rest again. A record that can't be applied is parked, not
 * an error. ERR_BROKEN and others: stop. */
MUST_CHECK int materializer_handle(struct materializer *materializer, const struct record *records, size_t count,
                                   size_t *ret_handled, struct err *err);

struct materializer_turn {
    bool is_drained; /* the source had no more when it was last asked */
    int64_t lag;     /* records between the positions and the ends of the logs, as far as it is known */
};

/* Takes in what the flusher has done, starts a job when the policy (flush_policy.h) says so. Once per turn of the loop,
 * records or not. ERR_BROKEN: the store can't go on. A full disk is no error: the job is tried again, and
 * materializer_stalled() says so. */
MUST_CHECK int materializer_turn(struct materializer *materializer, const struct materializer_turn *turn,
                                 struct err *err);

/* How long the loop may wait for records, or for the event, at most before the next turn. */
int64_t materializer_wait_us(struct materializer *materializer);

/* Waits until the job in flight has ended, at most wait_ms. */
void materializer_wait(struct materializer *materializer, int wait_ms);

/* Readable (poll) when a job has ended, until the next materializer_turn(). */
int materializer_event_fd(const struct materializer *materializer);

/* Commits everything and waits for it (commands, tests, a stop with little left to do). ERR_FULL too. */
MUST_CHECK int materializer_flush(struct materializer *materializer, struct err *err);

/* What a request waits for: everything changed before the mark was taken is committed. Taking one has it done as soon as
 * possible. */
uint64_t materializer_mark(struct materializer *materializer);
bool materializer_is_committed(const struct materializer *materializer, uint64_t mark);

/* Nothing is being written at the moment, and nothing will be before the next turn: the store's writer is free. */
bool materializer_is_idle(const struct materializer *materializer);

/* Records handled since it was opened, whatever came of them; how often something was committed, and how long the last
 * time took. */
int64_t materializer_records(const struct materializer *materializer);
uint64_t materializer_commits(const struct materializer *materializer, int64_t *ret_took_us);

/* What its cache may take: more from now on, less in the course of the next turns. */
void materializer_set_memory(struct materializer *materializer, size_t memory_bytes);

/* NULL, or why nothing is being committed ("no space left on device ..."); lives until the next turn. */
const char *materializer_stalled(const struct materializer *materializer);

/* --- parked events (parked.h has the rest) ------------------------------------------------------------------- */

/* How many there are, and those of one unit: NULL: none. */
struct parked_unit;
size_t materializer_parked(const struct materializer *materializer);
const struct parked_unit *materializer_parked_unit(const struct materializer *materializer, uint16_t topic,
                                                   uint64_t unit_hash);

/* Which parked events: a unit (topic and record key), or all of them. */
struct parked_selection {
    bool is_all;
    uint16_t topic;
    struct span key; /* the record's key */
};

struct parked_outcome {
    size_t applied; /* waiting ones included */
    size_t dropped;
    size_t left; /* still parked, waiting ones included */
};

/* Applies the events of each selected unit in offset order until one fails. ERR_ABSENT: none is parked there. */
MUST_CHECK int materializer_retry(struct materializer *materializer, const struct parked_selection *selection,
                                  struct parked_outcome *ret_outcome, struct err *err);

/* Decisions that others have written down since: events that are parked here leave, and what waited goes on. */
MUST_CHECK int materializer_catch_up_decisions(struct materializer *materializer, struct err *err);

/* Drops the events that failed (never those that only wait): writes the decision to DIR/control first, then goes on with
 * what waited. */
MUST_CHECK int materializer_drop(struct materializer *materializer, const struct parked_selection *selection,
                                 struct parked_outcome *ret_outcome, struct err *err);

#endif
