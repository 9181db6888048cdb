/* The thread goes round: topics' metadata every TOPICS_EVERY_MS (sooner while one is missing), and a batch of questions
 * whenever one is handed over. A question asks for the log's start and end, then all anchors of the batch are read at
 * once: each partition is assigned at its anchor, and the first thing that comes from it is the answer - the record
 * itself, a later one, or the end.
 *
 * The client reads uncommitted records too, so that an anchor is found where it was. */
#include "projector/kafka_watch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "schema/base/clock.h"
#include "schema/base/condition.h"
#include "schema/base/mem.h"

enum {
    CALL_MS = 900,     /* one call */
    STOP_S = 1,        /* a stop waits for the call under way this long */
    ANCHORS_MS = 3000, /* reading a batch of anchors */
    TOPICS_EVERY_MS = 2000,
    TOPICS_MISSING_MS = 500,
    POLL_MS = 50,
};

enum questions_state { IDLE, ASKED, WORKING, ANSWERED };

struct kafka_watch {
    rd_kafka_t *client;
    char *const *names;
    rd_kafka_topic_t **handles;
    size_t topic_count;
    pthread_t thread;
    bool has_thread;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_stopping;
    struct watched_topic *topics;
    enum questions_state state;
    struct log_check checks[LOG_CHECKS_MAX];
    size_t check_count;
};

static void *watch_thread(void *self);

int kafka_watch_open(const struct kafka_settings *settings, char *const *topics, size_t topic_count,
                     struct kafka_watch **ret_watch, struct err *err)
{
    struct kafka_watch *watch = mem_zero(1, sizeof(*watch));
    struct kafka_callbacks no_callbacks = {NULL, NULL, NULL};

    int rc = kafka_client_new(settings, KAFKA_WATCHER, &no_callbacks, &watch->client, err);
    if (rc < 0) {
        free(watch);
        return rc;
    }
    pthread_mutex_init(&watch->lock, NULL);
    condition_init(&watch->changed);
    watch->names = topics;
    watch->topic_count = topic_count;
    watch->topics = mem_zero(topic_count, sizeof(*watch->topics));
    watch->handles = mem_zero(topic_count, sizeof(*watch->handles));
    for (size_t i = 0; rc == 0 && i < topic_count; i++) {
        watch->handles[i] = rd_kafka_topic_new(watch->client, topics[i], NULL);
        if (!watch->handles[i])
            rc = err_set(err, ERR_INPUT, "topic %s: %s", topics[i], rd_kafka_err2str(rd_kafka_last_error()));
    }
    if (rc == 0) {
        int code = pthread_create(&watch->thread, NULL, watch_thread, watch);
        watch->has_thread = code == 0;
        if (code != 0)
            rc = err_set_errno(err, ERR_BROKEN, code, "a thread that watches Kafka's logs");
    }
    if (rc < 0) {
        kafka_watch_close(&watch);
        return rc;
    }
    *ret_watch = watch;
    return 0;
}

void kafka_watch_close(struct kafka_watch **watch)
{
    struct kafka_watch *self = *watch;
    if (!self)
        return;
    if (self->has_thread) {
        pthread_mutex_lock(&self->lock);
        self->is_stopping = true;
        pthread_cond_broadcast(&self->changed);
        pthread_mutex_unlock(&self->lock);
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += STOP_S;
        *watch = NULL;
        /* A call that doesn't come back is left behind with all it uses: the process ends anyway, and on time. */
        if (pthread_timedjoin_np(self->thread, NULL, &until) != 0)
            return;
    }
    for (size_t i = 0; i < self->topic_count; i++) {
        if (self->handles[i])
            rd_kafka_topic_destroy(self->handles[i]);
    }
    kafka_client_destroy(&self->client);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->lock);
    free(self->handles);
    free(self->topics);
    free(self);
    *watch = NULL;
}

/* --- the port: the main thread's side ----------------------------------------------------------------------------- */

static void watch_topic(void *self, uint16_t topic, struct watched_topic *ret_topic)
{
    struct kafka_watch *watch = self;
    pthread_mutex_lock(&watch->lock);
    *ret_topic = watch->topics[topic];
    pthread_mutex_unlock(&watch->lock);
}

static bool watch_ask(void *self, const struct log_check *checks, size_t count)
{
    struct kafka_watch *watch = self;
    pthread_mutex_lock(&watch->lock);
    bool is_idle = watch->state == IDLE;
    if (is_idle) {
        memcpy(watch->checks, checks, count * sizeof(*checks));
        watch->check_count = count;
        watch->state = ASKED;
        pthread_cond_broadcast(&watch->changed);
    }
    pthread_mutex_unlock(&watch->lock);
    return is_idle;
}

static bool watch_answer(void *self, struct log_check *checks, size_t *ret_count)
{
    struct kafka_watch *watch = self;
    pthread_mutex_lock(&watch->lock);
    bool is_answered = watch->state == ANSWERED;
    if (is_answered) {
        memcpy(checks, watch->checks, watch->check_count * sizeof(*checks));
        *ret_count = watch->check_count;
        watch->state = IDLE;
    }
    pthread_mutex_unlock(&watch->lock);
    return is_answered;
}

struct log_watch kafka_watch_port(struct kafka_watch *watch)
{
    return (struct log_watch){.topic = watch_topic, .ask = watch_ask, .answer = watch_answer, .self = watch};
}

/* --- the thread --------------------------------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
    return clock_monotonic_us(&clock_system) / 1000;
}

static bool is_stopping(struct kafka_watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    bool stopping = watch->is_stopping;
    pthread_mutex_unlock(&watch->lock);
    return stopping;
}

/* True: Kafka answered, and the topic is there. */
static bool look_at_topic(struct kafka_watch *watch, size_t topic)
{
    const struct rd_kafka_metadata *metadata;
    int32_t count = 0;
    char trouble[sizeof(watch->topics->trouble)] = "";

    rd_kafka_resp_err_t code = rd_kafka_metadata(watch->client, 0, watch->handles[topic], &metadata, CALL_MS);
    bool is_answered = code == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (is_answered) {
        if (metadata->topic_cnt == 1 && metadata->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR)
            count = metadata->topics[0].partition_cnt;
        else if (metadata->topic_cnt == 1 && metadata->topics[0].err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
            code = metadata->topics[0].err;
        rd_kafka_metadata_destroy(metadata);
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        snprintf(trouble, sizeof(trouble), "%s", rd_kafka_err2str(code));

    pthread_mutex_lock(&watch->lock);
    struct watched_topic *watched = &watch->topics[topic];
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        watched->is_known = true;
        watched->partition_count = count;
    }
    memcpy(watched->trouble, trouble, sizeof(trouble));
    pthread_mutex_unlock(&watch->lock);
    return is_answered && count > 0;
}

static void look_at_time(struct kafka_watch *watch, struct log_check *check)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *asked =
        rd_kafka_topic_partition_list_add(list, watch->names[check->topic], check->partition);

    asked->offset = check->time_ms;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(watch->client, list, CALL_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = asked->err;
    check->is_answered = code == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (check->is_answered)
        check->time_offset = asked->offset >= 0 ? asked->offset : check->facts.end_offset;
    else
        snprintf(check->trouble, sizeof(check->trouble), "%s", rd_kafka_err2str(code));
    rd_kafka_topic_partition_list_destroy(list);
}

static void look_at_ends(struct kafka_watch *watch, struct log_check *check)
{
    int64_t low;
    int64_t high;

    check->is_answered = false;
    rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(watch->client, watch->names[check->topic],
                                                                check->partition, &low, &high, CALL_MS);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        snprintf(check->trouble, sizeof(check->trouble), "%s", rd_kafka_err2str(code));
        return;
    }
    check->is_answered = true;
    check->trouble[0] = '\0';
    check->facts = (struct log_facts){.start_offset = low, .end_offset = high, .sight = ANCHOR_NOT_READ};
    if (check->time_ms > 0)
        look_at_time(watch, check);
    if (check->anchor_offset >= high)
        check->facts.sight = ANCHOR_GONE;
}

static bool wants_anchor(const struct log_check *check)
{
    return check->is_answered && check->anchor_offset >= check->facts.start_offset &&
           check->anchor_offset < check->facts.end_offset;
}

static struct anchor anchor_of(const rd_kafka_message_t *message)
{
    struct record record = kafka_record(message);
    return (struct anchor){record.offset, record.time_ms, fingerprint_hash(&record)};
}

/* A partition that has answered is fetched no more. Kafka lets only the first partition of a fetch exceed its limit, so one
 * with large batches, asked again and again, would keep the others waiting. The assignment's end resumes it. */
static void set_aside(struct kafka_watch *watch, const rd_kafka_message_t *message)
{
    rd_kafka_topic_partition_list_t *one = rd_kafka_topic_partition_list_new(1);

    rd_kafka_topic_partition_list_add(one, rd_kafka_topic_name(message->rkt), message->partition);
    (void)rd_kafka_pause_partitions(watch->client, one);
    rd_kafka_topic_partition_list_destroy(one);
}

/* What came first from a partition that was assigned at its anchor. True: an answer. */
static bool take_sight(struct kafka_watch *watch, struct log_check *checks, size_t count, bool *is_open,
                       const rd_kafka_message_t *message)
{
    if (!message->rkt)
        return false;
    const char *topic = rd_kafka_topic_name(message->rkt);
    for (size_t i = 0; i < count; i++) {
        struct log_check *check = &checks[i];
        if (!is_open[i] || check->partition != message->partition || strcmp(watch->names[check->topic], topic) != 0)
            continue;
        is_open[i] = false;
        set_aside(watch, message);
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            check->is_answered = false;
            snprintf(check->trouble, sizeof(check->trouble), "%s", rd_kafka_err2str(message->err));
        } else if (message->err || message->offset != check->anchor_offset) {
            check->facts.sight = ANCHOR_GONE;
        } else {
            check->facts.sight = ANCHOR_READ;
            check->facts.seen = anchor_of(message);
        }
        return true;
    }
    return false;
}

static void look_at_anchors(struct kafka_watch *watch, struct log_check *checks, size_t count)
{
    bool is_open[LOG_CHECKS_MAX] = {false};
    size_t open_count = 0;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);

    for (size_t i = 0; i < count; i++) {
        if (!wants_anchor(&checks[i]))
            continue;
        is_open[i] = true;
        open_count++;
        rd_kafka_topic_partition_list_add(list, watch->names[checks[i].topic], checks[i].partition)->offset =
            checks[i].anchor_offset;
    }
    if (open_count > 0)
        (void)rd_kafka_assign(watch->client, list);
    int64_t deadline = now_ms() + ANCHORS_MS;
    while (open_count > 0 && now_ms() < deadline && !is_stopping(watch)) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(watch->client, POLL_MS);
        if (!message)
            continue;
        open_count -= take_sight(watch, checks, count, is_open, message);
        rd_kafka_message_destroy(message);
    }
    (void)rd_kafka_resume_partitions(watch->client, list);
    (void)rd_kafka_assign(watch->client, NULL);
    for (size_t i = 0; i < count; i++) {
        if (!is_open[i])
            continue;
        checks[i].is_answered = false;
        snprintf(checks[i].trouble, sizeof(checks[i].trouble), "the last record handled couldn't be read in time");
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static void answer_questions(struct kafka_watch *watch)
{
    for (size_t i = 0; i < watch->check_count && !is_stopping(watch); i++)
        look_at_ends(watch, &watch->checks[i]);
    look_at_anchors(watch, watch->checks, watch->check_count);
}

static void *watch_thread(void *self)
{
    struct kafka_watch *watch = self;
    int64_t topics_due_ms = now_ms();

    pthread_mutex_lock(&watch->lock);
    while (!watch->is_stopping) {
        if (watch->state == ASKED) {
            watch->state = WORKING; /* the checks are ours until ANSWERED */
            pthread_mutex_unlock(&watch->lock);
            answer_questions(watch);
            pthread_mutex_lock(&watch->lock);
            watch->state = ANSWERED;
        } else if (now_ms() >= topics_due_ms) {
            pthread_mutex_unlock(&watch->lock);
            rd_kafka_poll(watch->client, 0);
            bool are_all_there = true;
            for (size_t i = 0; i < watch->topic_count && !is_stopping(watch); i++)
                are_all_there = look_at_topic(watch, i) && are_all_there;
            topics_due_ms = now_ms() + (are_all_there ? TOPICS_EVERY_MS : TOPICS_MISSING_MS);
            pthread_mutex_lock(&watch->lock);
        } else {
            struct timespec until = condition_deadline(topics_due_ms - now_ms());
            pthread_cond_timedwait(&watch->changed, &watch->lock, &until);
        }
    }
    pthread_mutex_unlock(&watch->lock);
    return NULL;
}
