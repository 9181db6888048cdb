/* projector/throttle.h - how much a generation under construction is held back: by --rate, and by what it does to those
 * that people read. Pure, but for `pressure`, which all followers share.
 *
 * A live follower tells how long its commits take. What they took while nothing was being built is the measure; when they
 * take more than half again as long, the one under construction works for a smaller part of its time, and for a larger
 * one when they recover. When they stay as slow though it hardly works, it isn't the cause: then that is the measure, as it
 * would never catch up otherwise. Beside live commits it begins with the least. */
#ifndef TARN_PROJECTOR_THROTTLE_H
#define TARN_PROJECTOR_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

/* Written by the live followers, read by those under construction: each value stands for itself. A commit counts for as
 * long as it has been since the one before: what is told is the commit that an event meets that comes at any time, and a
 * long one isn't drowned by the short ones that are over in a moment. */
struct pressure {
    _Atomic int64_t commit_us; /* how long live commits take, smoothed */
    _Atomic int64_t usual_us;  /* the same while nothing is built, over a longer time; 0: not known */
    _Atomic int64_t noted_us;  /* when the last one ended */
    _Atomic int building;      /* how many generations are under construction */
};

/* A live commit has ended, which took that long. */
void pressure_note(struct pressure *pressure, int64_t now_us, int64_t took_us);

struct throttle {
    int64_t rate;           /* events/s; 0: none */
    int64_t refilled_us;    /* when `tokens` was last made up */
    int64_t tokens;         /* records that may be handled now, by the rate */
    int64_t share_max;      /* beside live commits */
    int64_t share_permille; /* of its time that it may work */
    int64_t looked_us;      /* when that was last set */
    int64_t least_since_us; /* since when it has been the least, in vain; 0: it isn't */
};

enum { THROTTLE_SHARE_MIN = 50, THROTTLE_SHARE_MAX = 1000 };

/* cores: what both can run on. Beside live commits the time of one is left alone, or half of it where it is the only one:
 * the broker and the system's own threads have no smaller priority than those that are live, and work for both. */
void throttle_init(struct throttle *throttle, int64_t rate, int64_t cores, int64_t now_us);

/* How many of `wanted` records may be handled now; 0: ask again in a moment. What isn't used is given back with
 * throttle_return(). */
int64_t throttle_admit(struct throttle *throttle, int64_t now_us, int64_t wanted);
void throttle_return(struct throttle *throttle, int64_t unused);

/* After a turn that worked for worked_us: how long to rest for the sake of the others. */
int64_t throttle_rest_us(struct throttle *throttle, struct pressure *pressure, int64_t now_us, int64_t worked_us);

#endif
