/* librdkafka copies all headers of a message into pieces from malloc when one is asked for, and keeps them until the
 * message is destroyed. With batches of thousands that is a storm: all are taken, then all are freed, while malloc has its
 * fast lists for a handful. (It was a fifth of a rebuild's CPU.) So the value is copied out and the pieces go back at once,
 * to be those of the next message. A value that doesn't fit is left with its message; so are headers that lack the name, as
 * most likely another name is asked for next. */
#include "projector/kafka_header.h"

#include <string.h>

bool kafka_header_find(struct kafka_held_message *held, const char *name, struct span *ret_value)
{
    rd_kafka_headers_t *headers;
    const void *value;
    size_t len;

    if (rd_kafka_message_headers(held->message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        rd_kafka_header_get_last(headers, name, &value, &len) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    if (value == NULL)
        len = 0;
    held->keeps_headers |= len > sizeof(held->room) - held->used;
    if (held->keeps_headers) {
        *ret_value = span_of(value, len);
        return true;
    }
    uint8_t *to = held->room + held->used;
    if (len > 0)
        memcpy(to, value, len);
    held->used = (uint8_t)(held->used + len);
    *ret_value = span_of(value != NULL ? to : NULL, len);
    if (rd_kafka_message_detach_headers(held->message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR)
        rd_kafka_headers_destroy(headers);
    return true;
}
