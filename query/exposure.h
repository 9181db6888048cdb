/* query/exposure.h - tells, beside the answers, which generation a person saw: at least once for each owner, generation
 * and day.
 *
 * An answer never waits for it, and never fails with it: a loop thread looks whether the owner has been told of today
 * and, when not, leaves a record in a queue of its own. Queues and memory are bounded. What finds no room, or doesn't
 * arrive, is counted and forgotten again, so that the owner's next answer tries anew. What was told when the process
 * ended is not known to the next one, so repeats are part of the deal; they have the same id. */
#ifndef TARN_QUERY_EXPOSURE_H
#define TARN_QUERY_EXPOSURE_H

#include <stdatomic.h>

#include "query/exposure_record.h"
#include "schema/base/err.h"

struct exposures;
struct exposure_queue; /* of one loop thread */

/* Called inside publish(), poll() or close(): what became of a record that publish() took. */
typedef void exposure_told_fn(void *self, uint64_t mark, bool is_published);

/* Where records go. Used by one thread. */
struct exposure_port {
    /* Takes a copy, or is false at once: there is no room. */
    bool (*publish)(void *self, const struct exposure_record *record);
    /* Tells what has become of records, and waits up to ms for that. */
    void (*poll)(void *self, int64_t ms);
    /* Waits up to ms for what was taken, then gives the rest up. */
    void (*flush)(void *self, int64_t ms);
    void *self;
};

struct exposure_counters {
    _Atomic int64_t published; /* acknowledged */
    _Atomic int64_t dropped;   /* no room, too large, or not taken by Kafka; tried again at the owner's next answer */
    _Atomic int64_t waiting;   /* between the answer and either */
};

/* memory_bytes: for whom has been told of; each takes 8, and when they are used up, somebody is told of again. */
struct exposures *exposures_new(unsigned threads, uint64_t memory_bytes);
void exposures_free(struct exposures **exposures);

/* From a thread of its own. The port lives until exposures_stop(), and tells exposures_told(). */
MUST_CHECK int exposures_start(struct exposures *exposures, const struct exposure_port *port, struct err *err);
/* What the queues hold may still be published within grace_ms; nobody notes anything any more. */
void exposures_stop(struct exposures *exposures, int64_t grace_ms);
exposure_told_fn exposures_told; /* self: the struct exposures */

struct exposure_queue *exposures_queue(struct exposures *exposures, unsigned thread);
struct exposure_counters *exposures_counters(struct exposures *exposures);

/* Somebody has seen something. By the queue's one thread. */
void exposure_note(struct exposure_queue *queue, const struct exposure *exposure);

#endif
