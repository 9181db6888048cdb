/* schema/json/json_writer.h - what the functions that render JSON hand to each other. Internal to this folder.
 *
 * `to` is where the next byte goes. Each function takes it and returns it, NULL for an error that is in the writer. When
 * it is given and when it is returned, RENDER_ROOM bytes are free there: enough for a number, and for what closes an
 * object or a list. Every value is followed by a comma, and what closes an object or a list takes the place of the last
 * one: no state says whether a comma is due.
 *
 * `at` is where the next byte is read. A function that takes it leaves in writer->at where it ended: no address of a
 * local variable is taken on the way of most fields, so that all of it stays in registers. */
#ifndef TARN_JSON_JSON_WRITER_H
#define TARN_JSON_JSON_WRITER_H

#include "schema/base/compiler.h"
#include "schema/json/render_plan.h"

struct json_writer {
    struct buf *out;
    const uint8_t *limit;      /* end of out's room */
    const uint8_t *stored_end; /* bytes before it may be read */
    const uint8_t *at;         /* as above */
    uint64_t bits;             /* what json_read_long_varint() has read */
    unsigned depth;            /* messages around */
    struct err *err;
};

/* out's own functions append at its length. */
static inline struct buf *json_writer_out(struct json_writer *writer, uint8_t *to)
{
    writer->out->len = (size_t)(to - writer->out->at);
    return writer->out;
}

/* Sees to `room` free bytes behind out's length, and goes on there. */
uint8_t *json_writer_resume(struct json_writer *writer, size_t room);
COLD uint8_t *json_writer_grow(struct json_writer *writer, uint8_t *to, size_t room);
COLD uint8_t *json_writer_broken(struct json_writer *writer, const struct message_type *type, const char *what);

static ALWAYS_INLINE uint8_t *ensure_room(struct json_writer *writer, uint8_t *to, size_t room)
{
    return (size_t)(writer->limit - to) >= room ? to : json_writer_grow(writer, to, room);
}

/* Text that may be read in steps, to where as many steps are free. */
static ALWAYS_INLINE uint8_t *put_prepared(uint8_t *to, const void *text, size_t len)
{
    const uint8_t *from = text;

    memcpy(to, from, RENDER_COPY_STEP);
    for (size_t done = RENDER_COPY_STEP; done < len; done += RENDER_COPY_STEP)
        memcpy(to + done, from + done, RENDER_COPY_STEP);
    return to + len;
}

static ALWAYS_INLINE uint8_t *close_with(uint8_t *to, uint8_t closing)
{
    if (to[-1] != ',')
        to++;
    to[-1] = closing;
    return to;
}

/* As wire_read_varint(); false: it doesn't parse. Leaves the number in writer->bits. */
bool json_read_long_varint(struct json_writer *writer, const uint8_t *at, const uint8_t *end);

static ALWAYS_INLINE bool read_varint(struct json_writer *writer, const uint8_t **at, const uint8_t *end,
                                      uint64_t *ret_bits)
{
    if (*at < end && **at < 0x80) {
        *ret_bits = *(*at)++;
        return true;
    }
    bool is_read = json_read_long_varint(writer, *at, end);
    *at = writer->at;
    *ret_bits = writer->bits;
    return is_read;
}

/* As wire_read_span(). */
static ALWAYS_INLINE bool read_span(struct json_writer *writer, const uint8_t **at, const uint8_t *end,
                                    struct span *ret_span)
{
    const uint8_t *from = *at;
    uint64_t length;

    if (from < end && *from < 0x80) {
        length = *from++;
    } else {
        if (!json_read_long_varint(writer, from, end) || writer->at - from > WIRE_SHORT_BYTES_MAX)
            return false;
        from = writer->at;
        length = writer->bits;
    }
    if (length > (size_t)(end - from))
        return false;
    *ret_span = span_of(from, (size_t)length);
    *at = from + length;
    return true;
}

/* A message of any type; one that isn't well-known, as an object. */
uint8_t *json_write_message(struct json_writer *writer, const struct render_type *type,
                            const struct field_selection *selection, struct span bytes, uint8_t *to);
uint8_t *json_write_object(struct json_writer *writer, const struct render_type *type,
                           const struct field_selection *selection, struct span bytes, uint8_t *to);
/* Wrappers, Struct, ListValue and Value. */
uint8_t *json_write_wrapped(struct json_writer *writer, const struct render_type *type, struct span bytes, uint8_t *to);

/* One value off the wire, `at` behind its tag, in field->item_form. */
uint8_t *json_write_item(struct json_writer *writer, const struct render_field *field,
                         const struct field_selection *inside, const uint8_t *at, const uint8_t *end, uint8_t *to);
/* All values of a list or a map, `at` behind the first one's tag. */
uint8_t *json_write_items(struct json_writer *writer, const struct render_field *field,
                          const struct field_selection *inside, enum wire_type wire, const uint8_t *at,
                          const uint8_t *end, uint8_t *to);

#endif
