/* tests/unit/message_json.h - messages written down in tests, as JSON with the field names of the .proto.
 *
 * Not the served JSON: only what is set is there, 64-bit integers are numbers, bytes are texts, a Timestamp is
 * {"seconds": ..., "nanos": ...}. Single quotes stand for double ones, so that a table of C strings can be read. */
#ifndef TARN_TESTS_MESSAGE_JSON_H
#define TARN_TESTS_MESSAGE_JSON_H

#include <jansson.h>

#include "schema/message/message.h"

/* Fails the running test when the text isn't JSON, or not of that type. */
json_t *json_of_text(const char *text);
ProtobufCMessage *message_of_json(const struct message_type *type, const char *text, struct arena *arena);
json_t *json_of_message(const ProtobufCMessage *message);

#endif
