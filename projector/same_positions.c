/* Range by range: what is committed of one range says nothing about another. */
#include "projector/same_positions.h"

#include <inttypes.h>
#include <string.h>

#include "projector/positions.h"

static int differ_at(const struct opened_store *a, const struct opened_store *b, const char *topic, int32_t partition,
                     int64_t next_a, int64_t next_b, struct err *err)
{
    return err_set(err, ERR_AGAIN,
                   "%s and %s aren't at the same position: %s/%" PRId32 "@%" PRId64 " and @%" PRId64
                   ". While a projector runs, it brings them there: start it, or stop it once both have caught up",
                   a->generation->name, b->generation->name, topic, partition, next_a - 1, next_b - 1);
}

/* own NULL or other NULL: it never began with the partition. */
static int compare_partition(const struct opened_store *a, const struct opened_store *b, const char *topic,
                             const struct partition *own, const struct partition *other, struct err *err)
{
    const struct partition *known = own != NULL ? own : other;

    for (unsigned range = 0; range < RANGE_COUNT; range++) {
        int64_t next_a = own != NULL ? own->stored[range].next_offset : 0;
        int64_t next_b = other != NULL ? other->stored[range].next_offset : 0;
        if (next_a != next_b)
            return differ_at(a, b, topic, known->number, next_a, next_b, err);
    }
    return 0;
}

static void tell(const char *topic, const struct partition *partition, struct buf *out)
{
    buf_add_format(out, "%s%s/%" PRId32 "@%" PRId64, out->len > 0 ? ", " : "", topic, partition->number,
                   partition->stored[0].next_offset - 1);
}

static int compare_topics(const struct opened_store *a, const struct positions *own, const struct opened_store *b,
                          const struct positions *other, struct buf *out, struct err *err)
{
    const struct generation_settings *settings = &a->generation->settings;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < settings->topic_count; i++) {
        int number = generation_topic_number(&b->generation->settings, span_of_text(settings->topics[i]));
        if (number < 0)
            continue;
        size_t count = own->by_topic_count[i];
        if (count < other->by_topic_count[number])
            count = other->by_topic_count[number];
        for (size_t k = 0; rc == 0 && k < count; k++) {
            const struct partition *mine = positions_find(own, (uint16_t)i, (int32_t)k);
            const struct partition *theirs = positions_find(other, (uint16_t)number, (int32_t)k);
            if (mine == NULL && theirs == NULL)
                continue;
            rc = compare_partition(a, b, settings->topics[i], mine, theirs, err);
            if (rc == 0)
                tell(settings->topics[i], mine != NULL ? mine : theirs, out);
        }
    }
    return rc;
}

int same_positions_check(const struct opened_store *a, const struct opened_store *b, struct buf *positions,
                         struct err *err)
{
    struct positions own, other;

    positions_init(&own, a->generation->settings.topic_count);
    positions_init(&other, b->generation->settings.topic_count);
    int rc = positions_load(&own, a->reader, err);
    if (rc == 0)
        rc = positions_load(&other, b->reader, err);
    if (rc == 0)
        rc = compare_topics(a, &own, b, &other, positions, err);
    positions_release(&own);
    positions_release(&other);
    return rc;
}
