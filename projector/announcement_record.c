/* Written field by field: the message is eleven fields long, and its type will not change under way. The id is a hash of
 * what was announced, about whom, and by which event, and of nothing else: not of the generation, so that a cut-over
 * doesn't make another announcement of it. */
#include "projector/announcement_record.h"

#include <inttypes.h>
#include <stdio.h>

#include "schema/base/buf.h"
#include "schema/base/hash.h"
#include "schema/message/wire.h"
#include "schema/view/key.h"

enum { NAME = 1, VIEW, KEY, TOPIC, PARTITION, OFFSET, GENERATION, EVENT_TIME, VISIBLE_TIME, ID, LINK };

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

static void put_text(uint8_t number, const char *text, struct buf *out)
{
    put_bytes(number, span_of_text(text), out);
}

/* A zero isn't written, as in any proto3 message. */
static void put_number(uint8_t number, int64_t value, struct buf *out)
{
    if (value == 0)
        return;
    buf_add_byte(out, (uint8_t)(number << 3 | WIRE_VARINT));
    put_varint((uint64_t)value, out);
}

static void put_time(uint8_t number, int64_t time_ms, struct buf *out)
{
    int64_t seconds = time_ms / 1000, rest_ms = time_ms % 1000;
    struct buf time = BUF_INIT;

    if (rest_ms < 0) { /* before 1970: nanoseconds still count forward */
        seconds--;
        rest_ms += 1000;
    }
    put_number(1, seconds, &time);
    put_number(2, rest_ms * 1000000, &time);
    put_bytes(number, buf_span(&time), out);
    buf_release(&time);
}

static int put_key(const struct announcement_facts *facts, struct arena *arena, struct buf *out, struct buf *owner,
                   struct err *err)
{
    const struct view *view = facts->view;
    struct span rest = facts->view_key;
    struct buf segment = BUF_INIT;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < view->key_count; i++) {
        struct value value;
        rc = key_decode_value(view->keys[i], &rest, arena, &value, err);
        if (rc < 0)
            break;
        if (i == 0)
            key_owner_text(view->keys[i], value, owner);
        buf_clear(&segment);
        key_segment_text(view->keys[i], value, &segment);
        put_bytes(KEY, buf_span(&segment), out);
    }
    buf_release(&segment);
    return rc;
}

/* Texts end with a zero, so that no two of them run together. */
static void make_id(const struct announcement_facts *facts, char *ret_id)
{
    struct buf what = BUF_INIT;

    buf_add(&what, facts->view->announcements[facts->ordinal].name,
            strlen(facts->view->announcements[facts->ordinal].name) + 1);
    buf_add(&what, facts->view->name, strlen(facts->view->name) + 1);
    buf_add(&what, facts->topic, strlen(facts->topic) + 1);
    buf_add_format(&what, "%" PRId32 " %" PRId64, facts->partition, facts->offset);
    struct hash128 hash = hash128_pair(facts->view_key, buf_span(&what));
    snprintf(ret_id, ANNOUNCEMENT_ID_CHARS + 1, "%016" PRIx64 "%016" PRIx64, hash.high, hash.low);
    buf_release(&what);
}

static int put_link(const struct announcement_facts *facts, struct buf *out, struct err *err)
{
    struct buf link = BUF_INIT;

    buf_add_format(&link, "/v1/%s/", facts->view->name);
    int rc = key_text(facts->view, facts->view_key, &link, err);
    /* Neither a topic's name nor "/" and "@" need to be encoded in a query. */
    buf_add_format(&link, "?at-least=%s/%" PRId32 "@%" PRId64, facts->topic, facts->partition, facts->offset);
    put_bytes(LINK, buf_span(&link), out);
    buf_release(&link);
    return rc;
}

int announcement_record_make(const struct announcement_facts *facts, struct arena *arena,
                             struct announcement_record *ret_record, struct err *err)
{
    struct announcement_record record;
    struct buf value = BUF_INIT, owner = BUF_INIT;

    make_id(facts, record.id);
    put_text(NAME, facts->view->announcements[facts->ordinal].name, &value);
    put_text(VIEW, facts->view->name, &value);
    int rc = put_key(facts, arena, &value, &owner, err);
    put_text(TOPIC, facts->topic, &value);
    put_number(PARTITION, facts->partition, &value);
    put_number(OFFSET, facts->offset, &value);
    put_text(GENERATION, facts->generation, &value);
    put_time(EVENT_TIME, facts->event_time_ms, &value);
    put_time(VISIBLE_TIME, facts->visible_at_ms, &value);
    put_text(ID, record.id, &value);
    if (rc == 0)
        rc = put_link(facts, &value, err);
    if (rc == 0) {
        record.key = span_of(arena_copy(arena, owner.at, owner.len), owner.len);
        record.value = span_of(arena_copy(arena, value.at, value.len), value.len);
        *ret_record = record;
    }
    buf_release(&owner);
    buf_release(&value);
    return rc;
}
