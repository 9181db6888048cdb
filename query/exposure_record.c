/* Written field by field: the message is five fields long, and its type will not change under way. The id is a hash of
 * owner, generation and day and of nothing else, so that every server and every restart gives a repeat the same one. */
#include "query/exposure_record.h"

#include <inttypes.h>
#include <stdio.h>

#include "schema/base/arena.h"
#include "schema/base/buf.h"
#include "schema/base/hash.h"
#include "schema/message/wire.h"
#include "schema/view/key.h"

enum { DAY_MS = 86400000, NAME_AND_DAY_MAX = 80 };

static void put_varint(uint64_t value, struct buf *out)
{
    while (value >= 0x80) {
        buf_add_byte(out, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    buf_add_byte(out, (uint8_t)value);
}

static void put_bytes(uint8_t number, struct span bytes, struct buf *out)
{
    buf_add_byte(out, (uint8_t)(number << 3 | WIRE_LENGTH));
    put_varint(bytes.len, out);
    buf_add_span(out, bytes);
}

static void put_time(uint8_t number, int64_t time_ms, struct buf *out)
{
    struct buf time = BUF_INIT;

    buf_add_byte(&time, 1 << 3 | WIRE_VARINT);
    put_varint((uint64_t)(time_ms / 1000), &time);
    buf_add_byte(&time, 2 << 3 | WIRE_VARINT);
    put_varint((uint64_t)(time_ms % 1000) * 1000000, &time);
    put_bytes(number, buf_span(&time), out);
    buf_release(&time);
}

/* Bytes aren't text: they are written as they stand in URLs. */
static void put_owner(const struct exposure *exposure, struct buf *out)
{
    const struct field_type *field = exposure->view->keys[0];
    struct buf text = BUF_INIT;
    struct value value;
    struct err err;

    if (field->kind == KIND_BYTES && key_parse_owner(field, exposure->owner, &value, &err) == 0)
        key_segment_text(field, value, &text);
    else
        buf_add_span(&text, exposure->owner);
    put_bytes(1, buf_span(&text), out);
    buf_release(&text);
}

uint64_t exposure_mark(const struct exposure *exposure)
{
    const struct {
        uint64_t owner, generation;
        int64_t day;
    } what = {exposure->owner_hash, hash64(span_of_text(exposure->generation)), exposure->time_ms / DAY_MS};

    return hash64(span_of(&what, sizeof(what))) | 1;
}

bool exposure_record_write(const struct exposure *exposure, struct exposure_record *record)
{
    char name_and_day[NAME_AND_DAY_MAX], id[EXPOSURE_ID_CHARS + 1];
    struct buf value = BUF_INIT;

    int len =
        snprintf(name_and_day, sizeof(name_and_day), "%s %" PRId64, exposure->generation, exposure->time_ms / DAY_MS);
    struct hash128 hash = hash128_pair(exposure->owner, span_of(name_and_day, (size_t)len));
    snprintf(id, sizeof(id), "%016" PRIx64 "%016" PRIx64, hash.high, hash.low);
    put_owner(exposure, &value);
    put_bytes(2, span_of_text(exposure->view->name), &value);
    put_bytes(3, span_of_text(exposure->generation), &value);
    put_time(4, exposure->time_ms, &value);
    put_bytes(5, span_of(id, EXPOSURE_ID_CHARS), &value);

    bool fits = exposure->owner.len + EXPOSURE_ID_CHARS + value.len <= EXPOSURE_BYTES_MAX;
    if (fits) {
        record->mark = exposure_mark(exposure);
        record->key_len = (uint16_t)exposure->owner.len;
        record->value_len = (uint16_t)value.len;
        memcpy(record->bytes, exposure->owner.at, exposure->owner.len);
        memcpy(record->bytes + exposure->owner.len, id, EXPOSURE_ID_CHARS);
        memcpy(record->bytes + exposure->owner.len + EXPOSURE_ID_CHARS, value.at, value.len);
    }
    buf_release(&value);
    return fits;
}
