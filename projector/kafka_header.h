/* projector/kafka_header.h - headers of a consumed message, one at a time, without keeping all of them. */
#ifndef TARN_PROJECTOR_KAFKA_HEADER_H
#define TARN_PROJECTOR_KAFKA_HEADER_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

#include "schema/base/span.h"

enum { KAFKA_HEADER_ROOM_BYTES = 118 };

/* A message, and the values that were asked of its headers. To be had once a message of a batch, so its size is a whole
 * number of the CPU's cache lines. */
struct kafka_held_message {
    rd_kafka_message_t *message;
    bool keeps_headers; /* a value was too long: it is with the message */
    uint8_t used;
    uint8_t room[KAFKA_HEADER_ROOM_BYTES];
};

static inline void kafka_hold(struct kafka_held_message *held, rd_kafka_message_t *message)
{
    held->message = message;
    held->keeps_headers = false;
    held->used = 0;
}

/* The last header of that name; false when there is none. The value lives as long as the message, and `held` stays
 * where it is. One thread at a time for one message; different messages don't interfere. */
bool kafka_header_find(struct kafka_held_message *held, const char *name, struct span *ret_value);

#endif
