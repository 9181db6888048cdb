/* projector/record_sink.h - where a relay publishes, as a port: records in transactions, to be acknowledged as a whole.
 *
 * kafka_producer.c is the real one; tests have their own. open() deposes whoever else has the same transactional id: from
 * then on nothing of theirs gets in. */
#ifndef TARN_PROJECTOR_RECORD_SINK_H
#define TARN_PROJECTOR_RECORD_SINK_H

#include <stdint.h>

#include "schema/base/err.h"
#include "schema/base/span.h"

struct sink_record {
    const char *topic;
    struct span key;
    bool has_value;
    struct span value;
    int64_t time_ms; /* -1: now */
    struct span type;
    struct span id;         /* empty: no header */
    const char *first_load; /* NULL: no header */
    uint64_t number;        /* for people: errors name it */
};

struct record_sink {
    /* ERR_AGAIN: Kafka isn't there; ERR_INPUT: its settings, or no right. */
    int (*open)(void *self, struct err *err);
    void (*close)(void *self);
    bool (*is_open)(void *self);
    int (*begin)(void *self, struct err *err);
    /* Copies what it is given. ERR_INPUT: this record can't be (too large, no such topic); names its number. */
    int (*add)(void *self, const struct sink_record *record, struct err *err);
    /* Returns when every record is acknowledged by all in-sync replicas and the transaction is committed. After any
     * error the sink is closed, and nothing is known of the transaction: all of it, or nothing, is visible. */
    int (*commit)(void *self, struct err *err);
    /* Nothing of the transaction was. */
    void (*abort)(void *self);
    void *self;
};

#endif
