/* ops/dev/json_message.h - messages written down as JSON, with the field names of the .proto: for the demonstration and for
 * tests. Not the served JSON: 64-bit integers are numbers, bytes are texts, and an integer that stands for a message is
 * its first field (a Timestamp or a Duration in seconds). */
#ifndef TARN_DEV_JSON_MESSAGE_H
#define TARN_DEV_JSON_MESSAGE_H

#include <jansson.h>

#include "schema/message/message.h"

/* The message lives in the arena; json is borrowed. ERR_INPUT names the field that isn't there or doesn't fit. */
MUST_CHECK int json_message_read(const struct message_type *type, json_t *json, struct arena *arena,
                                 ProtobufCMessage **ret_message, struct err *err);

#endif
