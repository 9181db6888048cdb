/* Every record is fixed-width numbers, then counted bytes: written with put_*(), read back with take_*() that fail
 * when the bytes run out, so that a torn or foreign value is ERR_BROKEN and never a read past its end. Enumerations
 * are stored as numbers: the order of the names in layout.h is part of the format. */
#include "schema/store/layout.h"

#include <assert.h>
#include <endian.h>

/* --- numbers --- */

static void put_big_endian(struct buf *out, uint64_t number, unsigned bytes)
{
    uint64_t swapped = htobe64(number << (64 - 8 * bytes));

    memcpy(buf_reserve(out, sizeof(swapped)), &swapped, sizeof(swapped)); /* more room than it takes */
    out->len += bytes;
}

static void put_little_endian(struct buf *out, uint64_t number, unsigned bytes)
{
    uint8_t *at = buf_reserve(out, bytes);

    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(number >> (8 * i));
    out->len += bytes;
}

/* What is left of a value that is being read; is_short once more was asked than there is. */
struct input {
    const uint8_t *at;
    size_t left;
    bool is_short;
};

static struct input input_of(struct span bytes)
{
    return (struct input){bytes.at, bytes.len, false};
}

static const uint8_t *take_bytes(struct input *input, size_t count)
{
    if (input->is_short || input->left < count) {
        input->is_short = true;
        return NULL;
    }
    const uint8_t *at = input->at;
    input->at += count;
    input->left -= count;
    return at;
}

static uint64_t take_big_endian(struct input *input, unsigned bytes)
{
    const uint8_t *at = take_bytes(input, bytes);
    uint64_t number = 0;

    for (unsigned i = 0; at != NULL && i < bytes; i++)
        number = number << 8 | at[i];
    return number;
}

static uint64_t take_little_endian(struct input *input, unsigned bytes)
{
    const uint8_t *at = take_bytes(input, bytes);
    uint64_t number = 0;

    for (unsigned i = 0; at != NULL && i < bytes; i++)
        number |= (uint64_t)at[i] << (8 * i);
    return number;
}

static struct span take_counted(struct input *input)
{
    size_t length = (size_t)take_little_endian(input, 4);
    const uint8_t *at = take_bytes(input, length);

    return at != NULL ? span_of(at, length) : span_of("", 0);
}

static void put_counted(struct buf *out, struct span bytes)
{
    put_little_endian(out, bytes.len, 4);
    buf_add_span(out, bytes);
}

/* A record is whole when it had all that was asked for and nothing behind it. */
static bool is_whole(const struct input *input)
{
    return !input->is_short && input->left == 0;
}

static int broken(struct err *err, const char *what, struct span bytes)
{
    return err_set(err, ERR_BROKEN, "%s of %zu bytes is not what this version writes", what, bytes.len);
}

/* --- views --- */

void layout_view_key(uint64_t owner_hash, uint16_t view_number, struct span key, struct buf *out)
{
    put_big_endian(out, owner_hash, 8);
    put_big_endian(out, view_number, 2);
    buf_add_span(out, key);
}

int layout_parse_view_key(struct span row_key, uint64_t *ret_owner_hash, uint16_t *ret_view_number,
                          struct span *ret_key, struct err *err)
{
    struct input input = input_of(row_key);
    uint64_t owner_hash = take_big_endian(&input, 8);
    uint16_t view_number = (uint16_t)take_big_endian(&input, 2);

    if (input.is_short)
        return broken(err, "a view's key", row_key);
    *ret_owner_hash = owner_hash;
    *ret_view_number = view_number;
    *ret_key = span_of(input.at, input.left);
    return 0;
}

/* A view's value: head (2), message, padding. The head's lowest bit says whether the home stream has made the view, the
 * others count the bytes of padding. */
enum { VIEW_HEAD_BYTES = 2, VIEW_PADDING_MAX = 0x7fff };

/* A row costs its key and value and 8 bytes of head; one of more than ROW_IN_PAGE_MAX goes to pages of its own, whole
 * ones, where a little growth costs nothing anyway. The steps are a sixteenth to an eighth of what they round. */
enum { ROW_HEAD_BYTES = 8, ROW_IN_PAGE_MAX = 2038, ROW_SMALL_MAX = 512, ROW_SMALL_STEP = 32, ROW_STEP = 64 };

static size_t row_class(size_t bytes)
{
    size_t step = bytes <= ROW_SMALL_MAX ? ROW_SMALL_STEP : ROW_STEP;
    size_t rounded = (bytes + step - 1) / step * step;

    if (bytes > ROW_IN_PAGE_MAX)
        return bytes;
    return rounded < ROW_IN_PAGE_MAX ? rounded : ROW_IN_PAGE_MAX;
}

void layout_view_value(size_t row_key_bytes, struct stored_view view, struct buf *out)
{
    size_t row_bytes = ROW_HEAD_BYTES + row_key_bytes + VIEW_HEAD_BYTES + view.bytes.len;
    size_t padding = row_class(row_bytes) - row_bytes;

    put_little_endian(out, (uint64_t)padding << 1 | view.is_made, VIEW_HEAD_BYTES);
    buf_add_span(out, view.bytes);
    memset(buf_reserve(out, padding), 0, padding);
    out->len += padding;
}

int layout_parse_view_value(struct span value, struct stored_view *ret_view, struct err *err)
{
    struct input input = input_of(value);
    uint64_t head = take_little_endian(&input, VIEW_HEAD_BYTES);
    size_t padding = (size_t)(head >> 1);

    if (input.is_short || padding > input.left)
        return broken(err, "a view", value);
    *ret_view = (struct stored_view){.is_made = head & 1, .bytes = span_of(input.at, input.left - padding)};
    return 0;
}

struct hash128 layout_view_hash(struct span row_key, struct stored_view view)
{
    struct hash128 hash = hash128_pair(row_key, view.bytes);

    /* Any fixed odd number would do: it tells a made view from an unmade one with the same bytes. */
    if (view.is_made)
        hash = hash128_plus(hash, (struct hash128){UINT64_C(0x9e3779b97f4a7c15), UINT64_C(0xd1b54a32d192ed03)});
    return hash;
}

/* --- positions --- */

void layout_position_key(uint16_t topic, int32_t partition, unsigned range, struct buf *out)
{
    put_big_endian(out, topic, 2);
    put_big_endian(out, (uint32_t)partition, 4);
    put_big_endian(out, range, 1);
}

int layout_parse_position_key(struct span key, uint16_t *ret_topic, int32_t *ret_partition, unsigned *ret_range,
                              struct err *err)
{
    struct input input = input_of(key);
    uint16_t topic = (uint16_t)take_big_endian(&input, 2);
    int32_t partition = (int32_t)take_big_endian(&input, 4);
    unsigned range = (unsigned)take_big_endian(&input, 1);

    if (!is_whole(&input) || partition < 0 || range >= RANGE_COUNT)
        return broken(err, "a position's key", key);
    *ret_topic = topic;
    *ret_partition = partition;
    *ret_range = range;
    return 0;
}

void layout_position(const struct position *position, struct buf *out)
{
    put_little_endian(out, (uint64_t)position->next_offset, 8);
    put_little_endian(out, (uint64_t)position->last_offset, 8);
    put_little_endian(out, (uint64_t)position->last_time_ms, 8);
    put_little_endian(out, position->last_hash, 8);
    put_little_endian(out, (uint64_t)position->caught_up_at_ms, 8);
}

int layout_parse_position(struct span value, struct position *ret_position, struct err *err)
{
    struct input input = input_of(value);
    struct position position;

    position.next_offset = (int64_t)take_little_endian(&input, 8);
    position.last_offset = (int64_t)take_little_endian(&input, 8);
    position.last_time_ms = (int64_t)take_little_endian(&input, 8);
    position.last_hash = take_little_endian(&input, 8);
    position.caught_up_at_ms = (int64_t)take_little_endian(&input, 8);
    if (!is_whole(&input) || position.next_offset < 0 || position.last_offset < -1)
        return broken(err, "a position", value);
    *ret_position = position;
    return 0;
}

/* --- partitions --- */

static const char *const partition_state_names[] = {
    [PARTITION_FOLLOWING] = "following", [PARTITION_WAITING] = "waiting", [PARTITION_REWRITTEN] = "rewritten",
    [PARTITION_LOST] = "lost",           [PARTITION_PARKED] = "parked",
};

const char *partition_state_name(enum partition_state state)
{
    return (size_t)state < ARRAY_COUNT(partition_state_names) ? partition_state_names[state] : "unknown";
}

void layout_partition_key(uint16_t topic, int32_t partition, struct buf *out)
{
    put_big_endian(out, topic, 2);
    put_big_endian(out, (uint32_t)partition, 4);
}

int layout_parse_partition_key(struct span key, uint16_t *ret_topic, int32_t *ret_partition, struct err *err)
{
    struct input input = input_of(key);
    uint16_t topic = (uint16_t)take_big_endian(&input, 2);
    int32_t partition = (int32_t)take_big_endian(&input, 4);

    if (!is_whole(&input) || partition < 0)
        return broken(err, "a partition's key", key);
    *ret_topic = topic;
    *ret_partition = partition;
    return 0;
}

void layout_partition(const struct partition_row *row, struct buf *out)
{
    put_little_endian(out, row->state, 4);
    put_little_endian(out, (uint64_t)row->end_offset, 8);
    put_little_endian(out, (uint64_t)row->seen_at_ms, 8);
    put_little_endian(out, (uint64_t)row->start_after, 8);
    put_little_endian(out, row->partition_count, 4);
    put_little_endian(out, row->partitioner, 4);
}

int layout_parse_partition(struct span value, struct partition_row *ret_row, struct err *err)
{
    struct input input = input_of(value);
    uint64_t state = take_little_endian(&input, 4);
    struct partition_row row;

    row.state = (enum partition_state)state;
    row.end_offset = (int64_t)take_little_endian(&input, 8);
    row.seen_at_ms = (int64_t)take_little_endian(&input, 8);
    row.start_after = (int64_t)take_little_endian(&input, 8);
    row.partition_count = (uint32_t)take_little_endian(&input, 4);
    row.partitioner = (uint32_t)take_little_endian(&input, 4);
    if (!is_whole(&input) || state >= ARRAY_COUNT(partition_state_names))
        return broken(err, "a partition", value);
    *ret_row = row;
    return 0;
}

/* --- parked events --- */

static const char *const park_reason_names[] = {
    [PARK_NO_TYPE] = "no type",         [PARK_NO_KEY] = "no key",           [PARK_FOREIGN_KEY] = "foreign key",
    [PARK_WRONG_TOPIC] = "wrong topic", [PARK_UNPARSEABLE] = "unparseable", [PARK_OVERFLOW] = "overflow",
    [PARK_TOO_LARGE] = "too large",     [PARK_BAD_VALUE] = "bad value",     [PARK_WAITING] = "waiting",
};

const char *park_reason_name(enum park_reason reason)
{
    return (size_t)reason < ARRAY_COUNT(park_reason_names) ? park_reason_names[reason] : "unknown";
}

uint64_t layout_unit_hash(const struct parked_key *keyless, bool has_key, struct span key)
{
    if (has_key)
        return hash64(key);

    uint8_t place[14];
    uint64_t offset = (uint64_t)keyless->offset;
    uint32_t partition = (uint32_t)keyless->partition;
    for (unsigned i = 0; i < 2; i++)
        place[i] = (uint8_t)(keyless->topic >> (8 * i));
    for (unsigned i = 0; i < 4; i++)
        place[2 + i] = (uint8_t)(partition >> (8 * i));
    for (unsigned i = 0; i < 8; i++)
        place[6 + i] = (uint8_t)(offset >> (8 * i));
    return hash64(span_of(place, sizeof(place)));
}

void layout_parked_key(const struct parked_key *key, struct buf *out)
{
    put_big_endian(out, key->unit_hash, 8);
    put_big_endian(out, key->topic, 2);
    put_big_endian(out, (uint32_t)key->partition, 4);
    put_big_endian(out, (uint64_t)key->offset, 8);
}

int layout_parse_parked_key(struct span row_key, struct parked_key *ret_key, struct err *err)
{
    struct input input = input_of(row_key);
    struct parked_key key;

    key.unit_hash = take_big_endian(&input, 8);
    key.topic = (uint16_t)take_big_endian(&input, 2);
    key.partition = (int32_t)take_big_endian(&input, 4);
    key.offset = (int64_t)take_big_endian(&input, 8);
    if (!is_whole(&input) || key.partition < 0 || key.offset < 0)
        return broken(err, "a parked event's key", row_key);
    *ret_key = key;
    return 0;
}

enum { PARKED_HAS_KEY = 1, PARKED_IS_NULL = 2 };

void layout_parked_event(const struct parked_event *event, struct buf *out)
{
    put_little_endian(out, event->reason, 2);
    put_little_endian(out, (event->has_key ? PARKED_HAS_KEY : 0) | (event->is_null ? PARKED_IS_NULL : 0), 2);
    put_little_endian(out, (uint64_t)event->time_ms, 8);
    put_counted(out, event->key);
    put_counted(out, event->type);
    put_counted(out, event->value);
    put_counted(out, event->message);
}

int layout_parse_parked_event(struct span value, struct parked_event *ret_event, struct err *err)
{
    struct input input = input_of(value);
    uint64_t reason = take_little_endian(&input, 2);
    uint64_t flags = take_little_endian(&input, 2);
    struct parked_event event;

    event.reason = (enum park_reason)reason;
    event.has_key = flags & PARKED_HAS_KEY;
    event.is_null = flags & PARKED_IS_NULL;
    event.time_ms = (int64_t)take_little_endian(&input, 8);
    event.key = take_counted(&input);
    event.type = take_counted(&input);
    event.value = take_counted(&input);
    event.message = take_counted(&input);
    if (!is_whole(&input) || reason >= ARRAY_COUNT(park_reason_names) || flags > (PARKED_HAS_KEY | PARKED_IS_NULL))
        return broken(err, "a parked event", value);
    *ret_event = event;
    return 0;
}

/* --- pending announcements --- */

enum { OWNER_HASH_BYTES = 8, LOG_PLACE_BYTES = 14 };

static void put_log_place(uint16_t topic, int32_t partition, int64_t offset, struct buf *out)
{
    put_big_endian(out, topic, 2);
    put_big_endian(out, (uint32_t)partition, 4);
    put_big_endian(out, (uint64_t)offset, 8);
}

void layout_announcement_cache_key(const struct announcement_key *key, struct buf *out)
{
    put_big_endian(out, key->owner_hash, OWNER_HASH_BYTES);
    put_log_place(key->topic, key->partition, key->offset, out);
    put_big_endian(out, key->view_number, 2);
    put_big_endian(out, key->view_key_hash, 8);
    put_big_endian(out, key->ordinal, 2);
}

void layout_announcement_row_key(struct span cache_key, uint8_t ret_row_key[ANNOUNCEMENT_KEY_BYTES])
{
    const uint8_t *at = span_bytes(cache_key);

    assert(cache_key.len == ANNOUNCEMENT_KEY_BYTES);
    memcpy(ret_row_key, at + OWNER_HASH_BYTES, LOG_PLACE_BYTES);
    memcpy(ret_row_key + LOG_PLACE_BYTES, at, OWNER_HASH_BYTES);
    memcpy(ret_row_key + LOG_PLACE_BYTES + OWNER_HASH_BYTES, at + LOG_PLACE_BYTES + OWNER_HASH_BYTES,
           ANNOUNCEMENT_KEY_BYTES - LOG_PLACE_BYTES - OWNER_HASH_BYTES);
}

void layout_announcement_prefix(uint16_t topic, int32_t partition, int64_t offset, struct buf *out)
{
    put_log_place(topic, partition, offset, out);
}

int layout_parse_announcement_key(struct span row_key, struct announcement_key *ret_key, struct err *err)
{
    struct input input = input_of(row_key);
    struct announcement_key key;

    key.topic = (uint16_t)take_big_endian(&input, 2);
    key.partition = (int32_t)take_big_endian(&input, 4);
    key.offset = (int64_t)take_big_endian(&input, 8);
    key.owner_hash = take_big_endian(&input, OWNER_HASH_BYTES);
    key.view_number = (uint16_t)take_big_endian(&input, 2);
    key.view_key_hash = take_big_endian(&input, 8);
    key.ordinal = (uint16_t)take_big_endian(&input, 2);
    if (!is_whole(&input) || key.partition < 0 || key.offset < 0)
        return broken(err, "an announcement's key", row_key);
    *ret_key = key;
    return 0;
}

void layout_announcement(const struct pending_announcement *announcement, struct buf *out)
{
    put_little_endian(out, (uint64_t)announcement->event_time_ms, 8);
    put_little_endian(out, (uint64_t)announcement->written_at_ms, 8);
    buf_add_span(out, announcement->view_key);
}

int layout_parse_announcement(struct span value, struct pending_announcement *ret_announcement, struct err *err)
{
    struct input input = input_of(value);
    struct pending_announcement announcement;

    announcement.event_time_ms = (int64_t)take_little_endian(&input, 8);
    announcement.written_at_ms = (int64_t)take_little_endian(&input, 8);
    if (input.is_short)
        return broken(err, "an announcement", value);
    announcement.view_key = span_of(input.at, input.left);
    *ret_announcement = announcement;
    return 0;
}

/* --- ids of events --- */

void layout_id_prefix(uint64_t owner_hash, uint64_t id_hash, struct buf *out)
{
    put_big_endian(out, owner_hash, 8);
    put_big_endian(out, id_hash, 8);
}

void layout_id_key(const struct handled_id *id, struct buf *out)
{
    layout_id_prefix(id->owner_hash, id->id_hash, out);
    put_big_endian(out, id->topic, 2);
    put_big_endian(out, (uint32_t)id->partition, 4);
}

void layout_id(const struct handled_id *id, struct buf *out)
{
    put_little_endian(out, (uint64_t)id->offset, 8);
    put_little_endian(out, id->content, 4);
}

int layout_parse_id(struct span key, struct span value, struct handled_id *ret_id, struct err *err)
{
    struct input input = input_of(key);
    struct input rest = input_of(value);
    struct handled_id id;

    id.owner_hash = take_big_endian(&input, 8);
    id.id_hash = take_big_endian(&input, 8);
    id.topic = (uint16_t)take_big_endian(&input, 2);
    id.partition = (int32_t)take_big_endian(&input, 4);
    id.offset = (int64_t)take_little_endian(&rest, 8);
    id.content = (uint32_t)take_little_endian(&rest, 4);
    if (!is_whole(&input) || id.partition < 0)
        return broken(err, "an id's key", key);
    if (!is_whole(&rest) || id.offset < 0)
        return broken(err, "an id", value);
    *ret_id = id;
    return 0;
}

/* --- digests --- */

void layout_bucket_key(uint16_t view_number, unsigned bucket, struct buf *out)
{
    put_big_endian(out, view_number, 2);
    put_big_endian(out, bucket, 2);
}

int layout_parse_bucket_key(struct span key, uint16_t *ret_view_number, unsigned *ret_bucket, struct err *err)
{
    struct input input = input_of(key);
    uint16_t view_number = (uint16_t)take_big_endian(&input, 2);
    unsigned bucket = (unsigned)take_big_endian(&input, 2);

    if (!is_whole(&input) || bucket >= 1u << BUCKET_BITS)
        return broken(err, "a bucket's key", key);
    *ret_view_number = view_number;
    *ret_bucket = bucket;
    return 0;
}

void layout_digest(const struct digest *digest, struct buf *out)
{
    put_little_endian(out, digest->count, 8);
    put_little_endian(out, digest->sum.low, 8);
    put_little_endian(out, digest->sum.high, 8);
}

int layout_parse_digest(struct span value, struct digest *ret_digest, struct err *err)
{
    struct input input = input_of(value);
    struct digest digest;

    digest.count = take_little_endian(&input, 8);
    digest.sum.low = take_little_endian(&input, 8);
    digest.sum.high = take_little_endian(&input, 8);
    if (!is_whole(&input))
        return broken(err, "a digest", value);
    *ret_digest = digest;
    return 0;
}
