/* projector/follower_set.h - the followers of a process, one for each generation (follower.h): opened, given their parts
 * of --memory, opened anew when they have become whole, tried again after a fault, closed. Used by one thread, which also
 * reads `serving` here: the set knows whose fault is everybody's.
 *
 * A fault of a generation that is served ends the process, as there is nobody else to go on; any other one stands alone
 * with its fault, and is opened again later. */
#ifndef TARN_PROJECTOR_FOLLOWER_SET_H
#define TARN_PROJECTOR_FOLLOWER_SET_H

#include "projector/announcements.h"
#include "projector/follower.h"
#include "schema/store/serving.h"

struct follower_slot {
    char name[GENERATION_NAME_MAX];
    struct follower *follower;     /* NULL: closed after a fault */
    struct follower_report report; /* as of the last follower_set_look_at_reports() */
    int64_t open_again_us;
    size_t memory_bytes; /* as it was told */
    struct follower_task memory_task;
    bool is_task_given;
    unsigned borrowed; /* how many others read its store, on other threads: it isn't closed */
};

struct follower_set {
    const struct run_settings *settings;
    const struct clock_port *clock;
    struct dropped *dropped;
    struct pressure pressure;
    struct announcements *announcements; /* NULL: nothing is announced */
    struct serving serving;
    struct follower_slot **slots; /* a slot's address stays while it is there: a task lies in it */
    size_t count, capacity;
    bool is_changing; /* a generation is being made on another thread (change_worker.h): none is dropped meanwhile */
    bool has_left_one_behind;
};

/* Reads `serving` and opens a follower for each generation there is, those that are served first. Borrowed: settings,
 * clock. The caller holds DIR/lock, and closes the set after a failure, too. */
MUST_CHECK int follower_set_open(struct follower_set *set, const struct run_settings *settings,
                                 const struct clock_port *clock, struct err *err);
/* All are asked to stop before the first is waited for. False: one didn't stop in time, or a generation is being made; the process must end without
 * giving up DIR/lock before, and the set stays as it is. */
bool follower_set_close(struct follower_set *set);
/* Waits until the followers of the served generations are open: a mistake of the set-up is told before anything is
 * listened on. Ends early when a stop is requested. */
MUST_CHECK int follower_set_wait_for_served(struct follower_set *set, struct err *err);

bool follower_set_is_served(const struct follower_set *set, const struct follower_slot *slot);
/* NULL: its follower is closed (after a fault), or there is none of that name. */
struct follower *follower_set_find(const struct follower_set *set, const char *name);

/* `serving` was changed. */
MUST_CHECK int follower_set_look_at_serving(struct follower_set *set, struct err *err);
/* Follows a generation that was just made; no error when it is followed already. */
MUST_CHECK int follower_set_follow(struct follower_set *set, const char *name, struct err *err);
/* Closes its store, so that it can be dropped. */
void follower_set_forget(struct follower_set *set, const char *name);

/* Its store is read on another thread from now on, or (false) no longer. */
void follower_set_borrow(struct follower_set *set, const char *name, bool is_borrowed);

/* In each turn: opens anew what has become whole or is to be tried again. Errors are the process's. */
MUST_CHECK int follower_set_look_after(struct follower_set *set, struct err *err);
/* Now and then. */
void follower_set_look_at_reports(struct follower_set *set);
void follower_set_share_memory(struct follower_set *set);

#endif
