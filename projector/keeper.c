/* One struct kept per partition walks through these phases:
 *
 *     DOUBTED --ask--> ASKED --the log is the same--> READING --connection lost, complaint--> DOUBTED
 *        ^               |                               |
 *        +--no answer----+------another log, lost--------+----------> STOPPED
 *
 * A DOUBTED partition isn't assigned, so nothing of a log that wasn't recognized reaches the views. While READING the
 * log is looked at too, by an older record (`trusted`, the newest one at the last look): were the topic made again
 * under our feet, the newest record would already be one of the new log. That leaves the few seconds between two
 * looks; what was misread in them can't be told from the rest, so such a partition never heals by itself (start_after
 * NOT_TO_HEAL), while one that was stopped before anything was read goes on when its log is back, as after a wrong
 * --brokers.
 *
 * One batch of questions is under way at a time: a survey of a topic (all its partitions' starts and ends, when there
 * are new ones), or looks at partitions that are due. What was true when the question was asked is kept with it: the
 * answer says nothing about what was read since. */
#include "projector/keeper_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "schema/base/mem.h"

enum { LOOK_EVERY_MS = 3000, TOPICS_EVERY_MS = 100, TOPICS_FIRST_MS = 5 };

struct keeper *keeper_new(const struct keeper_options *options)
{
    struct keeper *keeper = mem_zero(1, sizeof(*keeper));
    keeper->options = *options;
    keeper->topics = mem_zero(options->topic_count, sizeof(*keeper->topics));
    keeper->states_version = options->positions->states_version;
    for (size_t topic = 0; topic < options->topic_count; topic++)
        keeper_sync_partitions(keeper, (uint16_t)topic);
    return keeper;
}

void keeper_free(struct keeper **keeper)
{
    if (!*keeper)
        return;
    for (size_t i = 0; i < (*keeper)->options.topic_count; i++)
        free((*keeper)->topics[i].kept);
    free((*keeper)->topics);
    free(*keeper);
    *keeper = NULL;
}

/* --- small ones --------------------------------------------------------------------------------------------------- */

static int64_t now_ms(const struct keeper *keeper)
{
    return clock_monotonic_us(keeper->options.clock) / 1000;
}

void keeper_say(struct keeper *keeper, enum log_level level, const struct kept *kept, const char *text)
{
    char sentence[SENTENCE_SIZE + 300];
    snprintf(sentence, sizeof(sentence), "topic %s, partition %" PRId32 ": %s",
             keeper->options.topics[kept->partition->topic], kept->partition->number, text);
    keeper->options.say(keeper->options.self, level, sentence);
}

static struct kept *find_kept(struct keeper *keeper, uint16_t topic, int32_t number)
{
    if (topic >= keeper->options.topic_count || number < 0 || (size_t)number >= keeper->topics[topic].count ||
        !keeper->topics[topic].kept[number].partition)
        return NULL;
    return &keeper->topics[topic].kept[number];
}

void keeper_drop(struct keeper *keeper, struct kept *kept)
{
    if (kept->phase == READING)
        keeper->options.source.drop(keeper->options.source.self, kept->partition->topic, kept->partition->number);
}

void keeper_doubt(struct keeper *keeper, struct kept *kept, int64_t due_ms)
{
    keeper_drop(keeper, kept);
    kept->phase = DOUBTED;
    kept->due_ms = due_ms;
}

static bool is_stopped_state(enum partition_state state)
{
    return state == PARTITION_REWRITTEN || state == PARTITION_LOST || state == PARTITION_PARKED;
}

/* Every partition before it has passed its gate. */
static bool may_begin(struct keeper *keeper, const struct kept *kept)
{
    const struct kept_topic *topic = &keeper->topics[kept->partition->topic];
    for (int32_t i = 0; i < kept->partition->number; i++) {
        const struct partition *before = topic->kept[i].partition;
        if (before && (before->row.state == PARTITION_WAITING || before->cursor.next_offset < before->row.start_after))
            return false;
    }
    return true;
}

/* --- looks at logs ------------------------------------------------------------------------------------------------ */

static bool is_due(struct keeper *keeper, const struct kept *kept, int64_t now)
{
    if (!kept->partition || kept->is_asked || kept->phase == STOPPED || now < kept->due_ms)
        return false;
    if (keeper->topics[kept->partition->topic].watched.partition_count <= kept->partition->number)
        return false;
    return kept->phase == READING || may_begin(keeper, kept);
}

/* The first record that is stored of a log that was begun empty-handed: it was known when it was begun. */
static void trust_first(struct kept *kept)
{
    if (kept->partition && kept->phase == READING && kept->trusted.offset < 0)
        kept->trusted = fingerprint_newest(kept->partition);
}

static void ask_looks(struct keeper *keeper, int64_t now)
{
    size_t count = 0;
    for (size_t t = 0; t < keeper->options.topic_count; t++) {
        for (size_t i = 0; i < keeper->topics[t].count && count < LOG_CHECKS_MAX; i++) {
            struct kept *kept = &keeper->topics[t].kept[i];
            trust_first(kept);
            if (!is_due(keeper, kept, now))
                continue;
            kept->newest = fingerprint_newest(kept->partition);
            kept->memory = (struct log_memory){
                .next_offset = kept->partition->cursor.next_offset,
                .reached_offset = positions_reached(kept->partition),
                .anchor = kept->phase == READING ? kept->trusted : kept->newest,
            };
            keeper->checks[count++] = (struct log_check){
                .topic = (uint16_t)t, .partition = (int32_t)i, .anchor_offset = kept->memory.anchor.offset};
        }
    }
    if (count == 0 || !keeper->options.watch.ask(keeper->options.watch.self, keeper->checks, count))
        return;
    keeper->is_asking = true;
    keeper->is_survey = false;
    for (size_t i = 0; i < count; i++) {
        struct kept *kept = &keeper->topics[keeper->checks[i].topic].kept[keeper->checks[i].partition];
        kept->is_asked = true;
        if (kept->phase == DOUBTED)
            kept->phase = ASKED;
    }
}

static int begin(struct keeper *keeper, struct kept *kept, int64_t now, struct err *err)
{
    struct partition *partition = kept->partition;

    int rc = keeper->options.source.assign(keeper->options.source.self, partition->topic, partition->number,
                                           partition->cursor.next_offset, err);
    if (rc < 0)
        return rc;
    partition->is_cut = false;
    if (is_stopped_state(partition->row.state))
        keeper_say(keeper, LOG_INFO, kept, "the log that was read is back; going on");
    else if (partition->row.state == PARTITION_WAITING)
        keeper_say(keeper, LOG_INFO, kept, "the partitions before it have passed their ends; begins");
    else if (kept->had_complaint)
        keeper_say(keeper, LOG_INFO, kept, "is read again");
    if (partition->row.state != PARTITION_FOLLOWING)
        positions_set_state(keeper->options.positions, partition, PARTITION_FOLLOWING);
    kept->phase = READING;
    kept->had_complaint = false;
    kept->due_ms = now; /* by the record that was trusted before, which may be another one */
    return 0;
}

static void stop(struct keeper *keeper, struct kept *kept, enum log_verdict verdict, const char *sentence)
{
    struct partition_row row = kept->partition->row;

    /* Read on since the last look that recognized the log: some of it may have been of another one. */
    if (kept->phase == READING && kept->partition->cursor.last_offset > kept->trusted.offset)
        row.start_after = NOT_TO_HEAL;
    row.state = verdict == LOG_LOST ? PARTITION_LOST : PARTITION_REWRITTEN;
    keeper_drop(keeper, kept);
    kept->phase = STOPPED;
    positions_set_row(keeper->options.positions, kept->partition, &row);
    keeper_say(keeper, LOG_ERROR, kept, sentence);
}

static int take_look(struct keeper *keeper, const struct log_check *check, int64_t now, struct err *err)
{
    struct kept *kept = &keeper->topics[check->topic].kept[check->partition];
    char sentence[SENTENCE_SIZE];

    kept->is_asked = false;
    if (kept->phase != ASKED && kept->phase != READING)
        return 0; /* doubted or stopped meanwhile: it will be asked again */
    if (!check->is_answered) {
        keeper_say(keeper, LOG_DEBUG, kept, check->trouble);
        kept->due_ms = now + RETRY_MS;
        if (kept->phase == ASKED)
            kept->phase = DOUBTED;
        return 0;
    }
    enum log_verdict verdict = fingerprint_judge(&kept->memory, &check->facts, sentence, sizeof(sentence));
    /* What is being read isn't lost: a fetch is under way, and Kafka will complain if it comes too late. */
    if (verdict == LOG_LOST && kept->phase == READING)
        verdict = LOG_SAME;
    if (verdict != LOG_SAME) {
        stop(keeper, kept, verdict, sentence);
        return 0;
    }
    if (kept->phase == ASKED)
        return begin(keeper, kept, now, err);
    if (kept->newest.offset >= 0)
        kept->trusted = kept->newest;
    kept->due_ms = now + LOOK_EVERY_MS;
    return 0;
}

static int take_answers(struct keeper *keeper, int64_t now, struct err *err)
{
    size_t count;

    if (!keeper->is_asking || !keeper->options.watch.answer(keeper->options.watch.self, keeper->checks, &count))
        return 0;
    keeper->is_asking = false;
    if (keeper->is_survey)
        return keeper_take_survey(keeper, count, err);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = take_look(keeper, &keeper->checks[i], now, err);
    return rc;
}

/* --- turns -------------------------------------------------------------------------------------------------------- */

/* States that others have set: parked, and back. */
static void sync_states(struct keeper *keeper)
{
    for (size_t t = 0; t < keeper->options.topic_count; t++) {
        for (size_t i = 0; i < keeper->topics[t].count; i++) {
            struct kept *kept = &keeper->topics[t].kept[i];
            if (!kept->partition)
                continue;
            if (kept->partition->row.state == PARTITION_PARKED && kept->phase != STOPPED) {
                keeper_drop(keeper, kept);
                kept->phase = STOPPED;
                keeper_say(
                    keeper, LOG_ERROR, kept,
                    "stopped: more of its events are parked than --park-limit allows; see `tarn-projector parked`");
            } else if (kept->partition->row.state == PARTITION_FOLLOWING && kept->phase == STOPPED) {
                kept->phase = DOUBTED;
                kept->due_ms = 0;
            } else if (kept->partition->is_cut && kept->phase == READING) {
                /* Stopped and on again between two looks: what was given behind the cursor meanwhile is lost. */
                keeper_doubt(keeper, kept, 0);
            }
        }
    }
    keeper->states_version = keeper->options.positions->states_version;
}

static void describe_problem(struct keeper *keeper)
{
    keeper->problem[0] = '\0';
    for (size_t t = 0; t < keeper->options.topic_count; t++) {
        const struct kept_topic *topic = &keeper->topics[t];
        if (topic->watched.is_known && topic->watched.partition_count == 0) {
            snprintf(keeper->problem, sizeof(keeper->problem), "topic %s isn't there", keeper->options.topics[t]);
            return;
        }
        for (size_t i = 0; i < topic->count; i++) {
            const struct partition *partition = topic->kept[i].partition;
            if (!partition || topic->kept[i].phase != STOPPED)
                continue;
            snprintf(keeper->problem, sizeof(keeper->problem), "topic %s, partition %" PRId32 " is stopped: %s",
                     keeper->options.topics[t], partition->number, partition_state_name(partition->row.state));
            return;
        }
    }
}

static bool knows_topics(const struct keeper *keeper)
{
    for (size_t t = 0; t < keeper->options.topic_count; t++)
        if (!keeper->topics[t].watched.is_known)
            return false;
    return true;
}

int keeper_turn(struct keeper *keeper, struct err *err)
{
    int64_t now = now_ms(keeper);

    int rc = take_answers(keeper, now, err);
    if (rc < 0)
        return rc;
    if (keeper->states_version != keeper->options.positions->states_version)
        sync_states(keeper);
    if (now >= keeper->topics_due_ms) {
        rc = keeper_look_at_topics(keeper, err);
        if (rc < 0)
            return rc;
        keeper->knows_topics = knows_topics(keeper);
        keeper->topics_due_ms = now + (keeper->knows_topics ? TOPICS_EVERY_MS : TOPICS_FIRST_MS);
        describe_problem(keeper);
    }
    if (!keeper->is_asking && !keeper_ask_survey(keeper, now))
        ask_looks(keeper, now);
    return 0;
}

void keeper_complain(struct keeper *keeper, uint16_t topic, int32_t partition, enum complaint complaint,
                     const char *text)
{
    struct kept *kept = find_kept(keeper, topic, partition);
    if (!kept || kept->phase == STOPPED)
        return;
    if (complaint == COMPLAINT_OTHER && !kept->had_complaint) {
        keeper_say(keeper, LOG_WARN, kept, text);
        kept->had_complaint = true;
    }
    keeper_doubt(keeper, kept, now_ms(keeper) + RETRY_MS);
}

void keeper_read_again(struct keeper *keeper, uint16_t topic, int32_t partition)
{
    struct kept *kept = find_kept(keeper, topic, partition);
    if (kept && kept->phase == READING)
        keeper_doubt(keeper, kept, 0);
}

void keeper_doubt_all(struct keeper *keeper)
{
    for (size_t t = 0; t < keeper->options.topic_count; t++) {
        for (size_t i = 0; i < keeper->topics[t].count; i++) {
            struct kept *kept = &keeper->topics[t].kept[i];
            if (kept->partition && kept->phase != STOPPED)
                keeper_doubt(keeper, kept, 0);
        }
    }
}

bool keeper_is_asking(const struct keeper *keeper)
{
    return keeper->is_asking || !keeper->knows_topics;
}

bool keeper_is_settled(const struct keeper *keeper)
{
    for (size_t t = 0; t < keeper->options.topic_count; t++) {
        const struct kept_topic *topic = &keeper->topics[t];
        if (topic->count == 0)
            return false;
        for (size_t i = 0; i < topic->count; i++) {
            const struct kept *kept = &topic->kept[i];
            if (kept->partition && kept->partition->row.state == PARTITION_FOLLOWING && kept->phase != READING)
                return false;
        }
    }
    return true;
}

const char *keeper_problem(const struct keeper *keeper)
{
    return keeper->problem[0] ? keeper->problem : NULL;
}
