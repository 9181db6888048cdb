/* query/exposure_record.h - one exposure as it goes to Kafka: a tarn.Exposure (schema/tarn/exposure.proto). */
#ifndef TARN_QUERY_EXPOSURE_RECORD_H
#define TARN_QUERY_EXPOSURE_RECORD_H

#include "schema/view/plan.h"

/* Which generation a person saw. */
struct exposure {
    const struct view *view;
    struct span owner; /* as in a record's key */
    uint64_t owner_hash;
    const char *generation;
    int64_t time_ms;
};

enum { EXPOSURE_ID_CHARS = 32, EXPOSURE_BYTES_MAX = 1000 };

/* A record without pointers, to be handed from thread to thread: key, id and value one behind the other. */
struct exposure_record {
    uint64_t mark; /* of the owner, generation and day, in this process: never 0 */
    uint16_t key_len, value_len;
    uint8_t bytes[EXPOSURE_BYTES_MAX]; /* key, EXPOSURE_ID_CHARS of id, value */
};

/* Stands for owner, generation and day (of 86,400 s since 1970, in UTC). Cheap: for each answer. */
uint64_t exposure_mark(const struct exposure *exposure);

/* False when it is too large: the names of a view or of an enum's value have no limit. */
bool exposure_record_write(const struct exposure *exposure, struct exposure_record *record);

static inline struct span exposure_record_key(const struct exposure_record *record)
{
    return span_of(record->bytes, record->key_len);
}

static inline struct span exposure_record_id(const struct exposure_record *record)
{
    return span_of(record->bytes + record->key_len, EXPOSURE_ID_CHARS);
}

static inline struct span exposure_record_value(const struct exposure_record *record)
{
    return span_of(record->bytes + record->key_len + EXPOSURE_ID_CHARS, record->value_len);
}

#endif
