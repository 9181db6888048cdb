/* One struct kept per partition walks through these phases:
 *
 *     DOUBTED --ask--> ASKED --the log is the same--> READING --connection lost, complaint--> DOUBTED
 *        ^               |                               |
 *        +--no answer----+------another log, lost--------+----------> STOPPED
 *
 * A DOUBTED partition isn't assigned, so nothing of a log that wasn't recognized reaches the views. While READING the log
 * is looked at too, by an older record (`trusted`, the newest one at the last look): were the topic made again under our
 * feet, the newest record would already be one of the new log. That leaves the few seconds between two looks; what was
 * misread in them can't be told from the rest, so such a partition never heals by itself (start_after NOT_TO_HEAL),
 * while one that was stopped before anything was read goes on when its log is back, as after a wrong --brokers.
 *
 * One batch of questions is under way at a time: a survey of a topic (all its partitions' starts and ends, when there are
 * new ones), or looks at partitions that are due. What was true when the question was asked is kept with it: the
 * answer says nothing about what was read since. */
#include "projector/keeper.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "schema/base/mem.h"

enum {
    LOOK_EVERY_MS = 3000,
    RETRY_MS = 500,
    TOPICS_EVERY_MS = 100,
    NOT_TO_HEAL = -1,
    SENTENCE_SIZE = 600,
};

enum phase { DOUBTED, ASKED, READING, STOPPED };

struct kept {
    struct partition *partition;
    enum phase phase;
    bool is_asked;            /* READING too: a look is under way */
    bool had_complaint;       /* said already; until it is read again */
    int64_t due_ms;           /* the next look, or the next try */
    struct anchor trusted;
    struct log_memory memory; /* as of the question */
    struct anchor newest;     /* likewise */
};

struct kept_topic {
    struct kept *kept;
    size_t count;
    struct watched_topic watched;
    bool said_missing;
    bool said_too_many;
    int64_t survey_due_ms;
};

struct keeper {
    struct keeper_options options;
    struct kept_topic *topics;
    uint64_t states_version;
    int64_t topics_due_ms;
    bool is_asking;
    bool is_survey; /* what is under way */
    struct log_check checks[LOG_CHECKS_MAX];
    char problem[SENTENCE_SIZE];
};

static void sync_partitions(struct keeper *keeper, uint16_t topic);

struct keeper *keeper_new(const struct keeper_options *options)
{
    struct keeper *keeper = mem_zero(1, sizeof(*keeper));
    keeper->options = *options;
    keeper->topics = mem_zero(options->topic_count, sizeof(*keeper->topics));
    keeper->states_version = options->positions->states_version;
    for (size_t topic = 0; topic < options->topic_count; topic++)
        sync_partitions(keeper, (uint16_t)topic);
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

static void say(struct keeper *keeper, enum log_level level, const struct kept *kept, const char *text)
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

static void drop(struct keeper *keeper, struct kept *kept)
{
    if (kept->phase == READING)
        keeper->options.source.drop(keeper->options.source.self, kept->partition->topic, kept->partition->number);
}

static void doubt(struct keeper *keeper, struct kept *kept, int64_t due_ms)
{
    drop(keeper, kept);
    kept->phase = DOUBTED;
    kept->due_ms = due_ms;
}

static bool is_stopped_state(enum partition_state state)
{
    return state == PARTITION_REWRITTEN || state == PARTITION_LOST || state == PARTITION_PARKED;
}

static enum phase first_phase(const struct partition *partition)
{
    bool is_final = partition->row.state == PARTITION_PARKED ||
                    (partition->row.state == PARTITION_REWRITTEN && partition->row.start_after == NOT_TO_HEAL);
    return is_final ? STOPPED : DOUBTED;
}

/* Takes in partitions that positions has got. */
static void sync_partitions(struct keeper *keeper, uint16_t topic)
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
        own->kept[i] = (struct kept){.partition = partition,
                                     .phase = first_phase(partition),
                                     .trusted = fingerprint_newest(partition)};
    }
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

/* --- topics ------------------------------------------------------------------------------------------------------- */

/* A topic that was made again with fewer partitions. */
static void stop_surplus(struct keeper *keeper, struct kept_topic *topic)
{
    for (size_t i = (size_t)topic->watched.partition_count; i < topic->count; i++) {
        struct kept *kept = &topic->kept[i];
        if (!kept->partition || kept->phase == STOPPED)
            continue;
        drop(keeper, kept);
        kept->phase = STOPPED;
        positions_set_state(keeper->options.positions, kept->partition, PARTITION_REWRITTEN);
        say(keeper, LOG_ERROR, kept,
            "the topic has fewer partitions than before, so it was deleted and made again; start with a fresh --store "
            "to build it anew from the log as it is now");
    }
}

static void look_at_topic(struct keeper *keeper, uint16_t number)
{
    struct kept_topic *topic = &keeper->topics[number];
    char sentence[SENTENCE_SIZE];

    keeper->options.watch.topic(keeper->options.watch.self, number, &topic->watched);
    if (!topic->watched.is_known)
        return;
    if (topic->watched.partition_count > LOG_CHECKS_MAX && !topic->said_too_many) {
        snprintf(sentence, sizeof(sentence), "topic %s: it has %" PRId32 " partitions, but only the first %d are read",
                 keeper->options.topics[number], topic->watched.partition_count, LOG_CHECKS_MAX);
        keeper->options.say(keeper->options.self, LOG_ERROR, sentence);
        topic->said_too_many = true;
    }
    if (topic->watched.partition_count > LOG_CHECKS_MAX)
        topic->watched.partition_count = LOG_CHECKS_MAX;
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
                doubt(keeper, &topic->kept[i], 0);
        }
    } else {
        stop_surplus(keeper, topic);
    }
}

/* All topics with new partitions at once. The answers are about the logs as they are after the new partitions were seen,
 * which is what the gates need. */
static bool ask_survey(struct keeper *keeper, int64_t now)
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
            keeper->checks[count++] =
                (struct log_check){.topic = (uint16_t)t, .partition = (int32_t)i, .anchor_offset = -1};
        }
        topic->survey_due_ms = now + RETRY_MS;
    }
    keeper->is_survey = count > 0 && keeper->options.watch.ask(keeper->options.watch.self, keeper->checks, count);
    keeper->is_asking = keeper->is_survey;
    return keeper->is_survey;
}

/* checks: one for each partition of the topic. */
static int take_survey(struct keeper *keeper, uint16_t number, const struct log_check *checks, size_t count,
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
        int rc = positions_add(keeper->options.positions, number, (int32_t)i, checks[i].facts.start_offset,
                               known > 0 ? PARTITION_WAITING : PARTITION_FOLLOWING, &added, err);
        if (rc < 0)
            return err_prefix(err, "topic %s", keeper->options.topics[number]);
        struct partition_row row = added->row;
        row.partition_count = (uint32_t)count;
        positions_set_row(keeper->options.positions, added, &row);
    }
    sync_partitions(keeper, number);
    if (known == 0)
        snprintf(sentence, sizeof(sentence), "topic %s: %zu partitions, read from their start",
                 keeper->options.topics[number], count);
    else
        snprintf(sentence, sizeof(sentence),
                 "topic %s: %zu new partitions; they begin when the old ones have reached the ends they have now",
                 keeper->options.topics[number], count - known);
    keeper->options.say(keeper->options.self, LOG_INFO, sentence);
    return 0;
}

/* --- looks at logs ------------------------------------------------------------------------------------------------ */

static int64_t reached_offset(const struct partition *partition)
{
    int64_t reached = partition->cursor.next_offset;
    for (unsigned range = 0; range < RANGE_COUNT; range++) {
        if (partition->stored[range].next_offset > reached)
            reached = partition->stored[range].next_offset;
    }
    return reached;
}

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
                .reached_offset = reached_offset(kept->partition),
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
    if (is_stopped_state(partition->row.state))
        say(keeper, LOG_INFO, kept, "the log that was read is back; going on");
    else if (partition->row.state == PARTITION_WAITING)
        say(keeper, LOG_INFO, kept, "the partitions before it have passed their ends; begins");
    else if (kept->had_complaint)
        say(keeper, LOG_INFO, kept, "is read again");
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
    if (kept->phase == READING && kept->trusted.offset != kept->newest.offset)
        row.start_after = NOT_TO_HEAL;
    row.state = verdict == LOG_LOST ? PARTITION_LOST : PARTITION_REWRITTEN;
    drop(keeper, kept);
    kept->phase = STOPPED;
    positions_set_row(keeper->options.positions, kept->partition, &row);
    say(keeper, LOG_ERROR, kept, sentence);
}

static int take_look(struct keeper *keeper, const struct log_check *check, int64_t now, struct err *err)
{
    struct kept *kept = &keeper->topics[check->topic].kept[check->partition];
    char sentence[SENTENCE_SIZE];

    kept->is_asked = false;
    if (kept->phase != ASKED && kept->phase != READING)
        return 0; /* doubted or stopped meanwhile: it will be asked again */
    if (!check->is_answered) {
        say(keeper, LOG_DEBUG, kept, check->trouble);
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
    int rc = 0;
    for (size_t i = 0; !keeper->is_survey && rc == 0 && i < count; i++)
        rc = take_look(keeper, &keeper->checks[i], now, err);
    for (size_t i = 0, next; keeper->is_survey && rc == 0 && i < count; i = next) {
        for (next = i + 1; next < count && keeper->checks[next].topic == keeper->checks[i].topic; next++)
            continue;
        rc = take_survey(keeper, keeper->checks[i].topic, &keeper->checks[i], next - i, err);
    }
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
                drop(keeper, kept);
                kept->phase = STOPPED;
                say(keeper, LOG_ERROR, kept,
                    "stopped: more of its events are parked than --park-limit allows; see `tarn-projector parked`");
            } else if (kept->partition->row.state == PARTITION_FOLLOWING && kept->phase == STOPPED) {
                kept->phase = DOUBTED;
                kept->due_ms = 0;
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

int keeper_turn(struct keeper *keeper, struct err *err)
{
    int64_t now = now_ms(keeper);

    int rc = take_answers(keeper, now, err);
    if (rc < 0)
        return rc;
    if (keeper->states_version != keeper->options.positions->states_version)
        sync_states(keeper);
    if (now >= keeper->topics_due_ms) {
        keeper->topics_due_ms = now + TOPICS_EVERY_MS;
        for (size_t t = 0; t < keeper->options.topic_count; t++)
            look_at_topic(keeper, (uint16_t)t);
        describe_problem(keeper);
    }
    if (!keeper->is_asking && !ask_survey(keeper, now))
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
        say(keeper, LOG_WARN, kept, text);
        kept->had_complaint = true;
    }
    doubt(keeper, kept, now_ms(keeper) + RETRY_MS);
}

void keeper_doubt_all(struct keeper *keeper)
{
    for (size_t t = 0; t < keeper->options.topic_count; t++) {
        for (size_t i = 0; i < keeper->topics[t].count; i++) {
            struct kept *kept = &keeper->topics[t].kept[i];
            if (kept->partition && kept->phase != STOPPED)
                doubt(keeper, kept, 0);
        }
    }
}

bool keeper_is_asking(const struct keeper *keeper)
{
    return keeper->is_asking;
}

bool keeper_is_settled(const struct keeper *keeper)
{
    for (size_t t = 0; t < keeper->options.topic_count; t++) {
        const struct kept_topic *topic = &keeper->topics[t];
        if (topic->count == 0)
            return false;
        for (size_t i = 0; i < topic->count; i++) {
            if (topic->kept[i].partition && (topic->kept[i].phase == DOUBTED || topic->kept[i].phase == ASKED))
                return false;
        }
    }
    return true;
}

const char *keeper_problem(const struct keeper *keeper)
{
    return keeper->problem[0] ? keeper->problem : NULL;
}
