/* projector/relay.h - the transactional outbox on its way to Kafka: one leader reads, publishes, deletes.
 *
 * Exactly one relay of an outbox works at a time: the one whose database session holds the lock (GET_LOCK). A session can
 * end without its owner knowing, so the lock alone isn't enough: whoever gets it takes over the Kafka transactional id
 * before it reads, and what the one before still sends is refused. See ops/docs/decisions/relay-leader.md.
 *
 * A row is deleted after its record was acknowledged, so a record may be there twice after a crash, with the same `id`
 * header; never is one lost, nor behind a later one of its key that the relay read with it. */
#ifndef TARN_PROJECTOR_RELAY_H
#define TARN_PROJECTOR_RELAY_H

#include <stdatomic.h>

#include "ops/runtime/circuit_breaker.h"
#include "projector/outbox.h"
#include "projector/record_sink.h"
#include "projector/relay_routes.h"
#include "schema/base/clock.h"

/* For /metrics: relaxed atomics. */
struct relay_figures {
    _Atomic int64_t is_leader;
    _Atomic int64_t rows_total;
    _Atomic int64_t rounds_total;
    _Atomic int64_t backlog_rows;   /* -1: not known */
    _Atomic int64_t oldest_age_ms;  /* 0: no row waits */
    _Atomic int64_t first_load_rows_total;
};

struct relay_options {
    const char *table;
    const char *lock_name;     /* at most 64 bytes */
    unsigned lock_wait_s;      /* of one try to become the leader */
    size_t rows_max;           /* of one round */
    size_t bytes_max;
    const struct database *database;
    const struct record_sink *sink;
    const struct relay_routes *routes;
    const struct clock_port *clock;
    struct relay_figures *figures;
};

struct relay {
    struct relay_options options;
    struct outbox *outbox;      /* NULL: not looked at yet */
    struct outbox_batch batch;
    uint64_t *published;        /* acknowledged, but not deleted yet */
    size_t published_count, published_capacity;
    size_t rows_limit;          /* of the next read */
    bool is_leader;
    bool has_worked;            /* has been the leader: the set-up isn't wrong from the start */
    int64_t counted_at_us;
    struct circuit_breaker database_breaker;
    struct circuit_breaker kafka_breaker;
};

void relay_init(struct relay *relay, const struct relay_options *options);
void relay_release(struct relay *relay);

enum relay_outcome {
    RELAY_WAITS,    /* a breaker is open */
    RELAY_STANDBY,  /* another one leads */
    RELAY_DRAINED,  /* all that there was is published */
    RELAY_GOES_ON,  /* there may be more */
};

/* One turn: becomes the leader if nobody is, publishes one round. What fails is noted at its breaker. */
MUST_CHECK int relay_turn(struct relay *relay, enum relay_outcome *ret_outcome, struct err *err);

/* --- for first_load.c, which publishes through the same way, as the leader ------------------------------------------ */

/* Adds a batch's rows to the sink's transaction. */
MUST_CHECK int relay_add_rows(struct relay *relay, const struct outbox_batch *batch, struct err *err);
/* These are acknowledged: they are deleted now, or before anything is read. */
void relay_note_published(struct relay *relay, const struct outbox_batch *batch);
MUST_CHECK int relay_delete_published(struct relay *relay, struct err *err);
/* Notes a failure at the breaker it belongs to; gives up leading where it must. Returns rc. */
int relay_database_failed(struct relay *relay, int rc);
int relay_kafka_failed(struct relay *relay, int rc);

#endif
