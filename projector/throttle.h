/* projector/throttle.h - how much a generation under construction is held back: by --rate, by the free disk, and by what
 * it does to those that people read. Pure, but for `pressure`, which all followers share.
 *
 * A live follower tells how long its commits take. What they took while nothing was being built is the measure; when
 * they take more than half again as long, the one under construction sleeps longer in each turn, and less when they
 * recover. */
#ifndef TARN_PROJECTOR_THROTTLE_H
#define TARN_PROJECTOR_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

/* Written by the live followers, read by those under construction: each value stands for itself. */
struct pressure {
    _Atomic int64_t commit_us; /* smoothed */
    _Atomic int64_t usual_us;  /* the same while nothing is built; 0: not known */
    _Atomic int building;      /* how many are under construction */
};

void pressure_note_commit(struct pressure *pressure, int64_t took_us);

struct throttle {
    int64_t rate;        /* events/s; 0: none */
    int64_t allowed_us;  /* when the next record may be handled */
    int64_t share_permille; /* of its time that it may work */
    int64_t looked_us;
};

void throttle_init(struct throttle *throttle, int64_t rate);

/* How many of `wanted` records may be handled now; 0: wait throttle_wait_us(). */
int64_t throttle_admit(struct throttle *throttle, int64_t now_us, int64_t wanted);
int64_t throttle_wait_us(const struct throttle *throttle, int64_t now_us);

/* After a turn that worked for worked_us: how long to sleep for the sake of the others. */
int64_t throttle_rest_us(struct throttle *throttle, const struct pressure *pressure, int64_t now_us, int64_t worked_us);

#endif
