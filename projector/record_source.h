/* projector/record_source.h - where records come from: a port with two implementations, Kafka (kafka_source.c) and a scripted
 * one for tests. */
#ifndef TARN_PROJECTOR_RECORD_SOURCE_H
#define TARN_PROJECTOR_RECORD_SOURCE_H

#include "schema/base/err.h"
#include "schema/base/span.h"

struct record_header {
    struct span name;
    struct span value; /* may be null: len 0 */
};

/* One record, or the end of a partition. Borrowed from the source until the next poll. */
struct record {
    uint16_t topic; /* its number in the generation's settings */
    int32_t partition;
    int64_t offset; /* of a partition end: the next offset to be read */
    bool is_partition_end;
    bool has_key;
    bool is_null; /* a null value */
    int64_t time_ms;
    struct span key;
    struct span value;
    void *opaque; /* the source's, for header() */
};

struct partition_progress {
    uint16_t topic;
    int32_t partition;
    int64_t end_offset; /* of the log, as last seen; -1: not yet */
};

struct record_source {
    /* Starts reading a partition at next_offset. */
    int (*assign)(void *self, uint16_t topic, int32_t partition, int64_t next_offset, struct err *err);
    /* Stops reading one (rewritten, lost, parked). */
    void (*drop)(void *self, uint16_t topic, int32_t partition);
    /* Waits up to wait_ms for a first record, then takes what is there, `capacity` at most. 0 records: none came.
     * The records of the last call are given back. ERR_AGAIN never stops the loop: the source goes on trying by itself. */
    int (*poll)(void *self, struct record *records, size_t capacity, int wait_ms, size_t *ret_count, struct err *err);
    /* Finds a header; false when there is none. Lives as long as the record. By several threads at once, for different
     * records. */
    bool (*header)(void *self, const struct record *record, const char *name, struct span *ret_value);
    /* The log end of a partition as last seen; -1: not yet. */
    int64_t (*end_offset)(void *self, uint16_t topic, int32_t partition);
    void *self;
};

#endif
