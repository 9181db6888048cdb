/* One batch at a time: read, published, waited for, written down. While a batch is on its way commits go on, and the next
 * look finds all of theirs at once; so one acknowledgement is all that a change waits for behind the one before it, and
 * what is on its way is bounded. The generations' list is held only for the look, which is short: whoever leaves, or
 * changes what is served, waits for no broker.
 *
 * A record stays with Kafka's client until it is acknowledged, however long that takes: the idempotent producer then
 * sends it again by itself without a repeat, which giving up and publishing anew could not promise. */
#include "projector/announcer.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ops/runtime/log.h"
#include "projector/announcer_metrics.h"
#include "schema/base/mem.h"

enum {
    ITEMS_MAX = 4096,       /* of a batch, a little more */
    LOOK_ANYWAY_MS = 500,   /* without being woken */
    SLICE_MS = 10,          /* of a wait, so that a stop is noticed */
    AGAIN_US = 1000 * 1000, /* until what wasn't taken is published again */
    OVERDUE_US = 5 * 1000 * 1000,
};

struct member {
    struct announce_member base;
    char name[GENERATION_NAME_MAX];
};

struct announcer {
    struct announcer_options options;
    pthread_t thread;
    bool has_thread;
    int wake_fd;
    _Atomic bool is_stopping;
    _Atomic int64_t stop_at_us; /* when a stop no longer waits */

    pthread_mutex_t lock; /* of the members and of what is served */
    struct member **members;
    size_t count, capacity;
    struct serving_shares shares;
    bool must_forget; /* what is served has changed */

    /* the thread's own */
    struct announce_batch batch;
    size_t left;          /* items that aren't done */
    int64_t sent_at_us;
    int64_t again_at_us;  /* 0: nothing is to be published again */
    const char *reason;   /* why the last one wasn't taken; NULL: it was */
    bool is_failing;      /* and people were told */
    bool said_broken;
    _Atomic int64_t given_up; /* by flushers, since people were told */
    int64_t said_given_up_us;
};

static void *run(void *self);

static int64_t now_us(const struct announcer *announcer)
{
    return clock_monotonic_us(announcer->options.clock);
}

static void wake(void *self)
{
    struct announcer *announcer = self;
    const uint64_t one = 1;
    ssize_t put = write(announcer->wake_fd, &one, sizeof(one));
    (void)put; /* it can't fill up before it is read */
}

static void note_given_up(void *self, size_t count)
{
    struct announcer *announcer = self;

    atomic_fetch_add(&announcer->given_up, (int64_t)count);
    metric_add(&announcer_counters.given_up, (int64_t)count);
}

/* --- its life ----------------------------------------------------------------------------------------------------- */

int announcer_open(const struct announcer_options *options, const struct serving *serving,
                   struct announcer **ret_announcer, struct err *err)
{
    int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0)
        return err_set_errno(err, ERR_BROKEN, errno, "eventfd");

    struct announcer *announcer = mem_zero(1, sizeof(*announcer));
    announcer->options = *options;
    announcer->wake_fd = wake_fd;
    announcer->shares = serving->now;
    announcer->batch = (struct announce_batch){.arena = ARENA_INIT};
    pthread_mutex_init(&announcer->lock, NULL);
    int code = pthread_create(&announcer->thread, NULL, run, announcer);
    if (code != 0) {
        announcer_close(&announcer, 0);
        return err_set_errno(err, ERR_BROKEN, code, "a thread for announcements");
    }
    announcer->has_thread = true;
    *ret_announcer = announcer;
    return 0;
}

void announcer_close(struct announcer **announcer, int grace_ms)
{
    struct announcer *closed = *announcer;

    if (closed == NULL)
        return;
    if (closed->has_thread) {
        atomic_store(&closed->stop_at_us, now_us(closed) + (int64_t)grace_ms * 1000);
        atomic_store(&closed->is_stopping, true);
        wake(closed);
        pthread_join(closed->thread, NULL);
    }
    announce_batch_release(&closed->batch);
    free(closed->members);
    pthread_mutex_destroy(&closed->lock);
    close(closed->wake_fd);
    free(closed);
    *announcer = NULL;
}

static bool is_served(const struct announcer *announcer, const char *name)
{
    for (size_t i = 0; i < announcer->shares.count; i++)
        if (strcmp(announcer->shares.shares[i].name, name) == 0)
            return true;
    return false;
}

static int resume(const struct announce_member *member, struct err *err)
{
    int rc = store_read_begin(member->reader, err);
    if (rc == 0)
        rc = announcing_resume(member->announcing, member->reader, err);
    store_read_end(member->reader);
    return rc;
}

int announcer_join(struct announcer *announcer, const char *name, struct store *store, const struct view_set *views,
                   const struct generation_settings *settings, struct announcing **ret_announcing, struct err *err)
{
    const struct announcing_options options = {
        .views = views,
        .settings = settings,
        .announced = announcer->options.announced,
        .clock = announcer->options.clock,
        .row_limit = announcer->options.row_limit,
        .committed = wake,
        .gave_up = note_given_up,
        .self = announcer,
    };
    struct member *member = mem_zero(1, sizeof(*member));

    snprintf(member->name, sizeof(member->name), "%s", name);
    member->base = (struct announce_member){.name = member->name, .views = views, .settings = settings};
    int rc = store_reader_open(store, &member->base.reader, err);
    if (rc < 0) {
        free(member);
        return rc;
    }
    member->base.announcing = announcing_new(&options);
    pthread_mutex_lock(&announcer->lock);
    bool served = is_served(announcer, name);
    announcing_set_served(member->base.announcing, served);
    rc = served ? resume(&member->base, err) : 0;
    announcer->members =
        mem_grow(announcer->members, announcer->count, &announcer->capacity, sizeof(struct member *));
    announcer->members[announcer->count++] = member;
    pthread_mutex_unlock(&announcer->lock);
    *ret_announcing = member->base.announcing;
    if (rc < 0)
        announcer_leave(announcer, ret_announcing);
    return rc;
}

void announcer_leave(struct announcer *announcer, struct announcing **announcing)
{
    if (*announcing == NULL)
        return;
    pthread_mutex_lock(&announcer->lock);
    for (size_t i = 0; i < announcer->count; i++) {
        struct member *member = announcer->members[i];
        if (member->base.announcing != *announcing)
            continue;
        announcer->members[i] = announcer->members[--announcer->count];
        store_reader_close(&member->base.reader);
        free(member);
        break;
    }
    pthread_mutex_unlock(&announcer->lock);
    announcing_free(announcing);
}

void announcer_set_serving(struct announcer *announcer, const struct serving *serving)
{
    if (announcer == NULL)
        return;
    pthread_mutex_lock(&announcer->lock);
    announcer->shares = serving->now;
    announcer->must_forget = true;
    for (size_t i = 0; i < announcer->count; i++)
        announcing_set_served(announcer->members[i]->base.announcing,
                              is_served(announcer, announcer->members[i]->name));
    pthread_mutex_unlock(&announcer->lock);
    wake(announcer);
}

/* --- a look ------------------------------------------------------------------------------------------------------- */

/* False: a generation that is served isn't followed at the moment. */
static bool find_served(const struct announcer *announcer, struct announce_member **served)
{
    for (size_t i = 0; i < announcer->shares.count; i++) {
        served[i] = NULL;
        for (size_t k = 0; k < announcer->count; k++)
            if (strcmp(announcer->members[k]->name, announcer->shares.shares[i].name) == 0)
                served[i] = &announcer->members[k]->base;
        if (served[i] == NULL)
            return false;
    }
    return true;
}

/* Whose topics are read by somebody who is served. */
struct readers {
    struct announce_member *const *served;
    size_t count;
};

/* A topic that nobody reads who is served: when somebody does who is, its contents appear as those of a rebuild do. */
static void forget_unread(void *self, const char *topic, int32_t partition, struct announced_partition *entry)
{
    const struct readers *readers = self;
    (void)partition;

    for (size_t i = 0; i < readers->count; i++)
        if (generation_topic_number(readers->served[i]->settings, span_of_text(topic)) >= 0)
            return;
    atomic_store(&entry->next_offset, ANNOUNCED_NOT_YET);
    atomic_store(&entry->sent_offset, ANNOUNCED_NOT_YET);
}

static void look(struct announcer *announcer)
{
    struct announce_member *served[SERVING_SHARES_MAX];
    struct announce_batch *batch = &announcer->batch;
    struct err err = {0};
    int rc = 0;

    batch->count = batch->move_count = 0;
    pthread_mutex_lock(&announcer->lock);
    if (find_served(announcer, served)) {
        if (announcer->must_forget)
            announced_walk(announcer->options.announced, forget_unread,
                           &(struct readers){served, announcer->shares.count});
        announcer->must_forget = false;
        rc = announce_round(served, &announcer->shares, ITEMS_MAX, batch, &err);
    }
    pthread_mutex_unlock(&announcer->lock);
    if (rc < 0) {
        batch->count = batch->move_count = 0;
        if (!announcer->said_broken)
            log_error("announcements can't be read: %s; trying again", err.text);
    }
    announcer->said_broken = rc < 0;
    metric_set(&announcer_counters.pending, (int64_t)batch->pending);
    metric_add(&announcer_counters.erased, (int64_t)batch->erased);
}

/* --- a batch ------------------------------------------------------------------------------------------------------ */

static void finish(struct announcer *announcer, struct announce_item *item)
{
    struct announce_move *move = &announcer->batch.moves[item->move];

    item->state = ITEM_DONE;
    announcer->left--;
    if (--move->left == 0)
        atomic_store(&move->entry->next_offset, move->next_offset);
}

static void say_failing(struct announcer *announcer, const char *reason)
{
    if (!announcer->is_failing)
        log_error("announcements don't reach topic %s: %s; %" PRId64 " pending, trying again until they do",
                  announcer->options.topic, reason, metric_get(&announcer_counters.pending));
    announcer->is_failing = true;
}

static void told(void *context, size_t number, enum announce_outcome outcome, const char *reason)
{
    struct announcer *announcer = context;
    struct announce_item *item = &announcer->batch.items[number];

    switch (outcome) {
    case ANNOUNCE_PUBLISHED:
        metric_add(&announcer_counters.published, 1);
        metric_observe_us(&announcer_seconds, (clock_wall_ms(announcer->options.clock) - item->visible_at_ms) * 1000);
        if (announcer->is_failing)
            log_info("announcements reach topic %s again", announcer->options.topic);
        announcer->is_failing = false;
        finish(announcer, item);
        break;
    case ANNOUNCE_AGAIN:
        say_failing(announcer, reason);
        item->state = ITEM_WAITS;
        announcer->again_at_us = now_us(announcer) + AGAIN_US;
        break;
    case ANNOUNCE_HOPELESS:
        log_error("an announcement is given up: topic %s doesn't take it: %s", announcer->options.topic, reason);
        metric_add(&announcer_counters.given_up, 1);
        finish(announcer, item);
        break;
    }
}

/* What waits, as far as there is room. */
static void send_waiting(struct announcer *announcer)
{
    struct announce_batch *batch = &announcer->batch;
    const struct announce_sink *sink = announcer->options.sink;

    for (size_t i = 0; i < batch->count; i++) {
        struct announce_item *item = &batch->items[i];
        if (item->state != ITEM_WAITS)
            continue;
        announcer->reason = sink->publish(sink->self, &item->record, i);
        if (announcer->reason != NULL) {
            announcer->again_at_us = now_us(announcer) + SLICE_MS * 1000;
            return;
        }
        item->state = ITEM_SENT;
    }
    announcer->again_at_us = 0;
}

static bool must_end(const struct announcer *announcer)
{
    return atomic_load(&announcer->is_stopping) && now_us(announcer) >= atomic_load(&announcer->stop_at_us);
}

static void note_age(const struct announcer *announcer)
{
    int64_t oldest = INT64_MAX;

    for (size_t i = 0; i < announcer->batch.count; i++)
        if (announcer->batch.items[i].state != ITEM_DONE && announcer->batch.items[i].visible_at_ms < oldest)
            oldest = announcer->batch.items[i].visible_at_ms;
    metric_set(&announcer_counters.oldest_ms,
               oldest == INT64_MAX ? 0 : clock_wall_ms(announcer->options.clock) - oldest);
}

static void say_given_up(struct announcer *announcer)
{
    int64_t now = now_us(announcer);

    if (atomic_load(&announcer->given_up) == 0 || now - announcer->said_given_up_us < OVERDUE_US)
        return;
    announcer->said_given_up_us = now;
    log_error("%" PRId64 " announcements are given up, the oldest: more than %zu would be pending (--announce-backlog)",
              atomic_exchange(&announcer->given_up, 0), announcer->options.row_limit);
}

static void publish(struct announcer *announcer)
{
    struct announce_batch *batch = &announcer->batch;
    const struct announce_sink *sink = announcer->options.sink;
    int64_t began_us = now_us(announcer), noted_us = began_us;

    for (size_t i = 0; i < batch->move_count; i++) {
        atomic_store(&batch->moves[i].entry->sent_offset, batch->moves[i].next_offset);
        if (batch->moves[i].left == 0)
            atomic_store(&batch->moves[i].entry->next_offset, batch->moves[i].next_offset);
    }
    announcer->left = batch->count;
    announcer->again_at_us = 0;
    if (batch->count > 0)
        send_waiting(announcer);
    while (announcer->left > 0 && !must_end(announcer)) {
        sink->poll(sink->self, SLICE_MS, told, announcer);
        int64_t now = now_us(announcer);
        if (announcer->again_at_us != 0 && now >= announcer->again_at_us)
            send_waiting(announcer);
        if (now - noted_us >= AGAIN_US) {
            noted_us = now;
            note_age(announcer);
            say_given_up(announcer);
        }
        if (now - began_us > OVERDUE_US && announcer->left > 0)
            say_failing(announcer, announcer->reason != NULL ? announcer->reason
                                                             : "Kafka hasn't acknowledged them for 5 seconds");
    }
    note_age(announcer);
}

/* Waits for a commit. */
static void rest(struct announcer *announcer)
{
    struct pollfd woken = {.fd = announcer->wake_fd, .events = POLLIN};
    uint64_t ignored;

    if (!announcer->batch.is_cut || announcer->batch.move_count == 0)
        poll(&woken, 1, LOOK_ANYWAY_MS);
    ssize_t got = read(announcer->wake_fd, &ignored, sizeof(ignored));
    (void)got; /* non-blocking; it only has to be unreadable afterwards */
}

static void *run(void *self)
{
    struct announcer *announcer = self;

    while (!atomic_load(&announcer->is_stopping)) {
        rest(announcer);
        look(announcer);
        publish(announcer);
        say_given_up(announcer);
    }
    return NULL;
}
