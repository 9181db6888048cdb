/* projector/flush_policy.h - when to commit what. Pure: figures in, a decision out.
 *
 * Live, one job commits everything dirty as soon as the source is drained. Between two jobs the disk rests for a quarter
 * of the time that the last one took, so that others get at it too; a fast disk isn't waited for, a slow one gets larger
 * commits, and nothing that is known waits for longer than FLUSH_LIVE_INTERVAL_US from the start of the last job, unless
 * that job itself takes longer.
 * While catching up, dirty views stay in the cache for as long as they can, so that the next event of a person finds
 * them there, and one range after the other is committed, the one furthest behind first: that is what bounds what a crash
 * replays, and what made progress under repeated kills when always beginning with range 0 didn't.
 * A generation under construction, which nobody reads, is left dirty for longer: each cycle writes most of its pages again,
 * beside those that are live, and all that it saves is work after a crash.
 * Which of the two a start is shows with the first answers of Kafka. Until then nothing is written: what an empty store is
 * given in no order splits the pages that all the rest would fill one behind the other. */
#ifndef TARN_PROJECTOR_FLUSH_POLICY_H
#define TARN_PROJECTOR_FLUSH_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FLUSH_LIVE_INTERVAL_US = 5 * 1000,        /* between the starts of live jobs at the most, */
    FLUSH_LIVE_INTERVAL_MIN_US = 1000,        /* and at the least */
    FLUSH_LIVE_AGE_US = 50 * 1000,            /* live without ever being drained: commit all the same */
    FLUSH_CATCH_UP_AGE_US = 10 * 1000 * 1000, /* catching up: nothing stays dirty for longer than this and its turn */
    FLUSH_BUILDING_AGE_US = 60 * 1000 * 1000, /* or than this, where nobody reads it yet */
    FLUSH_WAIT_US = 100 * 1000,               /* the policy is asked at least this often */
    FLUSH_REFRESH_US = 500 * 1000,            /* the ends of the logs are told to readers this often */
    FLUSH_CATCH_UP_LAG = 50 * 1000,           /* records: catching up above, */
    FLUSH_LIVE_LAG = 5 * 1000,                /* live again below */
    FLUSH_ALL_ROWS = 20 * 1000,               /* more dirty rows are committed range by range */
    FLUSH_LAG_PATIENCE_US = 2 * 1000 * 1000,  /* the first news after a start wait so long for the lag to be known */
};

struct flush_policy {
    bool is_catching_up;
    bool has_awaited_lag; /* it was known once, or waited for in vain */
    int64_t last_start_us; /* of a job; INT64_MIN before the first */
};

struct flush_figures {
    int64_t now_us;
    bool is_drained;
    bool is_building;         /* nobody reads it yet: all that commits are for is that a crash doesn't begin anew */
    bool is_hurried;          /* someone waits for a commit */
    int64_t lag;              /* -1: not known */
    size_t dirty_rows;
    size_t dirty_bytes;
    size_t budget_bytes;
    bool is_full;             /* the cache refuses records until something is committed */
    bool has_news;            /* dirty rows, or positions that moved */
    bool has_changed;         /* ends of logs and states of partitions: told every FLUSH_REFRESH_US */
    int64_t last_took_us;     /* how long the last job took to commit; 0: none has yet */
    int64_t oldest_dirty_us;  /* since when the oldest news waits */
};

enum flush_choice { FLUSH_NOTHING, FLUSH_ALL, FLUSH_OLDEST_RANGE };

#define FLUSH_POLICY_INIT ((struct flush_policy){.last_start_us = INT64_MIN})

/* What to start now, while no job is in flight. Remembers mode and start. */
enum flush_choice flush_policy_choose(struct flush_policy *policy, const struct flush_figures *figures);

/* How long it may take at most until the policy must be asked again. */
int64_t flush_policy_wait_us(const struct flush_policy *policy, const struct flush_figures *figures);

#endif
