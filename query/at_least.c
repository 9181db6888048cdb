/* A topic's name may hold anything but '/', '@' and ',', so an item is read from its end. An id may hold anything but ','. Waiting is the loop's
 * business: nothing here blocks, and no snapshot is held between two looks. */
#include "query/at_least.h"

#include <inttypes.h>

#include "ops/runtime/http_request.h"

/* Decimal without a sign, at most `most`. */
static bool parse_number(struct span text, int64_t most, int64_t *ret_number)
{
    int64_t number = 0;

    if (text.len == 0 || text.len > 19)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = span_bytes(text)[i];
        if (byte < '0' || byte > '9' || number > (most - (byte - '0')) / 10)
            return false;
        number = number * 10 + (byte - '0');
    }
    *ret_number = number;
    return true;
}

static int parse_id(const struct generation_settings *settings, struct span id, struct at_least_item *ret_item,
                    struct err *err)
{
    if (id.len == 0)
        return err_set(err, ERR_INPUT, "Tarn-At-Least: id= without an event's id");
    if (settings->dedupe_window == 0)
        return err_set(err, ERR_INPUT, "Tarn-At-Least: this store keeps no ids of events (--dedupe-window is 0)");
    *ret_item = (struct at_least_item){.is_id = true, .id_hash = hash64(id)};
    return 0;
}

static int parse_item(const struct generation_settings *settings, struct span text, struct at_least_item *ret_item,
                      struct err *err)
{
    const uint8_t *at = text.at;
    const uint8_t *sign = memrchr(at, '@', text.len);
    const uint8_t *slash = sign != NULL ? memrchr(at, '/', (size_t)(sign - at)) : NULL;
    int64_t partition, offset = -1;

    if (span_starts_with(text, SPAN_LITERAL("id=")))
        return parse_id(settings, span_of(at + 3, text.len - 3), ret_item, err);
    if (slash == NULL)
        return err_set(err, ERR_INPUT, "Tarn-At-Least: \"%.*s\" is not topic/partition@offset", SPAN_ARGS(text));
    struct span topic = span_of(at, (size_t)(slash - at));
    struct span offset_text = span_of(sign + 1, text.len - (size_t)(sign + 1 - at));
    if (!parse_number(span_of(slash + 1, (size_t)(sign - slash) - 1), INT32_MAX, &partition) ||
        (!span_equal_text(offset_text, "-1") && !parse_number(offset_text, INT64_MAX - 1, &offset)))
        return err_set(err, ERR_INPUT, "Tarn-At-Least: \"%.*s\" is not topic/partition@offset", SPAN_ARGS(text));
    int number = generation_topic_number(settings, topic);
    if (number < 0)
        return err_set(err, ERR_INPUT, "Tarn-At-Least: unknown topic \"%.*s\"", SPAN_ARGS(topic));
    *ret_item = (struct at_least_item){(uint16_t)number, (int32_t)partition, offset, false, 0};
    return 0;
}

int at_least_add(const struct generation_settings *settings, struct span list, struct arena *arena,
                 struct at_least *at_least, struct err *err)
{
    struct span text;

    if (at_least->items == NULL)
        at_least->items = arena_alloc(arena, AT_LEAST_ITEMS_MAX * sizeof(*at_least->items));
    while (http_list_next(&list, &text)) {
        if (at_least->count == AT_LEAST_ITEMS_MAX)
            return err_set(err, ERR_INPUT, "Tarn-At-Least: more than %d positions", AT_LEAST_ITEMS_MAX);
        int rc = parse_item(settings, text, &at_least->items[at_least->count], err);
        if (rc < 0)
            return rc;
        at_least->count++;
    }
    if (at_least->count == 0)
        return err_set(err, ERR_INPUT, "Tarn-At-Least: expected topic/partition@offset");
    return 0;
}

int at_least_parse_wait(struct span text, int64_t *ret_wait_ms, struct err *err)
{
    if (!parse_number(text, AT_LEAST_WAIT_MAX_MS, ret_wait_ms))
        return err_set(err, ERR_INPUT, "Tarn-Wait: expected 0 to %d milliseconds", AT_LEAST_WAIT_MAX_MS);
    return 0;
}

int at_least_missing(const struct at_least *at_least, struct freshness *freshness, const struct key_partitions *owner,
                     const struct generation_settings *settings, const struct at_least_item **ret_missing,
                     struct err *err)
{
    const struct at_least_item *missing = NULL;

    for (size_t i = 0; i < at_least->count; i++) {
        const struct at_least_item *item = &at_least->items[i];
        int64_t next_offset;
        bool is_there = false;
        int rc = item->is_id ? freshness_has_id(freshness, owner->owner_hash, item->id_hash, &is_there, err)
                             : freshness_next_offset(freshness, item->topic, item->partition, owner->range,
                                                     &next_offset, err);
        if (rc == ERR_ABSENT)
            return err_set(err, ERR_INPUT, "Tarn-At-Least: topic %s has no partition %" PRId32,
                           settings->topics[item->topic], item->partition);
        if (rc < 0)
            return rc;
        if (!item->is_id)
            is_there = next_offset > item->offset;
        if (!is_there && missing == NULL)
            missing = item;
    }
    *ret_missing = missing;
    return 0;
}
