/* New partitions are surveyed before they are added: the starts of the new logs, and the ends that the old ones have
 * after the new ones were seen. Only a survey that is answered whole counts. */
#include "projector/keeper_state.h"

#include <inttypes.h>
#include <stdio.h>

#include "schema/base/mem.h"

static enum phase first_phase(const struct partition *partition)
{
    bool is_final = partition->row.state == PARTITION_PARKED ||
                    (partition->row.state == PARTITION_REWRITTEN && partition->row.start_after == NOT_TO_HEAL);
    return is_final ? STOPPED : DOUBTED;
}

void keeper_sync_partitions(struct keeper *keeper, uint16_t topic)
{
    const struct positions *positions = keeper->options.positions;
    struct kept_topic *own = &keeper->topics[topic];
    size_t count = positions->by_topic_count[topic];

    if (count > own->count) {
        own->kept = mem_resize(own->kept, count, sizeof(*own->kept));
        memset(own->kept + own->count, 0, (count - own->count) * sizeof(*own->kept));
        own->count = count;
    }
    for (size_t i = 0; i < own->count; i++) {
        struct partition *partition = positions_find(positions, topic, (int32_t)i);
        if (!partition || own->kept[i].partition)
            continue;
        own->kept[i] = (struct kept){
            .partition = partition, .phase = first_phase(partition), .trusted = fingerprint_newest(partition)};
    }
}

/* A topic that was made again with fewer partitions. */
static void stop_surplus(struct keeper *keeper, struct kept_topic *topic)
{
    for (size_t i = (size_t)topic->watched.partition_count; i < topic->count; i++) {
        struct kept *kept = &topic->kept[i];
        if (!kept->partition || kept->phase == STOPPED)
            continue;
        keeper_drop(keeper, kept);
        kept->phase = STOPPED;
        positions_set_state(keeper->options.positions, kept->partition, PARTITION_REWRITTEN);
        keeper_say(keeper, LOG_ERROR, kept,
                   "the topic has fewer partitions than before, so it was deleted and made again; start with a fresh "
                   "--store to build it anew from the log as it is now");
    }
}

/* A part of a topic is no topic: keys of the others would be missing without a word. */
static int refuse_too_many(const struct keeper *keeper, uint16_t number, struct err *err)
{
    return err_set(err, ERR_INPUT,
                   "topic %s has %" PRId32 " partitions; this version reads topics of %d at most, and none by halves",
                   keeper->options.topics[number], keeper->topics[number].watched.partition_count, LOG_CHECKS_MAX);
}

static int look_at_topic(struct keeper *keeper, uint16_t number, struct err *err)
{
    struct kept_topic *topic = &keeper->topics[number];
    char sentence[SENTENCE_SIZE];

    keeper->options.watch.topic(keeper->options.watch.self, number, &topic->watched);
    if (!topic->watched.is_known)
        return 0;
    if (topic->watched.partition_count > LOG_CHECKS_MAX)
        return refuse_too_many(keeper, number, err);
    bool is_missing = topic->watched.partition_count == 0;
    if (is_missing && !topic->said_missing) {
        snprintf(sentence, sizeof(sentence), "topic %s: %s; waiting for it", keeper->options.topics[number],
                 topic->count ? "it isn't there any more" : "there is no such topic yet");
        keeper->options.say(keeper->options.self, LOG_WARN, sentence);
    }
    if (!is_missing && topic->said_missing) {
        snprintf(sentence, sizeof(sentence), "topic %s: it is there", keeper->options.topics[number]);
        keeper->options.say(keeper->options.self, LOG_INFO, sentence);
    }
    topic->said_missing = is_missing;
    if (is_missing) {
        for (size_t i = 0; i < topic->count; i++) {
            if (topic->kept[i].partition && topic->kept[i].phase != STOPPED)
                keeper_doubt(keeper, &topic->kept[i], 0);
        }
    } else {
        stop_surplus(keeper, topic);
    }
    return 0;
}

int keeper_look_at_topics(struct keeper *keeper, struct err *err)
{
    int rc = 0;

    for (size_t t = 0; rc == 0 && t < keeper->options.topic_count; t++)
        rc = look_at_topic(keeper, (uint16_t)t, err);
    return rc;
}

static int64_t start_time_ms(const struct keeper *keeper)
{
    const struct generation_start *start = keeper->options.start;
    return start && start->kind == START_TIME ? start->time_ms : 0;
}

/* Where a partition of a topic that was never read begins. A start that Kafka no longer has is found out by the look
 * that comes before reading. */
static int64_t first_offset(const struct keeper *keeper, const struct log_check *check)
{
    const struct generation_start *start = keeper->options.start;
    int64_t told = -1;

    if (check->time_ms > 0)
        return check->time_offset;
    if (start && start->kind == START_OFFSETS)
        told = generation_start_offset(start, keeper->options.topics[check->topic], check->partition);
    return told >= 0 ? told : check->facts.start_offset;
}

/* All topics with new partitions at once. The answers are about the logs as they are after the new partitions were
 * seen, which is what the gates need. */
bool keeper_ask_survey(struct keeper *keeper, int64_t now)
{
    size_t count = 0;
    for (size_t t = 0; t < keeper->options.topic_count; t++) {
        struct kept_topic *topic = &keeper->topics[t];
        size_t wanted = (size_t)topic->watched.partition_count;
        if (!topic->watched.is_known || wanted <= topic->count || now < topic->survey_due_ms)
            continue;
        if (wanted > LOG_CHECKS_MAX - count)
            break; /* it won't be more than that alone: see look_at_topic() */
        for (size_t i = 0; i < wanted; i++) {
            keeper->checks[count++] = (struct log_check){.topic = (uint16_t)t,
                                                         .partition = (int32_t)i,
                                                         .anchor_offset = -1,
                                                         .time_ms = topic->count == 0 ? start_time_ms(keeper) : 0};
        }
        topic->survey_due_ms = now + RETRY_MS;
    }
    keeper->is_survey = count > 0 && keeper->options.watch.ask(keeper->options.watch.self, keeper->checks, count);
    keeper->is_asking = keeper->is_survey;
    return keeper->is_survey;
}

/* checks: one for each partition of the topic. */
static int take_topic(struct keeper *keeper, uint16_t number, const struct log_check *checks, size_t count,
                      struct err *err)
{
    struct kept_topic *topic = &keeper->topics[number];
    size_t known = topic->count;
    char sentence[SENTENCE_SIZE];

    for (size_t i = 0; i < count; i++) {
        if (!checks[i].is_answered)
            return 0; /* asked again in a moment */
    }
    for (size_t i = 0; i < known && i < count; i++) {
        struct partition *old = topic->kept[i].partition;
        struct partition_row row = old->row;
        if (row.start_after != NOT_TO_HEAL && row.start_after < checks[i].facts.end_offset)
            row.start_after = checks[i].facts.end_offset;
        row.partition_count = (uint32_t)count;
        positions_set_row(keeper->options.positions, old, &row);
    }
    for (size_t i = known; i < count; i++) {
        struct partition *added;
        int rc = positions_add(keeper->options.positions, number, (int32_t)i,
                               known > 0 ? checks[i].facts.start_offset : first_offset(keeper, &checks[i]),
                               known > 0 ? PARTITION_WAITING : PARTITION_FOLLOWING, &added, err);
        if (rc < 0)
            return err_prefix(err, "topic %s", keeper->options.topics[number]);
        struct partition_row row = added->row;
        row.partition_count = (uint32_t)count;
        positions_set_row(keeper->options.positions, added, &row);
    }
    keeper_sync_partitions(keeper, number);
    if (known == 0)
        snprintf(sentence, sizeof(sentence), "topic %s: %zu partitions, read from %s", keeper->options.topics[number],
                 count, keeper->options.start && generation_start_is_partial(keeper->options.start)
                            ? "where the generation begins"
                            : "their start");
    else
        snprintf(sentence, sizeof(sentence),
                 "topic %s: %zu new partitions; they begin when the old ones have reached the ends they have now",
                 keeper->options.topics[number], count - known);
    keeper->options.say(keeper->options.self, LOG_INFO, sentence);
    return 0;
}

int keeper_take_survey(struct keeper *keeper, size_t count, struct err *err)
{
    int rc = 0;
    for (size_t i = 0, next; rc == 0 && i < count; i = next) {
        for (next = i + 1; next < count && keeper->checks[next].topic == keeper->checks[i].topic; next++)
            continue;
        rc = take_topic(keeper, keeper->checks[i].topic, &keeper->checks[i], next - i, err);
    }
    return rc;
}
