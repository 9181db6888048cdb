/* query/served.h - what is served: the generations that DIR/serving names, opened, with their shares of the traffic, and
 * followed when the file changes.
 *
 * A generation is opened once and shared by all threads. What is served at one moment is one struct served_set, which
 * never changes; each loop holds a reference to one and takes up the next between two requests, so that an answer never
 * mixes two generations, and nobody sees half of a change. */
#ifndef TARN_QUERY_SERVED_H
#define TARN_QUERY_SERVED_H

#include "query/served_generation.h"

struct served_set {
    struct serving_shares shares;                              /* [0] is the incumbent */
    struct served_generation *generations[SERVING_SHARES_MAX]; /* beside shares.shares */
    uint64_t serial;                                           /* of the sets of this process, from 1 */
    _Atomic size_t references;
};

struct served;

/* directory and figures must live as long. Opens nothing yet. */
struct served *served_new(const char *directory, struct figures_table *figures);
void served_free(struct served **served);

/* Looks at DIR/serving again: opens what is named there and isn't open, notes that a generation has been caught up for
 * the first time, and closes what nobody answers from any more. Sleeps on nothing but the disk. ERR_ABSENT: there is no
 * store yet; other kinds as store_open() says. When it fails, what was served goes on being served, with the shares that
 * it had; when nothing was, and the incumbent can be opened, that answers everybody. One thread at a time. */
MUST_CHECK int served_refresh(struct served *served, struct err *err);

struct served_follow_options {
    uint64_t read_ahead_bytes;   /* of each newly opened store; 0: none */
    void (*changed)(void *self); /* after a change: loops that sleep should be woken, to let go of what they hold */
    void *self;
};
/* Refreshes from a thread of its own, several times a second, and logs what goes wrong. */
MUST_CHECK int served_follow(struct served *served, const struct served_follow_options *options, struct err *err);
/* Ends that thread; `changed` isn't called any more. What is served stays. */
void served_unfollow(struct served *served);

/* True when `set` (NULL: none) isn't what is served now. Cheap: for each request. */
bool served_has_changed(const struct served *served, const struct served_set *set);

/* What is served now, with a reference, or NULL. Giving it back never closes a store: that would keep answers waiting. */
struct served_set *served_current(struct served *served);
void served_set_release(struct served_set **set);

#endif
