/* projector/follower_state.h - what the files of the follower share; for nobody else. follower.c: its life and what the
 * supervisor asks of it; follower_loop.c: its turns; follower_building.c: what is different while its generation is under
 * construction; follower_tasks.c: tasks, and standing still. */
#ifndef TARN_PROJECTOR_FOLLOWER_STATE_H
#define TARN_PROJECTOR_FOLLOWER_STATE_H

#include <pthread.h>

#include "ops/runtime/log.h"
#include "projector/follower.h"
#include "projector/kafka_source.h"
#include "projector/kafka_watch.h"
#include "projector/keeper.h"
#include "projector/partitioner_guess.h"
#include "projector/progress.h"
#include "schema/store/building.h"
#include "schema/store/store_warm_up.h"

enum { FOLLOWER_BATCH = 4096 };

/* What the follower does with a task: begun at once, finished when `mark` is committed. */
struct follower_tasks {
    struct follower_task **given; /* under the lock: not begun yet */
    size_t given_count, given_capacity;
    struct follower_task **begun; /* the thread's own */
    uint64_t *marks;              /* beside begun */
    size_t begun_count, begun_capacity;
};

/* Standing still, for `compare`. */
struct follower_hold {
    bool is_on;
    bool is_going;     /* to `limits` */
    int64_t until_us;
    int64_t *limits;   /* by positions->partitions' place; -1: none */
    bool *overshot;    /* records behind the limit were dropped: to be assigned again */
    size_t count;
};

/* Bringing what was written to the disk, from the file's start to its end, now and then. */
struct follower_write_back {
    bool is_on;
    bool is_last; /* has begun after it had caught up */
    uint64_t at;
    int64_t ended_us;
};

struct follower {
    struct follower_options options;
    char name[GENERATION_NAME_MAX];
    pthread_t thread;
    bool has_thread;

    pthread_mutex_t lock; /* of report, store and tasks.given, and of what a task holds once it is done */
    pthread_cond_t changed;
    struct follower_report report;
    struct store *shown_store; /* NULL: not open */
    struct follower_tasks tasks;
    _Atomic bool is_stopping;

    /* all that follows is the thread's own */
    struct generation *generation;
    struct generation_start start;
    struct building building;
    bool is_building;
    char *group;
    struct view_set *views;
    struct store *store;
    struct warm_up *warm_up; /* of the store; NULL: none */
    struct kafka_source *kafka;
    struct kafka_watch *watch;
    struct record_source source;
    struct announcing *announcing; /* NULL: nothing is announced */
    struct materializer *materializer;
    struct positions *positions;
    struct keeper *keeper;
    struct partitioner_guess *guesses; /* by topic */
    struct record *records;
    size_t record_count;
    struct progress progress;
    struct throttle throttle; /* while it is building */
    struct follower_hold hold;
    bool must_be_whole; /* TASK_MAKE_WHOLE: doesn't wait until it has caught up */
    bool is_short_of_disk;
    int64_t disk_looked_us;
    struct follower_write_back write_back;
    uint64_t commits; /* as pressure was told */
    int64_t started_us;
    int64_t told_us, line_us, committed_us;
    bool is_ready;
    bool is_connected;
    bool said_disconnected;
    bool is_behind;
    unsigned losses;
    bool said_stalled;
};

static inline int64_t follower_now_us(const struct follower *follower)
{
    return clock_monotonic_us(follower->options.clock);
}

bool follower_must_stop(const struct follower *follower);

/* A line of the log; those of other generations than the incumbent say whose they are. */
void follower_say(const struct follower *follower, enum log_level level, const char *format, ...) PRINTF_LIKE(3, 4);

/* --- follower_loop.c --- */

/* Everything is open: turns until it is to stop, fails (its return value), or is whole (FOLLOWER_WHOLE). */
MUST_CHECK int follower_loop(struct follower *follower, enum follower_phase *ret_phase, struct err *err);
MUST_CHECK int follower_check_partitioners(const struct config_list *partitioners,
                                           const struct generation_settings *settings, struct err *err);

/* For so long at most: a task or a stop ends it. */
void follower_wait_ms(struct follower *follower, int64_t ms);

/* --- follower_building.c --- */

void follower_building_begin(struct follower *follower);
/* How many records the next turn may take. */
size_t follower_building_room(struct follower *follower);
/* Behind a turn that began then and left that much of its room unused: writes back, and rests. */
MUST_CHECK int follower_building_turn(struct follower *follower, size_t unused, int64_t began_us, struct err *err);
/* Makes it whole when that is due. */
MUST_CHECK int follower_building_finish(struct follower *follower, bool *ret_is_whole, struct err *err);

/* --- follower_tasks.c --- */

/* Begins what was given, finishes what is committed. */
MUST_CHECK int follower_tasks_serve(struct follower *follower, struct err *err);
/* The loop has ended: what isn't done fails, but for TASK_MAKE_WHOLE where it is_whole. */
void follower_tasks_fail(struct follower *follower, bool is_whole);
void follower_tasks_release(struct follower *follower);

/* Whether records may be handled: it doesn't stand still, or goes to its limits. */
bool follower_hold_admits(struct follower *follower);
/* Before a batch is handled: takes away what lies behind the limits. After it: the gaps before them are passed. */
void follower_hold_cut(struct follower *follower);
void follower_hold_reach(struct follower *follower);

#endif
